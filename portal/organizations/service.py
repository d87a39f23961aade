"""Organizations: create, rename, move to another Tenant (R1), delete (P3, P4)."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import Any

from sqlalchemy import delete, func, select, update

from portal import audit
from portal.clock import utcnow
from portal.engine import bulk
from portal.errors import Invalid, Refused
from portal.extensions import db
from portal.locks import lock
from portal.models import (
    ACTIVE,
    Asset,
    AssetMac,
    Change,
    Conflict,
    EndUser,
    Import,
    ImportRow,
    Organization,
    SyncException,
    SyncRun,
    Tenant,
    UserSync,
)
from portal.organizations import tags
from portal.organizations.listing import counts
from portal.text import is_blank, text_key

MAX_NAME = 256


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


def create(
    name: str, tenant: Tenant | None = None, tag_names: Iterable[str] = (), *, row_id: str | None = None
) -> Organization:
    """Create an Organization; without ``tenant`` it gets its own Tenant of the same name. Raises Invalid on ``name`` or ``tags``."""
    clean_name, tag_names = checked_name(name), tags.checked(tag_names)
    _refuse_double(clean_name)
    now = utcnow()
    if tenant is None:
        tenant = Tenant(name=clean_name, created_at=now)
        db.session.add(tenant)
        db.session.flush()
        audit.record(db.session(), "tenant_created", tenant, name=tenant.name)
    row = Organization(
        id=row_id,
        name=clean_name,
        name_key=text_key(clean_name),
        tenant_id=tenant.id,
        tenant=tenant,
        created_at=now,
    )
    db.session.add(row)
    db.session.flush()
    audit.record(db.session(), "organization_created", row, name=clean_name)
    tags.replace(row, tag_names)
    return row


def rename(row: Organization, name: str) -> None:
    """Give an Organization another name. Raises Invalid on ``name``."""
    clean_name = checked_name(name)
    if clean_name == row.name:
        return
    _refuse_double(clean_name, but=row.id)
    old, row.name, row.name_key = row.name, clean_name, text_key(clean_name)
    db.session.flush()
    changes = f"name: {old} → {clean_name}"
    audit.record(db.session(), "organization_changed", row, name=clean_name, changes=changes)


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
        db.session(), "organization_moved", row, name=row.name, **{"from": old.name, "to": tenant.name}
    )


def remove(row: Organization) -> None:
    """Delete an Organization with its End Users and Assets. Raises Refused while its User Sync is enabled.

    The Tenant that was made with it goes too when nothing else is in it and it is not mapped.
    """
    lock(db.session(), Organization, row.id)
    lock(db.session(), Tenant, row.tenant_id)
    refuse_while_syncing(row, "deleted")
    session, tenant, name = db.session(), row.tenant, row.name
    audit.record(session, "organization_deleted", row, name=name)
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
    tags.forget_unused()
    left = session.scalar(
        select(func.count()).select_from(Organization).where(Organization.tenant_id == tenant.id)
    )
    if not left and tenant.microsoft_tenant_id is None and tenant.name == name:
        audit.record(session, "tenant_deleted", tenant, name=tenant.name)
        session.delete(tenant)
        session.flush()


def belongings(organization_id: str) -> bulk.Rows:
    """What goes with an Organization and may be many rows, in the order in which it can."""
    assets = select(Asset.id).where(Asset.organization_id == organization_id)
    runs = select(SyncRun.id).where(SyncRun.organization_id == organization_id)
    imports = select(Import.id).where(Import.organization_id == organization_id)
    return [
        (AssetMac, AssetMac.asset_id.in_(assets)),
        (Asset, Asset.organization_id == organization_id),
        (EndUser, EndUser.organization_id == organization_id),
        (Change, Change.run_id.in_(runs)),
        (ImportRow, ImportRow.import_id.in_(imports)),
    ]


def deletion_effects(row: Organization) -> dict[str, int]:
    """How many End Users, Links and Assets go with it."""
    return {
        "end_users": _count(EndUser, row),
        "links": counts(EndUser, [row.id], EndUser.object_id.is_not(None)).get(row.id, 0),
        "assets": _count(Asset, row),
    }


def to_document(row: Organization) -> dict[str, Any]:
    """An Organization as the API shows it."""
    return {
        "id": row.id,
        "name": row.name,
        "tenant_id": row.tenant_id,
        "tags": [tag.name for tag in row.tags],
        "created_at": row.created_at,
    }


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
    clean_name = " ".join(name.split())
    if is_blank(clean_name):
        raise Invalid({"name": ["Enter a name."]})
    if len(clean_name) > MAX_NAME:
        raise Invalid({"name": [f"At most {MAX_NAME} characters."]})
    if any(ord(c) < 32 for c in clean_name):
        raise Invalid({"name": ["The name contains control characters."]})
    return clean_name


def _refuse_double(name: str, but: str | None = None) -> None:
    namesake = db.session.scalar(select(Organization).where(Organization.name_key == text_key(name)))
    if namesake is not None and namesake.id != but:
        raise Invalid({"name": [f"There is already an Organization called {namesake.name}."]})


def _count(model: Any, row: Organization) -> int:
    return (
        db.session.scalar(select(func.count()).select_from(model).where(model.organization_id == row.id)) or 0
    )


def _open_conflicts(ids: list[str]) -> dict[str, int]:
    return counts(Conflict, ids, Conflict.resolved_at.is_(None))
