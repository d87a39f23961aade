"""What the demo starts with: accounts, customers, a few people who existed before, and assets with known MACs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from portal.assets import service as assets
from portal.auth import service as accounts
from portal.end_users import service as end_users
from portal.microsoft import service as microsoft
from portal.organizations import service as organizations
from portal.tenants import service as tenants

PEOPLE = (
    ("admin@rollcall.example", "administrator", "Ada Admin"),
    ("tech@rollcall.example", "technician", "Theo Technician"),
    ("reader@rollcall.example", "read-only", "Rhea Reader"),
)


ELSEWHERE = (
    ("Grace Walk-in", "grace@walk-in.example"),
    ("Otto Contractor", "otto@contractor.example"),
    ("Reception desk", "desk@front-office.example"),
)
"""People of the first customer who have no Microsoft account."""


def fill(
    session: Session,
    directory_ids: Sequence[str],
    facts: Mapping[str, Any],
    *,
    password: str,
    now: datetime,
) -> None:
    """Fill a fresh database. Connects to the simulator as the Connect page would. Raises PortalError.

    facts: ``people`` ([name, email]) and ``macs`` that are in the first tenant too: the first sync links the former (M2)
    and gives the Assets with the latter to whoever has the device in Intune (W5).
    """
    for email, role, name in PEOPLE:
        accounts.add_account(session, email=email, role=role, password=password, name=name, now=now)
    connected = [microsoft.connect(directory_id) for directory_id in directory_ids]
    for number, microsoft_tenant in enumerate(connected):
        organization = organizations.create(microsoft_tenant.name)
        if number == 0:
            tenants.map_microsoft_tenant(organization.tenant, microsoft_tenant)
            for name, email in (*facts["people"], *ELSEWHERE):
                notes = "Entered by hand before the first sync."
                end_users.create(organization.id, {"display_name": name, "email": email, "notes": notes})
            for count, mac in enumerate((*facts["macs"], "3C5282A0B1C2"), start=1):
                assets.create(organization, {"name": f"Laptop {count:03}", "mac_addresses": [mac]})
    organizations.create("Kestrel Couriers")
