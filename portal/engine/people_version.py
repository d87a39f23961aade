"""``Organization.people_version``: it grows with every write to its End Users that is not the sync's own.

While it and the mirror stand still a run has nothing to look at. Exceptions count too, so that a run that goes on heeds them. The sync writes by Core statements, which nobody watches;
whatever goes through a Session is counted by itself, and bulk statements of others say so with ``touch``. Read it by a query:
an Organization that is loaded already keeps the number it was loaded with.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import event, inspect, select
from sqlalchemy.orm import Session

from portal.engine.batches import batches
from portal.engine.records import D1_FIELDS
from portal.models import EndUser, Organization, SyncException


def watch() -> None:
    """Count what Sessions write, from now on and in the whole process. Idempotent."""
    if not event.contains(Session, "before_flush", _count):
        event.listen(Session, "before_flush", _count)


def touch(session: Session, organization_ids: Collection[str]) -> None:
    """Count a bulk statement that wrote, or is about to write, End Users of these Organizations, in its transaction."""
    table: Any = Organization.__table__
    ids = sorted(
        set(organization_ids)
    )  # in one order, so that two who write several wait and do not block each other
    for part in batches(ids):
        session.connection().execute(
            table.update().where(table.c.id.in_(part)).values(people_version=table.c.people_version + 1)
        )


def organizations_of(session: Session, end_user_ids: Sequence[str]) -> set[str]:
    """The Organizations of some End Users."""
    ids: set[str] = set()
    for part in batches(end_user_ids):
        ids.update(session.scalars(select(EndUser.organization_id).where(EndUser.id.in_(part)).distinct()))
    return ids


def _count(session: Session, _context: Any, _instances: Any) -> None:
    exceptions = [row for row in (*session.new, *session.deleted) if isinstance(row, SyncException)]
    written = [row for row in (*session.new, *session.deleted) if isinstance(row, EndUser)]
    written += [
        row
        for row in session.dirty
        if isinstance(row, EndUser) and session.is_modified(row, include_collections=False)
    ]
    for row in written:
        if row.applied_hash and any(inspect(row).attrs[name].history.has_changes() for name in D1_FIELDS):
            row.applied_hash = (
                ""  # what Microsoft has is not what is here any more: the next run looks at the person again
            )
    if written or exceptions:
        touch(
            session,
            {row.organization_id for row in written} | {row.organization_id for row in exceptions},
        )
