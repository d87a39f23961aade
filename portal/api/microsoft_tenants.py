"""``/api/v1/microsoft-tenants``: connect, check, remove, and who takes whom (C2, C4, P13)."""

from __future__ import annotations

from flask import Response

from portal.api.blueprint import bp
from portal.api.schema import Request, answer, asked, body, nothing, page_of
from portal.coverage import service as coverages
from portal.extensions import db
from portal.http.access import load, reads_first, requires
from portal.microsoft import check, listing, service
from portal.models import MicrosoftTenant, Role
from portal.runtime import runtime


class NewMicrosoftTenant(Request):
    """``directory_id``: the tenant's GUID."""

    directory_id: str
    cloud: str = "global"


@bp.get("/microsoft-tenants")
@requires(Role.READ_ONLY)
def list_microsoft_tenants() -> Response:
    """List Microsoft Tenants."""
    found = listing.listing(asked(listing.SPEC))
    mapped = service.tenant_ids(list(found.items))
    return page_of(found, lambda row: service.to_document(row, mapped.get(row.id)))


@bp.post("/microsoft-tenants")
@requires(Role.ADMINISTRATOR)
@reads_first
def connect_microsoft_tenant() -> Response:
    """Connect: a token, the organization and its domains are had first; its first read starts by itself."""
    given = body(NewMicrosoftTenant)
    row = service.connect_releasing(given.directory_id, given.cloud)
    db.session.commit()
    runtime().wake()
    return answer(service.to_document(row, None), 201)


@bp.get("/microsoft-tenants/<microsoft_tenant_id>")
@requires(Role.READ_ONLY)
def get_microsoft_tenant(microsoft_tenant_id: str) -> Response:
    """One Microsoft Tenant."""
    row = load(MicrosoftTenant, microsoft_tenant_id, "Microsoft Tenant")
    return answer(service.to_document(row, service.tenant_ids([row]).get(row.id)))


@bp.delete("/microsoft-tenants/<microsoft_tenant_id>")
@requires(Role.ADMINISTRATOR)
def remove_microsoft_tenant(microsoft_tenant_id: str) -> Response:
    """Remove one that is not mapped."""
    service.remove(load(MicrosoftTenant, microsoft_tenant_id, "Microsoft Tenant"))
    db.session.commit()
    return nothing()


@bp.post("/microsoft-tenants/<microsoft_tenant_id>/check")
@requires(Role.TECHNICIAN)
@reads_first
def check_microsoft_tenant(microsoft_tenant_id: str) -> Response:
    """Call everything the sync needs and say what works (C4)."""
    row = check.check_releasing(load(MicrosoftTenant, microsoft_tenant_id, "Microsoft Tenant"))
    db.session.commit()
    runtime().wake()
    return answer({"checks": row.checks})


@bp.get("/microsoft-tenants/<microsoft_tenant_id>/coverage")
@requires(Role.READ_ONLY)
def coverage(microsoft_tenant_id: str) -> Response:
    """Every Microsoft user, and which Organizations take them (P13)."""
    row = load(MicrosoftTenant, microsoft_tenant_id, "Microsoft Tenant")
    found = coverages.page(row, asked(coverages.COVERAGE))
    documents = {d["object_id"]: d for d in coverages.documents(row, list(found.items))}
    return page_of(found, lambda user: documents[user.object_id])
