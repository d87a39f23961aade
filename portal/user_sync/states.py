"""The state of a User Sync as the database says it, for lists that filter, count and sort by it (``documents.status_of``)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, and_, case, or_

from portal.models import MicrosoftTenant, UserSync

STATES = ("needs_attention", "paused", "processing", "enabled", "not_set_up")
"""Most urgent first: what lists sort by."""
IS_OFF = or_(UserSync.id.is_(None), UserSync.enabled.is_(False))
_IN_TROUBLE = or_(
    and_(UserSync.attention.is_not(None), UserSync.attention != ""),
    MicrosoftTenant.state == "needs_attention",
)


def status() -> ColumnElement[str]:
    """The status word, of a statement that has UserSync and MicrosoftTenant joined by outer joins."""
    expression: ColumnElement[str] = _of(lambda state: state)
    return expression


def urgency() -> ColumnElement[int]:
    """The place of the status among ``STATES``."""
    expression: ColumnElement[int] = _of(STATES.index)
    return expression


def _of(value: Any) -> Any:
    return case(
        (IS_OFF, value("not_set_up")),
        (UserSync.hold_run_id.is_not(None), value("paused")),
        (_IN_TROUBLE, value("needs_attention")),
        (UserSync.initial_done_at.is_(None), value("processing")),
        else_=value("enabled"),
    )
