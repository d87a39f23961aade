"""Runs syncs: mirror → decide → guard → apply or stage. It calls things in order and never decides (style-anchors 3.4).

    lease the Microsoft Tenant | read it once | for each queued run: snapshot | plan | guard | chunks | finish

A run is a row. Whatever kills the process leaves a lease that runs out and a row that says ``running``: the next worker
takes both over and comes to the same end (G4).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from portal.engine import cadence, claims, undo, writer
from portal.engine.asset_owners import assign_assets
from portal.engine.claims import Sessions, write_session
from portal.engine.decide import plan
from portal.engine.guards import count, guard
from portal.engine.mirror import Mirror, ReadResult
from portal.engine.ports import SourceFactory
from portal.engine.records import (
    Action,
    Counts,
    Decision,
    GuardedPlan,
    HoldKind,
    HoldRule,
    Plan,
    Reason,
    RemoteUser,
)
from portal.engine.snapshot import Loaded, hold_rule, load, load_users, spec_of
from portal.engine.writer import Stale, Target
from portal.errors import SourceAuthError, SourceError, Stopped
from portal.models import Change, DirectoryGroup, MicrosoftTenant, Organization, SyncRun, Tenant, UserSync

log = logging.getLogger(__name__)

CHUNK = 200
STAGE_CHUNK = 1000
ACTIVE = ("queued", "running")
STALE_TRIES = 5
PLAN_MOVED = "Microsoft has changed since this preview. Nothing was applied. Look again."
GROUP_GONE = "A group in the filters is gone from Microsoft, so it accepts nobody. Edit the filters."
UNFINISHED = "Microsoft's answer was not complete, so nobody was marked disabled for being absent."


class _Lost(Exception):
    """Somebody else holds the lease now: write nothing more."""


class _GiveWay(Exception):
    """A delayed run lets hourly ones pass (T3); it goes on where it was."""


class _Cancelled(Exception):
    """The sync was disabled meanwhile (L5)."""


@dataclass
class Runner:
    """Works on the queue of one Microsoft Tenant at a time. Threads may share it.

    interval_minutes: the schedule (T1). should_stop: asked between chunks; True ends the work at a place where nothing is
    half-done. on_commit: told around every commit, for crash tests.
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
        try:
            _Turn(self, tenant_id, owner, tuple(lanes)).work()
        except _Lost:
            log.warning("action=lease_lost microsoft_tenant=%s", tenant_id)
        finally:
            claims.release(self.sessions, tenant_id, owner)
        return True


@dataclass
class _Turn:
    """One turn with one leased tenant."""

    runner: Runner
    tenant_id: str
    owner: str
    lanes: tuple[str, ...]
    users: tuple[RemoteUser, ...] | None = None
    read: ReadResult | None = None
    beaten_at: datetime | None = None

    def work(self) -> None:
        """Read once for all runs that wait, then run them one by one; new ones that came in meanwhile too."""
        while True:
            self._stop_check()
            if "hourly" in self.lanes:
                self._undo_runs()
            runs = self._queued()
            wants_read = "hourly" in self.lanes and self._read_requested()
            if not runs and not wants_read:
                return
            failure = self._mirror(runs)
            for run_id in runs:
                self._stop_check()
                try:
                    self._execute(run_id, failure)
                except _GiveWay:
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
            source = self.runner.source_factory(self.tenant_id)
            mirror = Mirror(
                self.runner.sessions,
                self.tenant_id,
                source,
                self.runner.now,
                lambda phase, done, total: self._progress(runs, phase, done, total),
                self.runner.on_commit,
            )
            self.read = mirror.read(groups=self._wanted_groups())
            self.users = None
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
                .where(Tenant.microsoft_tenant_id == self.tenant_id, UserSync.enabled.is_(True))
            )
            groups = {
                g for row in syncs if not (spec := spec_of(row)).group.all for g in spec.group.values if g
            }
        return frozenset(groups)

    def _read_failed(self, error: SourceError) -> None:
        now = self.runner.now()
        with write_session(self.runner.sessions) as session:
            tenant = session.get_one(MicrosoftTenant, self.tenant_id)
            tenant.failures_in_row += 1
            tenant.throttled_until = error.retry_at
            if isinstance(error, SourceAuthError):
                if tenant.state != "needs_attention":
                    tenant.problem_since = now
                tenant.state, tenant.problem, tenant.problem_code = (
                    "needs_attention",
                    error.advice,
                    error.code[:64],
                )
            tenant.next_run_at = cadence.next_run(
                now, self.tenant_id, self.runner.interval_minutes, tenant.failures_in_row
            )
            if tenant.last_synced_at is None and not isinstance(error, SourceAuthError):
                tenant.throttled_until = error.retry_at or now + timedelta(seconds=30)
            else:
                tenant.read_requested_at = None
            session.commit()

    def _connected(self) -> None:
        """A read that worked puts the connection right (G2)."""
        with write_session(self.runner.sessions) as session:
            tenant = session.get_one(MicrosoftTenant, self.tenant_id)
            tenant.failures_in_row = 0
            tenant.state, tenant.problem, tenant.problem_code, tenant.problem_since = (
                "connected",
                None,
                None,
                None,
            )
            tenant.next_run_at = cadence.next_run(
                self.runner.now(), self.tenant_id, self.runner.interval_minutes
            )
            session.commit()

    # -- one run -------------------------------------------------------------------------------------------------

    def _undo_runs(self) -> None:
        """Undo runs read nothing from Microsoft; each is one transaction (R5)."""
        with self.runner.sessions() as session:
            waiting = session.scalars(
                select(SyncRun.id)
                .where(
                    SyncRun.microsoft_tenant_id == self.tenant_id,
                    SyncRun.kind == "undo",
                    SyncRun.status.in_(ACTIVE),
                )
                .order_by(SyncRun.created_at)
            ).all()
        for run_id in waiting:
            self._stop_check()
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
            job = _Job(self, run.id, run.organization_id, run.generation, run.lane, run.plan_fingerprint)
        try:
            if failure is not None:
                job.fail(failure)
            else:
                job.run()
        except _Cancelled:
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
                        SyncRun.microsoft_tenant_id == self.tenant_id,
                        SyncRun.kind == "sync",
                        SyncRun.status.in_(ACTIVE),
                        SyncRun.lane.in_(self.lanes),
                    )
                    .order_by(SyncRun.lane.desc(), SyncRun.created_at, SyncRun.id)
                )
            )

    def hourly_waits(self) -> bool:
        """True when a run of the hourly lane waits for this tenant."""
        with self.runner.sessions() as session:
            found = session.scalar(
                select(SyncRun.id)
                .where(
                    SyncRun.microsoft_tenant_id == self.tenant_id,
                    SyncRun.status == "queued",
                    SyncRun.lane == "hourly",
                )
                .limit(1)
            )
            return found is not None

    def _read_requested(self) -> bool:
        with self.runner.sessions() as session:
            tenant = session.get(MicrosoftTenant, self.tenant_id)
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
        self._stop_check()
        now = self.runner.now()
        if self.beaten_at is not None and now - self.beaten_at < timedelta(seconds=0.5) and done != total:
            return
        self.beaten_at = now
        with write_session(self.runner.sessions) as session:
            if not claims.beat_within(session, self.tenant_id, self.owner, now):
                raise _Lost
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

    def _stop_check(self) -> None:
        if self.runner.should_stop():
            raise Stopped

    def load_users(self, session: Session) -> tuple[RemoteUser, ...]:
        """The mirror's people, read once per turn for all Organizations."""
        if self.users is None:
            self.users = load_users(session, self.tenant_id)
        return self.users


@dataclass
class _Job:
    """One run: from the snapshot to the last commit."""

    turn: _Turn
    run_id: str
    organization_id: str
    generation: int
    lane: str
    fingerprint: str | None
    warnings: list[str] = field(default_factory=list)
    applied: dict[str, Decision] = field(default_factory=dict)

    @property
    def runner(self) -> Runner:
        return self.turn.runner

    def run(self) -> None:
        """Plan, guard, apply; decide anew when a person changed something meanwhile."""
        read = self.turn.read
        if read is not None:
            self.warnings += read.warnings
            if not read.is_complete:
                self.warnings.append(UNFINISHED)
        self.applied = self._earlier()
        for _ in range(STALE_TRIES):
            loaded, sync, target = self._load()
            if read is not None and read.group_error is not None and sync.has_group:
                raise read.group_error
            found = plan(loaded.snapshot)
            if loaded.snapshot.deleted_groups:
                self._warn(GROUP_GONE)
            if self.fingerprint is not None and not self.applied and fingerprint(found) != self.fingerprint:
                self.finish("cancelled", error=PLAN_MOVED)
                return
            guarded = guard(
                found,
                linked=loaded.linked,
                is_initial=sync.is_initial,
                rule=sync.rule,
                dismissed=sync.dismissed,
            )
            try:
                if self.lane == "delayed":
                    self._stage_and_publish(guarded, loaded, target)
                else:
                    self._apply(guarded, loaded, target)
            except Stale:
                continue
            self._assign_assets(target)
            self._end(guarded, found, target)
            return
        self.finish(
            "partial",
            error="People kept changing while the run was going on. The next run goes on from here.",
        )

    # -- phases --------------------------------------------------------------------------------------------------

    def _apply(self, guarded: GuardedPlan, loaded: Loaded, target: Target) -> None:
        """T2: chunk by chunk, each visible when it is committed."""
        work = self._open(guarded, loaded)
        done = 0
        self._show("Applying", 0, len(work))
        for chunk in writer.chunks(work, CHUNK):
            with write_session(self.runner.sessions) as session:
                self._still_ours(session)
                writer.apply(session, chunk, loaded, target, self.runner.now())
                done += len(chunk)
                self._note(session, "Applying", done, len(work))
                self.runner.on_commit("chunk")
                session.commit()
            self.runner.on_commit("after chunk")
            self.applied.update((d.object_id, d) for d in chunk if d.action is not Action.LEAVE)
            self.turn._stop_check()  # noqa: SLF001 - one class in two

    def _stage_and_publish(self, guarded: GuardedPlan, loaded: Loaded, target: Target) -> None:
        """T3: staged in chunks under the run, then everything appears in one transaction."""
        work = self._open(guarded, loaded)
        staged = self._staged(work)
        open_work = [d for d in work if d.object_id not in staged]
        done = len(work) - len(open_work)
        self._show("Staging", done, len(work))
        for start in range(0, len(open_work), STAGE_CHUNK):
            part = open_work[start : start + STAGE_CHUNK]
            if self.turn.hourly_waits():
                raise _GiveWay
            now = self.runner.now()
            with write_session(self.runner.sessions) as session:
                self._still_ours(session)
                rows = [
                    writer.change_row(d, target, now, state="staged")
                    for d in part
                    if d.action is not Action.LEAVE
                ]
                if rows:
                    session.execute(Change.__table__.insert(), rows)  # type: ignore[attr-defined]
                done += len(part)
                self._note(session, "Staging", done, len(work))
                self.runner.on_commit("staged")
                session.commit()
            self.runner.on_commit("after staged")
            self.turn._stop_check()  # noqa: SLF001
        self._show("Publishing", 0, len(work))
        prepared = writer.new_rows(work, loaded, target, self.runner.now())
        with write_session(self.runner.sessions) as session:
            self._still_ours(session)
            session.execute(delete(Change).where(Change.run_id == self.run_id, Change.state == "staged"))
            writer.apply(session, work, loaded, target, self.runner.now(), prepared)
            self._note(session, "Publishing", len(work), len(work))
            self.runner.on_commit("published")
            session.commit()
        self.runner.on_commit("after published")
        self.applied.update((d.object_id, d) for d in work if d.action is not Action.LEAVE)

    def _assign_assets(self, target: Target) -> None:
        """D2, W5, with the devices that are known already: people who are new here need not wait for the next slow pass."""
        with write_session(self.runner.sessions) as session:
            self._still_ours(session)
            assign_assets(session, target.microsoft_tenant_id, self.organization_id, self.runner.now())
            self.runner.on_commit("assets")
            session.commit()

    def _open(self, guarded: GuardedPlan, loaded: Loaded) -> list[Decision]:
        """What is to be written and was not before this run was interrupted (G4)."""
        return [
            d for d in guarded.apply if d.object_id not in self.applied and writer.needs_writing(d, loaded)
        ]

    def _staged(self, work: Sequence[Decision]) -> set[str]:
        """What an earlier try staged and is still decided alike; anything else is staged anew (G4)."""
        wanted = {d.object_id: d for d in work}
        with write_session(self.runner.sessions) as session:
            rows = session.execute(
                select(Change.id, Change.object_id, Change.payload).where(
                    Change.run_id == self.run_id, Change.state == "staged"
                )
            ).all()
            good, bad = set(), []
            for row_id, object_id, payload in rows:
                if object_id in wanted and writer.from_payload(payload) == wanted[object_id]:
                    good.add(object_id)
                else:
                    bad.append(row_id)
            for start in range(0, len(bad), 500):
                session.execute(delete(Change).where(Change.id.in_(bad[start : start + 500])))
            session.commit()
        return good

    def _end(self, guarded: GuardedPlan, found: Plan, target: Target) -> None:
        """Hold what G1 holds, settle conflicts that went away, count, and say how it ended: one transaction."""
        now = self.runner.now()
        held = {kind: list(decisions) for kind, decisions in guarded.held.items() if decisions}
        waiting = [d for decisions in held.values() for d in decisions]
        apply = [
            replace(d, action=self.applied[d.object_id].action) if d.object_id in self.applied else d
            for d in guarded.apply
        ]
        waived_or_held = {d.object_id for d in found.decisions} - {d.object_id for d in guarded.apply}
        waived = [
            d for d in found.decisions if d.object_id in waived_or_held - {d.object_id for d in waiting}
        ]
        counts = asdict(count(apply, waiting, waived))
        with write_session(self.runner.sessions) as session:
            self._still_ours(session)
            self._hold(session, held, target, now)
            writer.close_conflicts(
                session,
                self.organization_id,
                [d.conflict_key for d in apply if d.action is Action.CONFLICT],
                now,
            )
            run = session.get_one(SyncRun, self.run_id)
            run.counts, run.warnings = counts, self.warnings
            run.done = run.total = counts["read"]
            run.phase, run.finished_at = "Done", now
            partial = self.turn.read is not None and not self.turn.read.is_complete
            run.status = "held" if held else "partial" if partial else "succeeded"
            if held:
                kind = HoldKind.DISABLE if HoldKind.DISABLE in held else HoldKind.CREATE
                run.held = {"kind": kind.value, "count": len(waiting), "state": "waiting"}
            sync = session.scalar(select(UserSync).where(UserSync.organization_id == self.organization_id))
            if sync is not None:
                sync.initial_done_at = sync.initial_done_at or now
                sync.hold_run_id = run.id if held else None
                sync.failures_in_row = 0
                sync.attention = GROUP_GONE if GROUP_GONE in self.warnings else None
                sync.updated_at = now
            self.runner.finished(session, run)
            self.runner.on_commit("end")
            session.commit()
        self.runner.on_commit("after end")
        log.info(
            "action=run_finished run=%s status=%s counts=%s", self.run_id, "held" if held else "done", counts
        )

    def _hold(
        self, session: Session, held: dict[HoldKind, list[Decision]], target: Target, now: datetime
    ) -> None:
        """G1: what waits is kept with the whole decision; an older hold of this Organization is replaced."""
        for older in session.scalars(
            select(SyncRun).where(
                SyncRun.organization_id == self.organization_id,
                SyncRun.status == "held",
                SyncRun.id != self.run_id,
            )
        ):
            if older.held and older.held.get("state") == "waiting":
                older.held = {**older.held, "state": "dismissed"}
                older.status = "succeeded"
                session.execute(
                    update(Change)
                    .where(Change.run_id == older.id, Change.state == "held")
                    .values(state="dismissed", note="A later run took its place.")
                )
        rows = [
            writer.change_row(d, target, now, state="held") for decisions in held.values() for d in decisions
        ]
        session.execute(delete(Change).where(Change.run_id == self.run_id, Change.state == "held"))
        for start in range(0, len(rows), 500):
            session.execute(Change.__table__.insert(), rows[start : start + 500])  # type: ignore[attr-defined]

    # -- ends that are not good ----------------------------------------------------------------------------------

    def fail(self, error: SourceError) -> None:
        """``failed`` when nothing was applied, else ``partial``; the third in a row needs attention (G2)."""
        self.finish(
            "partial" if self.applied or self._earlier() else "failed", error=error.advice, code=error.code
        )

    def finish(self, status: str, *, error: str, code: str = "") -> None:
        """Write the end of a run that did not come to its own."""
        now = self.runner.now()
        with write_session(self.runner.sessions) as session:
            run = session.get(SyncRun, self.run_id)
            if run is None:
                return
            run.status, run.error, run.error_code, run.finished_at = status, error, code[:64], now
            run.warnings = self.warnings
            session.execute(delete(Change).where(Change.run_id == self.run_id, Change.state == "staged"))
            sync = session.scalar(select(UserSync).where(UserSync.organization_id == self.organization_id))
            if sync is not None and status in {"failed", "partial"}:
                sync.failures_in_row += 1
                sync.updated_at = now
                if cadence.needs_attention(sync.failures_in_row):
                    sync.attention = error
            self.runner.finished(session, run)
            session.commit()
        log.warning("action=run_finished run=%s status=%s code=%s", self.run_id, status, code)

    # -- helpers -------------------------------------------------------------------------------------------------

    def _load(self) -> tuple[Loaded, _SyncFacts, Target]:
        self._show("Deciding", 0, None)
        with self.runner.sessions() as session:
            sync = session.scalar(select(UserSync).where(UserSync.organization_id == self.organization_id))
            if sync is None or not sync.enabled or sync.generation != self.generation:
                raise _Cancelled
            try:
                loaded = load(
                    session,
                    self.organization_id,
                    now=self.runner.now(),
                    filters=spec_of(sync),
                    users=self.turn.load_users(session),
                )
            except LookupError as error:
                raise _Cancelled from error
            if loaded.snapshot.microsoft_tenant_id != self.turn.tenant_id:
                raise _Cancelled
            facts = _SyncFacts(
                is_initial=sync.initial_done_at is None,
                rule=hold_rule(sync),
                dismissed=frozenset(sync.dismissed),
                has_group=loaded.snapshot.filters.has_group_filter,
            )
            target = Target(
                self.run_id,
                self.organization_id,
                self.turn.tenant_id,
                writer.part_numbers(session, self.turn.tenant_id),
            )
        return loaded, facts, target

    def _earlier(self) -> dict[str, Decision]:
        """What this run applied before it was interrupted: counted as what it was, not as left alone (G4)."""
        with self.runner.sessions() as session:
            rows = session.execute(
                select(Change.object_id, Change.decision, Change.reason, Change.end_user_id).where(
                    Change.run_id == self.run_id, Change.state == "applied"
                )
            )
            found = {}
            for object_id, action, reason, end_user_id in rows:
                found[object_id] = Decision(
                    object_id, Action(action), Reason(reason), end_user_id=end_user_id
                )
            return found

    def _still_ours(self, session: Session) -> None:
        """Before each chunk: the lease is ours and the switch stands (L5)."""
        if not claims.beat_within(session, self.turn.tenant_id, self.turn.owner, self.runner.now()):
            raise _Lost
        sync = session.execute(
            select(UserSync.enabled, UserSync.generation).where(
                UserSync.organization_id == self.organization_id
            )
        ).one_or_none()
        if sync is None or not sync.enabled or sync.generation != self.generation:
            raise _Cancelled

    def _note(self, session: Session, phase: str, done: int, total: int | None) -> None:
        session.execute(
            update(SyncRun)
            .where(SyncRun.id == self.run_id)
            .values(phase=phase, done=done, total=total, heartbeat_at=self.runner.now())
        )

    def _show(self, phase: str, done: int, total: int | None) -> None:
        with write_session(self.runner.sessions) as session:
            self._note(session, phase, done, total)
            session.commit()

    def _warn(self, text: str) -> None:
        if text not in self.warnings:
            self.warnings.append(text)


@dataclass(frozen=True)
class _SyncFacts:
    is_initial: bool
    rule: HoldRule
    dismissed: frozenset[str]
    has_group: bool


def fingerprint(found: Plan) -> str:
    """Identifies a plan by what it does (U12): who, what, with which changes."""
    digest = hashlib.sha256()
    for decision in found.decisions:
        changes = ";".join(f"{c.field}={c.old}>{c.new}" for c in decision.changes)
        parts = (
            decision.object_id,
            decision.action.value,
            decision.end_user_id or "",
            decision.reason.value,
            changes,
        )
        digest.update("\x1f".join(parts).encode("utf-8", "surrogatepass") + b"\x1e")
    return digest.hexdigest()


def unread_groups(session: Session, microsoft_tenant_id: str, group_ids: Sequence[str]) -> list[str]:
    """Which of these groups' members were never read: preview and counts must wait for that."""
    rows = session.scalars(
        select(DirectoryGroup.object_id).where(
            DirectoryGroup.microsoft_tenant_id == microsoft_tenant_id,
            DirectoryGroup.object_id.in_(group_ids),
            DirectoryGroup.is_deleted.is_(False),
            DirectoryGroup.members_read_at.is_(None),
        )
    )
    return list(rows)
