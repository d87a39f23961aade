"""Taking over a Microsoft tenant that another Tenant is mapped to: unmapped there, or the two swapped (C6, R2, R4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import select

from portal.errors import Invalid, Refused
from portal.extensions import db
from portal.locks import lock
from portal.models import MicrosoftTenant, Organization, Tenant
from portal.tenants import service

UNMAP, SWAP = "unmap", "swap"
MEANWHILE = "Someone else changed one of these mappings. Nothing was saved. Review them and try again."


@dataclass(frozen=True)
class Takeover:
    """Why a Tenant cannot be mapped at once: the Microsoft tenant is mapped elsewhere.

    holder: the Tenant that has it. present: what the Tenant itself is mapped to, which a swap gives to the holder.
    syncing: the Organizations of the holder whose User Sync is in the way (R2).
    """

    tenant: Tenant
    microsoft_tenant: MicrosoftTenant
    holder: Tenant
    present: MicrosoftTenant | None
    syncing: Sequence[Organization]


def takeover(row: Tenant, microsoft_tenant: MicrosoftTenant) -> Takeover | None:
    """What mapping ``row`` to this Microsoft tenant would take from another Tenant; None if no other has it."""
    holder = _holder(microsoft_tenant)
    if holder is None or holder.id == row.id:
        return None
    present = db.session.get(MicrosoftTenant, row.microsoft_tenant_id) if row.microsoft_tenant_id else None
    return Takeover(row, microsoft_tenant, holder, present, service.syncing_below(holder))


def take(row: Tenant, microsoft_tenant: MicrosoftTenant, how: str, *, holder_id: str) -> None:
    """Map ``row`` to the Microsoft tenant that the Tenant ``holder_id`` gives up; with ``swap`` that one gets what ``row`` had.

    End Users keep their data and Links (R4). Raises Refused while a User Sync under either Tenant is enabled (R2), or when the
    mappings are others by now; Invalid for a ``how`` that is neither. The caller commits.
    """
    if how not in {UNMAP, SWAP}:
        raise Invalid({"how": ["Must be one of: unmap, swap."]})
    session = db.session()
    for tenant_id in sorted({row.id, holder_id}):
        lock(session, Tenant, tenant_id)
    present_id = row.microsoft_tenant_id
    for microsoft_id in sorted({microsoft_tenant.id, present_id or microsoft_tenant.id}):
        lock(session, MicrosoftTenant, microsoft_id, "Microsoft tenant")
    holder = session.get_one(Tenant, holder_id)
    if holder.microsoft_tenant_id != microsoft_tenant.id or row.microsoft_tenant_id != present_id:
        raise Refused(MEANWHILE, link=f"/tenants/{row.id}")
    if how == SWAP and present_id is None:
        raise Refused(f"{row.name} has no mapping that could be swapped.", link=f"/tenants/{row.id}")
    for tenant in (row, holder):
        service.refuse_while_syncing(tenant)
    row.microsoft_tenant_id = holder.microsoft_tenant_id = (
        None  # each Microsoft tenant feeds one Tenant at most
    )
    session.flush()
    row.microsoft_tenant_id = microsoft_tenant.id
    holder.microsoft_tenant_id = present_id if how == SWAP else None
    session.flush()
    service.record_mapping("tenant_unmapped", holder, microsoft_tenant)
    service.record_mapping("tenant_mapped", row, microsoft_tenant)
    if how == SWAP:
        service.record_mapping("tenant_mapped", holder, session.get_one(MicrosoftTenant, present_id))


def _holder(microsoft_tenant: MicrosoftTenant) -> Tenant | None:
    return db.session.scalar(select(Tenant).where(Tenant.microsoft_tenant_id == microsoft_tenant.id))
