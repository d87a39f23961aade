"""Microsoft Tenants (P1): the list; connect by consent or by id, discover customers, check, reconnect, remove (C2-C4)."""

from __future__ import annotations

from flask import Blueprint, g, redirect, request, session, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response
from wtforms import SelectField, StringField
from wtforms.validators import InputRequired, Length

from portal import web
from portal.access import load, requires, writes
from portal.errors import Invalid, PortalError, Refused, SourceError
from portal.extensions import db
from portal.forms import Form, choices, text
from portal.graph.clouds import CLOUDS
from portal.listing import parse
from portal.microsoft import check, consent, discover, service
from portal.models import MicrosoftTenant, Role, Tenant
from portal.runtime import runtime
from portal.tenants import service as tenants

bp = Blueprint("microsoft", __name__)


class ConnectForm(Form):
    """Which tenant to connect, in which cloud."""

    directory_id = StringField(
        "Tenant ID or domain",
        validators=[Length(max=253)],
        description="Leave it empty when you do not know it: Microsoft then asks whom you sign in as.",
    )
    cloud = SelectField("Cloud", choices=choices((name, cloud.label) for name, cloud in CLOUDS.items()))


class RemoveForm(Form):
    """The name typed again, for a tenant that has been mapped."""

    name = StringField("Name of the Microsoft tenant", validators=[InputRequired("Enter the name.")])


@bp.get("/microsoft-tenants")
@requires(Role.READ_ONLY)
def index() -> Response:
    """Microsoft Tenant Management (P1)."""
    asked = parse(request.args, service.SPEC, strict=False, extra=("view",))
    found = service.listing(asked)
    return web.render(
        "microsoft/list.html",
        blocks={"tenants_table": "tenants_table"},
        listing=found,
        rows=service.table_rows(list(found.items)),
        counts=service.counts(),
    )


@bp.get("/microsoft-tenants/<microsoft_tenant_id>")
@requires(Role.READ_ONLY)
def detail(microsoft_tenant_id: str) -> Response:
    """The connection of one Microsoft tenant: the last check, in words (C4)."""
    row = load(MicrosoftTenant, microsoft_tenant_id, "Microsoft tenant")
    return _check_page(row)


@bp.route("/microsoft-tenants/connect", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
def connect() -> Response:
    """Choose how to connect; POST connects a tenant whose consent was given already."""
    form = ConnectForm()
    if form.submitted():
        try:
            row = service.connect_releasing(text(form.directory_id), text(form.cloud))
        except Invalid as error:
            db.session.rollback()
            form.show(error)
        else:
            db.session.commit()
            runtime().wake()
            return web.respond(
                redirect=url_for(".index"), toast=f"{row.name} is connected. Its first read is under way."
            )
    return _connect_page(form)


@bp.post("/microsoft-tenants/consent")
@requires(Role.ADMINISTRATOR)
def ask_consent() -> Response:
    """Send the browser to Microsoft's admin-consent page (C2)."""
    form = ConnectForm()
    if not form.submitted():
        return _connect_page(form)
    try:
        target = consent.begin(
            directory_id=text(form.directory_id),
            cloud=text(form.cloud),
            browser=_browser(),
            redirect_uri=_callback(),
        )
    except Invalid as error:
        db.session.rollback()
        form.show(error)
        return _connect_page(form)
    db.session.commit()
    return redirect(target, 303)


@bp.post("/microsoft-tenants/<microsoft_tenant_id>/reconnect")
@requires(Role.ADMINISTRATOR)
def reconnect(microsoft_tenant_id: str) -> Response:
    """Ask this very tenant for its consent again."""
    row = load(MicrosoftTenant, microsoft_tenant_id, "Microsoft tenant")
    target = consent.begin(
        directory_id=row.directory_id,
        cloud=row.cloud,
        browser=_browser(),
        redirect_uri=_callback(),
        known=True,
    )
    db.session.commit()
    return redirect(target, 303)


@bp.get("/microsoft-tenants/consent/answer")
@requires(Role.ADMINISTRATOR)
@writes
def consent_answer() -> Response:
    """Microsoft's answer: state first, error before consent, and the tenant is proven by a call (C2)."""
    try:
        row = consent.finish(request.args.to_dict(), browser=_browser())
    except (PortalError, SourceError) as error:
        db.session.rollback()
        consent.record_refusal(error.advice)
        db.session.commit()
        link = error.link if isinstance(error, Refused) else None
        return web.render("microsoft/consent_failed.html", status=422, advice=error.advice, link=link)
    db.session.commit()
    runtime().wake()
    return web.respond(
        redirect=url_for(".index"), toast=f"{row.name} is connected. Its first read is under way."
    )


@bp.post("/microsoft-tenants/<microsoft_tenant_id>/check")
@requires(Role.TECHNICIAN)
def check_now(microsoft_tenant_id: str) -> Response:
    """Check connection (C4): every call the sync needs, now."""
    row = check.check_releasing(load(MicrosoftTenant, microsoft_tenant_id, "Microsoft tenant"))
    db.session.commit()
    runtime().wake()
    return web.respond(redirect=url_for(".detail", microsoft_tenant_id=row.id), toast="Checked.")


@bp.get("/microsoft-tenants/<microsoft_tenant_id>/check")
@requires(Role.READ_ONLY)
def check_page(microsoft_tenant_id: str) -> Response:
    """The same table as the tenant's page."""
    return _check_page(load(MicrosoftTenant, microsoft_tenant_id, "Microsoft tenant"))


@bp.route("/microsoft-tenants/<microsoft_tenant_id>/remove", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
def remove(microsoft_tenant_id: str) -> Response:
    """Ask for the name, then remove the tenant, its mirror and the Links to it; End Users stay."""
    row = load(MicrosoftTenant, microsoft_tenant_id, "Microsoft tenant")
    form = RemoveForm()
    if form.submitted():
        if text(form.name).strip().casefold() == row.name.casefold():
            name = row.name
            service.remove(row)
            db.session.commit()
            return web.respond(redirect=url_for(".index"), toast=f"{name} is removed.")
        form.show(Invalid({"name": [f"This is not its name. Enter: {row.name}"]}))
    return web.render(
        "microsoft/remove.html",
        blocks={"dialog": "dialog"},
        status=422 if form.errors else 200,
        form=form,
        row=row,
        mapped=service.tenant_ids([row]).get(row.id),
    )


@bp.route("/microsoft-tenants/<microsoft_tenant_id>/map", methods=["GET", "POST"])
@requires(Role.TECHNICIAN)
def map_to(microsoft_tenant_id: str) -> Response:
    """Map Tenant, from this side: choose a Tenant that is not mapped yet (C6)."""
    row = load(MicrosoftTenant, microsoft_tenant_id, "Microsoft tenant")
    if request.method == "POST":
        tenant = load(Tenant, request.form.get("tenant_id", ""), "Tenant")
        tenants.map_only(tenant, row)
        db.session.commit()
        return web.respond(
            redirect=url_for("tenants.detail", tenant_id=tenant.id),
            toast=f"{tenant.name} is mapped to {row.name}.",
        )
    free = db.session.scalars(
        select(Tenant).where(Tenant.microsoft_tenant_id.is_(None)).order_by(Tenant.name)
    ).all()
    return web.render("microsoft/map_to.html", blocks={"dialog": "dialog"}, row=row, tenants=free)


@bp.route("/microsoft-tenants/discover", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
def discover_customers() -> Response:
    """Partner (C3): list customers of a connected partner tenant, connect the chosen ones, each with its own outcome."""
    partner_id = request.values.get("partner", "")
    partners = discover.partners()
    if request.method == "POST":
        outcomes = discover.connect_many(
            request.form.getlist("id"), cloud=request.form.get("cloud", "global")
        )
        runtime().wake()
        return web.render("microsoft/discovered.html", outcomes=outcomes)
    found = discover.customers(load(MicrosoftTenant, partner_id, "Microsoft tenant")) if partner_id else None
    return web.render("microsoft/discover.html", partners=partners, partner_id=partner_id, found=found)


def _connect_page(form: ConnectForm) -> Response:
    return web.render(
        "microsoft/connect.html",
        blocks={"dialog": "dialog"},
        status=422 if form.errors else 200,
        form=form,
        callback=_callback(),
        registration=service.overview(),
    )


def _check_page(row: MicrosoftTenant) -> Response:
    return web.render(
        "microsoft/detail.html",
        row=row,
        tenant=db.session.scalar(select(Tenant).where(Tenant.microsoft_tenant_id == row.id)),
        cloud=CLOUDS[row.cloud].label,
        losses=check.LOSSES,
    )


def _callback() -> str:
    base = runtime().settings.base_url
    path = url_for("microsoft.consent_answer")
    return f"{base}{path}" if base else url_for("microsoft.consent_answer", _external=True)


def _browser() -> str:
    """What a consent answer must come back to: the signed-in session of this browser."""
    return str(g.principal.session_id or session.get("_id", ""))
