"""The slow pass's figures of people: kept in the mirror, and copied to the End Users so that tables need no second look-up (T7)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, bindparam, case, func, select
from sqlalchemy.orm import Session

from portal.engine.batches import batches
from portal.engine.bulk import joining_wholes
from portal.models import DirectoryUser, EndUser

NAMES = ("last_sign_in_at", "mfa_registered", "mfa_methods")
_KEYS: Mapping[type[DirectoryUser | EndUser], tuple[str, ...]] = {
    DirectoryUser: ("microsoft_tenant_id", "object_id"),
    EndUser: ("id",),
}


def store(session: Session, microsoft_tenant_id: str, values: Mapping[str, Mapping[str, Any]]) -> None:
    """Write what differs, by object id, to the mirror and to the End Users. The caller commits."""
    for model, keys in _KEYS.items():
        rows = session.execute(
            select(
                model.object_id,
                *(getattr(model, key).label(f"key_{key}") for key in keys),
                *(getattr(model, name) for name in NAMES),
            ).where(model.microsoft_tenant_id == microsoft_tenant_id, model.object_id.in_(list(values)))
        ).mappings()
        _update(
            session,
            model,
            [
                {**{f"key_{key}": row[f"key_{key}"] for key in keys}, **values[row["object_id"]]}
                for row in rows
                if any(row[name] != value for name, value in values[row["object_id"]].items())
            ],
        )


def catch_up(session: Session, microsoft_tenant_id: str, object_ids: Collection[str] | None = None) -> None:
    """Copy again what an End User lacks: the Link was written by a run that the pass could not see yet. The caller commits.

    object_ids: of those who may lack something; None for everybody. What the mirror does not know is not copied: one that was
    made anew knows nothing yet (L7).
    """
    if object_ids is None:
        with joining_wholes(session):
            _catch_up(session, microsoft_tenant_id)
        return
    for part in batches(sorted(object_ids)):
        _catch_up(session, microsoft_tenant_id, EndUser.object_id.in_(part))


def _catch_up(session: Session, microsoft_tenant_id: str, *who: ColumnElement[bool]) -> None:
    signed_in = DirectoryUser.last_sign_in_at.is_not(None) & EndUser.last_sign_in_at.is_distinct_from(
        DirectoryUser.last_sign_in_at
    )
    registered = DirectoryUser.mfa_registered.is_not(None) & EndUser.mfa_registered.is_distinct_from(
        DirectoryUser.mfa_registered
    )
    is_reported = DirectoryUser.mfa_registered.is_not(None)
    rows = session.execute(
        select(
            EndUser.id.label("key_id"),
            func.coalesce(DirectoryUser.last_sign_in_at, EndUser.last_sign_in_at).label("last_sign_in_at"),
            func.coalesce(DirectoryUser.mfa_registered, EndUser.mfa_registered).label("mfa_registered"),
            case((is_reported, DirectoryUser.mfa_methods), else_=EndUser.mfa_methods).label("mfa_methods"),
        )
        .join(
            DirectoryUser,
            (DirectoryUser.microsoft_tenant_id == EndUser.microsoft_tenant_id)
            & (DirectoryUser.object_id == EndUser.object_id),
        )
        .where(EndUser.microsoft_tenant_id == microsoft_tenant_id, signed_in | registered, *who)
    ).mappings()
    _update(session, EndUser, [dict(row) for row in rows])


def _update(session: Session, model: type[DirectoryUser | EndUser], rows: Sequence[dict[str, Any]]) -> None:
    if not rows:
        return
    table: Any = model.__table__
    names: dict[str, Any] = {name: bindparam(name) for name in rows[0] if not name.startswith("key_")}
    which = [table.c[key] == bindparam(f"key_{key}") for key in _KEYS[model]]
    session.connection().execute(table.update().where(*which).values(**names), list(rows))
