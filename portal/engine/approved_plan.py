"""U12: whether what a run has done and would do is the plan that somebody approved."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.apply.chunks import decide_all
from portal.engine.batches import batches
from portal.engine.organization_context import OrganizationContext
from portal.engine.plan import Fingerprint
from portal.engine.records import Action, Decision, FieldChange, Plan, Reason
from portal.models import Change


def fingerprint(session: Session, run_id: str, plan: Plan, context: OrganizationContext) -> str:
    """Of the plan (U12), what this run did of it already as it was done: those people are left alone by now."""
    mark, done = Fingerprint(), _done(session, run_id)
    planned = {a.object_id: a for a in plan.assignments}
    for part in batches(sorted({*planned, *done})):
        decided = decide_all(session, [planned[i] for i in part if i not in done], context)
        decision_of = {decision.object_id: decision for decision in decided}
        for object_id in part:
            mark.add(done.get(object_id) or decision_of[object_id])
    return mark.hexdigest()


def _done(session: Session, run_id: str) -> dict[str, Decision]:
    rows = session.execute(
        select(Change.object_id, Change.decision, Change.reason, Change.end_user_id, Change.fields).where(
            Change.run_id == run_id, Change.state == "applied"
        )
    )
    return {
        object_id: Decision(
            object_id,
            Action(action),
            Reason(reason),
            end_user_id=end_user_id,
            changes=tuple(FieldChange(**field) for field in fields),
        )
        for object_id, action, reason, end_user_id, fields in rows
    }
