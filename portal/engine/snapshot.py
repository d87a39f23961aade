"""Loads what deciding looks at: the keys of everybody, and whole records of those for whom something may be written."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields as fields_of
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.batches import batches
from portal.engine.bulk import read_rows
from portal.engine.records import (
    D1_FIELDS,
    EndUserKeys,
    EndUserState,
    FilterSpec,
    LinkState,
    PersonKeys,
    Presence,
    RemoteUser,
)
from portal.models import DirectoryGroup, DirectoryUser, EndUser, GroupMembership

_STREAM = 5_000  # rows fetched at a time while keys are gone through
_NO_PINS: tuple[str, ...] = ()


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


def person_keys(session: Session, tenant_id: str) -> Iterator[PersonKeys]:
    """Of everybody in the mirror, read while they are gone through. Values that many have are one and the same text: half the memory."""
    share = dict[str, str]().setdefault
    for (
        object_id,
        presence,
        key,
        aliases,
        domain,
        user_type,
        office,
        department,
        *others,
    ) in _mirrored(session, tenant_id, PERSON_KEYS):
        yield PersonKeys(
            object_id,
            share(presence, presence),
            key,
            aliases,
            share(domain, domain),
            share(user_type, user_type),
            share(office, office),
            share(department, department),
            *others,
        )


_NEW_KEYS = tuple(
    column for column in PERSON_KEYS if column.key not in {"aliases", "immutable_id", "content_hash"}
)


def new_person_keys(session: Session, tenant_id: str) -> Iterator[PersonKeys]:
    """As ``person_keys`` where there is nobody to be linked with: what tells with whom is left out, half of what is kept of each."""
    share = dict[str, str]().setdefault
    for row in _mirrored(session, tenant_id, _NEW_KEYS):
        object_id, presence, key, domain, user_type, office, department, enabled, created_at = row[:9]
        is_licensed, is_agent, has_problem = row[9:]
        yield PersonKeys(
            object_id,
            share(presence, presence),
            key,
            (),
            share(domain, domain),
            share(user_type, user_type),
            share(office, office),
            share(department, department),
            enabled,
            created_at,
            "",
            is_licensed,
            is_agent,
            has_problem,
            "",
        )


def _mirrored(session: Session, tenant_id: str, columns: Sequence[Any]) -> Iterable[Sequence[Any]]:
    """Of everybody in the mirror, some at a time."""
    everybody = select(*columns).where(DirectoryUser.microsoft_tenant_id == tenant_id)
    return session.execute(everybody.execution_options(yield_per=_STREAM))


def all_end_user_keys(
    session: Session, organization_id: str, tenant_id: str, pins: Mapping[str, tuple[str, ...]]
) -> list[EndUserKeys]:
    """Of everybody in the Organization."""
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
    keys = {}
    for part in batches(sorted(ids)):
        which = select(*END_USER_KEYS).where(EndUser.id.in_(part))
        statement = which.order_by(EndUser.id).with_for_update(key_share=True)
        for row in session.execute(statement):
            keys[row[0]] = end_user_keys(row, tenant_id, pins)
    return keys


# -- whole records of some -------------------------------------------------------------------------------------------

# The mirror has a column for each, of the same name.
_REMOTE = tuple(field.name for field in fields_of(RemoteUser))
_PRESENCE = {presence.value: presence for presence in Presence}


def load_people(session: Session, tenant_id: str, object_ids: Sequence[str]) -> dict[str, RemoteUser]:
    """Whole records of the mirror, by object id."""
    people = {}
    presence_at = _REMOTE.index("presence")
    for part in batches(object_ids):
        fixed = {"microsoft_tenant_id": tenant_id}
        for row in read_rows(session, DirectoryUser, _REMOTE, fixed, "object_id", part):
            row[presence_at] = _PRESENCE[row[presence_at]]
            people[row[0]] = RemoteUser(*row)
    return people


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
    end_users = {}
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
            end_users[row[0]] = EndUserState(row[0], fields, link, frozenset(pins.get(row[0], ())))
    return end_users


# -- groups ----------------------------------------------------------------------------------------------------------


def groups_by_user(
    session: Session, tenant_id: str, spec: FilterSpec
) -> tuple[dict[str, frozenset[str]], frozenset[str]]:
    """Which of the groups that the filters name each person is in, and which of them are gone (S6)."""
    return groups_of(session, tenant_id, spec), deleted_groups(session, tenant_id, spec)


def groups_of(
    session: Session, tenant_id: str, spec: FilterSpec, object_ids: Collection[str] | None = None
) -> dict[str, frozenset[str]]:
    """Which of the groups that the filters name each person is in; of some people only, when they are named."""
    group_ids = _named_groups(spec)
    if not group_ids:
        return {}
    statement = select(GroupMembership.user_object_id, GroupMembership.group_object_id).where(
        GroupMembership.microsoft_tenant_id == tenant_id, GroupMembership.group_object_id.in_(group_ids)
    )
    if object_ids is None:
        statements = [statement]
    else:
        parts = batches(sorted(object_ids))
        statements = [statement.where(GroupMembership.user_object_id.in_(part)) for part in parts]
    by_user: dict[str, set[str]] = {}
    for query in statements:
        for user_id, group_id in session.execute(query):
            by_user.setdefault(user_id, set()).add(group_id)
    return {user: frozenset(groups) for user, groups in by_user.items()}


def deleted_groups(session: Session, tenant_id: str, spec: FilterSpec) -> frozenset[str]:
    """Which of the groups that the filters name are gone from Microsoft (S6)."""
    group_ids = _named_groups(spec)
    if not group_ids:
        return frozenset()
    living = session.scalars(
        select(DirectoryGroup.object_id).where(
            DirectoryGroup.microsoft_tenant_id == tenant_id,
            DirectoryGroup.object_id.in_(group_ids),
            DirectoryGroup.is_deleted.is_(False),
        )
    )
    return frozenset(group_ids).difference(living)


def _named_groups(spec: FilterSpec) -> list[str]:
    return [] if spec.group.all else [value for value in spec.group.values if value]
