"""The queue of ``ROLLCALL_SCHEDULER=distributed``: Procrastinate's jobs in our own PostgreSQL (decision 009).

A job says that something waits for a Microsoft Tenant in a lane; what it is, the rows say. Jobs of one tenant have one lock, so
that one runs at a time, and each waits once (``queueing_lock``). This module and ``distributed_worker`` alone know Procrastinate.
"""

from __future__ import annotations

from datetime import datetime

import procrastinate
import psycopg
from procrastinate import exceptions
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

from portal.imports import runner as imports
from portal.transactions import SessionFactory
from portal.worker import queue

WORK = "rollcall.work"
PRIORITIES = {"import": 20, "check": 10, "hourly": 10}
"""An hourly job goes before the delayed one of the same tenant, which would lock it out while it waits (T3)."""
TRIES = 5  # to find a job that waits, or to be the one who adds it

_jobs = procrastinate.App(
    connector=procrastinate.SyncPsycopgConnector()
)  # never opened: it borrows connections
_PUT_FIRST = text(
    "UPDATE procrastinate_jobs SET scheduled_at = NULL WHERE queueing_lock = :key AND status = 'todo' RETURNING id"
)
_PRESENT = text("SELECT queueing_lock FROM procrastinate_jobs WHERE status IN ('todo', 'doing')")


def lock_of(lane: str, key: str) -> str:
    """The lock of jobs that run one at a time: both lanes of a tenant's syncs; its slow pass and its check apart (T1, T7)."""
    return f"run:{key}" if lane in {"hourly", "delayed"} else f"{lane}:{key}"


def enqueue(session: Session, lane: str, *keys: str) -> None:
    """Add a job for each in the transaction of ``session``. One that waits already is brought forward instead.

    It is held until the commit: whoever takes it then finds what was written with it.
    """
    if len(keys) > 1 and _add(session, lane, *keys):
        return
    for key in keys:
        for _ in range(TRIES):
            if _add(session, lane, key):
                break
            if session.execute(_PUT_FIRST, {"key": _name(lane, key)}).first() is not None:
                break


def enqueue_again(
    session: Session, lane: str, key: str, *, at: datetime | None = None, tries: int = 0
) -> None:
    """Add a job for what goes on waiting, unless one waits already. at: not before; tries: how often in a row it failed."""
    _add(session, lane, key, at=at, tries=tries)


def _add(session: Session, lane: str, *keys: str, at: datetime | None = None, tries: int = 0) -> bool:
    """Add a job for each; for none, and False, when one of them has a job that waits."""
    connection = session.connection()
    jobs = [
        _jobs.configure_task(
            WORK,
            queue=lane,
            lock=lock_of(lane, key),
            queueing_lock=_name(lane, key),
            priority=PRIORITIES.get(lane, 0),
            schedule_at=at,
        ).make_new_job(lane=lane, key=key, tries=tries)
        for key in keys
    ]
    try:
        with connection.begin_nested():
            _jobs.job_manager.batch_defer_jobs(jobs, connection=connection.connection.driver_connection)
    except exceptions.AlreadyEnqueued:
        return False
    except exceptions.ConnectorException as error:
        raise _as_ours(error) from error
    return True


def _name(lane: str, key: str) -> str:
    return f"{lane}:{key}"


def _as_ours(error: exceptions.ConnectorException) -> Exception:
    """Translate to the errors that pages and API answer with 503: a lock or a database that cannot be had."""
    cause = error.__cause__
    if isinstance(cause, psycopg.Error):
        return DBAPIError.instance("enqueue", None, cause, psycopg.Error, hide_parameters=True)
    return OperationalError("enqueue", None, cause or error)


def sweep(sessions: SessionFactory, now: datetime) -> int:
    """Add the jobs that are missing. Returns their number. Rows become due by themselves: slow passes, and who was throttled.

    It also heals whatever is lost with a job: rows of a restored backup, or of a worker that finished another's.
    """
    with sessions() as session:
        due = [(work.lane, work.microsoft_tenant_id) for work in queue.waiting(session, now)]
        due += [(work.lane, work.microsoft_tenant_id) for work in queue.slow_waiting(session, now)]
        present = set(session.scalars(_PRESENT))
    due += [("import", import_id) for import_id, _ in imports.waiting(sessions)]
    missing = [(lane, key) for lane, key in due if _name(lane, key) not in present]
    for lane, key in missing:
        with sessions() as session:
            enqueue_again(session, lane, key)
            session.commit()
    return len(missing)
