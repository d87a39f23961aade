"""Partner (CSP) discovery (C3): customers of a connected partner tenant, and connecting many of them at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select

from portal.engine.normalize import clean, parse_time
from portal.errors import Invalid, PortalError, Refused, SourceError
from portal.extensions import db
from portal.microsoft import gateway, service
from portal.models import MicrosoftTenant
from portal.runtime import runtime

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
class Outcome:
    """What became of one customer: the tenant when connected, otherwise the reason."""

    directory_id: str
    name: str
    problem: str = ""
    connected: bool = False


def partners() -> Sequence[MicrosoftTenant]:
    """Connected tenants that may be asked: any of them can be a partner tenant."""
    return db.session.scalars(select(MicrosoftTenant).order_by(MicrosoftTenant.name)).all()


def customers(partner: MicrosoftTenant) -> list[Customer]:
    """From delegated admin relationships, contracts where those are refused, or both (graph-facts 1.9). Raises Source errors."""
    registration = service.registration_or_invalid()
    settings, directory_id, cloud = runtime().settings, partner.directory_id, partner.cloud
    db.session.rollback()
    source = gateway.reader(
        settings, registration, directory_id=directory_id, cloud=cloud, wait=gateway.Patience().wait
    )
    found: dict[str, Customer] = {}
    refusals: list[SourceError] = []
    try:
        ends = {}
        for item in source.partner_relationships():
            customer = item.get("customer") or {}
            if item.get("status") == "active":
                ends[str(customer.get("tenantId", "")).lower()] = parse_time(item.get("endDateTime"))
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
                known.ends_at if known else None,
                is_connected=False,
            )
    except SourceError as error:
        refusals.append(error)
    if not found and refusals:
        raise refusals[0]
    present = set(db.session.scalars(select(MicrosoftTenant.directory_id)))
    for key, customer in found.items():
        found[key] = Customer(
            key, customer.name, customer.domain, customer.ends_at, is_connected=key in present
        )
    return sorted(found.values(), key=lambda c: c.name.casefold())


def connect_many(directory_ids: Sequence[str], *, cloud: str) -> list[Outcome]:
    """Connect each; one that fails spares the others. Commits after each."""
    outcomes = []
    for directory_id in list(dict.fromkeys(directory_ids))[:MOST]:
        try:
            row = service.connect_releasing(directory_id, cloud)
            db.session.commit()
            outcomes.append(Outcome(directory_id, row.name, connected=True))
        except Invalid as error:
            db.session.rollback()
            outcomes.append(
                Outcome(directory_id, directory_id, " ".join(t for ts in error.errors.values() for t in ts))
            )
        except (Refused, PortalError) as error:
            db.session.rollback()
            outcomes.append(Outcome(directory_id, directory_id, error.advice))
    return outcomes
