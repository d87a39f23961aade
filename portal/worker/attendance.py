"""Who works on the queue of ``ROLLCALL_SCHEDULER=distributed``, and what waits in it, from Procrastinate's tables.

Knows the tables and not the library: web processes ask too.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from sqlalchemy import text
from sqlalchemy.orm import Session

from portal.transactions import SessionFactory

HEARTBEAT_SECONDS = 5.0
STALLED_SECONDS = 15.0
"""A worker that has not said for so long that it lives is taken for dead: three times the heartbeat."""
PATIENCE_SECONDS = 30.0
"""So long may something wait without any worker: they are being restarted."""
IN_A_PROCESS = 5
"""Procrastinate's workers in one process of ours: a lane each (``distributed_worker``)."""

_LIVE = text(
    "SELECT id FROM procrastinate_workers WHERE last_heartbeat >= now() - make_interval(secs => :seconds)"
)
_RUNNING = text(
    """
    SELECT 1 FROM procrastinate_jobs AS job JOIN procrastinate_workers AS worker ON worker.id = job.worker_id
    WHERE job.id = :job AND job.worker_id = :worker AND job.status = 'doing'
      AND worker.last_heartbeat >= now() - make_interval(secs => :seconds)
    """
)
_WAITING = text(
    """
    SELECT job.queue_name, count(*), coalesce(max(extract(epoch FROM now() - event.at)), 0)
    FROM procrastinate_jobs AS job
    LEFT JOIN procrastinate_events AS event ON event.job_id = job.id AND event.type = 'deferred'
    WHERE job.status = 'todo' AND coalesce(job.scheduled_at, now()) <= now() AND job.queue_name <> 'upkeep'
    GROUP BY job.queue_name
    """
)


@dataclass(frozen=True)
class Attendance:
    """workers: processes that live. waiting: jobs by lane; oldest: seconds that the first of them has waited."""

    workers: int
    waiting: dict[str, int] = field(default_factory=dict)
    oldest: float = 0.0

    @property
    def is_abandoned(self) -> bool:
        """True when something waits and nobody works on it."""
        return not self.workers and self.oldest > PATIENCE_SECONDS


def look(session: Session) -> Attendance:
    """Read the tables. Raises SQLAlchemy's errors, also if the tables are missing."""
    live = len(session.scalars(_LIVE, {"seconds": STALLED_SECONDS}).all())
    waiting = {str(lane): (int(number), float(age)) for lane, number, age in session.execute(_WAITING)}
    return Attendance(
        workers=-(-live // IN_A_PROCESS),
        waiting={lane: number for lane, (number, _) in waiting.items()},
        oldest=max((age for _, age in waiting.values()), default=0.0),
    )


def known_workers(sessions: SessionFactory) -> frozenset[int]:
    """Procrastinate's ids of all workers that are registered, also those that have been silent for a while."""
    with sessions() as session:
        return frozenset(session.scalars(text("SELECT id FROM procrastinate_workers")))


def owner_name(job_id: int | None, worker_id: int | None, suffix: str) -> str:
    """The owner name of a job in leases, by which others can tell whether it still runs."""
    return f"job:{job_id}:{worker_id}:{suffix}"


def is_over(sessions: SessionFactory) -> Callable[[str], bool]:
    """Returns a test of whether an owner is a job that no worker runs any more.

    Either its worker says no more that it lives, or it does, and could not give back what it held: the database was away.
    """

    def is_job_over(name: str) -> bool:
        kind, *numbers = name.split(":")
        if kind != "job":
            return False
        job, worker = (int(number) if number.isdigit() else 0 for number in numbers[:2])
        # Queried for each owner after its name was read: a job that started a moment ago is not over.
        with sessions() as session:
            parameters = {"job": job, "worker": worker, "seconds": STALLED_SECONDS}
            return session.scalar(_RUNNING, parameters) is None

    return is_job_over
