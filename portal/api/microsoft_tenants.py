"""``/api/v1/microsoft-tenants``: connect, check, remove, a partner's customers, and who takes whom (C2, C3, C4, P13)."""

from __future__ import annotations

from dataclasses import replace

from flask import Response

from portal.api.blueprint import bp
from portal.api.declaration import Tag, documented_as
from portal.api.documents import microsoft_tenants as documents
from portal.api.documents.base import Page, described
from portal.api.schema import Request, answer, body, list_query, nothing, page_of
from portal.coverage import service as coverages
from portal.extensions import db
from portal.http.access import load, reads_first, requires
from portal.microsoft import check, discover, listing, removal, service
from portal.microsoft import documents as microsoft_documents
from portal.models import MicrosoftTenant, Role
from portal.runtime import runtime

documented = documented_as(Tag("Microsoft Tenants", "The connected Microsoft Entra directories."))
CUSTOMERS = replace(discover.SPEC, filters={"state": discover.STATES}, per_page=50)


class NewMicrosoftTenant(Request):
    """``directory_id``: the tenant's GUID."""

    directory_id: str = described("Microsoft's tenant ID.", "6b1f0f5e-1111-4c2a-9d1e-0a1b2c3d4e5f")
    cloud: str = described("global, us_gov, us_dod or china.", "global", default="global")


@bp.get("/microsoft-tenants")
@requires(Role.READ_ONLY)
@documented(answer=Page[documents.MicrosoftTenant], query=listing.SPEC)
def list_microsoft_tenants() -> Response:
    """List Microsoft Tenants."""
    tenants = listing.listing(list_query(listing.SPEC))
    mapped = service.tenant_ids(list(tenants.items))
    return page_of(tenants, lambda row: microsoft_documents.to_document(row, mapped.get(row.id)))


@bp.post("/microsoft-tenants")
@requires(Role.ADMINISTRATOR)
@reads_first
@documented(body=NewMicrosoftTenant, answer=documents.MicrosoftTenant, status=201, refusals=[502])
def connect_microsoft_tenant() -> Response:
    """Connect a Microsoft Tenant. Its first read starts by itself.

    422 with Microsoft's reason when it cannot be read, 409 for one that is connected already.
    """
    requested = body(NewMicrosoftTenant)
    row = service.connect_releasing(requested.directory_id, requested.cloud)
    db.session.commit()
    runtime().wake()
    return answer(microsoft_documents.to_document(row, None))


@bp.get("/microsoft-tenants/<microsoft_tenant_id>")
@requires(Role.READ_ONLY)
@documented(answer=documents.MicrosoftTenant)
def get_microsoft_tenant(microsoft_tenant_id: str) -> Response:
    """Get a Microsoft Tenant."""
    row = load(MicrosoftTenant, microsoft_tenant_id, "Microsoft Tenant")
    return answer(microsoft_documents.to_document(row, service.tenant_ids([row]).get(row.id)))


@bp.delete("/microsoft-tenants/<microsoft_tenant_id>")
@requires(Role.ADMINISTRATOR)
@reads_first
@documented()
def remove_microsoft_tenant(microsoft_tenant_id: str) -> Response:
    """Remove a Microsoft Tenant that is not mapped."""
    removal.remove(load(MicrosoftTenant, microsoft_tenant_id, "Microsoft Tenant"))
    return nothing()


@bp.post("/microsoft-tenants/<microsoft_tenant_id>/check")
@requires(Role.TECHNICIAN)
@reads_first
@documented(answer=documents.ConnectionCheck)
def check_microsoft_tenant(microsoft_tenant_id: str) -> Response:
    """Check the connection: call everything the sync needs and say what works."""
    row = check.check_releasing(load(MicrosoftTenant, microsoft_tenant_id, "Microsoft Tenant"))
    db.session.commit()
    runtime().wake()
    return answer({"checks": row.checks})


@bp.get("/microsoft-tenants/<microsoft_tenant_id>/customers")
@requires(Role.READ_ONLY)
@documented(answer=Page[documents.PartnerCustomer], query=CUSTOMERS)
def list_customers(microsoft_tenant_id: str) -> Response:
    """List a partner's customers as Microsoft last listed them; `/customers/check` asks again."""
    partner = load(MicrosoftTenant, microsoft_tenant_id, "Microsoft Tenant")
    return page_of(discover.listing(partner, list_query(CUSTOMERS)), discover.to_document)


@bp.post("/microsoft-tenants/<microsoft_tenant_id>/customers/check")
@requires(Role.ADMINISTRATOR)
@reads_first
@documented(answer=documents.CustomerCounts, refusals=[502])
def check_customers(microsoft_tenant_id: str) -> Response:
    """Ask Microsoft for the customers of a partner tenant again; returns how many there are of each state.

    502 with Microsoft's reason when the tenant may not list any: it is not a partner, or a permission is missing.
    """
    partner = load(MicrosoftTenant, microsoft_tenant_id, "Microsoft Tenant")
    discover.refresh(partner)
    db.session.commit()
    return answer(discover.counts(partner))


@bp.get("/microsoft-tenants/<microsoft_tenant_id>/coverage")
@requires(Role.READ_ONLY)
@documented(answer=Page[documents.CoveredUser], query=coverages.COVERAGE)
def list_coverage(microsoft_tenant_id: str) -> Response:
    """List every Microsoft user, and which Organizations have them."""
    row = load(MicrosoftTenant, microsoft_tenant_id, "Microsoft Tenant")
    people = coverages.page(row, list_query(coverages.COVERAGE))
    by_object_id = {d["object_id"]: d for d in coverages.documents(row, list(people.items))}
    return page_of(people, lambda user: by_object_id[user.object_id])
