"""Prometheus metrics, computed from the tables when asked: the same in every process, whoever ran the syncs (O3)."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector
from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from portal.clock import utcnow
from portal.models import Change, Conflict, EndUser, MicrosoftTenant, SyncRun, UserSync
from portal.models.microsoft import IS_CONNECTED
from portal.operations import tenant_metrics
from portal.worker import attendance
from portal.worker.attendance import Attendance
from portal.worker.dispatch import LANES


def render(session: Session, scheduler: str = "embedded") -> bytes:
    """All metrics in Prometheus' text format. scheduler: as ``ROLLCALL_SCHEDULER`` says."""
    registry = CollectorRegistry()
    registry.register(_FromTables(session))
    if scheduler == "distributed":
        registry.register(_Queue(session))
    return generate_latest(registry)


def abandoned(workers: Attendance) -> str | None:
    """What to do about a queue without a worker; None if there is one, or nothing waits."""
    if not workers.is_abandoned:
        return None
    return f"{sum(workers.waiting.values())} jobs are waiting and no worker is running: start `rollcall worker`, or look at its log."


class _Queue(Collector):
    """The queue of ROLLCALL_SCHEDULER=distributed, and who works on it."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: registering must not query."""
        return []

    def collect(self) -> Iterable[Metric]:
        """Workers that live, jobs that wait by lane, and how long the first of them has."""
        workers = attendance.look(self._session)
        yield GaugeMetricFamily(
            "rollcall_workers", "Worker processes that are running", value=workers.workers
        )
        waiting = GaugeMetricFamily("rollcall_jobs_waiting", "Waiting jobs, by lane", labels=["lane"])
        for lane in LANES:
            waiting.add_metric([lane], workers.waiting.get(lane, 0))
        yield waiting
        yield GaugeMetricFamily(
            "rollcall_oldest_job_age_seconds",
            "How long the first waiting job has waited",
            value=workers.oldest,
        )


class _FromTables(Collector):
    def __init__(self, session: Session) -> None:
        self._session = session

    def describe(self) -> Iterable[Metric]:
        """Nothing beforehand: registering must not query."""
        return []

    def collect(self) -> Iterable[Metric]:
        """One gauge family per question."""
        yield self._by(
            "rollcall_microsoft_tenants", "Microsoft tenants by state", MicrosoftTenant.state, IS_CONNECTED
        )
        yield self._by("rollcall_sync_runs", "Sync runs kept, by status", SyncRun.status)
        yield self._by("rollcall_changes", "Change records kept, by decision", Change.decision)
        yield self._by(
            "rollcall_links",
            "Linked End Users by Microsoft status",
            EndUser.microsoft_status,
            EndUser.microsoft_status != "none",
            label="status",
        )
        yield self._gauge("rollcall_end_users", "End Users", select(func.count()).select_from(EndUser))
        enabled = select(func.count()).select_from(UserSync).where(UserSync.enabled.is_(True))
        yield self._gauge("rollcall_user_syncs_enabled", "Organizations with User Sync enabled", enabled)
        waiting = select(func.count()).select_from(UserSync).where(UserSync.hold_run_id.is_not(None))
        yield self._gauge("rollcall_holds_waiting", "Holds waiting for an administrator", waiting)
        open_conflicts = select(func.count()).select_from(Conflict).where(Conflict.resolved_at.is_(None))
        yield self._gauge("rollcall_conflicts_open", "Conflicts not settled", open_conflicts)
        oldest = self._session.scalar(select(func.min(MicrosoftTenant.last_synced_at)))
        age = GaugeMetricFamily(
            "rollcall_oldest_sync_age_seconds", "Age of the least recently read Microsoft tenant"
        )
        if oldest is not None:
            age.add_metric([], (utcnow() - oldest).total_seconds())
        yield age
        yield from tenant_metrics.collect(self._session)

    def _by(
        self,
        name: str,
        text: str,
        column: InstrumentedAttribute[str],
        *which: ColumnElement[bool],
        label: str = "",
    ) -> GaugeMetricFamily:
        family = GaugeMetricFamily(name, text, labels=[label or column.key])
        counted = select(column, func.count()).where(*which).group_by(column)
        for value, number in self._session.execute(counted):
            family.add_metric([value], number)
        return family

    def _gauge(self, name: str, text: str, statement: object) -> GaugeMetricFamily:
        return GaugeMetricFamily(name, text, value=self._session.scalar(statement) or 0)  # type: ignore[call-overload]
