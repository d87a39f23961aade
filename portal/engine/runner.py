"""Works on the queue of a leased Microsoft Tenant: read it once, then each run that waits. It calls things in order and never decides.

    lease the Microsoft Tenant | read it once | for each queued run: engine.job (style-anchors 3.4)

A run is a row. Whatever kills the process leaves a lease that runs out and a row that says ``running``: the next worker
takes both over and comes to the same end (G4).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from portal.engine import cadence, claims, failures, undo
from portal.engine.claims import Sessions, write_session
from portal.engine.job import Job
from portal.engine.mirror.read import read
from portal.engine.mirror.reading import Reading
from portal.engine.ports import SourceFactory
from portal.engine.records import Counts
from portal.engine.snapshot import spec_of
from portal.engine.turn import Cancelled, GiveWay, LeaseLost, Turn
from portal.errors import SourceAuthError, SourceError, SourcePermissionMissing, Stopped
from portal.models import ACTIVE, MicrosoftTenant, Organization, SyncRun, Tenant, UserSync

log = logging.getLogger(__name__)

BEAT_EVERY = timedelta(seconds=0.5)


@dataclass
class Runner:
    """Works on the queue of one Microsoft Tenant at a time. Threads may share it.

    interval_minutes: the schedule (T1). should_stop: asked between chunks; True ends the work at a place where nothing is
    half-done. on_commit: told around every commit, for crash tests. finished: told of each run that ends, before the commit.
    """

    sessions: Sessions
    source_factory: SourceFactory
    now: Callable[[], datetime]
    interval_minutes: int = 60
    should_stop: Callable[[], bool] = lambda: False
    on_commit: Callable[[str], None] = lambda _label: None
    finished: Callable[[Session, SyncRun], None] = lambda _session, _run: None

    def run_tenant(self, tenant_id: str, owner: str, lanes: Sequence[str] = ("hourly", "delayed")) -> bool:
        """Lease the tenant and do what waits in ``lanes``. False when somebody else holds it. Raises Stopped."""
        if not claims.claim(self.sessions, tenant_id, owner, self.now()):
            return False
        turn = Turn(
            tenant_id, owner, self.sessions, self.now, self.should_stop, self.on_commit, self.finished
        )
        try:
            _Work(self, turn, tuple(lanes)).do()
        except Stopped:
            raise
        except Exception as error:
            if claims.is_gone(self.sessions, tenant_id):
                log.info("action=tenant_removed microsoft_tenant=%s", tenant_id)
            elif isinstance(error, LeaseLost):
                log.warning("action=lease_lost microsoft_tenant=%s", tenant_id)
            else:
                raise
        finally:
            claims.release(self.sessions, tenant_id, owner)
        return True


@dataclass
class _Work:
    """What is done in one turn."""

    runner: Runner
    turn: Turn
    lanes: tuple[str, ...]
    beaten_at: datetime | None = None

    def do(self) -> None:
        """Read once for all runs that wait, then run them one by one; new ones that came in meanwhile too."""
        while True:
            self.turn.stop_check()
            if "hourly" in self.lanes:
                self._undo_runs()
            runs = self._queued()
            wants_read = "hourly" in self.lanes and self._read_requested()
            if not runs and not wants_read:
                return
            failure = self._mirror(runs)
            for run_id in runs:
                self.turn.stop_check()
                try:
                    self._execute(run_id, failure)
                except GiveWay:
                    return
            if failure is not None:
                return

    # -- reading -------------------------------------------------------------------------------------------------

    def _mirror(self, runs: Sequence[str]) -> SourceError | None:
        """Read the tenant; on failure say what it was. Runs show the reading as their first phases."""
        source = None
        first = runs[0] if runs else None
        for run_id in runs:
            self._start(run_id)
        try:
            source = self.runner.source_factory(self.turn.tenant_id)
            reading = Reading(
                self.runner.sessions,
                self.turn.tenant_id,
                source,
                self.runner.now,
                lambda phase, done, total: self._progress(runs, phase, done, total),
                self.runner.on_commit,
            )
            self.turn.note_read(read(reading, groups=self._wanted_groups()))
        except SourceError as error:
            self._read_failed(error)
            return error
        finally:
            if source is not None and first is not None:
                self._meter(first, source.meter.requests, source.meter.throttled_seconds)
        self._connected()
        return None

    def _wanted_groups(self) -> frozenset[str]:
        with self.runner.sessions() as session:
            syncs = session.scalars(
                select(UserSync)
                .join(Organization, Organization.id == UserSync.organization_id)
                .join(Tenant, Tenant.id == Organization.tenant_id)
                .where(Tenant.microsoft_tenant_id == self.turn.tenant_id, UserSync.enabled.is_(True))
            )
            groups = {
                g for row in syncs if not (spec := spec_of(row)).group.all for g in spec.group.values if g
            }
        return frozenset(groups)

    def _read_failed(self, error: SourceError) -> None:
        """A lost connection is shown as one, once, not by each run below it (G2, C4)."""
        now = self.runner.now()
        is_lost = isinstance(error, (SourceAuthError, SourcePermissionMissing))
        with write_session(self.runner.sessions) as session:
            tenant = session.get_one(MicrosoftTenant, self.turn.tenant_id)
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
            tenant.next_run_at = cadence.next_run(
                now, self.turn.tenant_id, self.runner.interval_minutes, tenant.failures_in_row
            )
            if tenant.last_synced_at is None and not is_lost:
                tenant.problem, tenant.problem_code = (
                    error.advice,
                    error.code[:64],
                )  # who waits for it is told
                tenant.throttled_until = error.retry_at or now + timedelta(seconds=30)
            else:
                tenant.read_requested_at = None
            session.commit()

    def _connected(self) -> None:
        """A read that worked puts the connection right (G2).

        The tenant's row is locked first, as a check of the connection does: the other way round they wait for each other.
        """
        with write_session(self.runner.sessions) as session:
            self.turn.beat(session)
            tenant = session.get_one(MicrosoftTenant, self.turn.tenant_id)
            if tenant.failures_in_row:
                failures.forgive(session, tenant.id)
            tenant.failures_in_row = 0
            tenant.state, tenant.problem, tenant.problem_code, tenant.problem_since = (
                "connected",
                None,
                None,
                None,
            )
            tenant.next_run_at = cadence.next_run(
                self.runner.now(), self.turn.tenant_id, self.runner.interval_minutes
            )
            session.commit()

    # -- one run -------------------------------------------------------------------------------------------------

    def _undo_runs(self) -> None:
        """Undo runs read nothing from Microsoft; each is one transaction (R5)."""
        with self.runner.sessions() as session:
            waiting = session.scalars(
                select(SyncRun.id)
                .where(
                    SyncRun.microsoft_tenant_id == self.turn.tenant_id,
                    SyncRun.kind == "undo",
                    SyncRun.status.in_(ACTIVE),
                )
                .order_by(SyncRun.created_at)
            ).all()
        for run_id in waiting:
            self.turn.stop_check()
            self._start(run_id)
            now = self.runner.now()
            with write_session(self.runner.sessions) as session:
                run = session.get_one(SyncRun, run_id)
                done = undo.apply_undo(session, run.id, run.undoes_run_id or "", run.organization_id, now)
                number = len(done.restored)
                run.status, run.phase, run.finished_at = "succeeded", "Done", now
                run.done = run.total = number
                run.counts = {**asdict(Counts()), "read": number, "in_scope": number, "updated": number}
                run.warnings = [
                    f"{item['display_name']} was spared: {item['reason']}." for item in done.spared
                ]
                self.runner.finished(session, run)
                self.runner.on_commit("undo")
                session.commit()
            self.runner.on_commit("after undo")

    def _execute(self, run_id: str, failure: SourceError | None) -> None:
        with self.runner.sessions() as session:
            run = session.get(SyncRun, run_id)
            if run is None or run.status not in ACTIVE:
                return
            job = Job(
                self.turn,
                run.id,
                run.organization_id,
                run.generation,
                run.lane,
                run.plan_fingerprint,
                run.only_object_id,
            )
        try:
            if failure is not None:
                job.fail(failure)
            else:
                job.run()
        except Cancelled:
            job.finish("cancelled", error="The sync was disabled while this run was going on.")
        except SourceError as error:
            job.fail(error)

    # -- helpers -------------------------------------------------------------------------------------------------

    def _queued(self) -> list[str]:
        with self.runner.sessions() as session:
            return list(
                session.scalars(
                    select(SyncRun.id)
                    .where(
                        SyncRun.microsoft_tenant_id == self.turn.tenant_id,
                        SyncRun.kind == "sync",
                        SyncRun.status.in_(ACTIVE),
                        SyncRun.lane.in_(self.lanes),
                    )
                    .order_by(SyncRun.lane.desc(), SyncRun.created_at, SyncRun.id)
                )
            )

    def _read_requested(self) -> bool:
        with self.runner.sessions() as session:
            tenant = session.get(MicrosoftTenant, self.turn.tenant_id)
            return tenant is not None and tenant.read_requested_at is not None

    def _start(self, run_id: str) -> None:
        now = self.runner.now()
        with write_session(self.runner.sessions) as session:
            session.execute(
                update(SyncRun)
                .where(SyncRun.id == run_id, SyncRun.status == "queued")
                .values(status="running", started_at=now, heartbeat_at=now, phase="Reading people")
            )
            session.commit()

    def _progress(self, runs: Sequence[str], phase: str, done: int, total: int | None) -> None:
        self.turn.stop_check()
        now = self.runner.now()
        if self.beaten_at is not None and now - self.beaten_at < BEAT_EVERY and done != total:
            return
        self.beaten_at = now
        with write_session(self.runner.sessions) as session:
            self.turn.beat(session)
            if runs:
                session.execute(
                    update(SyncRun)
                    .where(SyncRun.id.in_(runs), SyncRun.status == "running")
                    .values(phase=phase, done=done, total=total, heartbeat_at=now)
                )
            session.commit()

    def _meter(self, run_id: str, requests: int, throttled: float) -> None:
        with write_session(self.runner.sessions) as session:
            session.execute(
                update(SyncRun)
                .where(SyncRun.id == run_id)
                .values(
                    graph_requests=SyncRun.graph_requests + requests,
                    throttled_seconds=SyncRun.throttled_seconds + throttled,
                )
            )
            session.commit()
