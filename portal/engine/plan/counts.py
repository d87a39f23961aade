"""The counts of a run: what was planned, and what was written of it (G8). Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from portal.engine.records import Decision, Kind, Plan

WRITTEN = ("created", "linked", "updated", "disabled", "enabled", "gone")
"""Kinds of writes that a run adds up while it goes on; they survive an interruption in the run's row."""
_COUNTED = {
    "create": "created",
    "link": "linked",
    "update": "updated",
    "mark_disabled": "disabled",
    "mark_enabled": "enabled",
}


def tally(decisions: Iterable[Decision], created: int = 0) -> dict[str, int]:
    """How many people each kind of write is about, of those in scope; and of those gone how many are newly marked.

    created: how many were created beside the decisions.
    """
    counts = {**dict.fromkeys(WRITTEN, 0), "created": created}
    for decision in decisions:
        name = _COUNTED.get(decision.action.value)
        if decision.is_absent:
            counts["gone"] += name == "disabled"
        elif name is not None and decision.is_in_scope:
            counts[name] += 1
    return counts


def count(plan: Plan, written: Mapping[str, int]) -> dict[str, int]:
    """A run's counts: read, scope and skips as planned, what was written as it was, and who was left alone.

    They add up, since ``unchanged`` is the rest of those in scope (G8).
    """
    skipped = conflicts = held = out_of_scope = absent = 0
    for a in plan.assignments:
        if a.kind is Kind.ABSENT:
            absent += 1
        elif a.kind is Kind.SKIP:
            skipped += 1
        elif a.kind is Kind.OUT_OF_SCOPE:
            out_of_scope += 1
        elif a.is_held:
            held += 1
        elif a.is_conflict:
            conflicts += 1
    out_of_scope += plan.out_of_scope
    in_scope = plan.unchanged + len(plan.assignments) - absent - skipped - (out_of_scope - plan.out_of_scope)
    counts = {
        "read": in_scope + out_of_scope + skipped,
        "in_scope": in_scope,
        "out_of_scope": out_of_scope,
        "skipped": skipped,
        **{name: written.get(name, 0) for name in WRITTEN},
        "conflicts": conflicts,
        "held": held,
    }
    others = sum(counts[name] for name in (*WRITTEN, "conflicts", "held") if name != "gone")
    counts["unchanged"] = in_scope - others
    for name in (
        "updated",
        "linked",
        "created",
    ):  # written, and outside the filters since: an interrupted run's
        moved = min(counts[name], max(0, -counts["unchanged"]))
        counts[name] -= moved
        counts["unchanged"] += moved
    return counts
