"""Loads what ``decide.plan`` looks at, as frozen records, fast enough for 20,000 people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from portal.engine.normalize import remote_user
from portal.engine.records import (
    D1_FIELDS,
    EndUserState,
    FilterSpec,
    HoldRule,
    LinkState,
    Presence,
    RemoteUser,
    Snapshot,
)
from portal.engine.scope import spec_from_json
from portal.models import (
    Conflict,
    DirectoryGroup,
    DirectoryUser,
    EndUser,
    GroupMembership,
    Link,
    MicrosoftTenant,
    Organization,
    SyncException,
    Tenant,
    UserSync,
)


@dataclass(frozen=True, slots=True)
class LinkFacts:
    """What a Link shows of Microsoft beyond D1, to write only what differs."""

    link_id: str
    user_principal_name: str
    immutable_id: str
    in_scope: bool
    status: str
    license_sku_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Loaded:
    """A Snapshot and what the runner needs beside it. linked: Links to the mapped tenant (G1's base)."""

    snapshot: Snapshot
    links: Mapping[str, LinkFacts]
    linked: int
    users: Mapping[str, RemoteUser]


def load_users(session: Session, microsoft_tenant_id: str) -> tuple[RemoteUser, ...]:
    """Every Directory User, any presence. One read serves every Organization under the tenant."""
    rows = session.execute(
        select(DirectoryUser.raw, DirectoryUser.presence).where(
            DirectoryUser.microsoft_tenant_id == microsoft_tenant_id
        )
    )
    return tuple(remote_user(raw, Presence(presence)) for raw, presence in rows)


def load(
    session: Session,
    organization_id: str,
    *,
    now: datetime,
    filters: FilterSpec | None = None,
    users: tuple[RemoteUser, ...] | None = None,
) -> Loaded:
    """Everything about one Organization, judged by ``filters`` (those stored when None). Raises LookupError when not mapped."""
    found = session.execute(
        select(Tenant.microsoft_tenant_id, MicrosoftTenant.is_complete)
        .join(Organization, Organization.tenant_id == Tenant.id)
        .join(MicrosoftTenant, MicrosoftTenant.id == Tenant.microsoft_tenant_id)
        .where(Organization.id == organization_id)
    ).one_or_none()
    if found is None:
        raise LookupError("the Organization's Tenant is not mapped")
    tenant_id, is_complete = str(found[0]), bool(found[1])
    spec = filters or stored_filters(session, organization_id)
    people = load_users(session, tenant_id) if users is None else users
    pins, never = _exceptions(session, organization_id, now)
    end_users, links = _end_users(session, organization_id, tenant_id, pins)
    groups, deleted = groups_by_user(session, tenant_id, spec)
    ignored, settled = _settlements(session, organization_id)
    snapshot = Snapshot(
        organization_id=organization_id,
        microsoft_tenant_id=tenant_id,
        filters=spec,
        users=people,
        end_users=end_users,
        groups_of=groups,
        deleted_groups=deleted,
        is_complete=is_complete,
        never_sync=never,
        ignored_conflicts=ignored,
        settled_links=settled,
    )
    linked = sum(1 for row in end_users if row.link is not None and not row.link.is_foreign)
    return Loaded(snapshot, links, linked, {user.object_id: user for user in people})


def stored_filters(session: Session, organization_id: str) -> FilterSpec:
    """The saved filters and add rules. Raises LookupError when the sync was never set up."""
    row = session.scalar(select(UserSync).where(UserSync.organization_id == organization_id))
    if row is None:
        raise LookupError("the Organization has no User Sync")
    return spec_of(row)


def spec_of(row: UserSync) -> FilterSpec:
    """The FilterSpec of a User Sync row."""
    return spec_from_json(
        row.filters, add_disabled_accounts=row.add_disabled_accounts, only_licensed=row.only_licensed
    )


def hold_rule(row: UserSync) -> HoldRule:
    """G1's threshold of a User Sync row."""
    return HoldRule(percent=row.hold_percent, minimum=row.hold_minimum)


def _end_users(
    session: Session, organization_id: str, tenant_id: str, pins: Mapping[str, frozenset[str]]
) -> tuple[tuple[EndUserState, ...], dict[str, LinkFacts]]:
    columns = [getattr(EndUser, name) for name in D1_FIELDS]
    link_columns = (
        Link.id,
        Link.object_id,
        Link.microsoft_tenant_id,
        Link.status,
        Link.in_scope,
        Link.immutable_id,
        Link.written,
        Link.user_principal_name,
        Link.license_sku_ids,
    )
    rows = session.execute(
        select(EndUser.id, *columns, *link_columns)
        .outerjoin(Link, Link.end_user_id == EndUser.id)
        .where(EndUser.organization_id == organization_id)
    )
    states, facts = [], {}
    width = len(D1_FIELDS)
    nothing: frozenset[str] = frozenset()
    for row in rows:
        end_user_id = row[0]
        link_id, object_id, of_tenant, status, in_scope, immutable_id, written, upn, skus = row[width + 1 :]
        link = None
        if link_id is not None:
            link = LinkState(
                object_id=object_id,
                microsoft_tenant_id=of_tenant,
                is_disabled=status == "disabled",
                is_in_scope=in_scope,
                is_foreign=of_tenant != tenant_id,
                immutable_id=immutable_id,
                written=written,
            )
            facts[end_user_id] = LinkFacts(link_id, upn, immutable_id, in_scope, status, tuple(skus))
        fields = dict(zip(D1_FIELDS, row[1 : width + 1], strict=True))
        states.append(EndUserState(end_user_id, fields, link, pins.get(end_user_id, nothing)))
    return tuple(states), facts


def groups_by_user(
    session: Session, tenant_id: str, spec: FilterSpec
) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
    """Which of the groups that the filters name each person is in, and which of them are gone (S6)."""
    if spec.group.all or not spec.group.values:
        return {}, frozenset()
    wanted = [value for value in spec.group.values if value]
    found: dict[str, set[str]] = {}
    rows = session.execute(
        select(GroupMembership.user_object_id, GroupMembership.group_object_id).where(
            GroupMembership.microsoft_tenant_id == tenant_id, GroupMembership.group_object_id.in_(wanted)
        )
    )
    for user_id, group_id in rows:
        found.setdefault(user_id, set()).add(group_id)
    living = set(
        session.scalars(
            select(DirectoryGroup.object_id).where(
                DirectoryGroup.microsoft_tenant_id == tenant_id,
                DirectoryGroup.object_id.in_(wanted),
                DirectoryGroup.is_deleted.is_(False),
            )
        )
    )
    return {user: frozenset(groups) for user, groups in found.items()}, frozenset(wanted) - living


def _exceptions(
    session: Session, organization_id: str, now: datetime
) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
    pins: dict[str, set[str]] = {}
    never = set()
    rows = session.scalars(
        select(SyncException).where(
            SyncException.organization_id == organization_id,
            or_(SyncException.expires_at.is_(None), SyncException.expires_at > now),
        )
    )
    for row in rows:
        if row.kind == "pin" and row.end_user_id and row.field:
            pins.setdefault(row.end_user_id, set()).add(row.field)
        elif row.kind == "never_sync" and row.object_id:
            never.add(row.object_id.lower())
    return {key: frozenset(fields) for key, fields in pins.items()}, frozenset(never)


def _settlements(session: Session, organization_id: str) -> tuple[frozenset[str], dict[str, str]]:
    ignored, settled = set(), {}
    rows = session.execute(
        select(Conflict.resolution, Conflict.key, Conflict.object_id, Conflict.resolved_end_user_id)
        .where(Conflict.organization_id == organization_id, Conflict.resolution.in_(("ignore", "link")))
        .order_by(Conflict.resolved_at)
    )
    for resolution, key, object_id, end_user_id in rows:
        if resolution == "ignore":
            ignored.add(key)
        elif end_user_id:
            settled[object_id] = end_user_id
    return frozenset(ignored), settled
