"""Organizations: create, rename, move to another Tenant (R1), delete (P3, P4)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Any

from sqlalchemy import ColumnElement, delete, func, select, update

from portal import audit
from portal.clock import utcnow
from portal.errors import Invalid, Refused
from portal.extensions import db
from portal.http.listing import Listing, ListSpec, fetch
from portal.locks import lock
from portal.models import (
    ACTIVE,
    Asset,
    AssetMac,
    Conflict,
    EndUser,
    Organization,
    SyncException,
    SyncRun,
    Tenant,
    UserSync,
)
from portal.text import is_blank, text_key

SPEC = ListSpec(
    sorts={"name": (Organization.name_key,), "created_at": (Organization.created_at,)},
    default_sort="name",
    filters={"tenant_id": None, "sync": ("enabled", "none")},
)
MAX_NAME = 256


@dataclass(frozen=True)
class Row:
    """An Organization in a table, with what stands beside it."""

    organization: Organization
    end_users: int
    assets: int
    sync: UserSync | None
    last_run: SyncRun | None
    conflicts: int = 0


class TabCounts:
    """The numbers on an Organization's subtabs, each counted when a page first shows it."""

    def __init__(self, organization: Organization, end_users: int | None = None) -> None:
        self._organization = organization
        self._end_users = end_users

    @cached_property
    def end_users(self) -> int:
        """How many End Users it has; handed in where the page has counted them anyway."""
        return _count(EndUser, self._organization) if self._end_users is None else self._end_users

    @cached_property
    def assets(self) -> int:
        """How many Assets it has."""
        return _count(Asset, self._organization)

    @cached_property
    def conflicts(self) -> int:
        """How many of its conflicts wait for somebody to settle them (M7)."""
        return _open_conflicts([self._organization.id]).get(self._organization.id, 0)


def create(name: str, tenant: Tenant | None = None, *, row_id: str | None = None) -> Organization:
    """Create an Organization; without ``tenant`` it gets its own Tenant of the same name. Raises Invalid on ``name``."""
    wanted = checked_name(name)
    _refuse_double(wanted)
    now = utcnow()
    if tenant is None:
        tenant = Tenant(name=wanted, created_at=now)
        db.session.add(tenant)
        db.session.flush()
        audit.record(
            db.session(), "tenant_created", object_type="tenant", object_id=tenant.id, name=tenant.name
        )
    row = Organization(
        id=row_id,
        name=wanted,
        name_key=text_key(wanted),
        tenant_id=tenant.id,
        tenant=tenant,
        created_at=now,
    )
    db.session.add(row)
    db.session.flush()
    audit.record(
        db.session(), "organization_created", object_type="organization", object_id=row.id, name=wanted
    )
    return row


def rename(row: Organization, name: str) -> None:
    """Give an Organization another name. Raises Invalid on ``name``."""
    wanted = checked_name(name)
    if wanted == row.name:
        return
    _refuse_double(wanted, but=row.id)
    old, row.name, row.name_key = row.name, wanted, text_key(wanted)
    db.session.flush()
    changes = f"name: {old} → {wanted}"
    audit.record(
        db.session(),
        "organization_changed",
        object_type="organization",
        object_id=row.id,
        name=wanted,
        changes=changes,
    )


def move(row: Organization, tenant: Tenant) -> None:
    """Assign to another Tenant (R1). Raises Refused while the User Sync is enabled."""
    lock(db.session(), Organization, row.id)
    lock(db.session(), Tenant, tenant.id)
    if row.tenant_id == tenant.id:
        return
    refuse_while_syncing(row, "moved to another Tenant")
    old = row.tenant
    row.tenant = tenant
    db.session.flush()
    db.session.expire(old, ["organizations"])
    audit.record(
        db.session(),
        "organization_moved",
        object_type="organization",
        object_id=row.id,
        name=row.name,
        **{"from": old.name, "to": tenant.name},
    )


def remove(row: Organization) -> None:
    """Delete an Organization with its End Users and Assets. Raises Refused while its User Sync is enabled.

    The Tenant that was made with it goes too when nothing else is in it and it is not mapped.
    """
    lock(db.session(), Organization, row.id)
    lock(db.session(), Tenant, row.tenant_id)
    refuse_while_syncing(row, "deleted")
    session, tenant, name = db.session(), row.tenant, row.name
    audit.record(session, "organization_deleted", object_type="organization", object_id=row.id, name=name)
    assets = select(Asset.id).where(Asset.organization_id == row.id)
    session.execute(delete(AssetMac).where(AssetMac.asset_id.in_(assets)))
    for model in (Asset, SyncException, Conflict):
        session.execute(delete(model).where(model.organization_id == row.id))
    session.execute(delete(EndUser).where(EndUser.organization_id == row.id))
    session.execute(
        update(SyncRun)
        .where(SyncRun.organization_id == row.id, SyncRun.status.in_(ACTIVE))
        .values(status="cancelled")
    )
    session.flush()
    session.delete(row)
    session.flush()
    left = session.scalar(
        select(func.count()).select_from(Organization).where(Organization.tenant_id == tenant.id)
    )
    if not left and tenant.microsoft_tenant_id is None and tenant.name == name:
        audit.record(session, "tenant_deleted", object_type="tenant", object_id=tenant.id, name=tenant.name)
        session.delete(tenant)
        session.flush()


def deletion_effects(row: Organization) -> dict[str, int]:
    """How many End Users, Links and Assets go with it."""
    return {
        "end_users": _count(EndUser, row),
        "links": _counts(EndUser, [row.id], EndUser.object_id.is_not(None)).get(row.id, 0),
        "assets": _count(Asset, row),
    }


def listing(asked: Listing) -> Listing:
    """One page of Organizations."""
    statement = select(Organization)
    if asked.q:
        statement = statement.where(Organization.name_key.contains(text_key(asked.q), autoescape=True))
    if "tenant_id" in asked.filters:
        statement = statement.where(Organization.tenant_id == asked.filters["tenant_id"])
    if "sync" in asked.filters:
        enabled = select(UserSync.organization_id).where(UserSync.enabled.is_(True))
        found = Organization.id.in_(enabled)
        statement = statement.where(found if asked.filters["sync"] == "enabled" else ~found)
    return fetch(db.session(), statement, asked, SPEC, tiebreaker=Organization.id)


def rows(organizations: list[Organization]) -> list[Row]:
    """What a table shows beside each Organization, in a handful of queries."""
    ids = [row.id for row in organizations]
    people = _counts(EndUser, ids)
    assets = _counts(Asset, ids)
    conflicts = _open_conflicts(ids)
    syncs = {
        s.organization_id: s
        for s in db.session.scalars(select(UserSync).where(UserSync.organization_id.in_(ids)))
    }
    newest = (
        select(SyncRun.organization_id, func.max(SyncRun.created_at).label("at"))
        .where(SyncRun.organization_id.in_(ids), SyncRun.kind == "sync", SyncRun.only_object_id.is_(None))
        .group_by(SyncRun.organization_id)
        .subquery()
    )
    runs = {
        run.organization_id: run
        for run in db.session.scalars(
            select(SyncRun).join(
                newest,
                (SyncRun.organization_id == newest.c.organization_id) & (SyncRun.created_at == newest.c.at),
            )
        )
    }
    return [
        Row(
            row,
            people.get(row.id, 0),
            assets.get(row.id, 0),
            syncs.get(row.id),
            runs.get(row.id),
            conflicts.get(row.id, 0),
        )
        for row in organizations
    ]


def to_document(row: Organization) -> dict[str, Any]:
    """An Organization as the API shows it."""
    return {"id": row.id, "name": row.name, "tenant_id": row.tenant_id, "created_at": row.created_at}


def last_synced_at(row: Row) -> datetime | None:
    """When the newest run ended."""
    return row.last_run.finished_at if row.last_run is not None else None


def refuse_while_syncing(row: Organization, what: str) -> None:
    """R2's kind of refusal: name what is in the way and link to where it is switched off."""
    enabled = db.session.scalar(
        select(UserSync.id).where(UserSync.organization_id == row.id, UserSync.enabled.is_(True))
    )
    if enabled is not None:
        raise Refused(
            f"{row.name} cannot be {what} while its User Sync is enabled. Disable it first.",
            link=f"/organizations/{row.id}/user-sync/disable",
        )


def checked_name(name: str) -> str:
    """A usable name, trimmed. Raises Invalid on ``name``."""
    wanted = " ".join(name.split())
    if is_blank(wanted):
        raise Invalid({"name": ["Enter a name."]})
    if len(wanted) > MAX_NAME:
        raise Invalid({"name": [f"At most {MAX_NAME} characters."]})
    if any(ord(c) < 32 for c in wanted):
        raise Invalid({"name": ["The name holds control characters."]})
    return wanted


def _refuse_double(name: str, but: str | None = None) -> None:
    found = db.session.scalar(select(Organization).where(Organization.name_key == text_key(name)))
    if found is not None and found.id != but:
        raise Invalid({"name": [f"There is already an Organization called {found.name}."]})


def _count(model: Any, row: Organization) -> int:
    return (
        db.session.scalar(select(func.count()).select_from(model).where(model.organization_id == row.id)) or 0
    )


def _counts(model: Any, ids: list[str], *which: ColumnElement[bool]) -> dict[str, int]:
    found = db.session.execute(
        select(model.organization_id, func.count())
        .where(model.organization_id.in_(ids), *which)
        .group_by(model.organization_id)
    )
    return {str(key): int(number) for key, number in found}


def _open_conflicts(ids: list[str]) -> dict[str, int]:
    return _counts(Conflict, ids, Conflict.resolved_at.is_(None))
