"""The counts of a run (interfaces.md, "Sync Run"), added up while decisions stream by (G8). Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields

from portal.engine.records import Action, Counts, Decision, Plan

_COUNTED = {
    Action.CREATE: "created",
    Action.LINK: "linked",
    Action.UPDATE: "updated",
    Action.LEAVE: "unchanged",
    Action.MARK_DISABLED: "disabled",
    Action.MARK_ENABLED: "enabled",
    Action.CONFLICT: "conflicts",
}


class Tally:
    """Adds up what becomes of everybody. Begins with those whom a plan only counts."""

    def __init__(self, plan: Plan) -> None:
        self._numbers = dict.fromkeys((f.name for f in fields(Counts)), 0)
        self._numbers["read"] = plan.unchanged + plan.out_of_scope
        self._numbers["in_scope"] = self._numbers["unchanged"] = plan.unchanged
        self._numbers["out_of_scope"] = plan.out_of_scope

    def add(self, decision: Decision, *, is_held: bool = False) -> None:
        """Count one decision. Objects that are absent from Microsoft stand outside the sums: only new marks are counted."""
        numbers = self._numbers
        if decision.is_absent:
            numbers["gone"] += decision.action is Action.MARK_DISABLED and not is_held
            return
        numbers["read"] += 1
        if decision.action is Action.SKIP:
            numbers["skipped"] += 1
        elif not decision.is_in_scope:
            numbers["out_of_scope"] += 1
        else:
            numbers["in_scope"] += 1
            numbers["held" if is_held else _COUNTED[decision.action]] += 1

    def counts(self) -> Counts:
        """Return the counts so far."""
        return Counts(**self._numbers)


def count(plan: Plan, applied: Iterable[Decision], held: Iterable[Decision] = ()) -> Counts:
    """Count a whole plan: what it only counts, what is applied, and what is held."""
    tally = Tally(plan)
    for decision in applied:
        tally.add(decision)
    for decision in held:
        tally.add(decision, is_held=True)
    return tally.counts()
