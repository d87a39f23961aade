"""The slow pass's figures of people: kept in the mirror, and copied to the Links so that tables need no second look-up (T7)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, or_, select
from sqlalchemy.orm import Session

from portal.models import DirectoryUser, Link

BATCH = 500
NAMES = ("last_sign_in_at", "mfa_registered", "mfa_methods")


def store(session: Session, microsoft_tenant_id: str, values: Mapping[str, Mapping[str, Any]]) -> None:
    """Write what differs, by object id, to the mirror and to the Links. At most BATCH people; the caller commits."""
    for model in (DirectoryUser, Link):
        rows = session.execute(
            select(model.id, model.object_id, *(getattr(model, name) for name in NAMES)).where(
                model.microsoft_tenant_id == microsoft_tenant_id, model.object_id.in_(list(values))
            )
        ).mappings()
        _update(
            session,
            model,
            [
                {"row_id": row["id"], **values[row["object_id"]]}
                for row in rows
                if any(row[name] != value for name, value in values[row["object_id"]].items())
            ],
        )


def catch_up(session: Session, microsoft_tenant_id: str) -> None:
    """Copy again what a Link lacks: it was written by a run that the pass could not see yet. The caller commits."""
    rows = session.execute(
        select(Link.id.label("row_id"), *(getattr(DirectoryUser, name) for name in NAMES))
        .join(
            DirectoryUser,
            (DirectoryUser.microsoft_tenant_id == Link.microsoft_tenant_id)
            & (DirectoryUser.object_id == Link.object_id),
        )
        .where(
            Link.microsoft_tenant_id == microsoft_tenant_id,
            or_(
                Link.last_sign_in_at.is_distinct_from(DirectoryUser.last_sign_in_at),
                Link.mfa_registered.is_distinct_from(DirectoryUser.mfa_registered),
            ),
        )
    ).mappings()
    _update(session, Link, [dict(row) for row in rows])


def _update(session: Session, model: type[DirectoryUser | Link], rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    table: Any = model.__table__
    names: dict[str, Any] = {name: bindparam(name) for name in rows[0] if name != "row_id"}
    session.connection().execute(
        table.update().where(table.c.id == bindparam("row_id")).values(**names), list(rows)
    )
