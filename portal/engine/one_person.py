"""A run for one person: decided with the keys of all, applied for that person alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from portal.engine.records import Assignment, EndUserKeys, Plan

UNKNOWN = "Microsoft does not know this person any more, so there is nothing to sync."
HELD = "Not applied: the change is one of very many at once. The next run of all asks an administrator about them."
TIED = "Not applied: another End User still has this email address. Sync Now does both together."


@dataclass(frozen=True)
class OnePerson:
    """plan: what is left of the plan of all. told: why nothing is applied, "" when it is."""

    plan: Plan
    told: str = ""


def of_one(plan: Plan, object_id: str, end_users: Iterable[EndUserKeys]) -> OnePerson:
    """Narrow a plan to one Microsoft user. No hold is raised, and none is got around: who would wait, waits (G1)."""
    one = next((a for a in plan.assignments if a.object_id == object_id), None)
    warning = UNKNOWN if one is None else HELD if one.is_held else ""
    if one is not None and not warning and _is_tied(one, end_users):
        one, warning = replace(one, is_held=True), TIED
    left = () if one is None else (one,)
    return OnePerson(replace(plan, assignments=left, unchanged=0, out_of_scope=0, held=frozenset()), warning)


def _is_tied(one: Assignment, end_users: Iterable[EndUserKeys]) -> bool:
    """Whether an address is given that somebody else has until the rest of the plan is applied (W4)."""
    if not one.email_key or one.keeps_email or not one.is_in_scope or one.is_conflict:
        return False
    return any(row.email_key == one.email_key and row.id != one.end_user_id for row in end_users)
