"""G1 as it is now: people are held whole, conflicts count too, and addresses are settled once more (changed)."""

from __future__ import annotations

from collections.abc import Set as AbstractSet
from dataclasses import replace

from portal.engine.records import Action, HoldKind, HoldRule, MatchedBy, Reason
from tests.unit.engine.oracle.decide import plan as decide_all
from tests.unit.engine.oracle.records import Decision, Snapshot


def guard(
    snapshot: Snapshot, *, is_initial: bool, rule: HoldRule, dismissed: AbstractSet[str] = frozenset()
) -> tuple[dict[str, Decision], frozenset[str], frozenset[HoldKind]]:
    """Every decision by object id, who is held, and what is. dismissed: object ids that an administrator dismissed."""
    links = {
        r.link.object_id: r.link for r in snapshot.end_users if r.link is not None and not r.link.is_foreign
    }
    first = {d.object_id: d for d in decide_all(snapshot).decisions}
    marks = {i for i, d in first.items() if is_mark(d, links)} - dismissed
    creates = {i for i, d in first.items() if d.action is Action.CREATE} - dismissed
    held: set[str] = set()
    kinds = set()
    if len(marks) >= rule.minimum and len(marks) * 100 > rule.percent * len(links):
        kinds.add(HoldKind.DISABLE)
        held |= marks
    if (
        not is_initial
        and len(creates) >= rule.create_minimum
        and len(creates) * 100 > rule.percent * len(links)
    ):
        kinds.add(HoldKind.CREATE)
        held |= creates
    found = first
    if held & marks:
        found = {d.object_id: d for d in decide_all(snapshot, frozenset(held)).decisions}
        found.update({i: first[i] for i in held})
    for object_id in dismissed & found.keys():
        found[object_id] = waive(found[object_id], links)
    return found, frozenset(held), frozenset(kinds)


def is_mark(decision: Decision, links) -> bool:
    """True when a Link that is not marked yet would be."""
    link = links.get(decision.object_id)
    return (
        decision.match is MatchedBy.LINK
        and decision.sets_disabled
        and link is not None
        and not link.is_disabled
        and decision.action is not Action.SKIP
    )


def waive(decision: Decision, links) -> Decision:
    """What an administrator's "dismiss" makes of a decision: no mark, no creation; everything else goes on."""
    if decision.action is Action.CREATE:
        return replace(decision, action=Action.SKIP, reason=Reason.DISMISSED, changes=())
    if not is_mark(decision, links):
        return decision
    link = links[decision.object_id]
    if decision.action is Action.CONFLICT:
        return replace(decision, sets_disabled=False)
    if not decision.is_in_scope and link.is_in_scope:
        action, reason = Action.UPDATE, Reason.NO_LONGER_IN_SCOPE
    elif decision.link_differs or decision.changes:
        action, reason = Action.UPDATE, Reason.FIELDS_DIFFER
    elif decision.is_in_scope and not decision.is_absent and not link.is_in_scope:
        action, reason = Action.UPDATE, Reason.BACK_IN_SCOPE
    else:
        action, reason = Action.LEAVE, Reason.DISMISSED
    return replace(decision, action=action, reason=reason, sets_disabled=False)
