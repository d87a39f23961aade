"""``/api/v1/assets``, and those of an Organization, CSV included."""

from __future__ import annotations

from flask import Response

from portal.api.blueprint import bp
from portal.api.declaration import BOM, CSV, Tag, documented_as
from portal.api.documents import assets as documents
from portal.api.documents.base import UUID_EXAMPLE, Page, described
from portal.api.schema import Request, answer, body, list_query, nothing, page_of
from portal.assets import service
from portal.extensions import db
from portal.http import csv_download
from portal.http.access import load, requires
from portal.models import Asset, Organization, Role

documented = documented_as(Tag("Assets", "The devices of Organizations."))


class NewAsset(Request):
    """``end_user_id`` assigns by hand."""

    name: str = described("The name.", "NB-0231")
    mac_addresses: list[str] = described("MAC addresses.", ["A8:7E:EA:BC:6A:C9"], default=[])
    end_user_id: str | None = described("An End User.", UUID_EXAMPLE, default=None)


class AssetChange(Request):
    """What is left out stays; ``end_user_id`` null unassigns."""

    name: str = described("The new name.", "NB-0231", default="")
    mac_addresses: list[str] = described("MAC addresses.", ["A8:7E:EA:BC:6A:C9"], default=[])
    end_user_id: str | None = described("An End User.", UUID_EXAMPLE, default=None)


@bp.get("/organizations/<organization_id>/assets")
@requires(Role.READ_ONLY)
@documented(answer=Page[documents.Asset], query=service.SPEC)
def list_assets(organization_id: str) -> Response:
    """List the Assets of an Organization."""
    organization = load(Organization, organization_id, "Organization")
    return page_of(service.listing(organization, list_query(service.SPEC)), service.to_document)


@bp.post("/organizations/<organization_id>/assets")
@requires(Role.TECHNICIAN)
@documented(body=NewAsset, answer=documents.Asset, status=201)
def create_asset(organization_id: str) -> Response:
    """Create an Asset."""
    organization = load(Organization, organization_id, "Organization")
    row = service.create(organization, body(NewAsset).model_dump())
    db.session.commit()
    return answer(service.to_document(row))


@bp.get("/assets/<asset_id>")
@requires(Role.READ_ONLY)
@documented(answer=documents.Asset)
def get_asset(asset_id: str) -> Response:
    """Get an Asset."""
    return answer(service.to_document(load(Asset, asset_id, "Asset")))


@bp.patch("/assets/<asset_id>")
@requires(Role.TECHNICIAN)
@documented(body=AssetChange, answer=documents.Asset)
def change_asset(asset_id: str) -> Response:
    """Change an Asset."""
    requested = body(AssetChange).model_dump(exclude_unset=True)
    row = load(Asset, asset_id, "Asset", locked=True)
    service.change(row, requested)
    db.session.commit()
    return answer(service.to_document(row))


@bp.delete("/assets/<asset_id>")
@requires(Role.TECHNICIAN)
@documented()
def delete_asset(asset_id: str) -> Response:
    """Delete an Asset."""
    service.remove(load(Asset, asset_id, "Asset"))
    db.session.commit()
    return nothing()


@bp.get("/organizations/<organization_id>/assets.csv")
@requires(Role.READ_ONLY)
@documented(answer=CSV, query=service.SPEC, parameters=[BOM])
def export_assets(organization_id: str) -> Response:
    """Export the filtered Assets as CSV."""
    organization = load(Organization, organization_id, "Organization")
    return csv_download.download(
        service.export(organization, list_query(service.SPEC)),
        organization.name,
        "assets",
        bom=csv_download.asks_for_bom(),
        what="assets",
        object_type="organization",
        object_id=organization.id,
    )
