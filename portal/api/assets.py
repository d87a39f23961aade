"""``/api/v1/assets``, and those of an Organization, CSV included."""

from __future__ import annotations

from typing import Any

from flask import Response
from pydantic import Field

from portal.api.blueprint import bp
from portal.api.schema import Request, answer, asked, body, nothing, page_of
from portal.assets import service
from portal.extensions import db
from portal.http import csv_download
from portal.http.access import load, requires
from portal.models import Asset, Organization, Role


class NewAsset(Request):
    """``end_user_id`` assigns by hand."""

    name: str
    mac_addresses: list[str] = Field(default_factory=list)
    end_user_id: str | None = None


class AssetChange(Request):
    """What is left out stays; ``end_user_id`` null unassigns."""

    name: str = ""
    mac_addresses: list[str] = Field(default_factory=list)
    end_user_id: str | None = None

    def given(self) -> dict[str, Any]:
        """Only what the body named."""
        return {name: getattr(self, name) for name in self.model_fields_set}


@bp.get("/organizations/<organization_id>/assets")
@requires(Role.READ_ONLY)
def list_assets(organization_id: str) -> Response:
    """List the Assets of an Organization."""
    organization = load(Organization, organization_id, "Organization")
    return page_of(service.listing(organization, asked(service.SPEC)), service.to_document)


@bp.post("/organizations/<organization_id>/assets")
@requires(Role.TECHNICIAN)
def create_asset(organization_id: str) -> Response:
    """Create an Asset."""
    organization = load(Organization, organization_id, "Organization")
    row = service.create(organization, body(NewAsset).model_dump())
    db.session.commit()
    return answer(service.to_document(row), 201)


@bp.get("/assets/<asset_id>")
@requires(Role.READ_ONLY)
def get_asset(asset_id: str) -> Response:
    """One Asset."""
    return answer(service.to_document(load(Asset, asset_id, "Asset")))


@bp.patch("/assets/<asset_id>")
@requires(Role.TECHNICIAN)
def change_asset(asset_id: str) -> Response:
    """Change an Asset."""
    given = body(AssetChange).given()
    row = load(Asset, asset_id, "Asset", locked=True)
    service.change(row, given)
    db.session.commit()
    return answer(service.to_document(row))


@bp.delete("/assets/<asset_id>")
@requires(Role.TECHNICIAN)
def delete_asset(asset_id: str) -> Response:
    """Delete an Asset."""
    service.remove(load(Asset, asset_id, "Asset"))
    db.session.commit()
    return nothing()


@bp.get("/organizations/<organization_id>/assets.csv")
@requires(Role.READ_ONLY)
def export_assets(organization_id: str) -> Response:
    """CSV of exactly what is filtered."""
    organization = load(Organization, organization_id, "Organization")
    return csv_download.download(
        service.export(organization, asked(service.SPEC, extra=("bom",))),
        organization.name,
        "assets",
        bom=csv_download.asks_for_bom(),
        what="assets",
        object_type="organization",
        object_id=organization.id,
    )
