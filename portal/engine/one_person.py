"""A run for one person: decided with the keys of all, applied for that person alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from portal.engine.records import Assignment, EndUserKeys, Plan

UNKNOWN = "Microsoft no longer has this person, so there is nothing to sync."
HELD = "Not applied: too many people would change at once. The next full run asks an administrator."
TIED = "Not applied: another End User still has this email address. Sync Now updates both together."


@dataclass(frozen=True)
class OnePerson:
    """plan: the part of everybody's plan. warning: why nothing is applied, "" if it is."""

    plan: Plan
    warning: str = ""


def of_one(plan: Plan, object_id: str, end_users: Iterable[EndUserKeys]) -> OnePerson:
    """Narrow a plan to one Microsoft user. No hold is raised, and none is got around: who would wait, waits (G1)."""
    assignment = next((a for a in plan.assignments if a.object_id == object_id), None)
    warning = UNKNOWN if assignment is None else HELD if assignment.is_held else ""
    if assignment is not None and not warning and _is_tied(assignment, end_users):
        assignment, warning = replace(assignment, is_held=True), TIED
    left = () if assignment is None else (assignment,)
    return OnePerson(replace(plan, assignments=left, unchanged=0, out_of_scope=0, held=frozenset()), warning)


def _is_tied(assignment: Assignment, end_users: Iterable[EndUserKeys]) -> bool:
    """Whether the plan assigns an address that another End User has until the rest of the plan is applied (W4)."""
    if (
        not assignment.email_key
        or assignment.keeps_email
        or not assignment.is_in_scope
        or assignment.is_conflict
    ):
        return False
    return any(
        row.email_key == assignment.email_key and row.id != assignment.end_user_id for row in end_users
    )
