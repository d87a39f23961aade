"""``/api/v1/end-users``, and those of an Organization, CSV included."""

from __future__ import annotations

from flask import Response

from portal.api.blueprint import bp
from portal.api.schema import Request, answer, asked, body, nothing, page_of
from portal.end_users import service
from portal.extensions import db
from portal.http import csv_download
from portal.http.access import load, requires
from portal.models import EndUser, Organization, Role
from portal.people import listing
from portal.people import service as people


class EndUserFields(Request):
    """The fields that people may enter; what is left out stays."""

    display_name: str | None = None
    first_name: str | None = None
    last_name: str | None = None
    email: str | None = None
    phone: str | None = None
    mobile_phone: str | None = None
    street_address: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None
    job_title: str | None = None
    department: str | None = None
    office_location: str | None = None
    notes: str | None = None

    def given(self) -> dict[str, str]:
        """Only what the body named; null empties a field."""
        return {name: getattr(self, name) or "" for name in self.model_fields_set}


@bp.get("/organizations/<organization_id>/end-users")
@requires(Role.READ_ONLY)
def list_end_users(organization_id: str) -> Response:
    """List the End Users of an Organization."""
    organization = load(Organization, organization_id, "Organization")
    found = service.listing(organization, asked(service.SPEC), assets=True)
    documents = {document["id"]: document for document in service.documents(found.items)}
    return page_of(found, lambda row: documents[row.id])


@bp.post("/organizations/<organization_id>/end-users")
@requires(Role.TECHNICIAN)
def create_end_user(organization_id: str) -> Response:
    """Create an End User."""
    organization = load(Organization, organization_id, "Organization")
    row = service.create(organization.id, body(EndUserFields).given())
    db.session.commit()
    return answer(service.documents([row])[0], 201)


@bp.get("/end-users")
@bp.get("/people", endpoint="list_people")
@requires(Role.READ_ONLY)
def list_all_end_users() -> Response:
    """List everybody of all Organizations; ``/people`` is the same."""
    found = people.page(asked(listing.SPEC), assets=True)
    documents = {document["id"]: document for document in service.documents(found.items)}
    return page_of(found, lambda row: documents[row.id])


@bp.get("/end-users.csv")
@requires(Role.READ_ONLY)
def export_all_end_users() -> Response:
    """CSV of everybody that is filtered."""
    return csv_download.download(
        people.export(asked(listing.SPEC, extra=("bom",))),
        "people",
        bom=csv_download.asks_for_bom(),
        what="people",
    )


@bp.get("/end-users/<end_user_id>")
@requires(Role.READ_ONLY)
def get_end_user(end_user_id: str) -> Response:
    """One End User."""
    return answer(service.documents([load(EndUser, end_user_id, "End User")])[0])


@bp.patch("/end-users/<end_user_id>")
@requires(Role.TECHNICIAN)
def change_end_user(end_user_id: str) -> Response:
    """Change fields; 422 for one that Microsoft manages and that is not pinned."""
    given = body(EndUserFields).given()
    row = load(EndUser, end_user_id, "End User", locked=True)
    service.change(row, given)
    db.session.commit()
    return answer(service.documents([row])[0])


@bp.delete("/end-users/<end_user_id>")
@requires(Role.TECHNICIAN)
def delete_end_user(end_user_id: str) -> Response:
    """Delete an End User; Microsoft is not touched (L4)."""
    service.remove(load(EndUser, end_user_id, "End User"))
    db.session.commit()
    return nothing()


@bp.get("/organizations/<organization_id>/end-users.csv")
@requires(Role.READ_ONLY)
def export_end_users(organization_id: str) -> Response:
    """CSV of exactly what is filtered."""
    organization = load(Organization, organization_id, "Organization")
    return csv_download.download(
        service.export(organization, asked(service.SPEC, extra=("bom",))),
        organization.name,
        "end-users",
        bom=csv_download.asks_for_bom(),
        what="end_users",
        object_type="organization",
        object_id=organization.id,
    )
