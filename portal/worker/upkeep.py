"""Recurring work: the hourly schedule and the slow rounds. Any process may do it, repeatedly."""

from __future__ import annotations

from portal.alerts import announcements
from portal.clock import utcnow
from portal.evidence import retention as audit_retention
from portal.extensions import mark_write
from portal.imports import runner as imports
from portal.operations import retention
from portal.runtime import Runtime
from portal.search import index as search_index
from portal.worker import queue
from portal.worker.queue import QueuedTask

INDEX_ROWS = 2_000
"""At most 1,000 people a second, on a tenth of a core; a twentieth of that while somebody waits for a first sync."""


def queue_due(runtime: Runtime) -> int:
    """Queue the hourly runs that are due (T1). Returns their number. Writes only when some are."""
    with runtime.sessions() as session:
        return queue.queue_due(session, utcnow(), runtime.settings.sync_interval_minutes)


def look_after(runtime: Runtime) -> list[QueuedTask]:
    """Initial syncs past 12 hours (T3) and what is too old to keep. Returns the connections not checked for a day (C4)."""
    now = utcnow()
    with runtime.sessions() as session:
        mark_write(session)
        queue.flag_overdue(session, now)
        retention.forget_old(session, now)
        session.commit()
        mark_write(session)
        audit_retention.forget_old(session, now)
        session.commit()
        checks = queue.checks_waiting(session, now) if runtime.settings.scheduler != "off" else []
    imports.forget_abandoned(runtime.sessions, now)
    search_index.start_anew_if_worn(runtime.sessions)
    announcements.announce(runtime)
    return checks


def index_words(runtime: Runtime) -> None:
    """Index new and changed people, a few at a time: searches read the others row by row."""
    with runtime.sessions() as session:
        is_busy = queue.has_first_sync(session)
    search_index.index_some(runtime.sessions, INDEX_ROWS // 20 if is_busy else INDEX_ROWS)
