"""The seam between queued rows and the workers.

Rows are the truth in every mode: a queued ``SyncRun``, ``read_requested_at``, a queued ``Import``. Embedded, a scheduler looks for
them. Distributed, each also gets a job, in the same transaction: no row without its job, no job without its row. Nobody who
queues has to think of it: what goes through a Session is seen here, and Core statements say so with ``enqueue``.
"""

from __future__ import annotations

from itertools import groupby
from operator import itemgetter
from typing import Any, Protocol

from sqlalchemy import Engine, event, inspect
from sqlalchemy.orm import Session

from portal.models import MicrosoftTenant, SyncRun

LANES = ("hourly", "delayed", "slow", "check", "import")
"""What there is to do for a Microsoft Tenant; ``import`` is for a file."""


class Enqueue(Protocol):
    """Called in the transaction that queues them. keys: ids of Microsoft Tenants or of imports, in order."""

    def __call__(self, session: Session, lane: str, *keys: str) -> None:
        """Add a job for each."""
        ...


_OPTION = "rollcall_enqueue"
_WAITING = "rollcall_waiting"


def use(engine: Engine, enqueue: Enqueue) -> None:
    """Have ``enqueue`` called for everything that is queued through this engine from now on."""
    engine.update_execution_options(**{_OPTION: enqueue})
    if not event.contains(Session, "after_flush", _collect):
        event.listen(Session, "after_flush", _collect)
        event.listen(Session, "before_commit", _hand_over)
        event.listen(Session, "after_rollback", _forget)


def enqueue(session: Session, lane: str, *keys: str) -> None:
    """Announce queued rows that a Core statement wrote. Does nothing if rows alone are the queue."""
    add_jobs = session.connection().get_execution_options().get(_OPTION)
    if add_jobs is not None:
        add_jobs(session, lane, *keys)


def _collect(session: Session, _context: Any) -> None:
    waiting: set[tuple[str, str]] = session.info.setdefault(_WAITING, set())
    for row in (*session.new, *session.dirty):
        if isinstance(row, SyncRun) and row.status == "queued" and row.microsoft_tenant_id:
            waiting.add((row.lane, row.microsoft_tenant_id))
        elif isinstance(row, MicrosoftTenant) and _asks_for_a_read(row):
            waiting.add(("hourly", row.id))


def _asks_for_a_read(row: MicrosoftTenant) -> bool:
    attribute: Any = inspect(row).attrs.read_requested_at
    return row.read_requested_at is not None and bool(attribute.history.has_changes())


def _hand_over(session: Session) -> None:
    """Add the jobs last: a job's key is unique, so others who queue for the tenant wait from here to the commit."""
    if session.in_nested_transaction():
        return
    session.flush()
    for lane, group in groupby(sorted(session.info.pop(_WAITING, ())), key=itemgetter(0)):
        enqueue(session, lane, *(key for _, key in group))


def _forget(session: Session) -> None:
    session.info.pop(_WAITING, None)
