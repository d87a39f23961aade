"""``/api/v1/organizations``."""

from __future__ import annotations

from flask import Response

from portal.api.blueprint import bp
from portal.api.declaration import BOM, CSV, Tag, documented_as
from portal.api.documents import organizations as documents
from portal.api.documents.base import UUID_EXAMPLE, Page, described
from portal.api.schema import Request, answer, body, list_query, nothing, page_of
from portal.errors import Invalid
from portal.extensions import db
from portal.http import csv_download
from portal.http.access import load, reads_first, requires
from portal.models import Organization, Role, Tenant
from portal.organizations import listing, removal, service, tags

documented = documented_as(Tag("Organizations", "The customers."))


class NewOrganization(Request):
    """Without ``tenant_id`` it gets its own Tenant."""

    name: str = described("The name.", "Harborview Clinic")
    tenant_id: str | None = described("A Tenant.", UUID_EXAMPLE, default=None)
    tags: list[str] = described("Tags; new ones are created.", ["gold"], default=[])


class OrganizationChange(Request):
    """What is left out stays; ``tags`` replaces all of them."""

    name: str = described("The new name.", "Harborview Clinic", default="")
    tenant_id: str = described("Another Tenant.", UUID_EXAMPLE, default="")
    tags: list[str] = described("Tags; new ones are created.", ["gold"], default=[])


@bp.get("/organizations")
@requires(Role.READ_ONLY)
@documented(answer=Page[documents.Organization], query=listing.SPEC)
def list_organizations() -> Response:
    """List Organizations."""
    return page_of(listing.listing(list_query(listing.SPEC)), service.to_document)


@bp.post("/organizations")
@requires(Role.ADMINISTRATOR)
@documented(body=NewOrganization, answer=documents.Organization, status=201)
def create_organization() -> Response:
    """Create an Organization."""
    requested = body(NewOrganization)
    tenant = _tenant(requested.tenant_id) if requested.tenant_id is not None else None
    row = service.create(requested.name, tenant, requested.tags)
    db.session.commit()
    return answer(service.to_document(row))


@bp.get("/organizations/<organization_id>")
@requires(Role.READ_ONLY)
@documented(answer=documents.Organization)
def get_organization(organization_id: str) -> Response:
    """Get an Organization."""
    return answer(service.to_document(load(Organization, organization_id, "Organization")))


@bp.patch("/organizations/<organization_id>")
@requires(Role.TECHNICIAN)
@documented(body=OrganizationChange, answer=documents.Organization)
def change_organization(organization_id: str) -> Response:
    """Rename an Organization, or move it to another Tenant."""
    row = load(Organization, organization_id, "Organization")
    requested = body(OrganizationChange)
    if "name" in requested.model_fields_set:
        service.rename(row, requested.name)
    if "tenant_id" in requested.model_fields_set:
        service.move(row, _tenant(requested.tenant_id))
    if "tags" in requested.model_fields_set:
        tags.replace(row, requested.tags)
    db.session.commit()
    return answer(service.to_document(row))


@bp.delete("/organizations/<organization_id>")
@requires(Role.ADMINISTRATOR)
@reads_first
@documented()
def delete_organization(organization_id: str) -> Response:
    """Delete an Organization with its End Users and Assets."""
    removal.remove(load(Organization, organization_id, "Organization"))
    return nothing()


def _tenant(tenant_id: str) -> Tenant:
    tenant = db.session.get(Tenant, tenant_id)
    if tenant is None:
        raise Invalid({"tenant_id": ["There is no such Tenant."]})
    return tenant


@bp.get("/organizations.csv")
@requires(Role.READ_ONLY)
@documented(answer=CSV, query=listing.SPEC, parameters=[BOM])
def export_organizations() -> Response:
    """Export the filtered Organizations as CSV."""
    return csv_download.download(
        listing.export(list_query(listing.SPEC)),
        "organizations",
        bom=csv_download.asks_for_bom(),
        what="organizations",
    )
