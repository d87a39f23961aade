"""Which Organization a Microsoft tenant is likely to be of: by stored id, then domain, then name. Each is only a suggestion."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import func, select

from portal.extensions import db
from portal.models import EndUser, MicrosoftTenant, Organization, Tenant
from portal.text import domain_key, text_key

ENOUGH = 0.5
"""The share of an Organization's known addresses that have to end in the tenant's domains."""


@dataclass(frozen=True)
class Suggestion:
    """organization_id: None where a new Organization would be made. by: id | domain | name | ""."""

    organization_id: str | None
    name: str
    by: str


def suggest(tenants: Sequence[MicrosoftTenant], assigned: set[str]) -> dict[str, Suggestion]:
    """Microsoft Tenant id -> suggestion. assigned: Organizations that are spoken for; none is suggested twice.

    Only Organizations whose Tenant is not mapped are looked at: the others have their Microsoft tenant.
    """
    free = {
        row.id: row
        for row in db.session.scalars(
            select(Organization)
            .join(Tenant, Tenant.id == Organization.tenant_id)
            .where(Tenant.microsoft_tenant_id.is_(None))
            .order_by(Organization.name_key)
        )
        if row.id not in assigned
    }
    suggestions: dict[str, Suggestion] = {}
    for by, candidates in (
        ("id", _by_links(tenants, free)),
        ("domain", _by_domains(tenants, free)),
        ("name", _by_names(tenants, free)),
    ):
        for tenant_id, organization_id in candidates.items():
            if tenant_id not in suggestions and organization_id in free:
                suggestions[tenant_id] = Suggestion(organization_id, free.pop(organization_id).name, by)
    names = set(db.session.scalars(select(Organization.name_key)))
    for tenant in tenants:
        if tenant.id not in suggestions:
            name = _new_name(tenant, names)
            names.add(text_key(name))
            suggestions[tenant.id] = Suggestion(None, name, "")
    return suggestions


def _by_links(tenants: Sequence[MicrosoftTenant], free: Mapping[str, Organization]) -> dict[str, str]:
    """Whose End Users are linked to this very directory, as after it was removed and connected again (L7)."""
    rows = db.session.execute(
        select(EndUser.microsoft_tenant_id, EndUser.organization_id, func.count())
        .where(EndUser.microsoft_tenant_id.in_([tenant.id for tenant in tenants]))
        .group_by(EndUser.microsoft_tenant_id, EndUser.organization_id)
        .order_by(func.count().desc(), EndUser.organization_id)
    )
    organizations: dict[str, str] = {}
    for tenant_id, organization_id, _ in rows:
        if organization_id in free:
            organizations.setdefault(str(tenant_id), organization_id)
    return organizations


def _by_domains(tenants: Sequence[MicrosoftTenant], free: Mapping[str, Organization]) -> dict[str, str]:
    """Whose known addresses mostly end in the tenant's domains; nobody where two Organizations do as much."""
    owner = {domain_key(str(domain["name"])): tenant.id for tenant in tenants for domain in tenant.domains}
    domain_counts: Counter[str] = Counter()
    shares: dict[str, Counter[str]] = {}
    addresses = select(EndUser.organization_id, EndUser.email_key).where(
        EndUser.email_key.is_not(None),
        EndUser.organization_id.in_(
            select(Organization.id)
            .join(Tenant, Tenant.id == Organization.tenant_id)
            .where(Tenant.microsoft_tenant_id.is_(None))
        ),
    )
    for organization_id, address in db.session.execute(addresses):
        domain_counts[organization_id] += 1
        tenant_id = owner.get(str(address).rpartition("@")[2])
        if tenant_id is not None:
            shares.setdefault(tenant_id, Counter())[organization_id] += 1
    organizations = {}
    for tenant_id, counted in shares.items():
        best = [
            (number, organization_id)
            for organization_id, number in counted.items()
            if organization_id in free and number >= ENOUGH * domain_counts[organization_id]
        ]
        best.sort(reverse=True)
        if best and (len(best) == 1 or best[0][0] > best[1][0]):
            organizations[tenant_id] = best[0][1]
    return organizations


def _by_names(tenants: Sequence[MicrosoftTenant], free: Mapping[str, Organization]) -> dict[str, str]:
    """Of the same name, where only one tenant has it."""
    ids = {row.name_key: row.id for row in free.values()}
    names = Counter(text_key(tenant.name) for tenant in tenants)
    return {
        tenant.id: ids[text_key(tenant.name)]
        for tenant in tenants
        if text_key(tenant.name) in ids and names[text_key(tenant.name)] == 1
    }


def _new_name(tenant: MicrosoftTenant, names: set[str]) -> str:
    """The tenant's name, with its domain where somebody is called so already: two customers of one name confuse everybody."""
    if text_key(tenant.name) not in names:
        return tenant.name
    domain = next(
        (str(domain["name"]) for domain in tenant.domains if domain.get("is_default")), tenant.directory_id
    )
    name = f"{tenant.name[:200]} ({domain[:50]})"
    return name if text_key(name) not in names else f"{tenant.name[:200]} ({tenant.directory_id})"
