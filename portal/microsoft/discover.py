"""Partner (CSP) discovery (C3): customers of a connected partner tenant, and connecting many of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from portal.engine.normalize import clean
from portal.errors import Invalid, PortalError, SourceError
from portal.extensions import db
from portal.microsoft import gateway, service
from portal.models import MicrosoftTenant
from portal.models.microsoft import IS_CONNECTED
from portal.runtime import runtime
from portal.text import text_key

MOST = 200


@dataclass(frozen=True)
class Customer:
    """A customer tenant as the partner tenant knows it. ends_at: when the relationship ends (C5)."""

    directory_id: str
    name: str
    domain: str
    ends_at: datetime | None
    is_connected: bool


@dataclass(frozen=True)
class Wanted:
    """A customer that was chosen to be connected."""

    directory_id: str
    name: str
    ends_at: datetime | None = None


@dataclass(frozen=True)
class ConnectionResult:
    """What became of one customer: the tenant when connected, otherwise the reason; neither while it waits its turn."""

    wanted: Wanted
    problem: str = ""
    tenant: MicrosoftTenant | None = None

    @property
    def is_over(self) -> bool:
        """False while it waits its turn."""
        return bool(self.problem or self.tenant)


def partners() -> Sequence[MicrosoftTenant]:
    """Connected tenants that may be asked: any of them can be a partner tenant."""
    return db.session.scalars(
        select(MicrosoftTenant).where(IS_CONNECTED).order_by(MicrosoftTenant.name)
    ).all()


def customers(partner: MicrosoftTenant) -> list[Customer]:
    """From delegated admin relationships, contracts where those are refused, or both (graph-facts 1.9). Raises Source errors."""
    registration = service.registration_or_invalid(partner.cloud)
    settings, directory_id, cloud = runtime().settings, partner.directory_id, partner.cloud
    db.session.rollback()
    source = gateway.reader(
        settings,
        registration,
        directory_id=directory_id,
        cloud=cloud,
        wait=gateway.Patience().wait,
        is_fresh=True,
    )
    found: dict[str, Customer] = {}
    refusals: list[SourceError] = []
    ends: dict[str, datetime] = {}
    try:
        ends = gateway.ends_of(source.partner_relationships())
    except SourceError as error:
        refusals.append(error)
    try:
        for item in source.partner_customers():
            key = str(item.get("tenantId", "")).lower()
            found[key] = Customer(
                key, clean(str(item.get("displayName", ""))), "", ends.get(key), is_connected=False
            )
    except SourceError as error:
        refusals.append(error)
    try:
        for item in source.contracts():
            key = str(item.get("customerId", "")).lower()
            known = found.get(key)
            name = known.name if known else clean(str(item.get("displayName", "")))
            found[key] = Customer(
                key,
                name,
                str(item.get("defaultDomainName", "")),
                ends.get(key),
                is_connected=False,
            )
    except SourceError as error:
        refusals.append(error)
    if not found and refusals:
        raise refusals[0]
    present = set(db.session.scalars(select(MicrosoftTenant.directory_id).where(IS_CONNECTED)))
    for key, customer in found.items():
        found[key] = Customer(
            key, customer.name, customer.domain, customer.ends_at, is_connected=key in present
        )
    return sorted(found.values(), key=lambda c: text_key(c.name))


def connect_one(wanted: Wanted, *, cloud: str) -> ConnectionResult:
    """Connect one customer and commit. Never raises for what Microsoft or the state of things refuses."""
    try:
        row = service.connect_releasing(wanted.directory_id, cloud)
    except Invalid as error:
        db.session.rollback()
        return ConnectionResult(wanted, " ".join(text for texts in error.errors.values() for text in texts))
    except PortalError as error:
        db.session.rollback()
        return ConnectionResult(wanted, error.advice)
    row.relationship_ends_at = wanted.ends_at
    db.session.commit()
    return ConnectionResult(wanted, tenant=row)
