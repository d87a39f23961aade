"""What the demo starts with: accounts, customers, a few people who existed before, and assets with known MACs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

from portal.assets import service as assets
from portal.auth import service as accounts
from portal.end_users import service as end_users
from portal.microsoft import service as microsoft
from portal.models import MicrosoftTenant
from portal.organizations import service as organizations
from portal.tenants import service as tenants

PEOPLE = (
    ("admin@rollcall.example", "administrator", "Ada Admin"),
    ("tech@rollcall.example", "technician", "Theo Technician"),
    ("reader@rollcall.example", "read-only", "Rhea Reader"),
)


def fill(
    session: Session, directory_ids: Sequence[str], macs: Sequence[str], *, password: str, now: datetime
) -> None:
    """Fill a fresh database. Connects to the simulator as the Connect page would. Raises PortalError.

    ``macs`` belong to devices that people of the first tenant have in Intune: their Assets get an owner by the sync (W5).
    """
    for email, role, name in PEOPLE:
        accounts.add_account(session, email=email, role=role, password=password, name=name, now=now)
    connected = [microsoft.connect(directory_id) for directory_id in directory_ids]
    for number, microsoft_tenant in enumerate(connected):
        organization = organizations.create(microsoft_tenant.name)
        if number == 0:
            tenants.map_microsoft_tenant(organization.tenant, microsoft_tenant)
            _people_before(organization.id, microsoft_tenant)
            for count, mac in enumerate((*macs, "3C5282A0B1C2"), start=1):
                assets.create(organization, {"name": f"Laptop {count:03}", "mac_addresses": [mac]})
    organizations.create("Kestrel Couriers")


def _people_before(organization_id: str, microsoft_tenant: MicrosoftTenant) -> None:
    """A few people entered by hand earlier: one of them without any Microsoft account."""
    domain = next((d["name"] for d in microsoft_tenant.domains if d.get("is_default")), "fabrikam.example")
    for first, last in (("Grace", "Walk-in"), ("Otto", "Contractor")):
        end_users.create(
            organization_id,
            {
                "display_name": f"{first} {last}",
                "first_name": first,
                "last_name": last,
                "email": f"{first}.{last}@{domain}".lower(),
                "notes": "Entered by hand before the first sync.",
            },
        )
