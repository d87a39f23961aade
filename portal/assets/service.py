"""Assets: devices with MAC addresses, assigned to at most one End User (D2, W5)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import selectinload

from portal import audit, csvio
from portal.clock import utcnow
from portal.engine.devices import normalize_mac
from portal.errors import Invalid
from portal.extensions import db
from portal.listing import Listing, ListSpec, contains_text, fetch, order
from portal.locks import lock
from portal.models import Asset, AssetMac, AssetReport, EndUser, Organization
from portal.text import email_key, is_blank, text_key

SPEC = ListSpec(
    sorts={
        "name": (func.lower(Asset.name),),
        "updated_at": (Asset.updated_at,),
        "assigned_by": (Asset.assigned_by,),
    },
    default_sort="name",
    filters={"assigned_by": ("manual", "sync", "none"), "end_user_id": None},
)
CSV_COLUMNS = ("name", "mac_addresses", "end_user_email")
MAX_MACS = 32


def create(organization: Organization, values: Mapping[str, Any], *, row_id: str | None = None) -> Asset:
    """Create an Asset from ``name``, ``mac_addresses`` and ``end_user_id``. Raises Invalid."""
    name, macs, owner = _checked(organization, values, None)
    now = utcnow()
    row = Asset(id=row_id, organization_id=organization.id, name=name, created_at=now, updated_at=now)
    row.macs = [AssetMac(mac=mac) for mac in macs]
    _assign(row, owner)
    db.session.add(row)
    db.session.flush()
    audit.record(db.session(), "asset_created", object_type="asset", object_id=row.id, name=row.name)
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
        audit.record(
            db.session(),
            "asset_changed",
            object_type="asset",
            object_id=row.id,
            name=row.name,
            changes=", ".join(changed),
        )


def remove(row: Asset) -> None:
    """Delete an Asset. Raises NotFound when it is gone already."""
    lock(db.session(), Asset, row.id)
    audit.record(db.session(), "asset_deleted", object_type="asset", object_id=row.id, name=row.name)
    db.session.delete(row)
    db.session.flush()


def listing(organization: Organization, asked: Listing) -> Listing:
    """One page of an Organization's Assets; search looks at names and MAC addresses."""
    return fetch(db.session(), _filtered(organization, asked), asked, SPEC, tie=Asset.id)


def reports(organization: Organization) -> Sequence[AssetReport]:
    """What the device pass could not assign, and why (W5)."""
    return db.session.scalars(
        select(AssetReport).where(AssetReport.organization_id == organization.id).order_by(AssetReport.mac)
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


def export(organization: Organization, asked: Listing) -> Iterable[str]:
    """CSV of exactly what is filtered."""
    statement = order(_filtered(organization, asked), asked, SPEC, tie=Asset.id)
    rows = db.session.scalars(statement.options(selectinload(Asset.end_user))).unique().all()
    cells = (
        (row.name, " ".join(shown_mac(m.mac) for m in row.macs), row.end_user.email if row.end_user else "")
        for row in rows
    )
    return csvio.write(CSV_COLUMNS, cells)


def import_csv(organization: Organization, data: bytes) -> dict[str, Any]:
    """Create or update Assets by name. Raises Invalid for the file; bad rows are listed and the others kept."""
    rows = csvio.read(data, known=(*CSV_COLUMNS, "id", "organization_id", "assigned_by"), required=("name",))
    present = {
        text_key(row.name): row
        for row in db.session.scalars(
            select(Asset)
            .where(Asset.organization_id == organization.id)
            .options(selectinload(Asset.macs), selectinload(Asset.end_user))
        )
    }
    people = {
        row.email_key: row.id
        for row in db.session.execute(
            select(EndUser.email_key, EndUser.id).where(
                EndUser.organization_id == organization.id, EndUser.email_key.is_not(None)
            )
        )
    }
    created = updated = unchanged = 0
    rejected = []
    for line, cells in rows:
        values: dict[str, Any] = {"name": cells["name"]}
        if "mac_addresses" in cells:
            values["mac_addresses"] = cells["mac_addresses"].replace(",", " ").split()
        row = present.get(text_key(cells["name"]))
        email = email_key(cells.get("end_user_email", ""))
        # An owner without an address is exported as a blank: that line comes back and leaves them where they are.
        is_shown_blank = row is not None and row.end_user is not None and not row.end_user.email
        if email or ("end_user_email" in cells and not is_shown_blank):
            values["end_user_id"] = people.get(email)
        try:
            csvio.refuse_beyond(cells)
            if email and email not in people:
                raise Invalid({"end_user_email": [f"There is no End User with the email {email}."]})
            if row is None:
                made = create(organization, values)
                present[text_key(made.name)] = made
                created += 1
            else:
                before = row.updated_at
                change(row, values)
                updated, unchanged = (
                    (updated + 1, unchanged) if row.updated_at != before else (updated, unchanged + 1)
                )
        except Invalid as error:
            rejected.append(
                {"line": line, "reason": " ".join(t for texts in error.errors.values() for t in texts)}
            )
    audit.record(
        db.session(),
        "assets_imported",
        object_type="organization",
        object_id=organization.id,
        created=created,
        updated=updated,
        rejected=len(rejected),
    )
    return {"created": created, "updated": updated, "unchanged": unchanged, "rejected": rejected}


def _filtered(organization: Organization, asked: Listing) -> Any:
    statement = (
        select(Asset).where(Asset.organization_id == organization.id).options(selectinload(Asset.macs))
    )
    if asked.q:
        mac = "".join(c for c in asked.q.upper() if c in "0123456789ABCDEF")
        found = contains_text(asked.q, Asset.name)
        if len(mac) >= 4:
            found = found | Asset.id.in_(select(AssetMac.asset_id).where(AssetMac.mac.contains(mac)))
        statement = statement.where(found)
    if "assigned_by" in asked.filters:
        wanted = asked.filters["assigned_by"]
        statement = statement.where(
            Asset.assigned_by.is_(None) if wanted == "none" else Asset.assigned_by == wanted
        )
    if "end_user_id" in asked.filters:
        statement = statement.where(Asset.end_user_id == asked.filters["end_user_id"])
    return statement


def _checked(
    organization: Organization, values: Mapping[str, Any], row: Asset | None
) -> tuple[str, list[str], EndUser | None]:
    errors: dict[str, list[str]] = {}
    name = " ".join(str(values.get("name", row.name if row else "")).split())
    if is_blank(name) or len(name) > 256:
        errors["name"] = ["Enter a name of at most 256 characters."]
    given = values.get("mac_addresses")
    macs = [m.mac for m in row.macs] if given is None and row is not None else []
    for text in given or ():
        mac = normalize_mac(text)
        if not mac:
            errors["mac_addresses"] = [f"{text[:40]} is not a device's MAC address: 12 hexadecimal digits."]
        elif mac not in macs:
            macs.append(mac)
    if len(macs) > MAX_MACS:
        errors["mac_addresses"] = [f"At most {MAX_MACS} addresses."]
    owner = None
    wanted = values.get("end_user_id", row.end_user_id if row else None)
    if wanted:
        owner = db.session.get(EndUser, str(wanted))
        if owner is None or owner.organization_id != organization.id:
            errors["end_user_id"] = ["This Organization has no such End User."]
    if errors:
        raise Invalid(errors)
    return name, sorted(macs), owner


def _assign(row: Asset, owner: EndUser | None) -> None:
    row.end_user_id = owner.id if owner else None
    row.assigned_by = "manual" if owner else None
