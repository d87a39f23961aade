"""``/api/v1/tenants`` and their mapping."""

from __future__ import annotations

from flask import Response

from portal.api.blueprint import bp
from portal.api.declaration import Tag, documented_as
from portal.api.documents import tenants as documents
from portal.api.documents.base import UUID_EXAMPLE, Page, described
from portal.api.schema import Request, answer, body, list_query, nothing, page_of
from portal.errors import Invalid
from portal.extensions import db
from portal.http.access import load, requires
from portal.models import MicrosoftTenant, Role, Tenant
from portal.tenants import service

documented = documented_as(Tag("Tenants", "They group Organizations and are mapped to Microsoft Tenants."))


class TenantName(Request):
    """A Tenant's name."""

    name: str = described("The name.", "Harborview")


class Mapping(Request):
    """The Microsoft Tenant to map."""

    microsoft_tenant_id: str = described("A connected Microsoft Tenant.", UUID_EXAMPLE)


@bp.get("/tenants")
@requires(Role.READ_ONLY)
@documented(answer=Page[documents.Tenant], query=service.SPEC)
def list_tenants() -> Response:
    """List Tenants."""
    return page_of(service.listing(list_query(service.SPEC)), service.to_document)


@bp.post("/tenants")
@requires(Role.ADMINISTRATOR)
@documented(body=TenantName, answer=documents.Tenant, status=201)
def create_tenant() -> Response:
    """Create a Tenant."""
    row = service.create(body(TenantName).name)
    db.session.commit()
    return answer(service.to_document(row))


@bp.get("/tenants/<tenant_id>")
@requires(Role.READ_ONLY)
@documented(answer=documents.Tenant)
def get_tenant(tenant_id: str) -> Response:
    """Get a Tenant."""
    return answer(service.to_document(load(Tenant, tenant_id, "Tenant")))


@bp.patch("/tenants/<tenant_id>")
@requires(Role.TECHNICIAN)
@documented(body=TenantName, answer=documents.Tenant)
def change_tenant(tenant_id: str) -> Response:
    """Rename a Tenant."""
    row = load(Tenant, tenant_id, "Tenant")
    service.rename(row, body(TenantName).name)
    db.session.commit()
    return answer(service.to_document(row))


@bp.delete("/tenants/<tenant_id>")
@requires(Role.ADMINISTRATOR)
@documented()
def delete_tenant(tenant_id: str) -> Response:
    """Delete an empty Tenant."""
    service.remove(load(Tenant, tenant_id, "Tenant"))
    db.session.commit()
    return nothing()


@bp.put("/tenants/<tenant_id>/microsoft-tenant")
@requires(Role.TECHNICIAN)
@documented(body=Mapping, answer=documents.Tenant)
def map_tenant(tenant_id: str) -> Response:
    """Map a Tenant to a Microsoft Tenant.

    Mapping the same again is fine. 409 while a sync under it is enabled, or either side is mapped elsewhere.
    """
    row = load(Tenant, tenant_id, "Tenant")
    microsoft_tenant = db.session.get(MicrosoftTenant, body(Mapping).microsoft_tenant_id)
    if microsoft_tenant is None or microsoft_tenant.is_removed:
        raise Invalid({"microsoft_tenant_id": ["There is no such Microsoft Tenant."]})
    service.map_only(row, microsoft_tenant)
    db.session.commit()
    return answer(service.to_document(row))


@bp.delete("/tenants/<tenant_id>/microsoft-tenant")
@requires(Role.TECHNICIAN)
@documented()
def unmap_tenant(tenant_id: str) -> Response:
    """Unmap a Tenant.

    409 when nothing is mapped, or while a sync under it is enabled.
    """
    service.unmap(load(Tenant, tenant_id, "Tenant"))
    db.session.commit()
    return nothing()
