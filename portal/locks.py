"""Concurrency: locks on rows, and telling a lost race from a fault of ours.

On PostgreSQL two requests read the same state side by side; what one read may not be true when it writes. Whatever may
happen only once therefore reads the row it depends on with ``lock`` first. SQLite has one writer: its transactions wait
at their beginning instead.

Order, so that nobody waits in a circle: Organization, Tenant, Microsoft Tenant, User Sync, Sync Run, everything else.
"""

from __future__ import annotations

import sqlite3
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.orm import Session
from sqlalchemy.orm.exc import ObjectDeletedError, StaleDataError

from portal.errors import NotFound
from portal.models.base import Base

Model = TypeVar("Model", bound=Base)

CHANGED = (
    "Someone else changed this at the same time, so your changes were not saved. Review it and try again."
)
_CLASHES = frozenset({"23503", "23505", "40001", "40P01"})
"""SQLSTATEs of PostgreSQL: a foreign key, a unique key, a serialization failure, a deadlock."""
_SQLITE_CLASHES = frozenset(
    {
        sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY,
        sqlite3.SQLITE_CONSTRAINT_PRIMARYKEY,
        sqlite3.SQLITE_CONSTRAINT_UNIQUE,
    }
)


def lock(session: Session, model: type[Model], row_id: str, what: str = "") -> Model:
    """Keep others from changing a row until this transaction ends, and read everything anew from then on.

    What was loaded before is of before: it is expired. Others may go on adding rows that refer to the row.
    Raises NotFound when it is gone; ``what`` names it for people.
    """
    key: Any = model.id  # type: ignore[attr-defined]
    if session.scalar(select(key).where(key == row_id).with_for_update(key_share=True)) is None:
        raise NotFound(f"There is no such {what or model.__name__}. It may have been deleted.")
    session.expire_all()
    return session.get_one(model, row_id)


def is_lost_race(error: BaseException) -> bool:
    """True for errors that only a concurrent write between our reading and writing causes.

    A second try sees what they wrote. A missing value or a value that does not fit is a fault of ours: False.
    """
    if isinstance(error, StaleDataError | ObjectDeletedError):
        return True
    if not isinstance(error, DBAPIError):
        return False
    original: Any = error.orig
    if isinstance(error, IntegrityError) and getattr(original, "sqlite_errorcode", None) in _SQLITE_CLASHES:
        return True
    return getattr(original, "sqlstate", None) in _CLASHES
