"""A run for one person: decided with the keys of all, applied for that person alone. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from portal.engine.guards import count
from portal.engine.records import Action, Decision, EndUserState, GuardedPlan
from portal.text import email_key

UNKNOWN = "Microsoft does not know this person any more, so there is nothing to sync."
HELD = "Not applied: the change is one of very many at once. The next run of all asks an administrator about them."
TIED = "Not applied: another End User still has this email address. Sync Now does both together."


@dataclass(frozen=True)
class OnePerson:
    """plan: what is left of the plan of all, holding nothing back. told: why nothing is applied, "" when it is."""

    plan: GuardedPlan
    told: str = ""


def of_one(guarded: GuardedPlan, object_id: str, end_users: Iterable[EndUserState]) -> OnePerson:
    """Narrow a guarded plan to one Microsoft user. No hold is raised, and none is got around: who would wait, waits (G1)."""
    apply = tuple(d for d in guarded.apply if d.object_id == object_id)
    waived = tuple(d for d in guarded.waived if d.object_id == object_id)
    waiting = [d for ds in guarded.held.values() for d in ds if d.object_id == object_id]
    told = HELD if waiting else "" if apply or waived else UNKNOWN
    if _is_tied([*apply, *waived], end_users):
        waiting, apply, waived, told = [*apply, *waived], (), (), TIED
    return OnePerson(GuardedPlan(apply, {}, count((*apply, *waived), waiting), waived), told)


def _is_tied(decisions: Iterable[Decision], end_users: Iterable[EndUserState]) -> bool:
    """Whether an address is given that somebody else has until the rest of the plan is applied (W4)."""
    wanted = {
        email_key(address): d.end_user_id
        for d in decisions
        for address in [d.email] * (d.action is Action.CREATE)
        + [c.new for c in d.changes if c.field == "email"]
        if address
    }
    return any(row.email_key in wanted and wanted[row.email_key] != row.id for row in end_users)
