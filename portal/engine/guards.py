"""G1: split a plan into what may be applied and what waits for an administrator; and the counts of G8. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import fields, replace

from portal.engine.records import Action, Counts, Decision, GuardedPlan, HoldKind, HoldRule, Plan, Reason
from portal.text import email_key

_COUNTED = {
    Action.CREATE: "created",
    Action.LINK: "linked",
    Action.UPDATE: "updated",
    Action.LEAVE: "unchanged",
    Action.MARK_DISABLED: "disabled",
    Action.MARK_ENABLED: "enabled",
    Action.CONFLICT: "conflicts",
}


def guard(
    plan: Plan, *, linked: int, is_initial: bool, rule: HoldRule, dismissed: frozenset[str] = frozenset()
) -> GuardedPlan:
    """Split ``plan``. ``linked``: the Organization's Links now. ``dismissed``: hold keys settled with "dismiss"."""
    kept: list[Decision] = []
    waived: list[Decision] = []
    met: set[str] = set()
    for decision in plan.decisions:
        found = waive(decision, dismissed)
        if found is decision:
            kept.append(decision)
            continue
        met.add(hold_key(decision))
        (kept if found.action is Action.UPDATE else waived).append(found)
    disables = [d for d in kept if d.action is Action.MARK_DISABLED]
    creates = [d for d in kept if d.action is Action.CREATE]
    held: dict[HoldKind, tuple[Decision, ...]] = {}
    if len(disables) >= rule.minimum and len(disables) * 100 > rule.percent * linked:
        held[HoldKind.DISABLE] = tuple(disables)
    if not is_initial and len(creates) >= rule.create_minimum and len(creates) * 100 > rule.percent * linked:
        held[HoldKind.CREATE] = tuple(creates)
    if HoldKind.DISABLE in held:
        givers = _givers(held, kept)
        kept = [_without_mark(d) if d.object_id in givers else d for d in kept]
        held[HoldKind.DISABLE] = tuple(d for d in disables if d.object_id not in givers)
    waiting = {d.object_id for decisions in held.values() for d in decisions}
    apply = tuple(d for d in kept if d.object_id not in waiting)
    counts = count((*apply, *waived), [d for ds in held.values() for d in ds])
    return GuardedPlan(
        apply, {kind: ds for kind, ds in held.items() if ds}, counts, tuple(waived), dismissed - met
    )


def waive(decision: Decision, dismissed: frozenset[str]) -> Decision:
    """What an administrator's "dismiss" makes of ``decision``: no mark, no creation. The same object if it was not dismissed."""
    if not dismissed or hold_key(decision) not in dismissed:
        return decision
    if decision.action is Action.CREATE:
        return replace(decision, action=Action.SKIP, reason=Reason.DISMISSED, changes=())
    if decision.changes:
        return _without_mark(decision)
    return replace(decision, action=Action.LEAVE, reason=Reason.DISMISSED, sets_disabled=False)


def _givers(held: Mapping[HoldKind, tuple[Decision, ...]], kept: Sequence[Decision]) -> set[str]:
    """Object ids of those held back whose address somebody gets in this run, or else clashes over (W4).

    Their mark alone waits, for the next run's hold; they may in turn get the address of another one held back.
    """
    waiting = {d.object_id for decisions in held.values() for d in decisions}
    leaving = {email_key(old): d for d in held[HoldKind.DISABLE] if (old := _addresses(d)[0])}
    wanted = {email_key(_addresses(d)[1]) for d in kept if d.object_id not in waiting}
    found: set[str] = set()
    while more := [d for old, d in leaving.items() if old in wanted and d.object_id not in found]:
        found.update(d.object_id for d in more)
        wanted.update(email_key(_addresses(d)[1]) for d in more)
    return found


def _addresses(decision: Decision) -> tuple[str, str]:
    """The address that a decision takes from its person and the one that it gives, "" for none."""
    change = next((c for c in decision.changes if c.field == "email"), None)
    if change is not None:
        return change.old, change.new
    return "", decision.email if decision.action is Action.CREATE else ""


def _without_mark(decision: Decision) -> Decision:
    """One decision per person and run: what is left of a mark that waits is an update."""
    return replace(decision, action=Action.UPDATE, reason=Reason.FIELDS_DIFFER, sets_disabled=False)


def hold_key(decision: Decision) -> str:
    """Identifies a held decision until what it says changes: who, what, why, and for a creation with which address."""
    parts = (
        decision.object_id,
        decision.action.value,
        decision.reason.value,
        email_key(decision.email),
        decision.end_user_id or "",
    )
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:40]


def count(apply: Iterable[Decision], held: Iterable[Decision] = ()) -> Counts:
    """Count decisions kind by kind (interfaces.md, "Sync Run")."""
    numbers = dict.fromkeys((f.name for f in fields(Counts)), 0)
    for decision in apply:
        _add(numbers, decision, _COUNTED.get(decision.action, ""))
    for decision in held:
        _add(numbers, decision, "held")
    return Counts(**numbers)


def check_sums(counts: Counts) -> bool:
    """G8: the counts add up."""
    decided = counts.created + counts.linked + counts.updated + counts.unchanged + counts.disabled
    decided += counts.enabled + counts.conflicts + counts.held
    return (
        counts.read == counts.in_scope + counts.out_of_scope + counts.skipped and counts.in_scope == decided
    )


def _add(numbers: dict[str, int], decision: Decision, kind: str) -> None:
    if decision.is_absent:
        numbers["gone"] += decision.action is Action.MARK_DISABLED and kind == "disabled"
        return
    numbers["read"] += 1
    if decision.action is Action.SKIP or not kind:
        numbers["skipped"] += 1
    elif not decision.is_in_scope:
        numbers["out_of_scope"] += 1
    else:
        numbers["in_scope"] += 1
        numbers[kind] += 1
