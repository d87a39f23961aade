"""Preview and "why?": the same ``plan`` as the run, nothing written (U5, U10, U11, U12)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.decide import fingerprint, plan
from portal.engine.explain import why
from portal.engine.guards import guard, waive
from portal.engine.records import (
    Action,
    Counts,
    Decision,
    FilterSpec,
    HoldKind,
    HoldRule,
    MatchedBy,
    Presence,
    RemoteUser,
)
from portal.engine.scope import Scope, prepare
from portal.engine.snapshot import Loaded, groups_by_user, load, spec_of
from portal.errors import NotFound
from portal.models import DirectoryGroup, MicrosoftTenant, UserSync
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
    loaded = load(session, organization_id, now=now, filters=filters)
    found = plan(loaded.snapshot)
    sync = session.scalar(select(UserSync).where(UserSync.organization_id == organization_id))
    is_enabled = sync is not None and sync.enabled
    dismissed = _dismissed(sync)
    guarded = guard(
        found,
        linked=loaded.linked,
        is_initial=sync is None or not is_enabled or sync.initial_done_at is None,
        rule=hold,
        dismissed=dismissed,
    )
    waiting = [d for decisions in guarded.held.values() for d in decisions]
    kind = HoldKind.DISABLE if HoldKind.DISABLE in guarded.held else HoldKind.CREATE
    shown = [d for d in (waive(d, dismissed) for d in found.decisions) if d.action is not Action.LEAVE]
    shown.sort(key=lambda d: (_ORDER.get(d.action, 9), text_key(d.display_name or d.email), d.object_id))
    change: Mapping[str, Any] | None = None
    staying: Sequence[Mapping[str, str]] = ()
    if sync is not None and is_enabled:
        change, staying = _scope_change(session, loaded, spec_of(sync))
    return PreviewResult(
        decisions=shown,
        counts=guarded.counts,
        fingerprint=fingerprint(found),
        domain_overlap=domain_overlap(
            session.get_one(MicrosoftTenant, loaded.snapshot.microsoft_tenant_id),
            (row.email_key for row in loaded.snapshot.end_users),
        ),
        scope_change=change,
        staying=staying,
        held={"kind": kind.value, "count": len(waiting)} if waiting else None,
        warnings=found.warnings,
    )


def decision_document(decision: Decision) -> dict[str, Any]:
    """A decision as interfaces.md shows it; ``reason`` is a sentence, ``reason_code`` its word."""
    return {
        "decision": decision.action.value,
        "reason": why(decision),
        "reason_code": decision.reason.value,
        "object_id": decision.object_id,
        "user_principal_name": decision.user_principal_name,
        "display_name": decision.display_name,
        "email": decision.email,
        "end_user_id": decision.end_user_id,
        "fields": [asdict(change) for change in decision.changes],
    }


def explain(session: Session, organization_id: str, user: str, now: datetime) -> dict[str, Any]:
    """Why one person is or is not synced: ``user`` is a UPN, object id or e-mail. Raises NotFound for nobody such."""
    loaded = load(session, organization_id, now=now)
    person = _find(loaded, user)
    if person is None:
        raise NotFound(f"This Microsoft tenant has no user with the UPN, object ID or e-mail {user!r}.")
    decision = next((d for d in plan(loaded.snapshot).decisions if d.object_id == person.object_id), None)
    if decision is not None:
        sync = session.scalar(select(UserSync).where(UserSync.organization_id == organization_id))
        decision = waive(decision, _dismissed(sync))
    shot = loaded.snapshot
    scope = prepare(shot.filters, shot.deleted_groups)
    verdicts = scope.judge(person, shot.groups_of.get(person.object_id, _NOBODY))
    names = _group_names(session, shot.microsoft_tenant_id, shot.groups_of.get(person.object_id, _NOBODY))
    sections = {
        name: {"accepted": verdict.accepted, "value": names if name == "group" else verdict.value}
        for name, verdict in verdicts.items()
    }
    return {
        "object_id": person.object_id,
        "user_principal_name": person.user_principal_name,
        "display_name": person.display_name,
        "email": person.email,
        "presence": person.presence.value,
        "sections": sections,
        "in_scope": all(verdict.accepted for verdict in verdicts.values()),
        "match": _match(loaded, person, decision),
        "decision": (decision.action if decision is not None else Action.LEAVE).value,
        "reason": why(decision)
        if decision is not None
        else "No longer in Microsoft, and not linked to anybody here.",
        "fields": [asdict(change) for change in decision.changes] if decision is not None else [],
    }


def _match(loaded: Loaded, person: RemoteUser, decision: Decision | None) -> dict[str, str] | None:
    """The End User that is meant. A Link is one whatever is decided: who is linked may be on the never-sync list (W6)."""
    if decision is not None and decision.end_user_id and decision.match is not None:
        return {"end_user_id": decision.end_user_id, "by": decision.match.value}
    for row in loaded.snapshot.end_users:
        if row.link is not None and not row.link.is_foreign and row.link.object_id == person.object_id:
            return {"end_user_id": row.id, "by": MatchedBy.LINK.value}
    return None


def domain_overlap(tenant: MicrosoftTenant, keys: Iterable[str | None]) -> dict[str, int]:
    """U10: how many of an Organization's known addresses belong to this Microsoft tenant's domains."""
    domains = {domain_key(str(domain["name"])) for domain in tenant.domains}
    known = [key for key in keys if key]
    return {"known": len(known), "matching": sum(1 for key in known if key.rpartition("@")[2] in domains)}


def _dismissed(sync: UserSync | None) -> frozenset[str]:
    """The hold keys that an administrator dismissed (G1), of a sync that is enabled."""
    return frozenset(sync.dismissed) if sync is not None and sync.enabled else frozenset()


def _scope_change(
    session: Session, loaded: Loaded, saved: FilterSpec
) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """U11: who enters, who leaves, how many stay, against the saved filters; and who stays, by name."""
    shot = loaded.snapshot
    groups, deleted = groups_by_user(session, shot.microsoft_tenant_id, saved)
    old = _accepted(shot.users, prepare(saved, deleted), groups)
    new = _accepted(shot.users, prepare(shot.filters, shot.deleted_groups), shot.groups_of)
    enters, leaves, stays = (_by_name(loaded, ids) for ids in (new - old, old - new, old & new))
    return {"enters": enters, "leaves": leaves, "stays": len(stays)}, stays


def _by_name(loaded: Loaded, object_ids: set[str]) -> list[dict[str, str]]:
    people = (loaded.users[object_id] for object_id in object_ids)
    return [
        _person(user) for user in sorted(people, key=lambda one: (text_key(one.display_name), one.object_id))
    ]


def _accepted(users: Iterable[RemoteUser], scope: Scope, groups: Mapping[str, frozenset[str]]) -> set[str]:
    return {
        user.object_id
        for user in users
        if user.presence is Presence.PRESENT
        and not user.problem
        and scope.accepts(user, groups.get(user.object_id, _NOBODY))
    }


def _person(user: RemoteUser) -> dict[str, str]:
    return {
        "object_id": user.object_id,
        "display_name": user.display_name,
        "email": user.email,
        "user_principal_name": user.user_principal_name,
    }


def _find(loaded: Loaded, text: str) -> RemoteUser | None:
    """By object id, then UPN, then e-mail; a present one before a deleted one."""
    wanted = email_key(text)
    for matches in (
        lambda u: u.object_id == wanted,
        lambda u: email_key(u.user_principal_name) == wanted,
        lambda u: email_key(u.email) == wanted,
    ):
        found = sorted(
            (u for u in loaded.users.values() if matches(u)),
            key=lambda u: (u.presence is not Presence.PRESENT, u.object_id),
        )
        if found:
            return found[0]
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
