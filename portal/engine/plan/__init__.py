"""What a run is to do, decided once: classify → assign → addresses → guard, and then one person at a time. Pure.

``plan`` answers *who* for a whole Organization, from keys; ``decide`` answers *what* for one person, from full records. Both
take and give frozen values. Preview, "Why?", the approved plan and the run call these same functions.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from operator import attrgetter

from portal.engine.plan.assign import assign
from portal.engine.plan.classify import classify
from portal.engine.plan.counts import count, tally
from portal.engine.plan.decide import decide
from portal.engine.plan.guard import guard, hold_key, hold_kind, waive
from portal.engine.plan.keys import Fingerprint, applied_key, conflict_key
from portal.engine.records import Assignment, HoldKind, HoldRule, Plan, Snapshot

__all__ = (
    "Fingerprint",
    "applied_key",
    "conflict_key",
    "count",
    "decide",
    "hold_key",
    "hold_kind",
    "plan",
    "tally",
)


def plan(
    snapshot: Snapshot,
    *,
    is_initial: bool,
    rule: HoldRule = HoldRule(),
    dismissed: frozenset[str] = frozenset(),
    always: Collection[str] = (),
    staying: Collection[str] = frozenset(),
) -> Plan:
    """Return who goes with whom, who is marked and who waits, for one Organization.

    dismissed: hold keys settled with "dismiss" (G1). always: object ids that get an Assignment also when there is nothing to
    do or tell about them ("Why?"). staying: object ids of linked people who keep their address whatever Microsoft has: those whom
    the caller will not write, when it writes a part of the plan only. Everything else that matters is in ``snapshot``.
    """
    classified = classify(snapshot, always)
    assigned, silent = assign(snapshot, classified, always=always, staying=staying)
    everybody = (*classified.decided, *assigned)
    verdict = guard(
        everybody, linked=classified.linked, is_initial=is_initial, rule=rule, dismissed=dismissed
    )
    if HoldKind.DISABLE in verdict.kinds and not verdict.held.isdisjoint(
        p.object_id for p, _ in classified.moving
    ):
        # Who is held keeps the address, so who was to get that one clashes now.
        held = {a.object_id: a for a in everybody if a.object_id in verdict.held}
        assigned, silent = assign(snapshot, classified, always=always, staying={*staying, *held})
        everybody = (*classified.decided, *(held.get(a.object_id, a) for a in assigned))
    return Plan(
        assignments=tuple(
            sorted((_settled(a, verdict.held, dismissed) for a in everybody), key=attrgetter("object_id"))
        ),
        unchanged=classified.unchanged + silent,
        out_of_scope=classified.out_of_scope,
        linked=classified.linked,
        leaving=classified.leaving,
        held=verdict.kinds,
        over=verdict.over,
        is_complete=snapshot.is_complete,
        has_deleted_groups=bool(snapshot.deleted_groups),
    )


def _settled(assignment: Assignment, held: frozenset[str], dismissed: frozenset[str]) -> Assignment:
    if assignment.object_id in held:
        return replace(assignment, is_held=True)
    return waive(assignment, dismissed)
