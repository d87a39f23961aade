"""One run: snapshot → plan → guard → chunks, or staging and one publish → the end (style-anchors 3.4, steps 3 to 7).

Whatever kills the process leaves a row that says ``running``: the next worker takes it over and comes to the same end (G4).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from portal.engine import failures, figures, writer
from portal.engine.asset_owners import assign_assets
from portal.engine.claims import write_session
from portal.engine.decide import GROUP_GONE, fingerprint, plan
from portal.engine.guards import count, guard
from portal.engine.one_person import of_one
from portal.engine.records import (
    Action,
    Decision,
    FieldChange,
    FilterSpec,
    GuardedPlan,
    HoldKind,
    HoldRule,
    Reason,
)
from portal.engine.snapshot import Loaded, hold_rule, load, spec_of
from portal.engine.turn import Cancelled, GiveWay, Turn
from portal.engine.writer import Stale, Target
from portal.errors import SourceError
from portal.models import Change, SyncRun, UserSync

log = logging.getLogger(__name__)

CHUNK = 200
STAGE_CHUNK = 1000
STALE_TRIES = 5
PLAN_MOVED = "Microsoft has changed since this preview. Nothing was applied. Look again."
PLAN_CUT = "Something has changed while this plan was being applied. The rest of it was not. Look again."


@dataclass
class Job:
    """One run: from the snapshot to the last commit."""

    turn: Turn
    run_id: str
    organization_id: str
    generation: int
    lane: str
    fingerprint: str | None
    only_object_id: str | None = None
    warnings: list[str] = field(default_factory=list)
    applied: dict[str, Decision] = field(default_factory=dict)

    def run(self) -> None:
        """Plan, guard, apply; decide anew when a person changed something meanwhile."""
        read = self.turn.read
        if read is not None:
            self.warnings += read.warnings
        self.applied = self._earlier()
        for _ in range(STALE_TRIES):
            loaded, sync, target = self._load()
            self._check_groups(loaded.snapshot.filters)
            found = plan(loaded.snapshot)
            self.warnings += [text for text in found.warnings if text not in self.warnings]
            if self.fingerprint is not None and fingerprint(found, self.applied) != self.fingerprint:
                self.finish("cancelled", error=PLAN_CUT if self.applied else PLAN_MOVED)
                return
            guarded = guard(
                found,
                linked=loaded.linked,
                is_initial=sync.is_initial,
                rule=sync.rule,
                dismissed=sync.dismissed,
            )
            if self.only_object_id is not None:
                one = of_one(guarded, self.only_object_id, loaded.snapshot.end_users)
                guarded = one.plan
                self.warnings = [one.told] if one.told else []
            try:
                if self.lane == "delayed":
                    self._stage_and_publish(guarded, loaded, target)
                else:
                    self._apply(guarded, loaded, target)
            except Stale:
                continue
            if self.only_object_id is not None:
                self._end_one(guarded)
                return
            self._assign_assets(target)
            self._end(guarded, target, is_complete=loaded.snapshot.is_complete)
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
            with write_session(self.turn.sessions) as session:
                self._still_ours(session)
                writer.apply(session, chunk, loaded, target, self.turn.now())
                done += len(chunk)
                self._note(session, "Applying", done, len(work))
                self.turn.on_commit("chunk")
                session.commit()
            self.turn.on_commit("after chunk")
            self.applied.update((d.object_id, d) for d in chunk if d.action is not Action.LEAVE)
            self.turn.stop_check()

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
                raise GiveWay
            now = self.turn.now()
            with write_session(self.turn.sessions) as session:
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
                self.turn.on_commit("staged")
                session.commit()
            self.turn.on_commit("after staged")
            self.turn.stop_check()
        self._show("Publishing", 0, len(work))
        prepared = writer.new_rows(work, loaded, target, self.turn.now())
        with write_session(self.turn.sessions) as session:
            self._still_ours(session)
            session.execute(delete(Change).where(Change.run_id == self.run_id, Change.state == "staged"))
            writer.apply(session, work, loaded, target, self.turn.now(), prepared)
            self._note(session, "Publishing", len(work), len(work))
            self.turn.on_commit("published")
            session.commit()
        self.turn.on_commit("after published")
        self.applied.update((d.object_id, d) for d in work if d.action is not Action.LEAVE)

    def _assign_assets(self, target: Target) -> None:
        """D2, W5, T7, with what is known already: people who are new here need not wait for the next slow pass."""
        with write_session(self.turn.sessions) as session:
            self._still_ours(session)
            figures.catch_up(session, target.microsoft_tenant_id)
            assign_assets(session, target.microsoft_tenant_id, self.organization_id, self.turn.now())
            self.turn.on_commit("assets")
            session.commit()

    def _open(self, guarded: GuardedPlan, loaded: Loaded) -> list[Decision]:
        """What is to be written and was not before this run was interrupted (G4)."""
        return [
            d
            for d in (*guarded.apply, *guarded.waived)
            if d.object_id not in self.applied and writer.needs_writing(d, loaded)
        ]

    def _staged(self, work: Sequence[Decision]) -> set[str]:
        """What an earlier try staged and is still decided alike; anything else is staged anew (G4)."""
        wanted = {d.object_id: d for d in work}
        with write_session(self.turn.sessions) as session:
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

    def _end_one(self, guarded: GuardedPlan) -> None:
        """The end of a run for one person: holds, conflicts and the state of the sync are for the runs of all."""
        with write_session(self.turn.sessions) as session:
            self._still_ours(session, until_commit=True)
            run = session.get_one(SyncRun, self.run_id)
            run.counts, run.warnings = asdict(guarded.counts), self.warnings
            run.done = run.total = guarded.counts.read
            run.status, run.phase, run.finished_at = "succeeded", "Done", self.turn.now()
            self.turn.finished(session, run)
            self.turn.on_commit("end")
            session.commit()
        log.info("action=run_finished run=%s status=succeeded only=1", self.run_id)

    def _end(self, guarded: GuardedPlan, target: Target, *, is_complete: bool) -> None:
        """Hold what G1 holds, settle conflicts that went away, count, and say how it ended: one transaction."""
        now = self.turn.now()
        held = {kind: list(decisions) for kind, decisions in guarded.held.items() if decisions}
        waiting = [d for decisions in held.values() for d in decisions]
        apply = [
            replace(d, action=self.applied[d.object_id].action) if d.object_id in self.applied else d
            for d in (*guarded.apply, *guarded.waived)
        ]
        counts = asdict(count(apply, waiting))
        with write_session(self.turn.sessions) as session:
            self._still_ours(session, until_commit=True)
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
            status = "held" if held else "partial" if partial else "succeeded"
            run.status = status
            if held:
                kind = HoldKind.DISABLE if HoldKind.DISABLE in held else HoldKind.CREATE
                run.held = {"kind": kind.value, "count": len(waiting), "state": "waiting"}
            sync = session.scalar(select(UserSync).where(UserSync.organization_id == self.organization_id))
            if sync is not None:
                sync.initial_done_at = sync.initial_done_at or now
                sync.hold_run_id = run.id if held else None
                if is_complete:  # who changed is asked about again, should the same come up later (G1)
                    sync.dismissed = [key for key in sync.dismissed if key not in guarded.over]
                sync.failures_in_row = 0
                sync.attention = GROUP_GONE if GROUP_GONE in self.warnings else None
                sync.updated_at = now
            self.turn.finished(session, run)
            self.turn.on_commit("end")
            session.commit()
        self.turn.on_commit("after end")
        numbers = " ".join(f"{name}={number}" for name, number in counts.items())
        log.info("action=run_finished run=%s status=%s %s", self.run_id, status, numbers)

    def _hold(
        self, session: Session, held: dict[HoldKind, list[Decision]], target: Target, now: datetime
    ) -> None:
        """G1: what waits is kept with the whole decision; an older hold of this Organization is replaced."""
        for older in session.scalars(
            select(SyncRun)
            .where(
                SyncRun.organization_id == self.organization_id,
                SyncRun.status == "held",
                SyncRun.id != self.run_id,
            )
            .with_for_update(key_share=True)  # somebody may decide about it in this moment
        ):
            if older.held and older.held.get("state") == "waiting":
                older.held = {**older.held, "state": "dismissed", "replaced_by": self.run_id}
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
        now = self.turn.now()
        with write_session(self.turn.sessions) as session:
            run = session.get(SyncRun, self.run_id)
            if run is None:
                return
            run.status, run.error, run.error_code, run.finished_at = status, error, code[:64], now
            run.warnings = self.warnings
            session.execute(delete(Change).where(Change.run_id == self.run_id, Change.state == "staged"))
            if status in {"failed", "partial"} and self.only_object_id is None:
                failures.count(session, self.organization_id, error, now)
            self.turn.finished(session, run)
            session.commit()
        log.warning("action=run_finished run=%s status=%s code=%s", self.run_id, status, code)

    # -- helpers -------------------------------------------------------------------------------------------------

    def _load(self) -> tuple[Loaded, _SyncFacts, Target]:
        self._show("Deciding", 0, None)
        with self.turn.sessions() as session:
            sync = session.scalar(select(UserSync).where(UserSync.organization_id == self.organization_id))
            if sync is None or not sync.enabled or sync.generation != self.generation:
                raise Cancelled
            try:
                loaded = load(
                    session,
                    self.organization_id,
                    now=self.turn.now(),
                    filters=spec_of(sync),
                    users=self.turn.people(session),
                )
            except LookupError as error:
                raise Cancelled from error
            if loaded.snapshot.microsoft_tenant_id != self.turn.tenant_id:
                raise Cancelled
            facts = _SyncFacts(
                is_initial=sync.initial_done_at is None,
                rule=hold_rule(sync),
                dismissed=frozenset(sync.dismissed),
            )
            target = Target(
                self.run_id,
                self.organization_id,
                self.turn.tenant_id,
                writer.part_numbers(session, self.turn.tenant_id),
            )
        return loaded, facts, target

    def _check_groups(self, filters: FilterSpec) -> None:
        """S6: members that could not be read are not nobody. Raises what kept them from being read."""
        read = self.turn.read
        if read is None or not filters.has_group_filter:
            return
        errors = [read.group_errors[i] for i in filters.group.values if i in read.group_errors]
        for error in [*([read.group_error] if read.group_error is not None else []), *errors]:
            raise error

    def _earlier(self) -> dict[str, Decision]:
        """What this run applied before it was interrupted: counted as what it was, not as left alone (G4)."""
        with self.turn.sessions() as session:
            rows = session.execute(
                select(
                    Change.object_id, Change.decision, Change.reason, Change.end_user_id, Change.fields
                ).where(Change.run_id == self.run_id, Change.state == "applied")
            )
            found = {}
            for object_id, action, reason, end_user_id, fields in rows:
                found[object_id] = Decision(
                    object_id,
                    Action(action),
                    Reason(reason),
                    end_user_id=end_user_id,
                    changes=tuple(FieldChange(**one) for one in fields),
                )
            return found

    def _still_ours(self, session: Session, *, until_commit: bool = False) -> None:
        """Before each chunk: the lease is ours and the switch stands (L5); with ``until_commit`` it stays as it is."""
        self.turn.beat(session)
        switch = select(UserSync.enabled, UserSync.generation).where(
            UserSync.organization_id == self.organization_id
        )
        if until_commit:
            switch = switch.with_for_update(key_share=True)
        sync = session.execute(switch).one_or_none()
        if sync is None or not sync.enabled or sync.generation != self.generation:
            raise Cancelled

    def _note(self, session: Session, phase: str, done: int, total: int | None) -> None:
        session.execute(
            update(SyncRun)
            .where(SyncRun.id == self.run_id)
            .values(phase=phase, done=done, total=total, heartbeat_at=self.turn.now())
        )

    def _show(self, phase: str, done: int, total: int | None) -> None:
        with write_session(self.turn.sessions) as session:
            self._note(session, phase, done, total)
            session.commit()


@dataclass(frozen=True)
class _SyncFacts:
    is_initial: bool
    rule: HoldRule
    dismissed: frozenset[str]
