"""Assigns Assets to the people whose devices have their MAC addresses (D2, W5), from the mirror, without Microsoft.

The slow pass does it after it read devices, and a run after it wrote End Users, so that a first sync need not wait for
the next pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session, selectinload

from portal.engine.batches import batches
from portal.engine.devices import AssetDecision, AssetOutcome, AssetState, DeviceState, assign
from portal.engine.records import Presence
from portal.models import (
    Asset,
    AssetReport,
    DirectoryUser,
    EndUser,
    ManagedDevice,
    MicrosoftTenant,
    Organization,
    Tenant,
    new_id,
)


def assign_assets(session: Session, microsoft_tenant_id: str, organization_id: str, now: datetime) -> None:
    """Assign the Assets of one Organization and renew the reports of what could not be; writes only changes. The caller commits."""
    statement = select(Asset).where(Asset.organization_id == organization_id)
    assets = {row.id: row for row in session.scalars(statement.options(selectinload(Asset.macs)))}
    if assets:
        _assign(session, microsoft_tenant_id, organization_id, assets, now)
    _count_assigned(session, microsoft_tenant_id)


def unassign(session: Session, end_user_ids: Sequence[str]) -> None:
    """Unassign the Assets of End Users who are about to be deleted (L4). What is loaded of them is not gone through: the caller expires it.

    Together: one statement for each person would go through all that the session has loaded, and grow with its square.
    """
    for part in batches(end_user_ids):
        owned = update(Asset).where(Asset.end_user_id.in_(part)).values(end_user_id=None, assigned_by=None)
        session.execute(owned.execution_options(synchronize_session=False))


def _assign(
    session: Session,
    microsoft_tenant_id: str,
    organization_id: str,
    assets: Mapping[str, Asset],
    now: datetime,
) -> None:
    links = select(EndUser.object_id, EndUser.id).where(
        EndUser.organization_id == organization_id, EndUser.microsoft_tenant_id == microsoft_tenant_id
    )
    owners = {str(object_id): str(end_user_id) for object_id, end_user_id in session.execute(links)}
    states = [
        AssetState(a.id, tuple(m.mac for m in a.macs), a.end_user_id, a.assigned_by) for a in assets.values()
    ]
    refused = []
    for decision in assign(states, _devices(session, microsoft_tenant_id), owners):
        asset = assets[decision.asset_id]
        if decision.outcome is AssetOutcome.ASSIGN:
            asset.end_user_id, asset.assigned_by, asset.updated_at = decision.end_user_id, "sync", now
        else:
            refused.append((asset.id, decision.mac, _report(session, decision)))
    _keep_reports(session, organization_id, refused, now)
    session.flush()


def _count_assigned(session: Session, microsoft_tenant_id: str) -> None:
    """Note on the tenant how many Assets below it the sync has assigned."""
    organizations = (
        select(Organization.id)
        .join(Tenant, Tenant.id == Organization.tenant_id)
        .where(Tenant.microsoft_tenant_id == microsoft_tenant_id)
    )
    assigned = session.scalar(
        select(func.count(Asset.id)).where(
            Asset.organization_id.in_(organizations), Asset.assigned_by == "sync"
        )
    )
    tenant = session.get_one(MicrosoftTenant, microsoft_tenant_id)
    if tenant.assets_assigned != assigned:
        tenant.assets_assigned = assigned or 0


def _devices(session: Session, microsoft_tenant_id: str) -> list[DeviceState]:
    """The devices of people who are present in Microsoft: those of deleted users count for nobody (W5)."""
    rows = session.execute(
        select(
            ManagedDevice.device_id,
            ManagedDevice.user_object_id,
            ManagedDevice.wifi_mac,
            ManagedDevice.ethernet_mac,
        )
        .join(
            DirectoryUser,
            (DirectoryUser.microsoft_tenant_id == ManagedDevice.microsoft_tenant_id)
            & (DirectoryUser.object_id == ManagedDevice.user_object_id),
        )
        .where(
            ManagedDevice.microsoft_tenant_id == microsoft_tenant_id,
            DirectoryUser.presence == Presence.PRESENT.value,
        )
    )
    return [
        DeviceState(device_id, user_id, tuple(mac for mac in macs if mac))
        for device_id, user_id, *macs in rows
    ]


def _keep_reports(
    session: Session, organization_id: str, reports: Iterable[tuple[str, str, str]], now: datetime
) -> None:
    """Keep reports of the same Asset, address and reason, add new ones, and delete those that no longer hold."""
    new = set(reports)
    gone = []
    for row in session.scalars(select(AssetReport).where(AssetReport.organization_id == organization_id)):
        key = (row.asset_id, row.mac, row.reason)
        if key in new:
            new.discard(key)
        else:
            gone.append(row.id)
    if gone:
        session.execute(delete(AssetReport).where(AssetReport.id.in_(gone)))
    for asset_id, mac, reason in sorted(new):
        session.add(
            AssetReport(
                id=new_id(),
                organization_id=organization_id,
                asset_id=asset_id,
                mac=mac,
                reason=reason,
                at=now,
            )
        )


def _report(session: Session, decision: AssetDecision) -> str:
    if decision.outcome is AssetOutcome.MANUAL:
        owner = session.get(EndUser, decision.end_user_id or "")
        return f"Microsoft lists this device as {owner.display_name if owner else 'somebody else'}'s. It was assigned by hand, so it was not changed."
    if decision.outcome is AssetOutcome.SHARED:
        return "Devices of several people have this MAC address (a dock, perhaps), so it was not used."
    return "Devices of several people have this MAC address (a dock, perhaps), so nobody was assigned."
