"""Loads what deciding looks at: the keys of everybody, and whole records of those for whom something may be written."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from dataclasses import fields as fields_of
from datetime import datetime
from typing import Any

import orjson
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from portal.engine.batches import batches
from portal.engine.bulk import read_rows
from portal.engine.records import (
    D1_FIELDS,
    EndUserKeys,
    EndUserState,
    FilterSpec,
    HoldRule,
    LinkState,
    NeverSync,
    PersonKeys,
    Presence,
    RemoteUser,
    Snapshot,
)
from portal.engine.scope import spec_from_json, spec_to_json
from portal.models import (
    Conflict,
    DirectoryGroup,
    DirectoryUser,
    EndUser,
    GroupMembership,
    MicrosoftTenant,
    Organization,
    SyncException,
    Tenant,
    UserSync,
)

_STREAM = 5_000  # rows fetched at a time while keys are gone through
_NO_PINS: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OrganizationContext:
    """What a run knows of an Organization before it looks at any person.

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
        return Snapshot(
            organization_id=self.organization_id,
            microsoft_tenant_id=self.microsoft_tenant_id,
            filters=self.filters,
            people=_person_keys(session, self.microsoft_tenant_id),
            end_users=_end_user_keys(session, self.organization_id, self.microsoft_tenant_id, self.pins),
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
) -> OrganizationContext:
    """One Organization, to be judged by ``filters`` and ``hold`` (those stored when None). Raises LookupError when not mapped."""
    found = session.execute(
        select(
            Tenant.microsoft_tenant_id,
            MicrosoftTenant.is_complete,
            MicrosoftTenant.mirror_version,
            Organization.people_version,
        )
        .join(Organization, Organization.tenant_id == Tenant.id)
        .join(MicrosoftTenant, MicrosoftTenant.id == Tenant.microsoft_tenant_id)
        .where(Organization.id == organization_id)
    ).one_or_none()
    if found is None:
        raise LookupError("the Organization's Tenant is not mapped")
    is_complete, mirror_version, people_version = found[1:]
    tenant_id = str(found[0])
    sync = session.scalar(select(UserSync).where(UserSync.organization_id == organization_id))
    is_enabled = sync is not None and sync.enabled
    spec = filters or stored_filters(session, organization_id)
    rule = hold or (hold_rule(sync) if sync is not None else HoldRule())
    pins, never = _exceptions(session, organization_id, tenant_id, now)
    ignored, settled = _settlements(session, organization_id)
    dismissed = frozenset(sync.dismissed) if sync is not None and is_enabled else frozenset[str]()
    decided_on = (
        tenant_id,
        is_complete,
        mirror_version,
        people_version,
        spec_to_json(spec),
        (spec.add_disabled_accounts, spec.only_licensed, spec.include_agents),
        sorted(pins.items()),
        (sorted(never.object_ids), sorted(never.immutable_ids), sorted(never.email_keys)),
        sorted(ignored),
        sorted(settled.items()),
        sorted(dismissed),
        (rule.percent, rule.minimum, rule.create_minimum),
    )
    return OrganizationContext(
        organization_id=organization_id,
        microsoft_tenant_id=tenant_id,
        is_complete=is_complete,
        filters=spec,
        hold=rule,
        people_version=people_version,
        state=hashlib.sha256(orjson.dumps(decided_on)).hexdigest(),
        pins=pins,
        never_sync=never,
        ignored_conflicts=ignored,
        settled_links=settled,
        dismissed=dismissed,
        is_initial=sync is None or not is_enabled or sync.initial_done_at is None,
    )


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


def stored_filters(session: Session, organization_id: str) -> FilterSpec:
    """The saved filters and add rules. Raises LookupError when the sync was never set up."""
    row = session.scalar(select(UserSync).where(UserSync.organization_id == organization_id))
    if row is None:
        raise LookupError("the Organization has no User Sync")
    return spec_of(row)


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


# -- keys of everybody -----------------------------------------------------------------------------------------------


PERSON_KEYS: tuple[Any, ...] = (
    DirectoryUser.object_id,
    DirectoryUser.presence,
    DirectoryUser.email_key,
    DirectoryUser.aliases,
    DirectoryUser.domain,
    DirectoryUser.user_type,
    DirectoryUser.office_key,
    DirectoryUser.department_key,
    DirectoryUser.account_enabled,
    DirectoryUser.created_at,
    DirectoryUser.immutable_id,
    (DirectoryUser.license_sku_ids != ()).label("is_licensed"),
    DirectoryUser.is_agent,
    (DirectoryUser.problem != "").label("has_problem"),
    DirectoryUser.content_hash,
)
"""Columns, in the order of ``PersonKeys``."""


def _person_keys(session: Session, tenant_id: str) -> Iterator[PersonKeys]:
    rows = session.execute(
        select(*PERSON_KEYS)
        .where(DirectoryUser.microsoft_tenant_id == tenant_id)
        .execution_options(yield_per=_STREAM)
    )
    return map(PersonKeys._make, rows)


def _end_user_keys(
    session: Session, organization_id: str, tenant_id: str, pins: Mapping[str, tuple[str, ...]]
) -> list[EndUserKeys]:
    return [
        end_user_keys(row, tenant_id, pins)
        for row in session.execute(
            select(*END_USER_KEYS)
            .where(EndUser.organization_id == organization_id)
            .execution_options(yield_per=_STREAM)
        )
    ]


END_USER_KEYS: tuple[Any, ...] = (
    EndUser.id,
    EndUser.email_key,
    EndUser.object_id,
    EndUser.microsoft_tenant_id,
    EndUser.microsoft_status,
    EndUser.in_scope,
    EndUser.immutable_id,
    EndUser.applied_hash,
)
"""Columns that ``end_user_keys`` makes the keys of."""


def end_user_keys(row: Sequence[object], tenant_id: str, pins: Mapping[str, tuple[str, ...]]) -> EndUserKeys:
    """Of a row of ``END_USER_KEYS``."""
    end_user_id, key, object_id, of_tenant, status, in_scope, immutable_id, applied = row
    return EndUserKeys(
        end_user_id,  # type: ignore[arg-type]
        key or "",  # type: ignore[arg-type]
        object_id,  # type: ignore[arg-type]
        object_id is not None and of_tenant != tenant_id,
        status == "disabled",
        bool(in_scope),
        immutable_id,  # type: ignore[arg-type]
        applied,  # type: ignore[arg-type]
        pins.get(end_user_id, _NO_PINS) if pins else _NO_PINS,  # type: ignore[call-overload]
    )


def lock_end_user_keys(
    session: Session, ids: Sequence[str], tenant_id: str, pins: Mapping[str, tuple[str, ...]]
) -> dict[str, EndUserKeys]:
    """The keys of some End Users as they are now, by id; nobody else changes them before this transaction ends."""
    found = {}
    for part in batches(sorted(ids)):
        which = select(*END_USER_KEYS).where(EndUser.id.in_(part))
        statement = which.order_by(EndUser.id).with_for_update(key_share=True)
        for row in session.execute(statement):
            found[row[0]] = end_user_keys(row, tenant_id, pins)
    return found


# -- whole records of some -------------------------------------------------------------------------------------------

# The mirror has a column for each, of the same name.
_REMOTE = tuple(field.name for field in fields_of(RemoteUser))
_PRESENCE = {presence.value: presence for presence in Presence}


def load_people(session: Session, tenant_id: str, object_ids: Sequence[str]) -> dict[str, RemoteUser]:
    """Whole records of the mirror, by object id."""
    found = {}
    presence_at = _REMOTE.index("presence")
    for part in batches(object_ids):
        fixed = {"microsoft_tenant_id": tenant_id}
        for row in read_rows(session, DirectoryUser, _REMOTE, fixed, "object_id", part):
            row[presence_at] = _PRESENCE[row[presence_at]]
            found[row[0]] = RemoteUser(*row)
    return found


_STATE_COLUMNS = (
    EndUser.id,
    *(getattr(EndUser, name) for name in D1_FIELDS),
    EndUser.object_id,
    EndUser.microsoft_tenant_id,
    EndUser.microsoft_status,
    EndUser.in_scope,
    EndUser.user_principal_name,
    EndUser.immutable_id,
    EndUser.license_sku_ids,
    EndUser.written,
    EndUser.applied_hash,
)


def load_end_users(
    session: Session, ids: Sequence[str], tenant_id: str, pins: Mapping[str, tuple[str, ...]]
) -> dict[str, EndUserState]:
    """Whole End Users as they are now, by id."""
    found = {}
    width = len(D1_FIELDS) + 1
    for part in batches(ids):
        for row in session.execute(select(*_STATE_COLUMNS).where(EndUser.id.in_(part))):
            object_id, of_tenant, status, in_scope, upn, immutable_id, skus, written, applied = row[width:]
            link = None
            if object_id is not None:
                link = LinkState(
                    object_id=object_id,
                    microsoft_tenant_id=of_tenant or "",
                    is_disabled=status == "disabled",
                    is_in_scope=bool(in_scope),
                    is_foreign=of_tenant != tenant_id,
                    user_principal_name=upn,
                    immutable_id=immutable_id,
                    license_sku_ids=skus,
                    written=written,
                    applied_hash=applied,
                )
            fields = dict(zip(D1_FIELDS, row[1:width], strict=True))
            found[row[0]] = EndUserState(row[0], fields, link, frozenset(pins.get(row[0], ())))
    return found


# -- what people settled ---------------------------------------------------------------------------------------------


def groups_by_user(
    session: Session, tenant_id: str, spec: FilterSpec
) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
    """Which of the groups that the filters name each person is in, and which of them are gone (S6)."""
    return groups_of(session, tenant_id, spec), deleted_groups(session, tenant_id, spec)


def groups_of(
    session: Session, tenant_id: str, spec: FilterSpec, object_ids: Collection[str] | None = None
) -> dict[str, frozenset[str]]:
    """Which of the groups that the filters name each person is in; of some people only, when they are named."""
    wanted = _named_groups(spec)
    if not wanted:
        return {}
    statement = select(GroupMembership.user_object_id, GroupMembership.group_object_id).where(
        GroupMembership.microsoft_tenant_id == tenant_id, GroupMembership.group_object_id.in_(wanted)
    )
    if object_ids is None:
        statements = [statement]
    else:
        parts = batches(sorted(object_ids))
        statements = [statement.where(GroupMembership.user_object_id.in_(part)) for part in parts]
    found: dict[str, set[str]] = {}
    for one in statements:
        for user_id, group_id in session.execute(one):
            found.setdefault(user_id, set()).add(group_id)
    return {user: frozenset(groups) for user, groups in found.items()}


def deleted_groups(session: Session, tenant_id: str, spec: FilterSpec) -> frozenset[str]:
    """Which of the groups that the filters name are gone from Microsoft (S6)."""
    wanted = _named_groups(spec)
    if not wanted:
        return frozenset()
    living = session.scalars(
        select(DirectoryGroup.object_id).where(
            DirectoryGroup.microsoft_tenant_id == tenant_id,
            DirectoryGroup.object_id.in_(wanted),
            DirectoryGroup.is_deleted.is_(False),
        )
    )
    return frozenset(wanted).difference(living)


def _named_groups(spec: FilterSpec) -> list[str]:
    return [] if spec.group.all else [value for value in spec.group.values if value]


def _exceptions(
    session: Session, organization_id: str, tenant_id: str, now: datetime
) -> tuple[dict[str, tuple[str, ...]], NeverSync]:
    pins: dict[str, set[str]] = {}
    never: dict[str, tuple[str, str]] = {}
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
