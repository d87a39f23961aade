"""Microsoft Tenants: the list, one tenant, its check, its mapping and its removal (P1, C4, C6)."""

from __future__ import annotations

from flask import request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response

from portal.errors import Forbidden, Invalid
from portal.extensions import db
from portal.graph.clouds import CLOUDS
from portal.http import checked_rows, csv_download, responses
from portal.http.access import load, may, reads_first, requires
from portal.http.formatting import plural
from portal.http.forms import choices, text
from portal.http.listing import parse
from portal.microsoft import check, listing, removal, service, views
from portal.microsoft.forms import NEW, MapForm, RemoveForm
from portal.microsoft.routes.blueprint import bp
from portal.models import MicrosoftTenant, Organization, Role, Tenant
from portal.organizations import bulk_page, tags
from portal.organizations import service as organizations
from portal.runtime import runtime
from portal.tenants import service as tenants
from portal.text import text_key


@bp.get("/microsoft-tenants")
@requires(Role.READ_ONLY)
def index() -> Response:
    """Microsoft Tenant Management (P1)."""
    page = listing.listing(parse(request.args, listing.SPEC, strict=False))
    view = views.tenants_list(
        url_for(".index"),
        page,
        listing.table_rows(page.items),
        listing.counts(page),
        tags.all_tags(),
        may_connect=may(Role.ADMINISTRATOR),
    )
    return responses.render("microsoft/list.html", blocks={"tenants_table": "tenants_table"}, view=view)


@bp.route("/microsoft-tenants.csv", methods=["GET", "POST"])
@requires(Role.READ_ONLY)
@reads_first
def export() -> Response:
    """CSV of exactly what is filtered; POST: of the checked ones, or of all that the list's filters fit."""
    query, ids = checked_rows.exported(listing.SPEC, listing.ids_of)
    return csv_download.download(listing.export(query, ids), "microsoft-tenants", what="microsoft_tenants")


@bp.post("/microsoft-tenants/bulk")
@requires(Role.TECHNICIAN)
@reads_first
def in_bulk() -> Response:
    """Sync, disable or tag the Organizations that the checked Microsoft Tenants feed: first what it would do, then the deed."""
    query = checked_rows.filtered_list(listing.SPEC)
    if request.form.get("confirmed"):  # the dialog names Organizations
        ids, notes = checked_rows.chosen_ids(listing.SPEC, listing.ids_of), []
    else:
        chosen = checked_rows.chosen_ids(listing.SPEC, listing.ids_of)
        ids = listing.organization_ids(chosen)
        notes = [
            f"{plural(len(chosen), 'Microsoft tenant feeds', 'Microsoft tenants feed')} {plural(len(ids), 'Organization')}."
        ]
    return bulk_page.answer(
        ids,
        address=url_for(".in_bulk"),
        back=url_for(".index") + query.query_string(),
        back_label="Microsoft Tenants",
        place="microsoft",
        notes=notes,
    )


@bp.get("/microsoft-tenants/<microsoft_tenant_id>")
@requires(Role.READ_ONLY)
def detail(microsoft_tenant_id: str) -> Response:
    """The connection of one Microsoft tenant: the last check, in words (C4)."""
    row = load(MicrosoftTenant, microsoft_tenant_id, "Microsoft tenant")
    return _check_page(row)


@bp.post("/microsoft-tenants/<microsoft_tenant_id>/check")
@requires(Role.TECHNICIAN)
@reads_first
def check_now(microsoft_tenant_id: str) -> Response:
    """Check connection (C4): every call the sync needs, now."""
    row = check.check_releasing(load(MicrosoftTenant, microsoft_tenant_id, "Microsoft tenant"))
    db.session.commit()
    runtime().wake()
    return responses.respond(redirect=url_for(".detail", microsoft_tenant_id=row.id), toast="Checked.")


@bp.get("/microsoft-tenants/<microsoft_tenant_id>/check")
@requires(Role.READ_ONLY)
def check_page(microsoft_tenant_id: str) -> Response:
    """The same table as the tenant's page."""
    return _check_page(load(MicrosoftTenant, microsoft_tenant_id, "Microsoft tenant"))


@bp.route("/microsoft-tenants/<microsoft_tenant_id>/remove", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
@reads_first
def remove(microsoft_tenant_id: str) -> Response:
    """Ask for the name, then remove the tenant, its mirror and the Links to it; End Users stay."""
    row = load(MicrosoftTenant, microsoft_tenant_id, "Microsoft tenant")
    form = RemoveForm()
    if form.submitted():
        if text_key(text(form.name)) == text_key(row.name):
            name = row.name
            removal.remove(row)
            return responses.respond(redirect=url_for(".index"), toast=f"{name} is removed.")
        form.show(Invalid({"name": [f"This is not its name. Enter: {row.name}"]}))
    return responses.render(
        "microsoft/remove.html",
        blocks={"dialog": "dialog"},
        form=form,
        row=row,
        mapped=service.tenant_ids([row]).get(row.id),
    )


@bp.route("/microsoft-tenants/<microsoft_tenant_id>/map", methods=["GET", "POST"])
@requires(Role.TECHNICIAN)
def map_to(microsoft_tenant_id: str) -> Response:
    """Map Tenant, from this side: choose a Tenant that is not mapped yet, or make an Organization with its own (C6)."""
    row = load(MicrosoftTenant, microsoft_tenant_id, "Microsoft tenant")
    free = db.session.scalars(
        select(Tenant).where(Tenant.microsoft_tenant_id.is_(None)).order_by(Tenant.name)
    ).all()
    new = [(NEW, "New Organization, with a Tenant of its own")] if may(Role.ADMINISTRATOR) else []
    likely = tenants.namesake(free, row.name) or (NEW if new else "")
    form = MapForm(data={"tenant_id": likely, "name": row.name})
    form.tenant_id.choices = choices(
        [("", "Choose a Tenant"), *new, *((tenant.id, tenant.name) for tenant in free)]
    )
    form.tenant_id.validate_choice = False  # one that was mapped meanwhile is refused with the reason
    if form.submitted():
        tenant = _chosen_tenant(form)
        if tenant is not None:
            tenants.map_only(tenant, load(MicrosoftTenant, microsoft_tenant_id, "Microsoft tenant"))
            db.session.commit()
            return responses.respond(
                redirect=url_for("tenants.detail", tenant_id=tenant.id),
                toast=f"{tenant.name} is mapped to {row.name}.",
            )
        row = load(MicrosoftTenant, microsoft_tenant_id, "Microsoft tenant")
    return responses.render(
        "microsoft/map_to.html",
        blocks={"dialog": "dialog"},
        row=row,
        form=form,
        has_choice=bool(free or new),
    )


def _chosen_tenant(form: MapForm) -> Tenant | None:
    """The Tenant that is chosen, or that of the Organization this form makes; None when its name is refused."""
    if text(form.tenant_id) != NEW:
        return load(Tenant, text(form.tenant_id), "Tenant")
    if not may(Role.ADMINISTRATOR):
        raise Forbidden("Only administrators can add Organizations.", needed=Role.ADMINISTRATOR.value)
    created = form.make(Organization, lambda row_id: organizations.create(text(form.name), row_id=row_id))
    return None if created is None else created.tenant


def _check_page(row: MicrosoftTenant) -> Response:
    return responses.render(
        "microsoft/detail.html",
        row=row,
        tenant=db.session.scalar(select(Tenant).where(Tenant.microsoft_tenant_id == row.id)),
        cloud=CLOUDS[row.cloud].label,
        checks=views.check_rows(row.checks, check.LOSSES),
    )
