"""Partner (CSP) discovery (C3): the customers of a connected partner tenant, as Microsoft listed them last.

Microsoft is asked when somebody looks for customers; searching, sorting and choosing goes by what is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, delete, exists, func, or_, select

from portal.clock import utcnow
from portal.engine.normalize import clean, parse_time
from portal.errors import Invalid, PortalError, Refused, SourceError
from portal.extensions import db
from portal.http.listing import Listing, ListSpec, contains_text, fetch
from portal.microsoft import gateway, service
from portal.models import MicrosoftTenant, PartnerCustomer, Tenant
from portal.models.microsoft import IS_CONNECTED
from portal.runtime import runtime
from portal.text import natural_key
from portal.transactions import begin_write

ENDS_SOON = timedelta(days=60)
STATES = ("offered", "connected", "mapped", "ending", "ended")
SPEC = ListSpec(
    sorts={
        "name": (PartnerCustomer.name_key,),
        "ends_at": (PartnerCustomer.ends_at,),
        "domain": (PartnerCustomer.domain,),
    },
    default_sort="name",
    filters={"partner": None, "state": STATES},
    per_page=500,
)
PARAMETERS = ("look",)
OVER = frozenset({"expired", "terminated", "terminating"})


@dataclass(frozen=True)
class Customer:
    """A line of the table. state: offered | connected (not mapped yet) | mapped | ended."""

    directory_id: str
    name: str
    domain: str
    ends_at: datetime | None
    ends_soon: bool
    state: str
    microsoft_tenant_id: str | None

    @property
    def is_offered(self) -> bool:
        """Whether it can be chosen: to be connected, or to go on with."""
        return self.state in {"offered", "connected"}


@dataclass(frozen=True)
class ListedCustomer:
    """One customer, joined from several answers of Microsoft."""

    directory_id: str
    name: str = ""
    domain: str = ""
    ends_at: datetime | None = None
    has_ended: bool = False


def partners() -> Sequence[MicrosoftTenant]:
    """Connected tenants that may be asked: any can be a partner tenant. Known partners come first."""
    is_partner = exists().where(PartnerCustomer.partner_id == MicrosoftTenant.id)
    return db.session.scalars(
        select(MicrosoftTenant).where(IS_CONNECTED).order_by(is_partner.desc(), MicrosoftTenant.name)
    ).all()


def seen_at(partner: MicrosoftTenant) -> datetime | None:
    """When Microsoft listed this partner's customers last; None when it never did."""
    newest = select(func.max(PartnerCustomer.seen_at)).where(PartnerCustomer.partner_id == partner.id)
    return db.session.scalar(newest)


def refresh(partner: MicrosoftTenant) -> None:
    """Ask Microsoft for the customers and store the list. Releases the database meanwhile; the caller commits.

    From delegated admin relationships, contracts where those are refused, or both (docs/microsoft-graph.md, 1.9).
    Raises Source errors.
    """
    registration = service.registration_or_invalid(partner.cloud)
    settings, partner_id, directory_id, cloud = (
        runtime().settings,
        partner.id,
        partner.directory_id,
        partner.cloud,
    )
    db.session.rollback()
    source = gateway.reader(
        settings,
        registration,
        directory_id=directory_id,
        cloud=cloud,
        wait=gateway.Patience().wait,
        is_fresh=True,
    )
    customers: dict[str, ListedCustomer] = {}
    refusals: list[SourceError] = []
    for read, merge in (
        (source.partner_customers, _with_customers),
        (source.contracts, _with_contracts),
        (source.partner_relationships, _with_relationships),
    ):
        try:
            merge(customers, read())
        except SourceError as error:
            refusals.append(error)
    if not customers and refusals:
        raise refusals[0]
    begin_write(db.session())
    _keep(partner_id, customers.values())


def _with_customers(customers: dict[str, ListedCustomer], items: Iterable[Mapping[str, Any]]) -> None:
    for item in items:
        key = str(item.get("tenantId", "")).lower()
        customers[key] = ListedCustomer(key, clean(str(item.get("displayName", "")))[:256])


def _with_contracts(customers: dict[str, ListedCustomer], items: Iterable[Mapping[str, Any]]) -> None:
    for item in items:
        key = str(item.get("customerId", "")).lower()
        customer = customers.get(key) or ListedCustomer(key, clean(str(item.get("displayName", "")))[:256])
        customers[key] = replace(customer, domain=clean(str(item.get("defaultDomainName", "")))[:256])


def _with_relationships(customers: dict[str, ListedCustomer], items: Iterable[Mapping[str, Any]]) -> None:
    """A customer may have several relationships: an active one counts before ended ones."""
    running: dict[str, datetime] = {}
    over: dict[str, datetime] = {}
    now = utcnow()
    for item in items:
        end, status = parse_time(item.get("endDateTime")), str(item.get("status") or "")
        key = str((item.get("customer") or {}).get("tenantId") or "").lower()
        if end is None or key not in customers:
            continue
        if status == "active" and end > now:
            running[key] = max(end, running.get(key, end))
        elif status == "active" or status in OVER:
            over[key] = max(end, over.get(key, end))
    for key in {*running, *over}:
        customers[key] = replace(
            customers[key], ends_at=running.get(key) or over.get(key), has_ended=key not in running
        )


def _keep(partner_id: str, customers: Iterable[ListedCustomer]) -> None:
    session, now = db.session(), utcnow()
    session.execute(delete(PartnerCustomer).where(PartnerCustomer.partner_id == partner_id))
    for customer in customers:
        name = customer.name or customer.domain or customer.directory_id
        session.add(
            PartnerCustomer(
                partner_id=partner_id,
                directory_id=customer.directory_id[:36],
                name=name,
                name_key=natural_key(name),
                domain=customer.domain,
                ends_at=customer.ends_at,
                has_ended=customer.has_ended,
                seen_at=now,
            )
        )
    session.flush()


# -- the list ----------------------------------------------------------------------------------------------------------

_TENANT = and_(MicrosoftTenant.directory_id == PartnerCustomer.directory_id, IS_CONNECTED)
_MAPPED = exists().where(_TENANT, Tenant.microsoft_tenant_id == MicrosoftTenant.id)
_CONNECTED = exists().where(_TENANT)


def _is(state: str) -> ColumnElement[bool]:
    ended, now = PartnerCustomer.has_ended, utcnow()
    over = or_(ended, and_(PartnerCustomer.ends_at.is_not(None), PartnerCustomer.ends_at <= now))
    match state:
        case "offered":
            return and_(~over, ~_CONNECTED)
        case "connected":
            return and_(_CONNECTED, ~_MAPPED)
        case "mapped":
            return _MAPPED
        case "ending":
            return and_(~over, PartnerCustomer.ends_at <= now + ENDS_SOON)
        case _:
            return and_(over, ~_CONNECTED)


def _of(partner: MicrosoftTenant, query: Listing) -> Select[Any]:
    statement = select(PartnerCustomer).where(PartnerCustomer.partner_id == partner.id)
    if query.q:
        statement = statement.where(
            contains_text(query.q, PartnerCustomer.name, PartnerCustomer.domain, PartnerCustomer.directory_id)
        )
    if "state" in query.filters:
        statement = statement.where(_is(query.filters["state"]))
    return statement


def listing(partner: MicrosoftTenant, query: Listing) -> Listing:
    """One page of the customers as they were listed last; the items are ``Customer``."""
    page = fetch(db.session(), _of(partner, query), query, SPEC, tiebreaker=PartnerCustomer.directory_id)
    return replace(page, items=_lines(list(page.items)))


def to_document(row: Customer) -> dict[str, Any]:
    """A customer as the API shows it."""
    return {
        "directory_id": row.directory_id,
        "name": row.name,
        "domain": row.domain,
        "state": row.state,
        "relationship_ends_at": row.ends_at,
        "microsoft_tenant_id": row.microsoft_tenant_id,
    }


def counts(partner: MicrosoftTenant) -> dict[str, int]:
    """How many customers there are, and of each state, for the chips."""
    number = select(func.count()).select_from(PartnerCustomer).where(PartnerCustomer.partner_id == partner.id)
    return {
        "all": db.session.scalar(number) or 0,
        **{state: db.session.scalar(number.where(_is(state))) or 0 for state in STATES},
    }


def chosen(
    partner: MicrosoftTenant, directory_ids: Sequence[str], *, filtered: Listing | None = None
) -> list[Customer]:
    """The chosen customers that can be connected, by name: those named, or all that match ``filtered``."""
    query = Listing() if filtered is None else filtered
    statement = _of(partner, query)
    rows = db.session.scalars(statement.order_by(PartnerCustomer.name_key)).all()
    ids = {directory_id.strip().lower() for directory_id in directory_ids}
    return [
        line
        for line in _lines(list(rows))
        if line.is_offered and (filtered is not None or line.directory_id in ids)
    ]


def _lines(rows: Sequence[PartnerCustomer]) -> list[Customer]:
    ids, now = [row.directory_id for row in rows], utcnow()
    tenants = {
        tenant.directory_id: tenant
        for tenant in db.session.scalars(
            select(MicrosoftTenant).where(MicrosoftTenant.directory_id.in_(ids), IS_CONNECTED)
        )
    }
    mapped = set(
        db.session.scalars(
            select(Tenant.microsoft_tenant_id).where(
                Tenant.microsoft_tenant_id.in_([tenant.id for tenant in tenants.values()])
            )
        )
    )
    customers = []
    for row in rows:
        tenant = tenants.get(row.directory_id)
        is_over = row.has_ended or (row.ends_at is not None and row.ends_at <= now)
        if tenant is not None:
            state = "mapped" if tenant.id in mapped else "connected"
        else:
            state = "ended" if is_over else "offered"
        customers.append(
            Customer(
                row.directory_id,
                row.name,
                row.domain,
                row.ends_at,
                row.ends_at is not None and not is_over and row.ends_at <= now + ENDS_SOON,
                state,
                None if tenant is None else tenant.id,
            )
        )
    return customers


# -- connecting --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ConnectionResult:
    """The outcome for one customer: the tenant if it is connected, otherwise the reason and Microsoft's code."""

    tenant: MicrosoftTenant | None = None
    problem: str = ""
    code: str = ""


def connect_one(directory_id: str, *, cloud: str, ends_at: datetime | None) -> ConnectionResult:
    """Connect one customer and commit; one that is connected already counts. Never raises for a refusal of Microsoft."""
    try:
        row = service.connect_releasing(directory_id, cloud)
    except Invalid as error:
        db.session.rollback()
        code = error.__cause__.code if isinstance(error.__cause__, SourceError) else ""
        return ConnectionResult(problem=error.sentences(), code=code)
    except Refused as error:
        db.session.rollback()
        tenant = service.connected(directory_id)
        return (
            ConnectionResult(tenant=tenant) if tenant is not None else ConnectionResult(problem=error.advice)
        )
    except PortalError as error:
        db.session.rollback()
        return ConnectionResult(problem=error.advice)
    row.relationship_ends_at = ends_at
    db.session.commit()
    return ConnectionResult(tenant=row)
