"""Assignments become decisions and rows, a chunk at a time: few enough that SQLite's write lock is held for less than 100 ms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.engine.apply import writer
from portal.engine.apply.writer import Target
from portal.engine.batches import batches
from portal.engine.plan import decide
from portal.engine.records import Assignment, Decision, EndUserKeys, Kind, Plan, Snapshot
from portal.engine.snapshot import (
    OrganizationContext,
    load_end_users,
    load_people,
    lock_end_user_keys,
)
from portal.models import EndUser, Organization

CHUNK = 500
_OWN_ADDRESS = frozenset({Kind.CREATE, Kind.LINK, Kind.LINKED})


class Stale(Exception):
    """Somebody else changed people since the keys were read: who goes with whom must be settled anew."""


@dataclass(frozen=True)
class Work:
    """What is to be written of a plan.

    end_users: the keys that the plan was made from, of those meant by an assignment. holders: e-mail key → id of everybody.
    is_exact: somebody approved the plan as it is, so nothing may differ from what it was made from (U12).
    """

    context: OrganizationContext
    target: Target
    assignments: Sequence[Assignment]
    end_users: Mapping[str, EndUserKeys]
    holders: Mapping[str, str]
    is_exact: bool = False


def work_of(
    session: Session,
    run_id: str,
    context: OrganizationContext,
    shot: Snapshot,
    assignments: Sequence[Assignment],
    *,
    is_exact: bool = False,
) -> Work:
    """What a run writes when it applies ``assignments``."""
    meant = {a.end_user_id for a in assignments if a.end_user_id}
    return Work(
        context=context,
        target=Target(
            run_id,
            context.organization_id,
            context.microsoft_tenant_id,
            writer.part_numbers(session, context.microsoft_tenant_id),
        ),
        assignments=assignments,
        end_users={row.id: row for row in shot.end_users if row.id in meant},
        holders={row.email_key: row.id for row in shot.end_users if row.email_key},
        is_exact=is_exact,
    )


def chunks(work: Work, size: int = 0) -> Iterator[Sequence[Assignment]]:
    """Cut into transactions. Those who pass addresses among each other stay together, in the first one (W4)."""
    size = size or CHUNK
    takers = [a for a in work.assignments if a.email_key and not a.keeps_email and a.kind in _OWN_ADDRESS]
    wanted = {a.email_key for a in takers}
    freed = {old for a in takers if (old := _old_key(a, work)) not in {"", a.email_key} and old in wanted}
    together = {a.object_id for a in takers if a.email_key in freed or _old_key(a, work) in freed}
    first = [a for a in work.assignments if a.object_id in together]
    if first:
        yield first
    yield from batches([a for a in work.assignments if a.object_id not in together], size)


def _old_key(assignment: Assignment, work: Work) -> str:
    row = work.end_users.get(assignment.end_user_id or "")
    return "" if row is None else row.email_key


def prepare(
    session: Session, chunk: Sequence[Assignment], context: OrganizationContext
) -> dict[str, Decision]:
    """Decide, by object id, those that are about no End User who exists: it needs no lock."""
    alone = [a for a in chunk if a.end_user_id is None or a.kind in {Kind.SKIP, Kind.CONFLICT}]
    people = load_people(session, context.microsoft_tenant_id, [a.object_id for a in alone])
    return {a.object_id: decide(a, people.get(a.object_id), None) for a in alone}


def decide_all(
    session: Session, assignments: Sequence[Assignment], context: OrganizationContext
) -> list[Decision]:
    """Decide a chunk on what is there now; writes nothing (preview, fingerprint, held people)."""
    tenant_id = context.microsoft_tenant_id
    people = load_people(session, tenant_id, [a.object_id for a in assignments])
    ids = [a.end_user_id for a in assignments if a.end_user_id]
    states = load_end_users(session, ids, tenant_id, context.pins)
    return [decide(a, people.get(a.object_id), states.get(a.end_user_id or "")) for a in assignments]


def write_chunk(
    session: Session,
    chunk: Sequence[Assignment],
    work: Work,
    prepared: Mapping[str, Decision],
    done: frozenset[str] | set[str],
    now: datetime,
) -> list[Decision]:
    """Decide those who exist on what they are now, and write the chunk into the present transaction.

    done: object ids of those this run has written. Raises Stale, before anything is written, when somebody else changed who
    is who.
    """
    ids = [a.end_user_id for a in chunk if a.end_user_id]
    _check(session, chunk, ids, work, done)
    tenant_id = work.context.microsoft_tenant_id
    states = load_end_users(session, ids, tenant_id, work.context.pins)
    rest = [a.object_id for a in chunk if a.object_id not in prepared]
    people = load_people(session, tenant_id, rest)
    decisions = [
        prepared.get(a.object_id) or decide(a, people.get(a.object_id), states.get(a.end_user_id or ""))
        for a in chunk
    ]
    try:
        writer.write(session, decisions, states, work.target, now)
    except IntegrityError as error:
        raise Stale from error
    return decisions


def _check(
    session: Session,
    chunk: Sequence[Assignment],
    ids: Sequence[str],
    work: Work,
    done: frozenset[str] | set[str],
) -> None:
    """Nobody else wrote people since the keys were read, or at least none of those that this chunk is about.

    Whoever adds somebody with one of the chunk's addresses from here on meets the database's own rule (M4).
    """
    context = work.context
    now = lock_end_user_keys(session, ids, context.microsoft_tenant_id, context.pins)
    version = session.scalar(
        select(Organization.people_version).where(Organization.id == context.organization_id)
    )
    if version == context.people_version:
        return
    if work.is_exact or any(now.get(i) != work.end_users.get(i) for i in ids):
        raise Stale
    wanted = sorted({a.email_key for a in chunk if a.email_key and not a.keeps_email})
    moved = {a.end_user_id for a in work.assignments if a.end_user_id and a.object_id in done}
    for part in batches(wanted):
        holders = session.execute(
            select(EndUser.email_key, EndUser.id).where(
                EndUser.organization_id == context.organization_id, EndUser.email_key.in_(part)
            )
        )
        for key, holder in holders:
            if work.holders.get(key or "") != holder and holder not in moved:
                raise Stale


def tally(decisions: Sequence[Decision]) -> dict[str, int]:
    """How many people each kind of write is about, of those in scope; and of those gone how many are newly marked."""
    found = dict.fromkeys(WRITTEN, 0)
    for decision in decisions:
        name = _COUNTED.get(decision.action.value)
        if decision.is_absent:
            found["gone"] += name == "disabled"
        elif name is not None and decision.is_in_scope:
            found[name] += 1
    return found


def count(plan: Plan, written: Mapping[str, int]) -> dict[str, int]:
    """A run's counts (interfaces.md): read, scope and skips as planned, what was written as it was, and who was left alone.

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
    return counts


WRITTEN = ("created", "linked", "updated", "disabled", "enabled", "gone")
_COUNTED = {
    "create": "created",
    "link": "linked",
    "update": "updated",
    "mark_disabled": "disabled",
    "mark_enabled": "enabled",
}
