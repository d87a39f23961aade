"""Assignments become decisions and rows, a chunk at a time: so many that SQLite's write lock is held for less than 100 ms."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from portal.engine.apply import writer
from portal.engine.apply.creations import NewPeople, make_new
from portal.engine.apply.target import Target, has_figures, part_numbers
from portal.engine.batches import batches
from portal.engine.organization_context import OrganizationContext, is_as_settled
from portal.engine.pace import Pace
from portal.engine.plan import decide, tally
from portal.engine.records import Action, Assignment, Decision, EndUserKeys, Kind, Snapshot
from portal.engine.snapshot import load_end_users, load_people, lock_end_user_keys
from portal.locks import is_lost_race
from portal.models import EndUser, Organization

CHUNK = 1000
_OWN_ADDRESS = frozenset({Kind.CREATE, Kind.LINK, Kind.LINKED})


class Stale(Exception):
    """People changed since the keys were read: the plan must be made again."""


@dataclass(frozen=True)
class Work:
    """What is to be written of a plan.

    end_users: the keys that the plan was made from, of those meant by an assignment. holders: e-mail key → id of everybody.
    linked: object id → id of the End User that is linked to it.
    is_exact: somebody approved the plan as it is, so nothing may differ from what it was made from (U12).
    """

    context: OrganizationContext
    target: Target
    assignments: Sequence[Assignment]
    end_users: Mapping[str, EndUserKeys]
    holders: Mapping[str, str]
    linked: Mapping[str, str]
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
            part_numbers(session, context.microsoft_tenant_id),
            has_figures(session, context.microsoft_tenant_id),
        ),
        assignments=assignments,
        end_users={row.id: row for row in shot.end_users if row.id in meant},
        holders={row.email_key: row.id for row in shot.end_users if row.email_key},
        linked={row.object_id: row.id for row in shot.end_users if row.object_id and not row.is_foreign},
        is_exact=is_exact,
    )


def chunks(work: Work, pace: Pace | None = None) -> Iterator[Sequence[Assignment]]:
    """Cut into transactions, as long as ``pace`` says.

    Those who pass addresses or Links among each other stay together, in the first one (W4, M7).
    """
    together = _together(work)
    first = [a for a in work.assignments if a.object_id in together]
    if first:
        yield first
    rest = [a for a in work.assignments if a.object_id not in together]
    # In the order of addresses, which is about that of names: what lies together in the indexes is written together. Cut
    # at random each transaction would write nearly every page of each index anew.
    rest.sort(key=attrgetter("email_key"))
    at = 0
    while at < len(rest):
        size = CHUNK if pace is None else min(CHUNK, pace.size)
        yield rest[at : at + size]
        at += size


def _together(work: Work) -> set[str]:
    """Object ids of people who exchange addresses or Links; a first sync has none."""
    if not work.end_users and not work.linked:
        return set()
    takers = [a for a in work.assignments if a.email_key and not a.keeps_email and a.kind in _OWN_ADDRESS]
    email_keys = {a.email_key for a in takers}
    freed = {old for a in takers if (old := _old_key(a, work)) not in {"", a.email_key} and old in email_keys}
    together = {a.object_id for a in takers if a.email_key in freed or _old_key(a, work) in freed}
    for a in work.assignments:
        holder = work.linked.get(a.object_id)
        if a.kind in {Kind.CREATE, Kind.LINK} and holder is not None and holder != a.end_user_id:
            together.add(a.object_id)
            together.update(b.object_id for b in work.assignments if b.end_user_id == holder)
    return together


def _old_key(assignment: Assignment, work: Work) -> str:
    row = work.end_users.get(assignment.end_user_id or "")
    return "" if row is None else row.email_key


@dataclass(frozen=True)
class Prepared:
    """What of a chunk is decided before it is written.

    new: those who are created. decisions: by object id, others that are about no End User who exists.
    """

    decisions: Mapping[str, Decision]
    new: NewPeople


@dataclass(frozen=True)
class Written:
    """The outcome of a chunk. created: object ids of new people; decisions: of everybody else."""

    decisions: Sequence[Decision]
    created: Sequence[str]

    def tally(self) -> dict[str, int]:
        """How many people each kind of write was about."""
        return tally(self.decisions, len(self.created))

    def done(self) -> list[str]:
        """Object ids of those who were processed: everybody but those left alone."""
        return [*self.created, *(d.object_id for d in self.decisions if d.action is not Action.LEAVE)]


def prepare(session: Session, chunk: Sequence[Assignment], work: Work, now: datetime) -> Prepared:
    """Decide on those that are about no End User who exists, and make the rows of new ones: it needs no lock."""
    context = work.context
    new = make_new(session, [a for a in chunk if a.kind is Kind.CREATE], work.target, now)
    alone = [
        a
        for a in chunk
        if a.kind is not Kind.CREATE and (a.end_user_id is None or a.kind in {Kind.SKIP, Kind.CONFLICT})
    ]
    people = load_people(session, context.microsoft_tenant_id, [a.object_id for a in alone])
    return Prepared({a.object_id: decide(a, people.get(a.object_id), None) for a in alone}, new)


def decide_all(
    session: Session, assignments: Sequence[Assignment], context: OrganizationContext
) -> list[Decision]:
    """Decide a chunk on what is there now; writes nothing (preview, fingerprint, held people).

    Raises Stale when somebody whom the plan names was deleted or unlinked since.
    """
    tenant_id = context.microsoft_tenant_id
    people = load_people(session, tenant_id, [a.object_id for a in assignments])
    ids = [a.end_user_id for a in assignments if a.end_user_id]
    states = load_end_users(session, ids, tenant_id, context.pins)
    try:
        return [decide(a, people.get(a.object_id), states.get(a.end_user_id or "")) for a in assignments]
    except ValueError as error:
        raise Stale from error


def write_chunk(
    session: Session,
    chunk: Sequence[Assignment],
    work: Work,
    prepared: Prepared,
    done: frozenset[str] | set[str],
    now: datetime,
) -> Written:
    """Decide those who exist on what they are now, and write the chunk into the present transaction.

    done: object ids of those this run has written. Raises Stale, before anything is written, when somebody else changed who
    is who.
    """
    ids = [a.end_user_id for a in chunk if a.end_user_id]
    _check(session, chunk, ids, work, done, now)
    tenant_id = work.context.microsoft_tenant_id
    states = load_end_users(session, ids, tenant_id, work.context.pins)
    decided = prepared.decisions
    others = [a for a in chunk if a.kind is not Kind.CREATE]
    people = load_people(session, tenant_id, [a.object_id for a in others if a.object_id not in decided])
    decisions = [
        decided.get(a.object_id) or decide(a, people.get(a.object_id), states.get(a.end_user_id or ""))
        for a in others
    ]
    try:
        writer.write(session, decisions, prepared.new, states, work.target, now)
    except DBAPIError as error:
        if is_lost_race(error):
            raise Stale from error
        raise
    return Written(decisions, prepared.new.object_ids)


def _check(
    session: Session,
    chunk: Sequence[Assignment],
    ids: Sequence[str],
    work: Work,
    done: frozenset[str] | set[str],
    moment: datetime,
) -> None:
    """Check that nobody else wrote this chunk's people since the keys were read. Raises Stale.

    From here on the database's own rule stops others from adding one of the chunk's addresses (M4).
    """
    context = work.context
    now = lock_end_user_keys(session, ids, context.microsoft_tenant_id, context.pins)
    version = session.scalar(
        select(Organization.people_version).where(Organization.id == context.organization_id)
    )
    if version == context.people_version:
        return
    if not is_as_settled(session, context, moment):
        raise Stale
    if work.is_exact or any(now.get(i) != work.end_users.get(i) for i in ids):
        raise Stale
    email_keys = sorted({a.email_key for a in chunk if a.email_key and not a.keeps_email})
    moved = {a.end_user_id for a in work.assignments if a.end_user_id and a.object_id in done}
    for part in batches(email_keys):
        holders = session.execute(
            select(EndUser.email_key, EndUser.id).where(
                EndUser.organization_id == context.organization_id, EndUser.email_key.in_(part)
            )
        )
        for key, holder in holders:
            if work.holders.get(key or "") != holder and holder not in moved:
                raise Stale
