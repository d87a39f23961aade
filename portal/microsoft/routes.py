"""Microsoft Tenants (P1): the list; connect by consent or by id, discover customers, check, reconnect, remove (C2-C4)."""

from __future__ import annotations

from urllib.parse import parse_qsl

from flask import Blueprint, g, redirect, request, session, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response
from wtforms import SelectField, StringField
from wtforms.validators import InputRequired, Length

from portal.clock import utcnow
from portal.errors import Forbidden, Invalid, PortalError, Refused, SourceError
from portal.extensions import db
from portal.graph.clouds import CLOUDS, DEFAULT, REGISTRATIONS
from portal.graph.explain import consent_error
from portal.http import csv_download, responses
from portal.http.access import load, may, public, reads_first, requires
from portal.http.formatting import plural
from portal.http.forms import Form, choices, text
from portal.http.listing import Listing, parse
from portal.http.proxies import NO_ADDRESS, public_address, public_address_or_none
from portal.microsoft import check, consent, discover, listing, removal, service, views
from portal.models import MicrosoftTenant, Organization, Role, Tenant
from portal.organizations import bulk, bulk_page, tags
from portal.organizations import service as organizations
from portal.rollouts import service as rollouts
from portal.rollouts import views as rollout_views
from portal.runtime import runtime
from portal.tenants import service as tenants
from portal.text import text_key
from portal.transactions import begin_write

bp = Blueprint("microsoft", __name__)
NEW = "new"
"""Of the choice of a Tenant: one that comes with a new Organization."""


class ConnectForm(Form):
    """Which tenant to connect, in which cloud."""

    directory_id = StringField(
        "Tenant ID or domain",
        validators=[Length(max=253)],
        description="Leave it empty when you do not know it: Microsoft then asks whom you sign in as.",
    )
    # what is not offered is refused by the service, which says what is missing
    cloud = SelectField("Cloud", default=DEFAULT, validate_choice=False)


class MapForm(Form):
    """The Tenant to map, or the name of the Organization that is made for it."""

    tenant_id = SelectField("Tenant", validators=[InputRequired("Choose a Tenant.")])
    name = StringField("Name of the new Organization", validators=[Length(max=256)])


class RemoveForm(Form):
    """The name typed again, for a tenant that has been mapped."""

    name = StringField("Name of the Microsoft tenant", validators=[InputRequired("Enter the name.")])


@bp.get("/microsoft-tenants")
@requires(Role.READ_ONLY)
def index() -> Response:
    """Microsoft Tenant Management (P1)."""
    found = listing.listing(parse(request.args, listing.SPEC, strict=False))
    view = views.tenants_list(
        url_for(".index"),
        found,
        listing.table_rows(found.items),
        listing.counts(found),
        tags.all_tags(),
        may_connect=may(Role.ADMINISTRATOR),
    )
    return responses.render("microsoft/list.html", blocks={"tenants_table": "tenants_table"}, view=view)


@bp.route("/microsoft-tenants.csv", methods=["GET", "POST"])
@requires(Role.READ_ONLY)
@reads_first
def export() -> Response:
    """CSV of exactly what is filtered; POST: of the checked ones, or of all that the list's filters fit."""
    form = request.form if request.method == "POST" else None
    asked, ids = bulk.exported(request.args, form, listing.SPEC, listing.ids_of)
    return csv_download.download(listing.export(asked, ids), "microsoft-tenants", what="microsoft_tenants")


@bp.post("/microsoft-tenants/bulk")
@requires(Role.TECHNICIAN)
@reads_first
def in_bulk() -> Response:
    """Sync, disable or tag the Organizations that the checked Microsoft Tenants feed: first what it would do, then the deed."""
    asked = bulk.listed(request.form, listing.SPEC)
    if request.form.get("confirmed"):  # the dialog names Organizations
        ids, notes = bulk.chosen(request.form, listing.SPEC, listing.ids_of), []
    else:
        chosen = bulk.chosen(request.form, listing.SPEC, listing.ids_of)
        ids = listing.organization_ids(chosen)
        notes = [
            f"{plural(len(chosen), 'Microsoft tenant feeds', 'Microsoft tenants feed')} {plural(len(ids), 'Organization')}."
        ]
    return bulk_page.answer(
        ids,
        address=url_for(".in_bulk"),
        back=url_for(".index") + asked.query(),
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


@bp.route("/microsoft-tenants/connect", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
@reads_first
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
            return _connected(row)
    return _connect_page(form)


@bp.post("/microsoft-tenants/consent")
@requires(Role.ADMINISTRATOR)
@reads_first
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
@reads_first
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
@public
def consent_answer() -> Response:
    """Microsoft's answer: state first, error before consent, and the tenant is proven by a call (C2).

    Public for administrators of customers who followed a link that was sent to them: they are thanked, nothing is done.
    """
    if not may(Role.ADMINISTRATOR):
        error = request.args.get("error", "")
        return responses.render(
            "microsoft/consent_thanks.html",
            status=422 if error else 200,
            problem=consent_error(error, request.args.get("error_description", "")) if error else "",
        )
    try:
        request_id = consent.finish(request.args.to_dict(), browser=_browser())
    except PortalError as error:
        return _refused(error)
    return _prove(request_id)


@bp.get("/microsoft-tenants/consent/<request_id>")
@requires(Role.ADMINISTRATOR)
def consent_wait(request_id: str) -> Response:
    """Consent was given, Microsoft does not know of it yet: this page tries again by itself (graph-facts 1.3)."""
    consent.waiting(request_id, browser=_browser())
    return _wait(request_id, "", 5)


@bp.post("/microsoft-tenants/consent/<request_id>")
@requires(Role.ADMINISTRATOR)
@reads_first
def consent_try(request_id: str) -> Response:
    """Try once more to prove the tenant that consented."""
    return _prove(request_id)


def _prove(request_id: str) -> Response:
    try:
        row = consent.attempt(request_id, browser=_browser())
    except consent.NotYet as error:
        db.session.rollback()
        if request.method == "GET":
            return redirect(url_for(".consent_wait", request_id=request_id), 303)
        return _wait(request_id, error.advice, error.seconds)
    except PortalError as error:
        return _refused(error)
    return _connected(row)


def _wait(request_id: str, advice: str, seconds: int) -> Response:
    return responses.render(
        "microsoft/consent_wait.html",
        blocks={"consent_wait": "consent_wait"},
        request_id=request_id,
        advice=advice,
        seconds=seconds,
    )


def _refused(error: PortalError) -> Response:
    begin_write(db.session())
    consent.record_refusal(error.advice)
    db.session.commit()
    return responses.render(
        "microsoft/consent_failed.html",
        blocks={"consent_wait": "content"},
        status=422,
        advice=error.advice,
        link=error.link if isinstance(error, Refused) else None,
    )


def _connected(row: MicrosoftTenant) -> Response:
    """Start the first read and check at once, so that what is missing is seen before a sync is set up (C4)."""
    db.session.commit()
    runtime().wake()
    row = check.check_releasing(row)
    db.session.commit()
    missing = sum(line["state"] != "ok" for line in row.checks)
    told = f"{row.name} is connected. Its first read is under way."
    if missing:
        told += f" Not everything works yet: {missing} of {len(row.checks)} calls, see the table."
    return responses.respond(redirect=url_for(".detail", microsoft_tenant_id=row.id), toast=told)


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
        status=422 if form.errors else 200,
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
    form.tenant_id.choices = choices([("", "Choose a Tenant"), *new, *((one.id, one.name) for one in free)])
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
        status=422 if form.errors else 200,
        row=row,
        form=form,
        has_choice=bool(free or new),
    )


def _chosen_tenant(form: MapForm) -> Tenant | None:
    """The Tenant that is chosen, or that of the Organization this form makes; None when its name is refused."""
    if text(form.tenant_id) != NEW:
        return load(Tenant, text(form.tenant_id), "Tenant")
    if not may(Role.ADMINISTRATOR):
        raise Forbidden("Only administrators add Organizations.", needed=Role.ADMINISTRATOR.value)
    made = form.make(Organization, lambda row_id: organizations.create(text(form.name), row_id=row_id))
    return None if made is None else made.tenant


@bp.route("/microsoft-tenants/discover", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
@reads_first
def discover_customers() -> Response:
    """Partner (C3): list the customers of a connected partner tenant; POST begins to connect those that were chosen."""
    partner_id = request.values.get("partner", "")
    if request.method == "GET":
        return _discover_page(partner_id)
    partner = load(MicrosoftTenant, partner_id, "Microsoft tenant")
    filtered = (
        _customers_asked(request.form.get("filtered", "")) if request.form.get("all_filtered") else None
    )
    chosen = discover.chosen(partner, request.form.getlist("id"), filtered=filtered)
    if not chosen:
        return _discover_page(partner_id, problem="Choose at least one customer.")
    begin_write(db.session())
    rollout_id = rollouts.begin_customers(partner, chosen).id
    db.session.commit()
    runtime().wake()
    return responses.respond(redirect=url_for("rollouts.detail", rollout_id=rollout_id))


def _discover_page(partner_id: str, *, problem: str = "") -> Response:
    """What Microsoft listed last; it is asked again on request. A refusal stands beside the choice: it may be no partner."""
    status, asked = 422 if problem else 200, _customers_asked(request.query_string.decode("utf-8", "replace"))
    found = counts = seen_at = None
    if partner_id:
        partner = load(MicrosoftTenant, partner_id, "Microsoft tenant")
        seen_at = discover.seen_at(partner)
        if request.method == "GET" and (seen_at is None or request.args.get("look")):
            try:
                discover.look(partner)
                db.session.commit()
                seen_at = utcnow()
            except SourceError as error:
                db.session.rollback()
                problem, status = error.advice, 502
        if seen_at is not None:
            found, counts = discover.listing(partner, asked), discover.counts(partner)
    return responses.render(
        "microsoft/discover.html",
        blocks={"customers_table": "customers_table"},
        status=status,
        partners=discover.partners(),
        partner_id=partner_id,
        listing=found,
        can_choose=found is not None and any(one.is_offered for one in found.items),
        chips=discover.chips(counts, asked) if counts is not None else (),
        seen_at=seen_at,
        problem=problem,
        is_refused=status == 502,
        unfinished=rollout_views.unfinished(rollouts.unfinished()),
    )


def _customers_asked(query: str) -> Listing:
    """The search, filter and order of the table, as its address says it."""
    args = dict(parse_qsl(query.removeprefix("?"), keep_blank_values=True)[:20])
    return parse(args, discover.SPEC, strict=False, extra=discover.PARAMETERS)


def _connect_page(form: ConnectForm) -> Response:
    usable = service.usable_clouds()
    form.cloud.choices = choices((name, CLOUDS[name].label) for name in usable or [DEFAULT])
    return responses.render(
        "microsoft/connect.html",
        blocks={"dialog": "dialog"},
        status=422 if form.errors else 200,
        form=form,
        callback=public_address_or_none("microsoft.consent_answer"),
        no_address=NO_ADDRESS,
        is_registered=bool(usable),
        unregistered={home: label for home, label in REGISTRATIONS.items() if home not in usable},
    )


def _check_page(row: MicrosoftTenant) -> Response:
    return responses.render(
        "microsoft/detail.html",
        row=row,
        tenant=db.session.scalar(select(Tenant).where(Tenant.microsoft_tenant_id == row.id)),
        cloud=CLOUDS[row.cloud].label,
        losses=check.LOSSES,
    )


def _callback() -> str:
    return public_address("microsoft.consent_answer")


def _browser() -> str:
    """What a consent answer must come back to: the signed-in session of this browser."""
    return str(g.principal.session_id or session.get("_id", ""))
