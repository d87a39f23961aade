"""The context of a run, without people: filters, exceptions, settlements, and a digest of them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

import orjson
from sqlalchemy import bindparam, or_, select
from sqlalchemy.orm import Session

from portal.engine.batches import batches
from portal.engine.plan.keys import conflict_key
from portal.engine.records import FilterSpec, HoldRule, NeverSync, Presence, Reason, Snapshot
from portal.engine.scope import spec_from_json, spec_to_json
from portal.engine.snapshot import all_end_user_keys, groups_by_user, new_person_keys, person_keys
from portal.models import (
    Conflict,
    DirectoryUser,
    MicrosoftTenant,
    Organization,
    SyncException,
    Tenant,
    UserSync,
)
from portal.text import email_key

# Built once: a run that finds nothing changed is mostly these.
_MAPPING = (
    select(
        Tenant.microsoft_tenant_id,
        MicrosoftTenant.is_complete,
        MicrosoftTenant.mirror_version,
        Organization.people_version,
    )
    .join(Organization, Organization.tenant_id == Tenant.id)
    .join(MicrosoftTenant, MicrosoftTenant.id == Tenant.microsoft_tenant_id)
    .where(Organization.id == bindparam("organization"))
)
_EXCEPTIONS = select(
    SyncException.kind,
    SyncException.object_id,
    SyncException.immutable_id,
    SyncException.email_key,
    SyncException.end_user_id,
    SyncException.field,
).where(
    SyncException.organization_id == bindparam("organization"),
    or_(SyncException.expires_at.is_(None), SyncException.expires_at > bindparam("now")),
)
_SETTLEMENTS = (
    select(
        Conflict.resolution,
        Conflict.key,
        Conflict.object_id,
        Conflict.resolved_end_user_id,
        Conflict.other_object_id,
        Conflict.email,
    )
    .where(Conflict.organization_id == bindparam("organization"), Conflict.resolution.in_(("ignore", "link")))
    .order_by(Conflict.resolved_at)
)


@dataclass(frozen=True, slots=True)
class OrganizationContext:
    """The context of a run in one Organization, without people.

    people_version: the Organization's. state: a digest of everything that is decided on (``UserSync.settled_state``).
    pins: End User id → names of the pinned fields in force. is_initial: the initial sync is not over.
    """

    organization_id: str
    microsoft_tenant_id: str
    is_complete: bool
    filters: FilterSpec
    hold: HoldRule
    people_version: int
    state: str
    pins: Mapping[str, tuple[str, ...]]
    never_sync: NeverSync
    ignored_conflicts: frozenset[str]
    settled_links: Mapping[str, str]
    dismissed: frozenset[str]
    is_initial: bool

    def snapshot(self, session: Session) -> Snapshot:
        """The keys of everybody. Those of the mirror's people are read while they are gone through, once, within ``session``."""
        groups, deleted = groups_by_user(session, self.microsoft_tenant_id, self.filters)
        end_users = all_end_user_keys(session, self.organization_id, self.microsoft_tenant_id, self.pins)
        is_known = bool(end_users or self.never_sync.immutable_ids)
        return Snapshot(
            organization_id=self.organization_id,
            microsoft_tenant_id=self.microsoft_tenant_id,
            filters=self.filters,
            people=(person_keys if is_known else new_person_keys)(session, self.microsoft_tenant_id),
            end_users=end_users,
            groups_of=groups,
            deleted_groups=deleted,
            is_complete=self.is_complete,
            never_sync=self.never_sync,
            ignored_conflicts=self.ignored_conflicts,
            settled_links=self.settled_links,
        )


def load_context(
    session: Session,
    organization_id: str,
    *,
    now: datetime,
    filters: FilterSpec | None = None,
    hold: HoldRule | None = None,
    sync: UserSync | None = None,
) -> OrganizationContext:
    """One Organization, to be judged by ``filters`` and ``hold`` (those stored when None). Raises LookupError when not mapped.

    sync: its User Sync, where it is loaded already.
    """
    row = session.connection().execute(_MAPPING, {"organization": organization_id}).one_or_none()
    if row is None:
        raise LookupError("the Organization's Tenant is not mapped")
    is_complete, mirror_version, people_version = row[1:]
    tenant_id = str(row[0])
    if sync is None:
        sync = session.scalar(select(UserSync).where(UserSync.organization_id == organization_id))
    is_enabled = sync is not None and sync.enabled
    spec = filters if sync is None else filters or spec_of(sync)
    if spec is None:
        raise LookupError("the Organization has no User Sync")
    rule = hold or (hold_rule(sync) if sync is not None else HoldRule())
    pins, never = _exceptions(session, organization_id, tenant_id, now)
    ignored, settled = _settlements(session, organization_id)
    dismissed = frozenset(sync.dismissed) if sync is not None and is_enabled else frozenset[str]()
    context = OrganizationContext(
        organization_id=organization_id,
        microsoft_tenant_id=tenant_id,
        is_complete=is_complete,
        filters=spec,
        hold=rule,
        people_version=people_version,
        state="",
        pins=pins,
        never_sync=never,
        ignored_conflicts=ignored,
        settled_links=settled,
        dismissed=dismissed,
        is_initial=sync is None or not is_enabled or sync.initial_done_at is None,
    )
    return replace(context, state=_digest(context, mirror_version))


def _digest(context: OrganizationContext, mirror_version: int) -> str:
    """Of everything that is decided on (``UserSync.settled_state``)."""
    spec, never, rule = context.filters, context.never_sync, context.hold
    decided_on = (
        context.microsoft_tenant_id,
        context.is_complete,
        mirror_version,
        context.people_version,
        spec_to_json(spec),
        (spec.add_disabled_accounts, spec.only_licensed, spec.include_agents),
        sorted(context.pins.items()),
        (sorted(never.object_ids), sorted(never.immutable_ids), sorted(never.email_keys)),
        sorted(context.ignored_conflicts),
        sorted(context.settled_links.items()),
        sorted(context.dismissed),
        (rule.percent, rule.minimum, rule.create_minimum),
    )
    return hashlib.sha256(orjson.dumps(decided_on)).hexdigest()


def is_as_settled(session: Session, context: OrganizationContext, now: datetime) -> bool:
    """Whether exceptions and settlements are what the plan was made from: people may pin a field or settle a conflict meanwhile."""
    pins, never = _exceptions(session, context.organization_id, context.microsoft_tenant_id, now)
    ignored, settled = _settlements(session, context.organization_id)
    return (pins, never, ignored, settled) == (
        context.pins,
        context.never_sync,
        context.ignored_conflicts,
        context.settled_links,
    )


def spec_of(row: UserSync) -> FilterSpec:
    """The FilterSpec of a User Sync row."""
    return spec_from_json(
        row.filters,
        add_disabled_accounts=row.add_disabled_accounts,
        only_licensed=row.only_licensed,
        include_agents=row.include_agents,
    )


def hold_rule(row: UserSync) -> HoldRule:
    """G1's threshold of a User Sync row."""
    return HoldRule(percent=row.hold_percent, minimum=row.hold_minimum)


def _exceptions(
    session: Session, organization_id: str, tenant_id: str, now: datetime
) -> tuple[dict[str, tuple[str, ...]], NeverSync]:
    pins: dict[str, set[str]] = {}
    never: dict[str, tuple[str, str]] = {}
    rows = session.connection().execute(_EXCEPTIONS, {"organization": organization_id, "now": now})
    for row in rows:
        if row.kind == "pin" and row.end_user_id and row.field:
            pins.setdefault(row.end_user_id, set()).add(row.field)
        elif row.kind == "never_sync" and row.object_id:
            never[row.object_id.lower()] = row.immutable_id, row.email_key
    present: set[str] = set()
    for part in batches(sorted(never)):
        present.update(
            session.scalars(
                select(DirectoryUser.object_id).where(
                    DirectoryUser.microsoft_tenant_id == tenant_id,
                    DirectoryUser.object_id.in_(part),
                    DirectoryUser.presence == Presence.PRESENT.value,
                )
            )
        )
    gone = [keys for object_id, keys in never.items() if object_id not in present]
    return (
        {key: tuple(sorted(fields)) for key, fields in pins.items()},
        NeverSync(
            frozenset(never),
            frozenset(immutable for immutable, _ in gone if immutable),
            frozenset(key for _, key in gone if key),
        ),
    )


def _settlements(session: Session, organization_id: str) -> tuple[frozenset[str], dict[str, str]]:
    """Keys of the conflicts that are ignored, and object id → End User chosen. The other side of a choice is settled too (M7)."""
    ignored, settled = set(), {}
    rows = session.connection().execute(_SETTLEMENTS, {"organization": organization_id})
    for resolution, key, object_id, end_user_id, other_id, email in rows:
        if resolution == "ignore":
            ignored.add(key)
        elif end_user_id:
            settled[object_id] = end_user_id
            ignored.add(
                conflict_key(Reason.DUPLICATE_REMOTE_EMAIL, other_id or "", email_key(email), None, object_id)
            )
    return frozenset(ignored), settled
