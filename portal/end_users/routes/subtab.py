"""The End Users subtab of an Organization: search, filters, export, adding and bulk delete (P5)."""

from __future__ import annotations

from flask import request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response

from portal.end_users import documents, listing, service, views
from portal.end_users.forms import EndUserForm
from portal.end_users.routes.blueprint import bp
from portal.extensions import db
from portal.http import csv_download, responses
from portal.http.access import load, reads_first, requires
from portal.http.checked_rows import checked_ids, filtered_list
from portal.http.listing import Listing, parse
from portal.http.parts import one_by_one
from portal.models import EndUser, Organization, Role
from portal.organizations.frame import frame


@bp.get("/organizations/<organization_id>/end-users")
@requires(Role.READ_ONLY)
def index(organization_id: str) -> Response:
    """The End Users subtab (P5)."""
    organization = load(Organization, organization_id, "Organization")
    page = listing.listing(organization, _list_query())
    around = frame(organization, "end_users", end_users=page.unfiltered_total)
    return responses.render(
        "end_users/list.html",
        blocks={"users_table": "users_table"},
        organization=organization,
        view=views.end_users_list(
            url_for(".index", organization_id=organization.id),
            page,
            documents.license_names(page.items),
            around.sync,
            url_for("tenants.detail", tenant_id=organization.tenant_id),
        ),
        frame=around,
    )


@bp.get("/organizations/<organization_id>/end-users.csv")
@requires(Role.READ_ONLY)
def export(organization_id: str) -> Response:
    """CSV of exactly what is filtered."""
    organization = load(Organization, organization_id, "Organization")
    return _download(organization, _list_query())


@bp.post("/organizations/<organization_id>/end-users.csv")
@requires(Role.READ_ONLY)
@reads_first
def export_checked(organization_id: str) -> Response:
    """CSV of the checked people, or of everybody that is filtered, in the order of the list."""
    organization = load(Organization, organization_id, "Organization")
    ids = None if request.form.get("all_filtered") else checked_ids("person", is_page=True)
    return _download(organization, filtered_list(listing.SPEC), ids)


@bp.route("/organizations/<organization_id>/end-users/new", methods=["GET", "POST"])
@requires(Role.TECHNICIAN)
def new(organization_id: str) -> Response:
    """Add an End User by hand."""
    organization = load(Organization, organization_id, "Organization")
    form = EndUserForm()
    if form.submitted():
        row = form.make(EndUser, lambda row_id: service.create(organization_id, form.values(), row_id=row_id))
        if row is not None:
            db.session.commit()
            return responses.respond(redirect=url_for(".detail", end_user_id=row.id))
    organization = load(Organization, organization_id, "Organization")
    return responses.render("end_users/new.html", organization=organization, form=form)


@bp.post("/organizations/<organization_id>/end-users/delete")
@requires(Role.TECHNICIAN)
@reads_first
def delete_many(organization_id: str) -> Response:
    """Bulk delete: first what it does, by name and number; then, with ``confirmed``, the deed (L4)."""
    organization = load(Organization, organization_id, "Organization")
    if request.form.get("all_filtered"):
        ids = listing.ids_of(organization, filtered_list(listing.SPEC))
    else:
        ids = checked_ids("person")
    if request.form.get("confirmed"):
        went: list[int] = []
        one_by_one(
            db.session(),
            ids,
            lambda part: went.append(service.remove_many(organization, part)),
            "deleted",
        )
        return responses.respond(
            redirect=url_for(".index", organization_id=organization_id),
            toast=f"{sum(went):,} End Users are deleted.",
        )
    names = db.session.scalars(
        select(EndUser)
        .where(EndUser.organization_id == organization.id, EndUser.id.in_(ids[:500]))
        .order_by(EndUser.sort_name)
    ).all()
    return responses.render(
        "end_users/delete_many.html",
        blocks={"dialog": "dialog"},
        organization=organization,
        ids=ids,
        people=names,
        more=len(ids) - len(names),
        effects=service.deletion_effects(organization, ids),
    )


def _download(organization: Organization, query: Listing, ids: list[str] | None = None) -> Response:
    return csv_download.download(
        listing.export(organization, query, ids),
        organization.name,
        "end-users",
        what="end_users",
        object_type="organization",
        object_id=organization.id,
    )


def _list_query() -> Listing:
    return parse(request.args, listing.SPEC, strict=False)
