"""Tenants: create, rename, delete, and the mapping to Microsoft tenants (P2, C6, R1, R2, R4)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import func, select

from portal import audit
from portal.clock import utcnow
from portal.errors import Refused
from portal.extensions import db
from portal.http.listing import Listing, ListSpec, contains_text, fetch
from portal.locks import lock
from portal.models import MicrosoftTenant, Organization, Tenant, UserSync
from portal.organizations.service import checked_name
from portal.text import text_key

SPEC = ListSpec(
    sorts={"name": (func.lower(Tenant.name),), "created_at": (Tenant.created_at,)},
    default_sort="name",
    filters={"microsoft_tenant_id": None, "mapped": ("true", "false")},
)

NAMED = 10
"""How many Organizations a refusal names."""


def namesake(rows: Iterable[Tenant | MicrosoftTenant], name: str) -> str:
    """The id of the one row of that name, which a choice may begin with; "" for none or several: nothing is guessed (U10)."""
    same = [row.id for row in rows if text_key(row.name) == text_key(name)]
    return same[0] if len(same) == 1 else ""


def create(name: str, *, row_id: str | None = None) -> Tenant:
    """Create a Tenant without Organizations. Raises Invalid on ``name``."""
    row = Tenant(id=row_id, name=checked_name(name), created_at=utcnow())
    db.session.add(row)
    db.session.flush()
    audit.record(db.session(), "tenant_created", row, name=row.name)
    return row


def rename(row: Tenant, name: str) -> None:
    """Give a Tenant another name. Raises Invalid on ``name``."""
    clean_name = checked_name(name)
    if clean_name == row.name:
        return
    old, row.name = row.name, clean_name
    db.session.flush()
    audit.record(db.session(), "tenant_renamed", row, old=old, new=clean_name)


def remove(row: Tenant) -> None:
    """Delete an empty Tenant that is not mapped. Raises Refused otherwise, saying what to do first."""
    lock(db.session(), Tenant, row.id)
    refuse_while_syncing(row)
    number = len(row.organizations)
    if number:
        raise Refused(
            f"{number} Organizations belong to {row.name}. Assign them to another Tenant first.",
            link=f"/tenants/{row.id}",
        )
    if row.microsoft_tenant_id is not None:
        raise Refused(
            f"{row.name} is mapped to a Microsoft tenant. Unmap it first.", link=f"/tenants/{row.id}"
        )
    audit.record(db.session(), "tenant_deleted", row, name=row.name)
    db.session.delete(row)
    db.session.flush()


def map_microsoft_tenant(row: Tenant, microsoft_tenant: MicrosoftTenant) -> None:
    """Map, or remap to another one (C6, R4). The same mapping again changes nothing.

    Raises Refused while a User Sync under the Tenant is enabled, or when the Microsoft tenant is mapped elsewhere (R2).
    """
    lock(db.session(), Tenant, row.id)
    lock(db.session(), MicrosoftTenant, microsoft_tenant.id, "Microsoft tenant")
    if row.microsoft_tenant_id == microsoft_tenant.id:
        return
    refuse_while_syncing(row)
    elsewhere = db.session.scalar(select(Tenant).where(Tenant.microsoft_tenant_id == microsoft_tenant.id))
    if elsewhere is not None:
        raise Refused(
            f"{microsoft_tenant.name} is mapped to the Tenant {elsewhere.name}. Unmap it there first.",
            link=f"/tenants/{elsewhere.id}",
        )
    row.microsoft_tenant_id = microsoft_tenant.id
    db.session.flush()
    record_mapping("tenant_mapped", row, microsoft_tenant)


def map_only(row: Tenant, microsoft_tenant: MicrosoftTenant) -> None:
    """Map as the API does: a Tenant that is mapped to another Microsoft tenant is refused, unmapping comes first."""
    lock(db.session(), Tenant, row.id)
    present = row.microsoft_tenant_id
    if present is not None and present != microsoft_tenant.id:
        other = db.session.get(MicrosoftTenant, present)
        name = other.name if other is not None else "another Microsoft tenant"
        raise Refused(f"{row.name} is mapped to {name}. Unmap it first.", link=f"/tenants/{row.id}")
    map_microsoft_tenant(row, microsoft_tenant)


def unmap(row: Tenant, *, named: str | None = None) -> None:
    """Take the mapping away; End Users keep their data and Links (R4).

    Raises Refused when not mapped, while syncing, or when it is mapped to another Microsoft tenant than was ``named``.
    """
    lock(db.session(), Tenant, row.id)
    if row.microsoft_tenant_id is None:
        raise Refused(f"{row.name} is not mapped to a Microsoft tenant.", link=f"/tenants/{row.id}")
    if named not in {None, row.microsoft_tenant_id}:
        raise Refused(
            f"Someone else mapped {row.name} to another Microsoft tenant. Nothing was unmapped.",
            link=f"/tenants/{row.id}",
        )
    refuse_while_syncing(row)
    microsoft_tenant = db.session.get_one(MicrosoftTenant, row.microsoft_tenant_id)
    row.microsoft_tenant_id = None
    db.session.flush()
    record_mapping("tenant_unmapped", row, microsoft_tenant)


def record_mapping(event: str, row: Tenant, microsoft_tenant: MicrosoftTenant) -> None:
    """Audit that a mapping was made or taken away."""
    audit.record(db.session(), event, row, name=row.name, microsoft_tenant=microsoft_tenant.name)


def syncing_below(row: Tenant) -> Sequence[Organization]:
    """The Organizations of a Tenant whose User Sync is enabled."""
    return db.session.scalars(
        select(Organization)
        .join(UserSync, UserSync.organization_id == Organization.id)
        .where(Organization.tenant_id == row.id, UserSync.enabled.is_(True))
        .order_by(Organization.name)
    ).all()


def listing(query: Listing) -> Listing:
    """One page of Tenants."""
    statement = select(Tenant)
    if query.q:
        statement = statement.where(contains_text(query.q, Tenant.name))
    if "microsoft_tenant_id" in query.filters:
        statement = statement.where(Tenant.microsoft_tenant_id == query.filters["microsoft_tenant_id"])
    if "mapped" in query.filters:
        mapped = Tenant.microsoft_tenant_id.is_not(None)
        statement = statement.where(mapped if query.filters["mapped"] == "true" else ~mapped)
    return fetch(db.session(), statement, query, SPEC, tiebreaker=Tenant.id)


def to_document(row: Tenant) -> dict[str, Any]:
    """A Tenant as the API shows it."""
    return {"id": row.id, "name": row.name, "microsoft_tenant_id": row.microsoft_tenant_id}


def refuse_while_syncing(row: Tenant) -> None:
    """R2: say which, with a link to disable it; with several to the Tenant's page, where each has its own."""
    syncing = syncing_below(row)
    if not syncing:
        return
    if len(syncing) == 1:
        raise Refused(
            f"{syncing[0].name} still syncs under this Tenant. Disable its User Sync first.",
            link=f"/organizations/{syncing[0].id}/user-sync/disable",
        )
    names = ", ".join(organization.name for organization in syncing[:NAMED])
    more = f" and {len(syncing) - NAMED} more" if len(syncing) > NAMED else ""
    raise Refused(
        f"{names}{more} still sync under this Tenant. Disable their User Syncs first.",
        link=f"/tenants/{row.id}",
    )
