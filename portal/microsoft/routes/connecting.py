"""Connecting a Microsoft tenant: by its id or by admin consent, and proving it by a call (C2)."""

from __future__ import annotations

from flask import g, redirect, request, session, url_for
from werkzeug.wrappers import Response

from portal.errors import PortalError, Refused
from portal.extensions import db
from portal.graph.clouds import CLOUDS, DEFAULT, REGISTRATIONS
from portal.graph.explain import consent_error
from portal.http import responses
from portal.http.access import load, may, public, reads_first, requires
from portal.http.forms import ShowingInvalid, choices, text
from portal.http.proxies import NO_ADDRESS, public_address, public_address_or_none
from portal.microsoft import check, consent, service
from portal.microsoft.forms import ConnectForm
from portal.microsoft.routes.blueprint import bp
from portal.models import MicrosoftTenant, Role
from portal.runtime import runtime
from portal.transactions import begin_write


@bp.route("/microsoft-tenants/connect", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
@reads_first
def connect() -> Response:
    """Choose how to connect; POST connects a tenant whose consent was given already."""
    form = ConnectForm()
    if form.submitted():
        with ShowingInvalid(form):
            row = service.connect_releasing(text(form.directory_id), text(form.cloud))
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
    with ShowingInvalid(form):
        target = consent.begin(
            directory_id=text(form.directory_id),
            cloud=text(form.cloud),
            browser=_browser(),
            redirect_uri=_callback(),
        )
        db.session.commit()
        return redirect(target, 303)
    return _connect_page(form)


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
        is_reconnect=True,
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
    """Consent was given, Microsoft does not know of it yet: this page tries again by itself."""
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
    """Start the first read and check at once, so that missing permissions show before a sync is set up (C4)."""
    db.session.commit()
    runtime().wake()
    row = check.check_releasing(row)
    db.session.commit()
    missing = sum(line["state"] != "ok" for line in row.checks)
    message = f"{row.name} is connected. Its first read is under way."
    if missing:
        message += f" Not everything works yet: {missing} of {len(row.checks)} calls, see the table."
    return responses.respond(redirect=url_for(".detail", microsoft_tenant_id=row.id), toast=message)


def _connect_page(form: ConnectForm) -> Response:
    usable = service.usable_clouds()
    form.cloud.choices = choices((name, CLOUDS[name].label) for name in usable or [DEFAULT])
    return responses.render(
        "microsoft/connect.html",
        blocks={"dialog": "dialog"},
        form=form,
        callback=public_address_or_none("microsoft.consent_answer"),
        no_address=NO_ADDRESS,
        is_registered=bool(usable),
        unregistered={home: label for home, label in REGISTRATIONS.items() if home not in usable},
    )


def _callback() -> str:
    return public_address("microsoft.consent_answer")


def _browser() -> str:
    """What a consent answer must come back to: the signed-in session of this browser."""
    return str(g.principal.session_id or session.get("_id", ""))
