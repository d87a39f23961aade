"""Assets: devices with MAC addresses, assigned to at most one End User (D2, W5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import joinedload, selectinload

from portal import audit
from portal.clock import utcnow
from portal.engine.devices import normalize_mac
from portal.engine.normalize import clean
from portal.errors import Invalid
from portal.extensions import db
from portal.http import csv_cells
from portal.http.listing import Listing, ListSpec, contains_text, fetch, order
from portal.locks import lock
from portal.models import Asset, AssetMac, AssetReport, EndUser, Organization
from portal.text import is_blank

SPEC = ListSpec(
    sorts={
        "name": (Asset.sort_key,),
        "updated_at": (Asset.updated_at,),
        "assigned_by": (Asset.assigned_by,),
    },
    default_sort="name",
    filters={"assigned_by": ("manual", "sync", "none"), "end_user_id": None},
)
CSV_FIELDS = ("name", "mac_addresses", "end_user_email")
CSV_COLUMNS = ("id", *CSV_FIELDS)
MAX_MACS = 32
MAX_NAME = 256


def create(organization: Organization, values: Mapping[str, Any], *, row_id: str | None = None) -> Asset:
    """Create an Asset from ``name``, ``mac_addresses`` and ``end_user_id``. Raises Invalid."""
    name, macs, owner = _checked(organization, values, None)
    now = utcnow()
    row = Asset(id=row_id, organization_id=organization.id, name=name, created_at=now, updated_at=now)
    row.macs = [AssetMac(mac=mac) for mac in macs]
    _assign(row, owner)
    db.session.add(row)
    db.session.flush()
    audit.record(db.session(), "asset_created", row, name=row.name)
    return row


def change(row: Asset, values: Mapping[str, Any]) -> None:
    """Change what ``values`` names. An assignment made here is manual: the sync leaves it alone (W5). Raises Invalid."""
    organization = db.session.get_one(Organization, row.organization_id)
    name, macs, owner = _checked(organization, values, row)
    changed = []
    if name != row.name:
        row.name = name
        changed.append("name")
    if set(macs) != {m.mac for m in row.macs}:
        present = {m.mac: m for m in row.macs}
        row.macs = [present.get(mac) or AssetMac(mac=mac) for mac in macs]
        changed.append("mac_addresses")
    if "end_user_id" in values and (owner.id if owner else None) != row.end_user_id:
        _assign(row, owner)
        changed.append("end_user_id")
    if changed:
        row.updated_at = utcnow()
        db.session.flush()
        audit.record(db.session(), "asset_changed", row, name=row.name, changes=", ".join(changed))


def remove(row: Asset) -> None:
    """Delete an Asset. Raises NotFound when it is gone already."""
    lock(db.session(), Asset, row.id)
    audit.record(db.session(), "asset_deleted", row, name=row.name)
    db.session.delete(row)
    db.session.flush()


def listing(organization: Organization, query: Listing) -> Listing:
    """One page of an Organization's Assets; search looks at names and MAC addresses."""
    statement = _filtered(organization, query).options(selectinload(Asset.end_user))
    return fetch(db.session(), statement, query, SPEC, tiebreaker=Asset.id)


def reports(organization: Organization) -> Sequence[AssetReport]:
    """What the device pass could not assign, and why (W5)."""
    return db.session.scalars(
        select(AssetReport)
        .where(AssetReport.organization_id == organization.id)
        .order_by(AssetReport.mac)
        .options(joinedload(AssetReport.asset))
    ).all()


def to_document(row: Asset) -> dict[str, Any]:
    """An Asset as the API shows it."""
    return {
        "id": row.id,
        "organization_id": row.organization_id,
        "name": row.name,
        "mac_addresses": [shown_mac(m.mac) for m in row.macs],
        "end_user_id": row.end_user_id,
        "assigned_by": row.assigned_by,
    }


def shown_mac(mac: str) -> str:
    """``A87EEABC6AC9`` as ``A8:7E:EA:BC:6A:C9``."""
    return ":".join(mac[i : i + 2] for i in range(0, 12, 2))


def clean_name(text: str) -> str:
    """The name of an Asset as it is stored: NFC, a run of blanks as one."""
    return " ".join(clean(text).split())


def export(organization: Organization, query: Listing) -> Iterable[str]:
    """CSV of exactly what is filtered."""
    statement = order(_filtered(organization, query), query, SPEC, tiebreaker=Asset.id)
    rows = db.session.scalars(statement.options(selectinload(Asset.end_user))).unique().all()
    cells = (
        (
            row.id,
            row.name,
            " ".join(shown_mac(m.mac) for m in row.macs),
            row.end_user.email if row.end_user else "",
        )
        for row in rows
    )
    return csv_cells.write(CSV_COLUMNS, cells)


def _filtered(organization: Organization, query: Listing) -> Any:
    statement = (
        select(Asset).where(Asset.organization_id == organization.id).options(selectinload(Asset.macs))
    )
    if query.q:
        mac = "".join(c for c in query.q.upper() if c in "0123456789ABCDEF")
        condition = contains_text(query.q, Asset.name)
        if len(mac) >= 4:
            condition = condition | Asset.id.in_(select(AssetMac.asset_id).where(AssetMac.mac.contains(mac)))
        statement = statement.where(condition)
    if "assigned_by" in query.filters:
        assigned_by = query.filters["assigned_by"]
        statement = statement.where(
            Asset.assigned_by.is_(None) if assigned_by == "none" else Asset.assigned_by == assigned_by
        )
    if "end_user_id" in query.filters:
        statement = statement.where(Asset.end_user_id == query.filters["end_user_id"])
    return statement


def _checked(
    organization: Organization, values: Mapping[str, Any], row: Asset | None
) -> tuple[str, list[str], EndUser | None]:
    errors: dict[str, list[str]] = {}
    name = clean_name(str(values.get("name", row.name if row else "")))
    if is_blank(name) or len(name) > MAX_NAME:
        errors["name"] = [f"Enter a name of at most {MAX_NAME} characters."]
    addresses = values.get("mac_addresses")
    macs = [m.mac for m in row.macs] if addresses is None and row is not None else []
    for text in addresses or ():
        mac = normalize_mac(text)
        if not mac:
            errors["mac_addresses"] = [f"{text[:40]} is not a device's MAC address: 12 hexadecimal digits."]
        elif mac not in macs:
            macs.append(mac)
    if len(macs) > MAX_MACS:
        errors["mac_addresses"] = [f"At most {MAX_MACS} addresses."]
    owner = None
    owner_id = values.get("end_user_id", row.end_user_id if row else None)
    if owner_id:
        owner = db.session.get(EndUser, str(owner_id))
        if owner is None or owner.organization_id != organization.id:
            errors["end_user_id"] = ["This Organization has no such End User."]
    if errors:
        raise Invalid(errors)
    return name, sorted(macs), owner


def _assign(row: Asset, owner: EndUser | None) -> None:
    row.end_user_id = owner.id if owner else None
    row.assigned_by = "manual" if owner else None
