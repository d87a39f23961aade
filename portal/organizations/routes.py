"""Organizations: the list, one with its linked Tenant and sync history, create, edit, delete (P3, P4)."""

from __future__ import annotations

from flask import Blueprint, request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response

from portal.extensions import db
from portal.filter_templates import panel as filter_templates
from portal.http import access, checked_rows, csv_download, responses
from portal.http.access import load, may, reads_first, requires
from portal.http.formatting import plural
from portal.http.forms import ShowingInvalid, choices, text
from portal.http.listing import Listing, parse
from portal.microsoft import service as microsoft
from portal.models import Organization, Role, SyncRun, Tenant
from portal.organizations import bulk_page, listing, removal, service, tags, views
from portal.organizations.forms import OrganizationForm
from portal.organizations.frame import frame
from portal.runs import list_views

bp = Blueprint("organizations", __name__)
OWN = ""
HISTORY = 50


@bp.get("/organizations")
@requires(Role.READ_ONLY)
def index() -> Response:
    """The table of Organizations (P3)."""
    page = listing.listing(_list_query())
    view = views.organizations_list(
        url_for(".index"),
        page,
        listing.rows(page.items),
        listing.state_counts(page),
        tags.all_tags(),
        may_add=may(Role.ADMINISTRATOR),
    )
    return responses.render(
        "organizations/list.html", blocks={"organizations_table": "organizations_table"}, view=view
    )


@bp.route("/organizations.csv", methods=["GET", "POST"])
@requires(Role.READ_ONLY)
@reads_first
def export() -> Response:
    """CSV of exactly what is filtered; POST: of the checked ones, or of all that the list's filters fit."""
    query, ids = checked_rows.exported(listing.SPEC, listing.ids_of)
    return csv_download.download(listing.export(query, ids), "organizations", what="organizations")


@bp.post("/organizations/bulk")
@requires(Role.TECHNICIAN)
@reads_first
def in_bulk() -> Response:
    """Sync Now, disable or tag the checked Organizations: first what it would do, then, with ``confirmed``, the deed."""
    query = checked_rows.filtered_list(listing.SPEC)
    return bulk_page.answer(
        checked_rows.chosen_ids(listing.SPEC, listing.ids_of),
        address=url_for(".in_bulk"),
        back=url_for(".index") + query.query_string(),
        back_label="Organizations",
        place="organizations",
    )


@bp.get("/organizations/<organization_id>")
@requires(Role.READ_ONLY)
def detail(organization_id: str) -> Response:
    """One Organization: what it is linked to and how it syncs (P4)."""
    row = load(Organization, organization_id, "Organization")
    return responses.render(
        "organizations/detail.html",
        organization=row,
        following=filter_templates.following_panel(row),
        microsoft_tenant=microsoft.mapped_to(row),
        frame=frame(row, "information"),
    )


@bp.get("/organizations/<organization_id>/history")
@requires(Role.READ_ONLY)
def history(organization_id: str) -> Response:
    """Its latest runs."""
    row = load(Organization, organization_id, "Organization")
    runs = db.session.scalars(
        select(SyncRun)
        .where(SyncRun.organization_id == row.id)
        .order_by(SyncRun.created_at.desc())
        .limit(HISTORY)
    ).all()
    return responses.render(
        "organizations/history.html",
        organization=row,
        frame=frame(row, "history"),
        runs=list_views.history_rows(runs),
        summary=f"The latest {HISTORY} runs" if len(runs) == HISTORY else plural(len(runs), "run"),
    )


@bp.route("/organizations/new", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
def new() -> Response:
    """Create an Organization, with its own Tenant or in an existing one."""
    form = _form(tenant_id=request.args.get("tenant_id", OWN))
    if form.submitted():
        row = form.make(
            Organization,
            lambda row_id: service.create(
                text(form.name), _chosen_tenant(form), tags.split(text(form.tags)), row_id=row_id
            ),
        )
        if row is not None:
            db.session.commit()
            return responses.respond(redirect=url_for(".detail", organization_id=row.id))
    return _form_page(form, None)


@bp.route("/organizations/<organization_id>/edit", methods=["GET", "POST"])
@requires(Role.TECHNICIAN)
def edit(organization_id: str) -> Response:
    """Rename, or assign to another Tenant (R1)."""
    row = load(Organization, organization_id, "Organization")
    form = _form(
        own=False, name=row.name, tenant_id=row.tenant_id, tags=", ".join(tag.name for tag in row.tags)
    )
    if form.submitted():
        with ShowingInvalid(form):
            edited = form.edited("name", "tenant_id", "tags")
            if "name" in edited:
                service.rename(row, text(form.name))
            tenant = _chosen_tenant(form)
            if tenant is not None and "tenant_id" in edited:
                service.move(row, tenant)
            if "tags" in edited:
                tags.replace(row, tags.split(text(form.tags)))
            db.session.commit()
            return responses.respond(redirect=url_for(".detail", organization_id=row.id), toast="Saved.")
        row = load(Organization, organization_id, "Organization")
    return _form_page(form, row)


@bp.route("/organizations/<organization_id>/delete", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
@reads_first
def delete(organization_id: str) -> Response:
    """Ask, naming what goes, then delete."""
    row = load(Organization, organization_id, "Organization")
    if request.method == "POST":
        name = row.name
        removal.remove(row)
        return responses.respond(redirect=url_for(".index"), toast=f"{name} is deleted.")
    service.refuse_while_syncing(row, "deleted")
    return responses.render(
        "organizations/delete.html",
        blocks={"dialog": "dialog"},
        organization=row,
        effects=service.deletion_effects(row),
    )


def _form(*, own: bool = True, **values: str) -> OrganizationForm:
    form = OrganizationForm(data=values)
    tenants = db.session.scalars(select(Tenant).order_by(Tenant.sort_key))
    own_choice = [(OWN, "Its own")] if own else []
    form.tenant_id.choices = choices([*own_choice, *((tenant.id, tenant.name) for tenant in tenants)])
    return form


def _list_query() -> Listing:
    return parse(request.args, listing.SPEC, strict=False)


def _chosen_tenant(form: OrganizationForm) -> Tenant | None:
    chosen = text(form.tenant_id)
    return access.load(Tenant, chosen, "Tenant") if chosen else None


def _form_page(form: OrganizationForm, row: Organization | None) -> Response:
    return responses.render(
        "organizations/form.html",
        blocks={"dialog": "dialog"},
        form=form,
        view=views.form_view(url_for(".index"), row),
        known_tags=[tag.name for tag in tags.all_tags()],
    )
