"""Preview and "why?": the same steps as the run, nothing written (U5, U10, U11, U12)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.engine.apply.chunks import CHUNK, decide_all
from portal.engine.batches import batches
from portal.engine.execution import GROUP_GONE, UNFINISHED
from portal.engine.explain import why
from portal.engine.organization_context import OrganizationContext, load_context, spec_of
from portal.engine.plan import Fingerprint, decide, plan
from portal.engine.plan.counts import count, tally
from portal.engine.plan.scope import KeyScope
from portal.engine.records import (
    Action,
    Assignment,
    Counts,
    Decision,
    FilterSpec,
    HoldKind,
    HoldRule,
    Kind,
    MatchedBy,
    Plan,
    Presence,
    RemoteUser,
    Snapshot,
)
from portal.engine.scope import prepare
from portal.engine.snapshot import groups_by_user, load_end_users, load_people
from portal.errors import NotFound
from portal.models import DirectoryGroup, DirectoryUser, MicrosoftTenant, UserSync
from portal.text import domain_key, email_key, text_key

_NOBODY: frozenset[str] = frozenset()
_ORDER = {
    Action.CONFLICT: 0,
    Action.LINK: 1,
    Action.CREATE: 2,
    Action.UPDATE: 3,
    Action.MARK_DISABLED: 4,
    Action.MARK_ENABLED: 5,
    Action.SKIP: 6,
}


@dataclass(frozen=True)
class PreviewResult:
    """What the next run would do. decisions: all but ``leave``, conflicts first. held: G1's kind and number, or None.

    staying: by name, those that ``scope_change`` counts as staying.
    """

    decisions: Sequence[Decision]
    counts: Counts
    fingerprint: str
    domain_overlap: Mapping[str, int]
    scope_change: Mapping[str, Any] | None
    staying: Sequence[Mapping[str, str]]
    held: Mapping[str, Any] | None
    warnings: Sequence[str]

    def counts_document(self) -> dict[str, int]:
        """The counts as a run shows them."""
        return asdict(self.counts)


def preview(
    session: Session, organization_id: str, filters: FilterSpec, hold: HoldRule, now: datetime
) -> PreviewResult:
    """Plan with ``filters`` on the mirror as it is. Raises LookupError when the Tenant is not mapped."""
    context = load_context(session, organization_id, now=now, filters=filters, hold=hold)
    shot = context.snapshot(session)
    decided = plan(shot, is_initial=context.is_initial, rule=hold, dismissed=context.dismissed)
    mark = Fingerprint()
    decisions: list[Decision] = []
    written: list[Decision] = []
    for part in batches(decided.assignments, CHUNK):
        for assignment, decision in zip(part, decide_all(session, part, context), strict=True):
            mark.add(decision)
            if decision.action is not Action.LEAVE:
                decisions.append(decision)
                if not assignment.is_held:
                    written.append(decision)
    decisions.sort(key=lambda d: (_ORDER.get(d.action, 9), text_key(d.display_name or d.email), d.object_id))
    waiting = sum(1 for a in decided.assignments if a.is_held)
    kind = HoldKind.DISABLE if HoldKind.DISABLE in decided.held else HoldKind.CREATE
    sync = session.scalar(select(UserSync).where(UserSync.organization_id == organization_id))
    change: Mapping[str, Any] | None = None
    staying: Sequence[Mapping[str, str]] = ()
    if sync is not None and sync.enabled:
        change, staying = _scope_change(session, context, shot, decided, spec_of(sync))
    conditions = ((UNFINISHED, not decided.is_complete), (GROUP_GONE, decided.has_deleted_groups))
    return PreviewResult(
        decisions=decisions,
        counts=Counts(**count(decided, tally(written))),
        fingerprint=mark.hexdigest(),
        domain_overlap=domain_overlap(
            session.get_one(MicrosoftTenant, context.microsoft_tenant_id),
            (row.email_key for row in shot.end_users),
        ),
        scope_change=change,
        staying=staying,
        held={"kind": kind.value, "count": waiting} if waiting else None,
        warnings=[text for text, is_so in conditions if is_so],
    )


def decision_document(decision: Decision) -> dict[str, Any]:
    """A decision as the API shows it; ``reason`` is a sentence, ``reason_code`` its word."""
    return {
        "decision": decision.action.value,
        "reason": why(decision),
        "reason_code": decision.reason.value,
        "object_id": decision.object_id,
        "user_principal_name": decision.user_principal_name,
        "display_name": decision.display_name,
        "email": decision.email,
        "end_user_id": decision.end_user_id,
        "fields": [change._asdict() for change in decision.changes],
    }


def explain(session: Session, organization_id: str, user: str, now: datetime) -> dict[str, Any]:
    """Why one person is or is not synced: ``user`` is a UPN, object id or e-mail. Raises NotFound."""
    context = load_context(session, organization_id, now=now)
    person = _find(session, context.microsoft_tenant_id, user)
    if person is None:
        raise NotFound(f"This Microsoft tenant has no user with the UPN, object ID or e-mail {user!r}.")
    shot = context.snapshot(session)
    groups = shot.groups_of.get(person.object_id, _NOBODY)
    scope = prepare(shot.filters, shot.deleted_groups)
    verdicts = scope.judge(person, groups)
    linked = next(
        (row for row in shot.end_users if row.object_id == person.object_id and not row.is_foreign), None
    )
    in_scope = all(verdict.accepted for verdict in verdicts.values())
    decision = _decision(session, context, shot, person)
    names = _group_names(session, context.microsoft_tenant_id, groups)
    match: dict[str, str] | None = None
    if decision is not None and decision.end_user_id and decision.match is not None:
        match = {"end_user_id": decision.end_user_id, "by": decision.match.value}
    elif linked is not None:  # whatever is decided: who is linked may be on the never-sync list (W6)
        match = {"end_user_id": linked.id, "by": MatchedBy.LINK.value}
    return {
        "object_id": person.object_id,
        "user_principal_name": person.user_principal_name,
        "display_name": person.display_name,
        "email": person.email,
        "presence": person.presence.value,
        "sections": {
            name: {"accepted": verdict.accepted, "value": names if name == "group" else verdict.value}
            for name, verdict in verdicts.items()
        },
        "in_scope": in_scope,
        "match": match,
        "decision": (decision.action if decision is not None else Action.LEAVE).value,
        "reason": why(decision)
        if decision is not None
        else "No longer in Microsoft, and not linked to anybody here.",
        "fields": [change._asdict() for change in decision.changes] if decision is not None else [],
    }


def _decision(
    session: Session,
    context: OrganizationContext,
    shot: Snapshot,
    person: RemoteUser,
) -> Decision | None:
    """What the next run would do with one person, by the keys of all; None for somebody gone who was nobody's."""
    decided = plan(
        shot,
        is_initial=context.is_initial,
        rule=context.hold,
        dismissed=context.dismissed,
        always={person.object_id},
    )
    assignment = next((a for a in decided.assignments if a.object_id == person.object_id), None)
    if assignment is None:
        return None
    ids = [assignment.end_user_id] if assignment.end_user_id else []
    states = load_end_users(session, ids, context.microsoft_tenant_id, context.pins)
    return decide(assignment, person, states.get(assignment.end_user_id or ""))


def domain_overlap(tenant: MicrosoftTenant, keys: Iterable[str | None]) -> dict[str, int]:
    """U10: how many of an Organization's known addresses belong to this Microsoft tenant's domains."""
    domains = {domain_key(str(domain["name"])) for domain in tenant.domains}
    known_keys = [key for key in keys if key]
    return {
        "known": len(known_keys),
        "matching": sum(1 for key in known_keys if key.rpartition("@")[2] in domains),
    }


# -- U11 -------------------------------------------------------------------------------------------------------------


def _scope_change(
    session: Session, context: OrganizationContext, shot: Snapshot, decided: Plan, saved: FilterSpec
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """U11: against the saved filters, who enters, who leaves and who stays, by name.

    Stays and leaves are linked and in scope now; whoever else gets an End User or is updated again enters. Conflicts and
    skipped people are counted apart: enters, stays, conflicts and ignored ones are all in scope, as the counts have them.
    """
    groups, deleted = groups_by_user(session, context.microsoft_tenant_id, saved)
    before = KeyScope(replace(shot, filters=saved, groups_of=groups, deleted_groups=deleted))
    after = KeyScope(shot)
    apart = {a.object_id: name for a in decided.assignments if (name := _apart(a))}
    linked = {row.object_id: row for row in shot.end_users if row.object_id and not row.is_foreign}
    enters: list[str] = []
    leaves: list[str] = []
    stays: list[str] = []
    for person in context.snapshot(session).people:
        object_id = person.object_id
        if person.presence != Presence.PRESENT or person.has_problem or object_id in apart:
            continue
        was_in = object_id in linked and linked[object_id].is_in_scope and before.accepts(person)
        if after.accepts(person):
            (stays if was_in else enters).append(object_id)
        elif was_in:
            leaves.append(object_id)
    named = [_names(session, context, ids) for ids in (enters, leaves, stays)]
    numbers = Counter(apart.values())
    change = {
        "enters": named[0],
        "leaves": named[1],
        "stays": len(named[2]),
        "conflicts": numbers["conflict"],
        "ignored": numbers["ignored"],
        "skipped": numbers["skip"],
    }
    return change, named[2]


def _apart(assignment: Assignment) -> str:
    """Who neither enters nor stays: in conflict, in one that is ignored, or skipped; "" for everybody else."""
    if assignment.kind is Kind.SKIP:
        return "skip"
    if assignment.is_conflict and not assignment.is_held:
        return "conflict"
    return "ignored" if assignment.kind is Kind.CONFLICT else ""


def _names(session: Session, context: OrganizationContext, object_ids: Sequence[str]) -> list[dict[str, str]]:
    names = []
    columns = ("object_id", "display_name", "email", "user_principal_name")
    for part in batches(object_ids):
        rows = session.execute(
            select(*(getattr(DirectoryUser, name) for name in columns)).where(
                DirectoryUser.microsoft_tenant_id == context.microsoft_tenant_id,
                DirectoryUser.object_id.in_(part),
            )
        )
        names += [dict(zip(columns, row, strict=True)) for row in rows]
    return sorted(names, key=lambda person: (text_key(person["display_name"]), person["object_id"]))


def _find(session: Session, tenant_id: str, text: str) -> RemoteUser | None:
    """By object id, then UPN, then e-mail; a present one before a deleted one."""
    key = email_key(text)
    for condition in (
        DirectoryUser.object_id == key,
        func.lower(DirectoryUser.user_principal_name) == text_key(text),
        DirectoryUser.email_key == key,
    ):
        object_id = session.scalar(
            select(DirectoryUser.object_id)
            .where(DirectoryUser.microsoft_tenant_id == tenant_id, condition)
            .order_by(DirectoryUser.presence != Presence.PRESENT.value, DirectoryUser.object_id)
            .limit(1)
        )
        if object_id is not None:
            return load_people(session, tenant_id, [object_id])[object_id]
    return None


def _group_names(session: Session, microsoft_tenant_id: str, group_ids: frozenset[str]) -> str:
    rows = session.scalars(
        select(DirectoryGroup.display_name)
        .where(
            DirectoryGroup.microsoft_tenant_id == microsoft_tenant_id, DirectoryGroup.object_id.in_(group_ids)
        )
        .order_by(DirectoryGroup.display_name)
    )
    return ", ".join(rows)
