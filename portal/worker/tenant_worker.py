"""Works on the queue of one leased Microsoft Tenant: read it once, then each run that waits. It calls things in order and never decides.

A run is a row. Whatever kills the process leaves a lease that runs out and a row that says ``running``: the next worker
takes both over and comes to the same end (G4).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from portal.engine import failures, schedule
from portal.engine.execution import SyncRunExecution
from portal.engine.mirror.context import RefreshContext
from portal.engine.mirror.refresh import conclude, refresh
from portal.engine.organization_context import spec_of
from portal.engine.ports import DirectorySource, SourceFactory
from portal.engine.records import Phase
from portal.engine.run_state import Cancelled, GiveWay, GroupsUnread, Surroundings
from portal.engine.undo_run import undo_run
from portal.errors import LeaseLost, SourceAuthError, SourceError, SourcePermissionMissing, Stopped
from portal.locks import is_lost_race
from portal.models import ACTIVE, MicrosoftTenant, Organization, SyncRun, Tenant, UserSync
from portal.transactions import SessionFactory, trouble
from portal.worker import leases
from portal.worker.leases import Lease

log = logging.getLogger(__name__)

SHOW_EVERY = timedelta(seconds=0.5)
BROKEN = (
    "Something went wrong inside Rollcall, so this run ended early. The next run heals it; the log says more."
)


@dataclass
class TenantWorker:
    """Works on the queue of one Microsoft Tenant at a time. Threads may share it.

    interval_minutes: the schedule (T1). should_stop: asked between chunks; True ends the work at a place where nothing is
    half-done. finished: told of each run that ends, before the commit.
    """

    sessions: SessionFactory
    source_factory: SourceFactory
    now: Callable[[], datetime]
    interval_minutes: int = 60
    should_stop: Callable[[], bool] = lambda: False
    finished: Callable[[Session, SyncRun], None] = lambda _session, _run: None

    def run_tenant(self, tenant_id: str, owner: str, lanes: Sequence[str] = ("hourly", "delayed")) -> bool:
        """Lease the tenant and do what waits in ``lanes``. False when another worker holds it. Raises Stopped."""
        lease = leases.acquire(self.sessions, tenant_id, owner, self.now)
        if lease is None:
            return False
        try:
            LeasedTenant(self, lease, tuple(lanes)).do()
        except Stopped:
            raise
        except Exception as error:
            if leases.is_removed(self.sessions, tenant_id):
                log.info("action=tenant_removed microsoft_tenant=%s", tenant_id)
            elif isinstance(error, LeaseLost):
                log.warning("action=lease_lost microsoft_tenant=%s", tenant_id)
            else:
                if trouble(error) is None and not is_lost_race(error):  # else the next try comes to the end
                    self._mark_broken(lease, lanes)
                raise
        finally:
            lease.release()
        return True

    def _mark_broken(self, lease: Lease, lanes: Sequence[str]) -> None:
        """A fault of ours must not leave a run that runs for ever. Raises LeaseLost when somebody else goes on with it."""
        now = self.now()
        with lease.transaction() as session:
            runs = session.scalars(
                select(SyncRun).where(
                    SyncRun.microsoft_tenant_id == lease.tenant_id,
                    SyncRun.status == "running",
                    SyncRun.lane.in_(lanes),
                )
            )
            for run in runs.all():
                run.status, run.error, run.finished_at = "failed", BROKEN, now
                if run.kind == "sync":
                    failures.count(session, run.organization_id, BROKEN, now)


@dataclass
class LeasedTenant:
    """What is done while one lease is held."""

    worker: TenantWorker
    lease: Lease
    lanes: tuple[str, ...]
    shown_at: datetime | None = None
    around: Surroundings = field(init=False)

    def __post_init__(self) -> None:
        self.around = Surroundings(self.lease, self.worker.now, self.worker.should_stop, self.worker.finished)

    def do(self) -> None:
        """Read once for all runs that wait, then run them one by one; new ones that came in meanwhile too."""
        while True:
            self.around.stop_check()
            undos, runs, wants_read = self._waiting()
            if undos:
                self._undo(undos)
                continue  # others may have come in meanwhile
            if not runs and not wants_read:
                return
            failure = self._refresh(runs)
            for run_id in runs:
                self.around.stop_check()
                try:
                    self._execute(run_id, failure)
                except GiveWay:
                    return
                except GroupsUnread:
                    break  # the run goes on with the next read, which looks at these groups too
            if failure is not None:
                return

    # -- reading -------------------------------------------------------------------------------------------------

    def _refresh(self, runs: Sequence[str]) -> SourceError | None:
        """Read the tenant; on failure say what it was. Runs show the reading as their first phases."""
        source = None
        self._start(runs)
        try:
            source = self.worker.source_factory(self.lease)
            context = RefreshContext.begin(
                self.lease,
                source,
                self.worker.now,
                lambda phase, done, total: self._progress(runs, phase, done, total),
            )
            found = refresh(context, groups=self._wanted_groups())
        except SourceError as error:
            self._refresh_failed(error, runs, source)
            return error
        self._refreshed(context, runs)
        self.around = replace(self.around, refreshed=found)
        return None

    def _wanted_groups(self) -> frozenset[str]:
        with self.lease.sessions() as session:
            syncs = session.scalars(
                select(UserSync)
                .join(Organization, Organization.id == UserSync.organization_id)
                .join(Tenant, Tenant.id == Organization.tenant_id)
                .where(Tenant.microsoft_tenant_id == self.lease.tenant_id, UserSync.enabled.is_(True))
            )
            groups = {
                g for row in syncs if not (spec := spec_of(row)).group.all for g in spec.group.values if g
            }
        return frozenset(groups)

    def _refresh_failed(
        self, error: SourceError, runs: Sequence[str], source: DirectorySource | None
    ) -> None:
        """A lost connection is shown as one, once, not by each run below it (G2, C4)."""
        now = self.worker.now()
        is_lost = isinstance(error, (SourceAuthError, SourcePermissionMissing))
        with self.lease.transaction() as session:
            _meter(session, runs, source)
            tenant = session.get_one(MicrosoftTenant, self.lease.tenant_id)
            tenant.failures_in_row += 1
            tenant.throttled_until = error.retry_at
            if is_lost:
                if tenant.state != "needs_attention":
                    tenant.problem_since = now
                tenant.state, tenant.problem, tenant.problem_code = (
                    "needs_attention",
                    error.advice,
                    error.code[:64],
                )
            tenant.next_run_at = schedule.next_run(
                now, tenant.id, self.worker.interval_minutes, tenant.failures_in_row
            )
            if tenant.last_synced_at is None and not is_lost:  # who waits for it is told
                tenant.problem, tenant.problem_code = error.advice, error.code[:64]
                tenant.throttled_until = error.retry_at or now + timedelta(seconds=30)
            else:
                tenant.read_requested_at = None

    def _refreshed(self, context: RefreshContext, runs: Sequence[str]) -> None:
        """A read that worked puts the connection right (G2)."""
        now = self.worker.now()
        with self.lease.transaction() as session:
            _meter(session, runs, context.source)
            tenant = session.get_one(MicrosoftTenant, self.lease.tenant_id)
            conclude(context, tenant, now)
            if tenant.failures_in_row:
                failures.reset_backoff(session, tenant.id)
            tenant.failures_in_row = 0
            tenant.state, tenant.problem, tenant.problem_code, tenant.problem_since = (
                "connected",
                None,
                None,
                None,
            )
            tenant.next_run_at = schedule.next_run(now, tenant.id, self.worker.interval_minutes)

    # -- runs ----------------------------------------------------------------------------------------------------

    def _undo(self, runs: Sequence[str]) -> None:
        """Undo runs read nothing from Microsoft (R5)."""
        for run_id in runs:
            self.around.stop_check()
            self._start([run_id])
            undo_run(self.around, run_id)

    def _execute(self, run_id: str, failure: SourceError | None) -> None:
        with self.lease.sessions() as session:
            run = session.get(SyncRun, run_id)
            if run is None or run.status not in ACTIVE:
                return
        execution = SyncRunExecution(
            self.around,
            run.id,
            run.organization_id,
            run.generation,
            run.lane,
            run.plan_fingerprint,
            run.only_object_id,
        )
        try:
            if failure is not None:
                execution.fail(failure)
            else:
                execution.run()
        except Cancelled:
            execution.finish(
                "cancelled", error="The sync was disabled while this run was going on.", code="disabled"
            )
        except SourceError as error:
            execution.fail(error)

    # -- helpers -------------------------------------------------------------------------------------------------

    def _waiting(self) -> tuple[list[str], list[str], bool]:
        """(undo runs, sync runs, whether somebody asks for a read), in the order in which they are to be done."""
        has_hourly = "hourly" in self.lanes
        with self.lease.sessions() as session:
            waiting = session.execute(
                select(SyncRun.id, SyncRun.kind, SyncRun.lane)
                .where(SyncRun.microsoft_tenant_id == self.lease.tenant_id, SyncRun.status.in_(ACTIVE))
                .order_by(SyncRun.lane.desc(), SyncRun.created_at, SyncRun.id)
            ).all()
            asked_at = session.scalar(
                select(MicrosoftTenant.read_requested_at).where(MicrosoftTenant.id == self.lease.tenant_id)
            )
        undos = [run_id for run_id, kind, _ in waiting if kind == "undo" and has_hourly]
        runs = [run_id for run_id, kind, lane in waiting if kind == "sync" and lane in self.lanes]
        return undos, runs, has_hourly and asked_at is not None

    def _start(self, runs: Sequence[str]) -> None:
        if not runs:
            return
        self.shown_at = now = self.worker.now()
        with self.lease.transaction() as session:
            session.execute(
                update(SyncRun)
                .where(SyncRun.id.in_(runs), SyncRun.status == "queued")
                .values(status="running", started_at=now, heartbeat_at=now, phase=Phase.READING_PEOPLE)
            )

    def _progress(self, runs: Sequence[str], phase: str, done: int, total: int | None) -> None:
        self.around.stop_check()
        now = self.worker.now()
        if self.shown_at is not None and now - self.shown_at < SHOW_EVERY:
            return
        self.shown_at = now
        with self.lease.transaction() as session:
            if runs:
                session.execute(
                    update(SyncRun)
                    .where(SyncRun.id.in_(runs), SyncRun.status == "running")
                    .values(phase=phase, done=done, total=total, heartbeat_at=now)
                )


def _meter(session: Session, runs: Sequence[str], source: DirectorySource | None) -> None:
    """Count what the read has cost with the first of the runs that asked for it."""
    if not runs or source is None:
        return
    session.execute(
        update(SyncRun)
        .where(SyncRun.id == runs[0])
        .values(
            graph_requests=SyncRun.graph_requests + source.meter.requests,
            throttled_seconds=SyncRun.throttled_seconds + source.meter.throttled_seconds,
        )
    )
