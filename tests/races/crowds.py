"""What tests of races send, and count: rows, audit events, and how each of a crowd was answered."""

from __future__ import annotations

from collections import Counter
from typing import Any

from sqlalchemy import func, select

from portal.errors import PortalError
from portal.extensions import db
from portal.models import AuditEvent
from tests.races.conftest import Crowd

SECTIONS = ("user_type", "domain", "office_location", "department", "group")


def number_of(crowd: Crowd, model: Any, *conditions: Any) -> int:
    return int(
        crowd.ask(lambda: db.session.scalar(select(func.count()).select_from(model).where(*conditions)))
    )


def recorded(crowd: Crowd, *actions: str) -> int:
    return number_of(crowd, AuditEvent, AuditEvent.action.in_(actions))


def outcomes(crowd: Crowd, call: Any) -> Counter[str]:
    """Run ``call`` in twenty sessions; counts what became of each: done, or the class of the refusal."""

    def once(number: int) -> str:
        try:
            crowd.build(lambda: call(number))
        except PortalError as error:
            return type(error).__name__
        return "done"

    return Counter(crowd.answers(once))


def choice(**values: list[str]) -> dict[str, Any]:
    return {
        "filters": {name: {"all": name not in values, "values": values.get(name, [])} for name in SECTIONS}
    }
