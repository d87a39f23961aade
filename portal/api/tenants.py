"""``/api/v1/tenants`` and their mapping."""

from __future__ import annotations

from flask import Response

from portal.api.blueprint import bp
from portal.api.schema import Request, answer, asked, body, nothing, page_of
from portal.errors import Invalid
from portal.extensions import db
from portal.http.access import load, requires
from portal.models import MicrosoftTenant, Role, Tenant
from portal.tenants import service


class TenantName(Request):
    """A Tenant's name."""

    name: str


class Mapping(Request):
    """The Microsoft Tenant to map."""

    microsoft_tenant_id: str


@bp.get("/tenants")
@requires(Role.READ_ONLY)
def list_tenants() -> Response:
    """List Tenants."""
    return page_of(service.listing(asked(service.SPEC)), service.to_document)


@bp.post("/tenants")
@requires(Role.ADMINISTRATOR)
def create_tenant() -> Response:
    """Create a Tenant."""
    row = service.create(body(TenantName).name)
    db.session.commit()
    return answer(service.to_document(row), 201)


@bp.get("/tenants/<tenant_id>")
@requires(Role.READ_ONLY)
def get_tenant(tenant_id: str) -> Response:
    """One Tenant."""
    return answer(service.to_document(load(Tenant, tenant_id, "Tenant")))


@bp.patch("/tenants/<tenant_id>")
@requires(Role.ADMINISTRATOR)
def change_tenant(tenant_id: str) -> Response:
    """Rename a Tenant."""
    row = load(Tenant, tenant_id, "Tenant")
    service.rename(row, body(TenantName).name)
    db.session.commit()
    return answer(service.to_document(row))


@bp.delete("/tenants/<tenant_id>")
@requires(Role.ADMINISTRATOR)
def delete_tenant(tenant_id: str) -> Response:
    """Delete an empty Tenant."""
    service.remove(load(Tenant, tenant_id, "Tenant"))
    db.session.commit()
    return nothing()


@bp.put("/tenants/<tenant_id>/microsoft-tenant")
@requires(Role.TECHNICIAN)
def map_tenant(tenant_id: str) -> Response:
    """Map to a Microsoft Tenant; the same again is fine (C6, R2)."""
    row = load(Tenant, tenant_id, "Tenant")
    found = db.session.get(MicrosoftTenant, body(Mapping).microsoft_tenant_id)
    if found is None or found.is_removed:
        raise Invalid({"microsoft_tenant_id": ["There is no such Microsoft Tenant."]})
    service.map_only(row, found)
    db.session.commit()
    return answer(service.to_document(row))


@bp.delete("/tenants/<tenant_id>/microsoft-tenant")
@requires(Role.TECHNICIAN)
def unmap_tenant(tenant_id: str) -> Response:
    """Unmap (R1, R2)."""
    service.unmap(load(Tenant, tenant_id, "Tenant"))
    db.session.commit()
    return nothing()
