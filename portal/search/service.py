"""The search in the top bar (P3 to P6): Organizations, people, Assets, Microsoft tenants, and who is in Microsoft but no End User."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, and_, func, literal_column, or_, select
from sqlalchemy.orm import joinedload

from portal.assets.service import shown_mac
from portal.extensions import db
from portal.http.listing import Listing, contains_text
from portal.models import (
    Asset,
    AssetMac,
    DirectoryUser,
    EndUser,
    MicrosoftTenant,
    Organization,
    Tenant,
    UserSync,
)
from portal.models import words as tables
from portal.models.microsoft import IS_CONNECTED
from portal.people import listing as people
from portal.search import words
from portal.text import search_forms, text_key
from portal.user_sync import states

MOST = 25
"""Of each kind on the page."""
TYPED = 5
"""Of each kind while somebody types."""
LOOKED_AT = 2_000
"""Microsoft users that may fit who are looked at."""
_HEXADECIMAL = set("0123456789abcdef")


@dataclass(frozen=True)
class Link:
    """Where something is: an endpoint and its values; templates make the address."""

    endpoint: str
    values: Mapping[str, str]


def _to(endpoint: str, **values: str) -> Link:
    return Link(endpoint, values)


@dataclass(frozen=True)
class Hit:
    """One result. pill: its kind and word in ``_macros/status.html``; note: a text in its place."""

    title: str
    about: str
    link: Link
    pill: tuple[str, str] | None = None
    note: str = ""


@dataclass(frozen=True)
class Group:
    """The results of one kind. rest: where the others are, None if these are all."""

    key: str
    label: str
    icon: str
    hits: Sequence[Hit]
    rest: Link | None = None


def find(text: str, most: int = MOST) -> list[Group]:
    """Everything that has each word of ``text``, up to ``most`` of each kind; kinds of which nothing fits are left out."""
    terms = text_key(text).split()
    if not terms:
        return []
    groups = (
        _organizations(text, terms, most),
        _people(text, most),
        _not_here(terms, most),
        _assets(terms, most),
        _microsoft_tenants(text, terms, most),
    )
    return [group for group in groups if group.hits]


def _organizations(text: str, terms: Sequence[str], most: int) -> Group:
    organizations = (
        select(
            Organization.id, Organization.name, Tenant.name.label("tenant"), states.status().label("status")
        )
        .join(Tenant, Tenant.id == Organization.tenant_id)
        .outerjoin(MicrosoftTenant, MicrosoftTenant.id == Tenant.microsoft_tenant_id)
        .outerjoin(UserSync, UserSync.organization_id == Organization.id)
        .where(*(Organization.name_key.contains(word, autoescape=True) for word in terms))
        .order_by(Organization.sort_key, Organization.id)
        .limit(most + 1)
    )
    rows = db.session.execute(organizations).all()
    hits = [
        Hit(
            row.name,
            "" if row.tenant == row.name else f"Tenant {row.tenant}",
            _to("organizations.detail", organization_id=row.id),
            ("sync", row.status),
        )
        for row in rows[:most]
    ]
    more = _to("organizations.index", q=text) if len(rows) > most else None
    return Group("organizations", "Organizations", "building", hits, more)


def _people(text: str, most: int) -> Group:
    listing = people.listing(db.session(), Listing(q=text, sort="name", per_page=most))
    homes = people.organization_names(db.session(), listing.items)
    hits = []
    for row in listing.items:
        parts = [row.email, row.phone or row.mobile_phone, homes[row.organization_id].name]
        state = row.microsoft_status if row.is_linked else ""
        hits.append(
            Hit(
                row.display_name,
                " · ".join(part for part in parts if part),
                _to("end_users.detail", end_user_id=row.id),
                ("person", state) if state in {"active", "disabled"} else None,
                "" if state else "Not linked",
            )
        )
    more = _to("people.index", q=text) if listing.total > most else None
    return Group("people", "End Users", "user", hits, more)


def _not_here(terms: Sequence[str], most: int) -> Group:
    """Microsoft users whom no Organization has: each leads to the reason."""
    linked = select(EndUser.id).where(
        EndUser.microsoft_tenant_id == DirectoryUser.microsoft_tenant_id,
        EndUser.object_id == DirectoryUser.object_id,
    )
    removed = select(MicrosoftTenant.id).where(~IS_CONNECTED)  # what is left of their mirrors goes soon
    users = (
        select(DirectoryUser)
        .where(
            DirectoryUser.presence == "present",
            DirectoryUser.microsoft_tenant_id.not_in(removed),
            ~linked.exists(),
            _in_mirror(terms),
        )
        .limit(most + 1)
    )
    rows = db.session.scalars(users).all()
    homes = _fed_by({row.microsoft_tenant_id for row in rows})
    hits = []
    for row in rows[:most]:
        tenant, organization = homes.get(row.microsoft_tenant_id, (None, None))
        if organization is not None:
            why = _to(
                "end_users.why_not",
                organization_id=organization.id,
                user=row.object_id,
                name=row.display_name,
            )
        else:
            why = _to(
                "coverage.index", microsoft_tenant_id=row.microsoft_tenant_id, q=row.user_principal_name
            )
        where = organization.name if organization is not None else tenant.name if tenant is not None else ""
        about = " · ".join(part for part in (row.email or row.user_principal_name, where) if part)
        hits.append(Hit(row.display_name or row.user_principal_name, about, why, None, "Why not here?"))
    return Group("not_here", "In Microsoft, but no End User", "user-question", hits)


def _in_mirror(terms: Sequence[str]) -> ColumnElement[bool]:
    """Who has each word in name, address or sign-in name; by the index of words, where there is one."""
    text: ColumnElement[str] = literal_column(tables.MIRROR_TEXT)
    fits = [or_(*(text.contains(form, autoescape=True) for form in search_forms(word))) for word in terms]
    query = words.query(terms) if words.are_there(db.session()) else ""
    if not query:
        return and_(*fits)
    rows = words.first(db.session(), tables.MIRROR, query, LOOKED_AT)
    return and_(or_(DirectoryUser.search_row.in_(rows), DirectoryUser.search_row.is_(None)), *fits)


def _fed_by(ids: Iterable[str]) -> dict[str, tuple[MicrosoftTenant, Organization | None]]:
    """Microsoft Tenant id → the Microsoft Tenant, and the first Organization that it feeds."""
    rows = db.session.execute(
        select(MicrosoftTenant, Organization)
        .outerjoin(Tenant, Tenant.microsoft_tenant_id == MicrosoftTenant.id)
        .outerjoin(Organization, Organization.tenant_id == Tenant.id)
        .where(MicrosoftTenant.id.in_(ids))
        .order_by(Organization.sort_key.desc())
    )
    return {tenant.id: (tenant, organization) for tenant, organization in rows}


def _assets(terms: Sequence[str], most: int) -> Group:
    statement = select(Asset).options(joinedload(Asset.end_user)).limit(most + 1)
    whole = "".join(terms).replace(":", "").replace("-", "")
    by_name = and_(*(_asset_named(word) for word in terms))
    if len(whole) >= 4 and set(whole) <= _HEXADECIMAL:
        owners = select(AssetMac.asset_id).where(AssetMac.mac.contains(whole.upper()))
        statement = statement.where(or_(by_name, Asset.id.in_(owners)))
    else:
        statement = statement.where(by_name)
    rows = sorted(db.session.scalars(statement).unique().all()[:most], key=lambda row: text_key(row.name))
    homes = {
        row.id: row.name
        for row in db.session.scalars(
            select(Organization).where(Organization.id.in_({row.organization_id for row in rows}))
        )
    }
    macs: dict[str, str] = {}
    for asset_id, mac in db.session.execute(
        select(AssetMac.asset_id, func.min(AssetMac.mac))
        .where(AssetMac.asset_id.in_([row.id for row in rows]))
        .group_by(AssetMac.asset_id)
    ):
        macs[asset_id] = shown_mac(mac)
    hits = []
    for row in rows:
        parts = (
            homes.get(row.organization_id, ""),
            row.end_user.display_name if row.end_user else "",
            macs.get(row.id, ""),
        )
        href = _to("assets.index", organization_id=row.organization_id, q=row.name)
        note = "" if row.end_user else "Unassigned"
        hits.append(Hit(row.name, " · ".join(part for part in parts if part), href, None, note))
    return Group("assets", "Assets", "device-laptop", hits)


def _asset_named(word: str) -> ColumnElement[bool]:
    """SQLite compares letters of ASCII in either case by itself, at once; the others and PostgreSQL by the key."""
    if word.isascii() and db.session.get_bind().dialect.name == "sqlite":
        return Asset.name.contains(word, autoescape=True)
    return contains_text(word, Asset.name)


def _microsoft_tenants(text: str, terms: Sequence[str], most: int) -> Group:
    tenants: Any = (
        select(MicrosoftTenant, Tenant)
        .outerjoin(Tenant, Tenant.microsoft_tenant_id == MicrosoftTenant.id)
        .where(
            IS_CONNECTED,
            *(contains_text(word, MicrosoftTenant.name, MicrosoftTenant.directory_id) for word in terms),
        )
        .order_by(MicrosoftTenant.sort_key, MicrosoftTenant.id)
        .limit(most + 1)
    )
    rows = db.session.execute(tenants).all()
    hits = []
    for row, tenant in rows[:most]:
        state = row.state if tenant is not None or row.state != "connected" else "not_mapped"
        domain = row.domains[0]["name"] if row.domains else row.directory_id
        href = _to("microsoft.detail", microsoft_tenant_id=row.id)
        hits.append(Hit(row.name, domain, href, ("connection", state)))
    more = _to("microsoft.index", q=text) if len(rows) > most else None
    return Group("microsoft_tenants", "Microsoft Tenants", "brand-windows", hits, more)
