"""Tenant Details: Microsoft Details, its Organizations and their sync; map, unmap, remap; create, rename, delete (P2, C6)."""

from __future__ import annotations

from flask import Blueprint, request, url_for
from sqlalchemy import func, select
from werkzeug.wrappers import Response
from wtforms import SelectField, StringField
from wtforms.validators import InputRequired, Length

from portal.coverage import service as coverages
from portal.extensions import db
from portal.http import responses
from portal.http.access import load, requires
from portal.http.forms import Form, ShowingInvalid, choices, text
from portal.microsoft import service as microsoft
from portal.models import DirectoryUser, MicrosoftTenant, Role, SubscribedSku, Tenant
from portal.models.microsoft import IS_CONNECTED
from portal.organizations import listing as organizations
from portal.runtime import runtime
from portal.tenants import dialog_view, mapping, service, views
from portal.user_sync import service as user_sync

bp = Blueprint("tenants", __name__)


class NameForm(Form):
    """A Tenant's name."""

    name = StringField("Name", validators=[InputRequired("Enter a name."), Length(max=256)])


class MapForm(Form):
    """The Microsoft tenant to map."""

    microsoft_tenant_id = SelectField(
        "Microsoft tenant", validators=[InputRequired("Choose a Microsoft tenant.")]
    )


@bp.get("/tenants")
@requires(Role.READ_ONLY)
def index() -> Response:
    """All Tenants lead to the Microsoft Tenants page, which shows both sides."""
    return responses.respond(redirect=url_for("microsoft.index"))


@bp.get("/tenants/<tenant_id>")
@requires(Role.READ_ONLY)
def detail(tenant_id: str) -> Response:
    """Tenant Details (P2)."""
    row = load(Tenant, tenant_id, "Tenant")
    presented = _present(row)
    details = None
    if presented is not None:
        details = views.microsoft_details(
            presented,
            members=_members(presented),
            coverage=coverages.counts(presented) if presented.last_synced_at is not None else None,
            licenses=_licenses(presented),
        )
    return responses.render(
        "tenants/detail.html",
        blocks={"organizations_table": "organizations_update", "microsoft_details": "microsoft_details"},
        view=views.tenant_view(row, details, organizations.rows(row.organizations)),
    )


@bp.post("/tenants/<tenant_id>/sync")
@requires(Role.TECHNICIAN)
def sync_now(tenant_id: str) -> Response:
    """Sync Now for the whole Tenant: every enabled sync, or just a read when none is (T5)."""
    row = load(Tenant, tenant_id, "Tenant")
    enabled = service.syncing_below(row)
    for organization in sorted(enabled, key=lambda row: row.id):  # the order in which the schedule locks them
        user_sync.request_run(organization)
    if not enabled and row.microsoft_tenant_id is not None:
        microsoft.request_read(db.session.get_one(MicrosoftTenant, row.microsoft_tenant_id))
    db.session.commit()
    runtime().wake()
    return responses.respond(redirect=url_for(".detail", tenant_id=row.id), toast="The sync is starting.")


@bp.route("/tenants/new", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
def new() -> Response:
    """Create a Tenant without Organizations."""
    form = NameForm()
    if form.submitted():
        row = form.make(Tenant, lambda row_id: service.create(text(form.name), row_id=row_id))
        if row is not None:
            db.session.commit()
            return responses.respond(redirect=url_for(".detail", tenant_id=row.id))
    return _name_page(form, None)


@bp.route("/tenants/<tenant_id>/rename", methods=["GET", "POST"])
@requires(Role.TECHNICIAN)
def rename(tenant_id: str) -> Response:
    """Give a Tenant another name."""
    row = load(Tenant, tenant_id, "Tenant")
    form = NameForm(data={"name": row.name})
    if form.submitted():
        with ShowingInvalid(form):
            service.rename(row, text(form.name))
            db.session.commit()
            return responses.respond(redirect=url_for(".detail", tenant_id=tenant_id))
    return _name_page(form, load(Tenant, tenant_id, "Tenant"))


@bp.route("/tenants/<tenant_id>/delete", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
def delete(tenant_id: str) -> Response:
    """Ask, then delete an empty Tenant; one that is not empty says what to do first."""
    row = load(Tenant, tenant_id, "Tenant")
    if request.method == "POST":
        name = row.name
        service.remove(row)
        db.session.commit()
        return responses.respond(redirect=url_for("microsoft.index"), toast=f"{name} is deleted.")
    return responses.render(
        "tenants/delete.html", blocks={"dialog": "dialog"}, view=dialog_view.deleting(row)
    )


@bp.route("/tenants/<tenant_id>/map", methods=["GET", "POST"])
@requires(Role.TECHNICIAN)
def map_tenant(tenant_id: str) -> Response:
    """Map, or remap to another Microsoft tenant (C6, R2, R4)."""
    row = load(Tenant, tenant_id, "Tenant")
    offered = _offered(row)
    chosen_id = request.args.get("microsoft_tenant_id", "")
    free = [microsoft_tenant for microsoft_tenant, holder in offered if holder is None]
    form = MapForm(data={"microsoft_tenant_id": chosen_id or service.namesake(free, row.name)})
    form.microsoft_tenant_id.choices = choices(
        [
            ("", "Choose a Microsoft tenant"),
            *((tenant.id, _choice(tenant, holder)) for tenant, holder in offered),
        ]
    )
    form.microsoft_tenant_id.validate_choice = (
        False  # one that was removed or mapped meanwhile is refused with the reason
    )
    if form.submitted():
        chosen = load(MicrosoftTenant, text(form.microsoft_tenant_id), "Microsoft tenant")
        if (answer := _ask_or_take(row, chosen)) is not None:
            return answer
        service.map_microsoft_tenant(row, chosen)
        return _mapped(row, chosen)
    return responses.render(
        "tenants/map.html",
        blocks={"dialog": "dialog"},
        view=dialog_view.mapping(row, _present(row), service.syncing_below(row)),
        form=form,
        has_choice=bool(offered),
    )


def _offered(row: Tenant) -> list[tuple[MicrosoftTenant, Tenant | None]]:
    """The Microsoft tenants that may be mapped, each with the Tenant that has it now: the free ones first."""
    rows = db.session.execute(
        select(MicrosoftTenant, Tenant)
        .outerjoin(Tenant, Tenant.microsoft_tenant_id == MicrosoftTenant.id)
        .where(IS_CONNECTED, (Tenant.id.is_(None)) | (Tenant.id != row.id))
        .order_by(Tenant.id.is_not(None), MicrosoftTenant.sort_key)
    )
    return [(microsoft_tenant, holder) for microsoft_tenant, holder in rows]


def _choice(microsoft_tenant: MicrosoftTenant, holder: Tenant | None) -> str:
    place = f", mapped to {holder.name}" if holder is not None else ""
    return f"{microsoft_tenant.name} ({_domain(microsoft_tenant)}){place}"


def _ask_or_take(row: Tenant, chosen: MicrosoftTenant) -> Response | None:
    """Where another Tenant has it: the question, or what was answered to it. None when nobody else has it."""
    how = request.form.get("how")
    if how is not None and row.microsoft_tenant_id == chosen.id:  # pressed twice
        return _mapped(row, chosen)
    if how is not None:
        holder = load(Tenant, request.form.get("holder_id", ""), "Tenant")
        mapping.take(row, chosen, how, holder_id=holder.id)
        return _mapped(row, chosen)
    takeover = mapping.takeover(row, chosen)
    if takeover is None or service.syncing_below(row):
        return None
    return responses.render(
        "tenants/taken.html", blocks={"dialog": "dialog"}, view=dialog_view.taking(takeover), taken=takeover
    )


def _mapped(row: Tenant, chosen: MicrosoftTenant) -> Response:
    db.session.commit()
    return responses.respond(
        redirect=url_for(".detail", tenant_id=row.id), toast=f"{row.name} is mapped to {chosen.name}."
    )


@bp.route("/tenants/<tenant_id>/unmap", methods=["GET", "POST"])
@requires(Role.TECHNICIAN)
def unmap(tenant_id: str) -> Response:
    """Ask, then take the mapping away; End Users keep their data (R4)."""
    row = load(Tenant, tenant_id, "Tenant")
    if request.method == "POST":
        service.unmap(row, named=request.form.get("microsoft_tenant_id"))
        db.session.commit()
        return responses.respond(
            redirect=url_for(".detail", tenant_id=row.id), toast=f"{row.name} is no longer mapped."
        )
    return responses.render(
        "tenants/unmap.html",
        blocks={"dialog": "dialog"},
        view=dialog_view.unmapping(row, _present(row), service.syncing_below(row)),
    )


def _name_page(form: NameForm, row: Tenant | None) -> Response:
    return responses.render(
        "tenants/name.html",
        blocks={"dialog": "dialog"},
        form=form,
        view=dialog_view.naming(row),
    )


def _present(row: Tenant) -> MicrosoftTenant | None:
    """What the Tenant is mapped to."""
    return db.session.get(MicrosoftTenant, row.microsoft_tenant_id) if row.microsoft_tenant_id else None


def _licenses(microsoft_tenant: MicrosoftTenant) -> list[SubscribedSku]:
    rows = db.session.scalars(
        select(SubscribedSku).where(
            SubscribedSku.microsoft_tenant_id == microsoft_tenant.id, SubscribedSku.applies_to == "User"
        )
    )
    return sorted(rows, key=lambda sku: (-sku.assigned, sku.name))


def _members(microsoft_tenant: MicrosoftTenant) -> dict[str, int]:
    rows = db.session.execute(
        select(DirectoryUser.user_type, func.count())
        .where(DirectoryUser.microsoft_tenant_id == microsoft_tenant.id, DirectoryUser.presence == "present")
        .group_by(DirectoryUser.user_type)
    )
    return {str(kind): int(number) for kind, number in rows}


def _domain(row: MicrosoftTenant) -> str:
    return next((str(d["name"]) for d in row.domains if d.get("is_default")), row.directory_id)
