"""``/api/v1/end-users``, and those of an Organization, CSV included."""

from __future__ import annotations

from flask import Response

from portal.api.blueprint import bp
from portal.api.declaration import BOM, CSV, Tag, documented_as
from portal.api.documents import end_users as documents
from portal.api.documents.base import Page, described
from portal.api.schema import Request, answer, body, list_query, nothing, page_of
from portal.end_users import documents as end_user_documents
from portal.end_users import listing as end_user_list
from portal.end_users import service
from portal.extensions import db
from portal.http import csv_download
from portal.http.access import load, requires
from portal.models import EndUser, Organization, Role
from portal.people import listing
from portal.people import service as people

documented = documented_as(Tag("End Users", "The people of Organizations."))


class EndUserFields(Request):
    """The fields that people may enter; what is left out stays."""

    display_name: str | None = described("The name.", "Finn Greco", default=None)
    first_name: str | None = described("The first name.", "Finn", default=None)
    last_name: str | None = described("The last name.", "Greco", default=None)
    email: str | None = described("The email address.", "finn.greco@fabrikam.example", default=None)
    phone: str | None = described("The phone number.", "+1 206 555 0100", default=None)
    mobile_phone: str | None = described("The mobile phone number.", "+1 206 555 0101", default=None)
    street_address: str | None = described("The street address.", "12 Harbor Way", default=None)
    city: str | None = described("The city.", "Seattle", default=None)
    state: str | None = described("The state.", "WA", default=None)
    postal_code: str | None = described("The postal code.", "98101", default=None)
    country: str | None = described("The country.", "United States", default=None)
    job_title: str | None = described("The job title.", "Nurse", default=None)
    department: str | None = described("The department.", "Ward 3", default=None)
    office_location: str | None = described("The office location.", "Main building", default=None)
    notes: str | None = described("Notes kept in the portal only; Microsoft has none.", "", default=None)

    def named(self) -> dict[str, str]:
        """Only what the body named; null empties a field."""
        return {name: getattr(self, name) or "" for name in self.model_fields_set}


@bp.get("/organizations/<organization_id>/end-users")
@requires(Role.READ_ONLY)
@documented(answer=Page[documents.EndUser], query=end_user_list.SPEC)
def list_end_users(organization_id: str) -> Response:
    """List the End Users of an Organization."""
    organization = load(Organization, organization_id, "Organization")
    fitting = end_user_list.listing(organization, list_query(end_user_list.SPEC), assets=True)
    by_id = {document["id"]: document for document in end_user_documents.to_documents(fitting.items)}
    return page_of(fitting, lambda row: by_id[row.id])


@bp.post("/organizations/<organization_id>/end-users")
@requires(Role.TECHNICIAN)
@documented(body=EndUserFields, answer=documents.EndUser, status=201)
def create_end_user(organization_id: str) -> Response:
    """Create an End User."""
    organization = load(Organization, organization_id, "Organization")
    row = service.create(organization.id, body(EndUserFields).named())
    db.session.commit()
    return answer(end_user_documents.to_documents([row])[0])


@bp.get("/end-users")
@requires(Role.READ_ONLY)
@documented(answer=Page[documents.EndUser], query=listing.SPEC)
def list_all_end_users() -> Response:
    """List the End Users of all Organizations."""
    people_page = people.page(list_query(listing.SPEC), assets=True)
    by_id = {document["id"]: document for document in end_user_documents.to_documents(people_page.items)}
    return page_of(people_page, lambda row: by_id[row.id])


@bp.get("/end-users.csv")
@requires(Role.READ_ONLY)
@documented(answer=CSV, query=listing.SPEC, parameters=[BOM])
def export_all_end_users() -> Response:
    """Export the filtered End Users of all Organizations as CSV."""
    query = list_query(listing.SPEC)
    return csv_download.download(
        people.export(query),
        csv_download.customer(query),
        "people",
        bom=csv_download.asks_for_bom(),
        what="people",
    )


@bp.get("/end-users/<end_user_id>")
@requires(Role.READ_ONLY)
@documented(answer=documents.EndUser)
def get_end_user(end_user_id: str) -> Response:
    """Get an End User."""
    return answer(end_user_documents.to_documents([load(EndUser, end_user_id, "End User")])[0])


@bp.patch("/end-users/<end_user_id>")
@requires(Role.TECHNICIAN)
@documented(body=EndUserFields, answer=documents.EndUser)
def change_end_user(end_user_id: str) -> Response:
    """Change an End User; 422 for a field that Microsoft manages and that is not pinned."""
    requested = body(EndUserFields).named()
    row = load(EndUser, end_user_id, "End User", locked=True)
    service.change(row, requested)
    db.session.commit()
    return answer(end_user_documents.to_documents([row])[0])


@bp.delete("/end-users/<end_user_id>")
@requires(Role.TECHNICIAN)
@documented()
def delete_end_user(end_user_id: str) -> Response:
    """Delete an End User; Microsoft is not touched."""
    service.remove(load(EndUser, end_user_id, "End User"))
    db.session.commit()
    return nothing()


@bp.post("/end-users/<end_user_id>/unlink")
@requires(Role.TECHNICIAN)
@documented(answer=documents.EndUser)
def unlink_end_user(end_user_id: str) -> Response:
    """Remove an End User's Link and keep the person; 409 when not linked. A next run may link again by email."""
    row = load(EndUser, end_user_id, "End User")
    service.unlink(row)
    db.session.commit()
    return answer(end_user_documents.to_documents([row])[0])


@bp.get("/organizations/<organization_id>/end-users.csv")
@requires(Role.READ_ONLY)
@documented(answer=CSV, query=end_user_list.SPEC, parameters=[BOM])
def export_end_users(organization_id: str) -> Response:
    """Export the filtered End Users as CSV."""
    organization = load(Organization, organization_id, "Organization")
    return csv_download.download(
        end_user_list.export(organization, list_query(end_user_list.SPEC)),
        organization.name,
        "end-users",
        bom=csv_download.asks_for_bom(),
        what="end_users",
        object_type="organization",
        object_id=organization.id,
    )
