"""G1: who waits for an administrator before being marked or created, in bulk. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace

from portal.engine.plan import keys
from portal.engine.records import Action, Assignment, HoldKind, HoldRule, Kind, Reason

_MARKED = frozenset({Kind.LINKED, Kind.OUT_OF_SCOPE, Kind.ABSENT})


@dataclass(frozen=True, slots=True)
class Verdict:
    """kinds: what is held. held: object ids of those held, whole. over: dismissed hold keys that say nothing of anybody."""

    kinds: frozenset[HoldKind]
    held: frozenset[str]
    over: frozenset[str]


def guard(
    assignments: Iterable[Assignment],
    *,
    linked: int,
    is_initial: bool,
    rule: HoldRule,
    dismissed: Collection[str] = frozenset(),
) -> Verdict:
    """Say who is held. linked: Links of the Organization now. dismissed: hold keys settled with "dismiss".

    Marks are held from ``rule.minimum`` on, creations after the initial sync from ``rule.create_minimum`` on, where they are
    more than ``rule.percent`` of the linked. A person whose address clashes and who would be marked counts too.
    """
    people: dict[HoldKind, list[str]] = {HoldKind.DISABLE: [], HoldKind.CREATE: []}
    met: set[str] = set()
    for assignment in assignments:
        kind = hold_kind(assignment)
        if kind is None:
            continue
        if dismissed and (key := hold_key(assignment)) in dismissed:
            met.add(key)
        else:
            people[kind].append(assignment.object_id)
    minimums = {HoldKind.DISABLE: rule.minimum}
    if not is_initial:
        minimums[HoldKind.CREATE] = rule.create_minimum
    kinds = frozenset(
        kind
        for kind, minimum in minimums.items()
        if len(people[kind]) >= max(minimum, 1) and len(people[kind]) * 100 > rule.percent * linked
    )
    held = frozenset(object_id for kind in kinds for object_id in people[kind])
    return Verdict(kinds, held, frozenset(dismissed) - met)


def hold_kind(assignment: Assignment) -> HoldKind | None:
    """Return what of an Assignment G1 may hold back: a mark, a creation, or nothing."""
    if assignment.kind is Kind.CREATE:
        return HoldKind.CREATE
    if assignment.kind in _MARKED and assignment.sets_disabled and not assignment.was_disabled:
        return HoldKind.DISABLE
    return None


def hold_key(assignment: Assignment) -> str:
    """Return what identifies a held person until it changes: who, what, why, and for a creation with which address.

    Only for those with a ``hold_kind``.
    """
    if assignment.kind is Kind.CREATE:
        what, reason = Action.CREATE, assignment.reason
    else:
        what = Action.MARK_DISABLED  # a clash of addresses replaces the reason, and may end with any run
        reason = assignment.reason if assignment.kind is Kind.ABSENT else Reason.ACCOUNT_DISABLED
    return keys.hold_key(
        assignment.object_id,
        what,
        reason,
        end_user_id=assignment.end_user_id,
        email_key=assignment.email_key,
    )


def waive(assignment: Assignment, dismissed: Collection[str]) -> Assignment:
    """Return what an administrator's "dismiss" makes of an Assignment: no mark, no creation; details go on."""
    if not dismissed or hold_kind(assignment) is None or hold_key(assignment) not in dismissed:
        return assignment
    if assignment.kind is Kind.CREATE:
        return replace(assignment, kind=Kind.SKIP, reason=Reason.DISMISSED, is_changed=False, is_waived=True)
    reason = assignment.reason
    if reason is not Reason.EMAIL_CLASH:
        is_leaving = assignment.kind is Kind.OUT_OF_SCOPE and assignment.was_in_scope
        reason = Reason.NO_LONGER_IN_SCOPE if is_leaving else Reason.DISMISSED
    return replace(assignment, reason=reason, sets_disabled=assignment.was_disabled, is_waived=True)
