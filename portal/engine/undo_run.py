"""Carries an undo run out: the plan is read once, and written back in short transactions of the lease (R5).

A process that ends in between loses nothing: whoever takes the run over plans anew, and what went back already is found so.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.engine import undo
from portal.engine.batches import fill
from portal.engine.explain import CHANGE_LABELS, spared_words
from portal.engine.pace import Pace
from portal.engine.records import Counts, Phase, Spared
from portal.engine.run_state import Surroundings
from portal.models import Change, SyncRun


def undo_run(around: Surroundings, run_id: str) -> None:
    """Finish one undo run. Raises Stopped between two transactions, and LeaseLost."""
    with around.lease.sessions() as session:
        run = session.get_one(SyncRun, run_id)
        undone_run_id, organization_id = run.undoes_run_id or "", run.organization_id
        plan = undo.plan_undo(session, undone_run_id)
        groups, number = undo.parts(plan), _number(session, run_id)
        spared = _not_ours(session, run_id, plan.spared)
    total, at, pace = number + sum(map(len, groups)), 0, Pace()
    while at < len(groups):
        around.stop_check()
        only, at = fill(groups, at, pace.size)
        now = around.now()
        with pace.over(around.lease.transaction()) as session:
            done = undo.apply_undo(session, run_id, undone_run_id, organization_id, now, only)
            number += len(done.restored)
            run = session.get_one(SyncRun, run_id)
            run.phase, run.total, run.done, run.heartbeat_at = Phase.UNDOING, total, number, now
        spared += done.spared
    with around.lease.transaction() as session:
        run = session.get_one(SyncRun, run_id)
        finish(run, number, spared)
        run.finished_at = around.now()
        around.finished(session, run)


def finish(run: SyncRun, number: int, spared: Iterable[undo.SparedPerson]) -> None:
    """What an undo run says in the end: ``number`` End Users went back, and who was spared why, each reason once."""
    run.status, run.phase, run.error = "succeeded", Phase.DONE, None
    run.done = run.total = number
    run.counts = {**asdict(Counts()), "read": number, "in_scope": number, "updated": number}
    sentences = (
        f"{person.display_name} was not restored: "
        f"{spared_words(person.reason, CHANGE_LABELS.get(person.field, person.field))}."
        for person in spared
    )
    run.warnings = list(dict.fromkeys(sentences))


def _number(session: Session, run_id: str) -> int:
    return session.scalar(select(func.count()).select_from(Change).where(Change.run_id == run_id)) or 0


def _not_ours(session: Session, run_id: str, spared: Iterable[undo.SparedPerson]) -> list[undo.SparedPerson]:
    """Without those whom this very run has deleted again before it was interrupted."""
    gone = set(session.scalars(select(Change.end_user_id).where(Change.run_id == run_id)))
    return [person for person in spared if person.reason != Spared.DELETED or person.end_user_id not in gone]
