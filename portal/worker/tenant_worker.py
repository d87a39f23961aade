"""Works on the queue of one leased Microsoft Tenant: read it once, then each run that waits. It calls things in order and never decides.

A run is a row. Whatever kills the process leaves a lease that runs out and a row that says ``running``: the next worker
takes both over and comes to the same end (G4).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import and_, bindparam, select, update
from sqlalchemy.orm import Session

from portal.engine import failures, schedule
from portal.engine.execution import SyncRunExecution
from portal.engine.mirror.context import RefreshContext
from portal.engine.mirror.refresh import conclude, refresh
from portal.engine.ports import DirectorySource, SourceFactory
from portal.engine.records import Phase
from portal.engine.run_state import Cancelled, FinishedRun, GiveWay, GroupsUnread, Surroundings
from portal.engine.scope import spec_from_json
from portal.engine.undo_run import undo_run
from portal.errors import LeaseLost, SourceAuthError, SourceError, SourcePermissionMissing, Stopped
from portal.locks import is_lost_race
from portal.models import ACTIVE, MicrosoftTenant, Organization, SyncRun, Tenant, UserSync
from portal.transactions import SessionFactory, trouble
from portal.worker import leases
from portal.worker.leases import Lease

log = logging.getLogger(__name__)

SHOW_EVERY, SHOW_HOURLY_EVERY = timedelta(seconds=0.5), timedelta(seconds=5)
"""How often a read says how far it is; the second where only the schedule asked for it: each time is a transaction."""
BROKEN = "Something went wrong inside Rollcall, so this run ended early. The next run corrects it; the log says more."

# Built once: in an hour in which nothing changed, building them took longer than all that they ask and write.
_WAITING = (
    select(MicrosoftTenant.read_requested_at, SyncRun.id, SyncRun.kind, SyncRun.lane, SyncRun.trigger)
    .outerjoin(SyncRun, and_(SyncRun.microsoft_tenant_id == MicrosoftTenant.id, SyncRun.status.in_(ACTIVE)))
    .where(MicrosoftTenant.id == bindparam("tenant"))
    .order_by(SyncRun.lane.desc(), SyncRun.created_at, SyncRun.id)
)
_FILTERS = (
    select(UserSync.filters)
    .join(Organization, Organization.id == UserSync.organization_id)
    .join(Tenant, Tenant.id == Organization.tenant_id)
    .where(Tenant.microsoft_tenant_id == bindparam("tenant"), UserSync.enabled.is_(True))
)
_START = (
    update(SyncRun.__table__)  # type: ignore[arg-type]
    .where(SyncRun.id.in_(bindparam("runs", expanding=True)), SyncRun.status == "queued")
    .values(
        {
            SyncRun.status: "running",
            SyncRun.started_at: bindparam("now"),
            SyncRun.heartbeat_at: bindparam("now"),
            SyncRun.phase: Phase.READING_PEOPLE,
        }
    )
)
_SHOW = (
    update(SyncRun.__table__)  # type: ignore[arg-type]
    .where(SyncRun.id.in_(bindparam("runs", expanding=True)), SyncRun.status == "running")
    .values(
        {
            SyncRun.phase: bindparam("now_at"),
            SyncRun.done: bindparam("so_far"),
            SyncRun.total: bindparam("of_all"),
            SyncRun.heartbeat_at: bindparam("now"),
        }
    )
)
_METER = (
    update(SyncRun.__table__)  # type: ignore[arg-type]
    .where(SyncRun.id == bindparam("run"))
    .values(
        {
            SyncRun.graph_requests: SyncRun.graph_requests + bindparam("requests"),
            SyncRun.throttled_seconds: SyncRun.throttled_seconds + bindparam("seconds"),
        }
    )
)
_RUN = select(
    SyncRun.id,
    SyncRun.organization_id,
    SyncRun.generation,
    SyncRun.lane,
    SyncRun.trigger,
    SyncRun.plan_fingerprint,
    SyncRun.only_object_id,
).where(SyncRun.id == bindparam("run"), SyncRun.status.in_(ACTIVE))


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
    finished: Callable[[Session, FinishedRun], None] = lambda _session, _run: None

    def run_tenant(self, tenant_id: str, owner: str, lanes: Sequence[str] = ("hourly", "delayed")) -> bool:
        """Lease the tenant and do what is queued in ``lanes``. Returns False if another worker holds it. Raises Stopped."""
        begun: list[LeasedTenant] = []

        def begin(lease: Lease, session: Session) -> None:
            begun.append(LeasedTenant(self, lease, tuple(lanes)))
            begun[0].take_up(session)

        lease = leases.acquire(self.sessions, tenant_id, owner, self.now, first=begin)
        if lease is None:
            return False
        leased = begun[0]
        try:
            leased.do()
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
            if not leased.is_over:
                lease.release()
        return True

    def _mark_broken(self, lease: Lease, lanes: Sequence[str]) -> None:
        """End a run that a fault of ours broke, so that it does not stay running. Raises LeaseLost if another worker continues it."""
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
    """What is done while one lease is held.

    undos, runs: what was taken up. is_over: the lease was given back, as nothing was left to do.
    """

    worker: TenantWorker
    lease: Lease
    lanes: tuple[str, ...]
    shown_at: datetime | None = None
    show_every: timedelta = SHOW_EVERY
    undos: Sequence[str] = ()
    runs: Sequence[str] = ()
    is_over: bool = False
    around: Surroundings = field(init=False)

    def __post_init__(self) -> None:
        self.around = Surroundings(self.lease, self.worker.now, self.worker.should_stop, self.worker.finished)

    def do(self) -> None:
        """Work on what was taken up, and on runs that were queued meanwhile."""
        while not self.is_over:
            self.around.stop_check()
            if self.undos:
                self._undo(self.undos)
            elif not self._sync():
                return
            self.around.stop_check()
            with self.lease.transaction() as session:
                self.take_up(session)

    def _sync(self) -> bool:
        """Read once for all runs, then run them one by one. False when the rest has to wait."""
        failure = self._refresh(self.runs)
        for run_id in self.runs:
            self.around.stop_check()
            try:
                self._execute(run_id, failure)
            except GiveWay:
                return False
            except GroupsUnread:
                return True  # the run continues with the next read, which reads these groups too
        return failure is None

    # -- reading -------------------------------------------------------------------------------------------------

    def _refresh(self, runs: Sequence[str]) -> SourceError | None:
        """Read the tenant. On failure store the reason. Runs show the reading as their first phases."""
        source = None
        try:
            source = self.worker.source_factory(self.lease)
            with self.lease.sessions() as session:
                context = RefreshContext.begin(
                    session,
                    self.lease,
                    source,
                    self.worker.now,
                    lambda phase, done, total: self._progress(runs, phase, done, total),
                    self._requested_groups(session),
                )
            summary = refresh(context)
        except SourceError as error:
            self._refresh_failed(error, runs, source)
            return error
        self._refreshed(context, runs)
        self.around = replace(self.around, refreshed=summary)
        return None

    def _requested_groups(self, session: Session) -> frozenset[str]:
        filters = session.connection().scalars(_FILTERS, {"tenant": self.lease.tenant_id})
        named = (spec_from_json(stored).group for stored in filters)
        return frozenset(
            group_id for group in named if not group.all for group_id in group.values if group_id
        )

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
            if tenant.last_synced_at is None and not is_lost:  # pages wait for it
                tenant.problem, tenant.problem_code = error.advice, error.code[:64]
                tenant.throttled_until = error.retry_at or now + timedelta(seconds=30)
            else:
                tenant.read_requested_at = None

    def _refreshed(self, context: RefreshContext, runs: Sequence[str]) -> None:
        now, minutes = self.worker.now(), self.worker.interval_minutes
        with self.lease.transaction() as session:
            _meter(session, runs, context.source)
            if conclude(context, session, schedule.next_run(now, self.lease.tenant_id, minutes)):
                failures.reset_backoff(session, self.lease.tenant_id)

    # -- runs ----------------------------------------------------------------------------------------------------

    def _undo(self, runs: Sequence[str]) -> None:
        """Undo runs read nothing from Microsoft (R5)."""
        for run_id in runs:
            self.around.stop_check()
            with self.lease.transaction() as session:
                self._start(session, [run_id])
            undo_run(self.around, run_id)

    def _execute(self, run_id: str, failure: SourceError | None) -> None:
        with self.lease.sessions() as session:
            run = session.connection().execute(_RUN, {"run": run_id}).one_or_none()
            if run is None:
                return
            execution = SyncRunExecution(self.around, session, *run)
            try:
                if failure is not None:
                    execution.fail(failure)
                else:
                    execution.run()
            except Cancelled:
                execution.finish("cancelled", error="The sync was disabled during this run.", code="disabled")
            except SourceError as error:
                execution.fail(error)

    # -- helpers -------------------------------------------------------------------------------------------------

    def take_up(self, session: Session) -> None:
        """Take up what waits, in the order in which it is to be done, with what ``session`` writes. Sync runs begin, after undo runs.

        Where nothing waits, nor somebody asks for a read, the lease is given back.
        """
        has_hourly = "hourly" in self.lanes
        waiting = session.connection().execute(_WAITING, {"tenant": self.lease.tenant_id}).all()
        self.undos = [row.id for row in waiting if row.kind == "undo" and has_hourly]
        self.runs = [row.id for row in waiting if row.kind == "sync" and row.lane in self.lanes]
        is_asked = has_hourly and any(row.read_requested_at is not None for row in waiting)
        is_hourly = not is_asked and all(row.trigger == "hourly" for row in waiting)
        self.show_every = SHOW_HOURLY_EVERY if is_hourly else SHOW_EVERY
        self.is_over = not (self.undos or self.runs or is_asked)
        if self.is_over:
            self.lease.release_in(session)
        elif self.runs and not self.undos:
            self._start(session, self.runs)

    def _start(self, session: Session, runs: Sequence[str]) -> None:
        self.shown_at = now = self.worker.now()
        session.connection().execute(_START, {"runs": list(runs), "now": now})

    def _progress(self, runs: Sequence[str], phase: str, done: int, total: int | None) -> None:
        self.around.stop_check()
        now = self.worker.now()
        if self.shown_at is not None and now - self.shown_at < self.show_every:
            return
        self.shown_at = now
        with self.lease.transaction() as session:
            if runs:
                progress = {"now_at": phase, "so_far": done, "of_all": total, "now": now}
                session.connection().execute(_SHOW, {"runs": list(runs), **progress})


def _meter(session: Session, runs: Sequence[str], source: DirectorySource | None) -> None:
    """Count what the read has cost with the first of the runs that asked for it."""
    if not runs or source is None:
        return
    cost = {"requests": source.meter.requests, "seconds": source.meter.throttled_seconds}
    session.connection().execute(_METER, {"run": runs[0], **cost})
