"""One run: what is there → plan → chunks → the end (docs/engine.md).

Whatever kills the process leaves a row that says ``running``: the next worker takes it over and comes to the same end (G4).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy.orm import Session

from portal.engine import failures, holds, leaving, unchanged
from portal.engine.account_activity import catch_up
from portal.engine.apply import writer
from portal.engine.apply.chunks import Stale, Work, chunks, decide_all, prepare, work_of, write_chunk
from portal.engine.approved_plan import fingerprint
from portal.engine.asset_owners import assign_assets
from portal.engine.batches import batches
from portal.engine.bulk import ReadyRows, count_anew, insert_ready, ready_rows
from portal.engine.in_question import in_question
from portal.engine.one_person import of_one
from portal.engine.organization_context import OrganizationContext
from portal.engine.pace import Pace
from portal.engine.plan import hold_key, plan
from portal.engine.plan.counts import WRITTEN, count
from portal.engine.records import Assignment, HoldKind, Phase, Plan, Snapshot
from portal.engine.run_state import Cancelled, GiveWay, RunState
from portal.errors import SourceError
from portal.models import Change, DirectoryUser, EndUser, SyncRun, UserSync

log = logging.getLogger(__name__)

STALE_TRIES = 5
FEW = 5_000  # people who are looked up one by one rather than all together
UNFINISHED = (
    "Microsoft's answer was not complete. People are added and updated; nobody is marked disabled or deleted."
)
GROUP_GONE = "A group in the filters is gone from Microsoft, so it accepts nobody. Edit the filters."
PLAN_MOVED = "Microsoft has changed since this preview. Nothing was applied. Look again."
PLAN_CUT = "Something changed while this plan was being applied, and the rest was not applied. Look again."
PLAN_MOVED_CODE = "plan_moved"


@dataclass
class SyncRunExecution(RunState):
    """One run, from the first look to the last commit."""

    def run(self) -> None:
        """Plan and apply; plan again if people changed meanwhile."""
        if self.around.refreshed is not None:
            self.warnings += self.around.refreshed.warnings
        self._resume(self.reading)
        for _ in range(STALE_TRIES):
            try:
                self._attempt()
            except Stale:
                continue
            return
        self.finish(
            "partial",
            error="People kept changing during the run. The next run continues from here.",
            code="people_changing",
        )

    def _attempt(self) -> None:
        with self.reading as session:
            self.is_first = not self.applied
            context, sync = self._context(session)
            self._check_groups(context)
            if self._is_unchanged(context, sync):
                session.close()
                self._end_unchanged(sync)
                return
            self._show(Phase.DECIDING, 0, None)
            decided, shot = self._decide(session, context)
            open_ones = [a for a in decided.assignments if not a.is_held and a.object_id not in self.applied]
            work = work_of(
                session, self.run_id, context, shot, open_ones, is_exact=self.fingerprint is not None
            )
            approved = self.fingerprint
            if approved is not None and fingerprint(session, self.run_id, decided, context) != approved:
                self._cut()
                return
        if self.only_object_id is not None:
            self._apply(work)
            self._end_one(decided)
            return
        if self.lane == "delayed":
            self._publish(work)
        else:
            self._apply(work)
        self._assign_assets(work)
        self._end(decided, work)

    def _decide(self, session: Session, context: OrganizationContext) -> tuple[Plan, Snapshot]:
        """The plan, without what an earlier attempt has done, and what it was made of. Notes what the run is to warn of."""
        shot = self._shot(session, context)
        decided = plan(
            shot,
            is_initial=context.is_initial,
            rule=context.hold,
            dismissed=context.dismissed,
            always=() if self.only_object_id is None else {self.only_object_id},
        )
        if self.only_object_id is not None:
            narrowed = of_one(decided, self.only_object_id, shot.end_users)
            decided, self.warnings = narrowed.plan, [narrowed.warning] if narrowed.warning else []
        # Those written by an earlier attempt have left already.
        self.leaving = max(self.leaving, decided.leaving)
        conditions = ((UNFINISHED, not decided.is_complete), (GROUP_GONE, decided.has_deleted_groups))
        self.warnings += [text for text, is_so in conditions if is_so and text not in self.warnings]  # L2, S6
        return self._without_done(decided), shot

    def _shot(self, session: Session, context: OrganizationContext) -> Snapshot:
        """Whom the plan depends on; everybody, where nearly everybody is new, or where that cannot be told."""
        shot = None
        if not context.is_initial:
            shot = in_question(session, context, [i for i in (self.only_object_id,) if i])
        return shot or context.snapshot(session)

    def _without_done(self, whole: Plan) -> Plan:
        """Whom this run has written before it was interrupted it neither holds nor writes again: the next run sees to them."""
        if not self.applied:
            return whole
        return replace(
            whole,
            assignments=tuple(
                replace(a, is_held=False) if a.is_held and a.object_id in self.applied else a
                for a in whole.assignments
            ),
        )

    def _is_unchanged(self, context: OrganizationContext, sync: UserSync) -> bool:
        """Whether a run of everybody would decide on just what the last complete one decided on."""
        is_plain = self.fingerprint is None and self.only_object_id is None and not self.applied
        return is_plain and context.state == sync.settled_state

    # -- applying ------------------------------------------------------------------------------------------------

    def _apply(self, work: Work) -> None:
        """T2: chunk by chunk, each visible when it is committed."""
        done, total, pace = 0, len(work.assignments), Pace()
        for chunk in chunks(work, pace):
            with self.around.lease.sessions() as session:
                prepared = prepare(session, chunk, work, self.around.now())
            with pace.over(self.around.lease.transaction()) as session:
                self._check_switch(session)
                outcome = write_chunk(session, chunk, work, prepared, self.applied, self.around.now())
                done += len(chunk)
                written = _sum(self.written, outcome.tally())
                self._note(session, Phase.APPLYING, done, total, written)
            self.written = written
            self.applied.update(outcome.done())
            self.around.stop_check()

    def _publish(self, work: Work) -> None:
        """T3: everybody appears in one transaction, once everybody is decided on."""
        if self._hourly_waits():
            raise GiveWay
        total = len(work.assignments)
        self._show(Phase.PUBLISHING, 0, total)
        written, done = dict(self.written), set(self.applied)
        with self.around.lease.transaction() as session:
            self._check_switch(session)
            for chunk in chunks(work):
                prepared = prepare(session, chunk, work, self.around.now())
                outcome = write_chunk(session, chunk, work, prepared, done, self.around.now())
                written = _sum(written, outcome.tally())
                done.update(outcome.done())
            self._note(session, Phase.PUBLISHING, total, total, written)
        self.written, self.applied = written, done

    def _assign_assets(self, work: Work) -> None:
        """D2, W5, T7, with what is known already: people who are new here need not wait for the next slow pass."""
        if not any(self.written.values()):
            return
        with self.around.lease.transaction() as session:
            self._check_switch(session)
            tenant_id = work.context.microsoft_tenant_id
            if self.written["created"] or self.written["linked"]:
                is_few = len(self.applied) <= FEW
                catch_up(session, tenant_id, self.applied if is_few else None)
            assign_assets(session, tenant_id, self.organization_id, self.around.now())

    # -- ends ----------------------------------------------------------------------------------------------------

    def _end(self, decided: Plan, work: Work) -> None:
        """Store the hold (G1), settle conflicts that went away, count, and store the outcome: one transaction."""
        now = self.around.now()
        held = [a for a in decided.assignments if a.is_held]
        counts, waiting = count(decided, self.written), self._held_rows(held, work, now)
        with self.around.lease.transaction() as session:
            self._check_switch(session, until_commit=True)
            run = session.get_one(SyncRun, self.run_id)
            sync = self._sync(session)
            left = leaving.warning(session, sync, replace(decided, leaving=self.leaving), work.context)
            if left is not None:
                self.warnings.append(left)
            if held and self._people_moved(session, work.context):
                raise Stale  # who is held must be held as they are now
            holds.replace_older(session, self.organization_id, self.run_id)
            insert_ready(session, waiting)
            writer.settle_conflicts(
                session,
                work.target,
                [a.conflict_key for a in decided.assignments if a.is_conflict],
                now,
            )
            partial = self.around.refreshed is not None and not self.around.refreshed.is_complete
            run.counts, run.warnings = counts, self.warnings
            run.done = run.total = counts["read"]
            run.phase, run.finished_at = Phase.DONE, now
            run.status = "held" if held else "partial" if partial else "succeeded"
            if held:
                kind = HoldKind.DISABLE if HoldKind.DISABLE in decided.held else HoldKind.CREATE
                run.held = {"kind": kind.value, "count": len(held), "state": "waiting"}
            self._settle(
                sync,
                decided,
                work.context,
                counts,
                left,
                is_settled=not held and not partial and self.is_first,
            )
            self.around.finished(session, run)
        numbers = " ".join(f"{name}={number}" for name, number in counts.items())
        log.info("action=run_finished run=%s status=%s %s", self.run_id, run.status, numbers)
        if self.written["created"] > FEW:
            count_anew(self.around.lease.sessions, DirectoryUser, EndUser)

    def _settle(
        self,
        sync: UserSync,
        decided: Plan,
        context: OrganizationContext,
        counts: Mapping[str, int],
        left: str | None,
        *,
        is_settled: bool,
    ) -> None:
        """Store in the User Sync what a finished run settled."""
        now = self.around.now()
        sync.initial_done_at = sync.initial_done_at or now
        sync.hold_run_id = self.run_id if decided.held else None
        over = decided.over if decided.is_complete else frozenset[str]()
        if over:  # who changed is asked about again, should the same come up later (G1)
            sync.dismissed = [key for key in sync.dismissed if key not in over]
        sync.settled_state = context.state if is_settled and not over else None
        sync.settled_counts = _settled(counts)
        sync.failures_in_row = 0
        if left is not None:
            sync.attention, sync.attention_code = left, "left"
        elif decided.has_deleted_groups:
            sync.attention, sync.attention_code = GROUP_GONE, "group_gone"
        elif sync.attention_code != "left":
            sync.attention, sync.attention_code = None, ""
        sync.updated_at = now

    def _end_one(self, decided: Plan) -> None:
        """The end of a run for one person: holds, conflicts and the state of the sync are for the runs of all."""
        counts = count(decided, self.written)
        with self.around.lease.transaction() as session:
            self._check_switch(session, until_commit=True)
            run = session.get_one(SyncRun, self.run_id)
            run.counts, run.warnings = counts, self.warnings
            run.done = run.total = counts["read"]
            run.status, run.phase, run.finished_at = "succeeded", Phase.DONE, self.around.now()
            self.around.finished(session, run)
        log.info("action=run_finished run=%s status=succeeded only=1", self.run_id)

    def _end_unchanged(self, sync: UserSync) -> None:
        """Nothing that is decided on has changed since the last complete run: it would decide the same, and write nothing."""
        run = unchanged.Unchanged(
            self.run_id, self.organization_id, self.generation, self.trigger, sync.settled_counts
        )
        with self.around.lease.transaction() as session:
            if not unchanged.end(session, run, self.warnings, self.around.now()):
                raise Cancelled
            if not unchanged.is_right(sync):
                unchanged.put_right(session, self.organization_id, self.around.now())
            self.around.finished(session, run)
        log.info("action=run_finished run=%s status=succeeded unchanged=all", self.run_id)

    def _held_rows(self, held: Sequence[Assignment], work: Work, now: datetime) -> ReadyRows:
        """G1: who waits is kept with the fields. Made before the transaction that writes: there may be thousands."""
        rows: list[dict[str, object]] = []
        with self.around.lease.sessions() as session:
            for part in batches(held):
                decisions = decide_all(session, part, work.context)
                rows += [
                    writer.change_row(
                        decision,
                        work.target,
                        now,
                        state="held",
                        hold_key=hold_key(assignment),
                        undo={"in_scope": assignment.is_in_scope},
                    )
                    for assignment, decision in zip(part, decisions, strict=True)
                ]
            return ready_rows(session, Change, rows)

    def _cut(self) -> None:
        """U12: the approved plan no longer fits. A sync that it was enabling stays off until it is reviewed again."""
        if not self.applied:
            with self.around.lease.transaction() as session:
                sync = self._sync(session)
                if sync.initial_done_at is None:
                    sync.enabled, sync.generation = False, sync.generation + 1
                    sync.updated_at = self.around.now()
        self.finish("cancelled", error=PLAN_CUT if self.applied else PLAN_MOVED, code=PLAN_MOVED_CODE)

    def fail(self, error: SourceError) -> None:
        """``failed`` when nothing was applied, else ``partial``; the third in a row needs attention (G2)."""
        with self.reading as session:
            self._resume(session)
        self.finish("partial" if self.applied else "failed", error=error.advice, code=error.code)

    def finish(self, status: str, *, error: str, code: str = "") -> None:
        """Write the end of a run that did not come to its own."""
        now = self.around.now()
        with self.around.lease.transaction() as session:
            run = session.get(SyncRun, self.run_id)
            if run is None:
                return
            run.status, run.error, run.error_code, run.finished_at = status, error, code[:64], now
            run.warnings = self.warnings
            if status in {"failed", "partial"} and self.only_object_id is None:
                failures.count(session, self.organization_id, error, now)
            self.around.finished(session, run)
        log.warning("action=run_finished run=%s status=%s code=%s", self.run_id, status, code)


def _sum(some: Mapping[str, int], more: Mapping[str, int]) -> dict[str, int]:
    return {name: some[name] + more[name] for name in WRITTEN}


def _settled(counts: Mapping[str, int]) -> dict[str, int]:
    """The counts of a run that finds everything as this one left it."""
    written = sum(counts[name] for name in WRITTEN if name != "gone")
    return {**counts, **dict.fromkeys(WRITTEN, 0), "unchanged": counts["unchanged"] + written}
