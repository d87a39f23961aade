"""Settings: the app registrations that the portal reads Microsoft with (C1, C5)."""

from __future__ import annotations

from flask import request, url_for
from werkzeug.wrappers import Response

from portal.clock import utcnow
from portal.extensions import db
from portal.graph.clouds import CLOUDS, DEFAULT, REGISTRATIONS, registered_in
from portal.http import responses
from portal.http.access import reads_first, requires
from portal.http.forms import Form, ShowingInvalid, text
from portal.http.proxies import NO_ADDRESS, public_address_or_none
from portal.microsoft import check, consent, credentials, expiry
from portal.microsoft import service as microsoft_tenants
from portal.models import Role
from portal.runtime import runtime
from portal.settings import views
from portal.settings.forms import EndForm, MicrosoftForm
from portal.settings.microsoft_view import microsoft_view
from portal.settings.routes.blueprint import bp, page
from portal.text import text_key
from portal.transactions import begin_write


@bp.route("/microsoft", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
@reads_first
def microsoft() -> Response:
    """The app registration of a cloud: what is set, what it needs, and how to change it (C1, C5)."""
    cloud = _cloud()
    overview = credentials.overview(db.session(), runtime().settings, cloud)
    end = f"{overview.expires_at:%Y-%m-%d}" if overview.expires_at else ""
    if overview.source == "environment":
        return _environment(overview, EndForm(data={"expires_on": end}))
    form = MicrosoftForm(data={"client_id": overview.client_id, "expires_on": end})
    if form.submitted():
        message = "Saved."
        with ShowingInvalid(form):
            _keep(form, cloud)
            if (
                text(form.secret)
                or text(form.certificate)
                or text_key(text(form.client_id)) != overview.client_id
            ):
                entered = microsoft_tenants.app_registration(cloud)
                # rolls back what was kept: it is kept when it works
                message = check.try_releasing(entered, cloud)
                _keep(form, cloud)
            microsoft_tenants.try_again()
            db.session.commit()
            runtime().wake()
            return responses.respond(redirect=_microsoft_url(cloud), toast=message)
    if form.errors:
        form.ask_again()
    return _microsoft_page(form, overview, cloud)


def _keep(form: MicrosoftForm, cloud: str) -> None:
    begin_write(db.session())
    credentials.store(
        db.session(),
        runtime().box,
        client_id=text(form.client_id),
        cloud=cloud,
        secret=text(form.secret),
        certificate_pem=text(form.certificate),
        expires_at=form.expires_on.moment(),
    )


@bp.route("/microsoft/remove", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
def remove_registration() -> Response:
    """Ask, then delete the stored app registration of a cloud (C1)."""
    cloud = _cloud()
    if request.method == "POST":
        credentials.forget(db.session(), cloud)
        db.session.commit()
        return responses.respond(redirect=_microsoft_url(cloud), toast="The app registration is removed.")
    return responses.render(
        "settings/remove_registration.html",
        blocks={"dialog": "dialog"},
        label=REGISTRATIONS[cloud],
        action=url_for(".remove_registration", cloud=cloud),
        back=_microsoft_url(cloud),
        served=views.in_the_way(credentials.served_by(db.session(), cloud)),
    )


def _cloud() -> str:
    """The cloud of the app registration that the address names, or the default one."""
    name = request.args.get("cloud", DEFAULT)
    return registered_in(name) if name in CLOUDS else DEFAULT


def _microsoft_url(cloud: str) -> str:
    return url_for(".microsoft", cloud=None if cloud == DEFAULT else cloud)


def _environment(overview: credentials.Overview, form: EndForm) -> Response:
    """The environment wins (C1): only the day on which its secret expires can be noted here."""
    if overview.kind == "secret" and form.submitted():
        with ShowingInvalid(form):
            credentials.note_end(begin_write(db.session()), runtime().settings, form.expires_on.moment())
            db.session.commit()
            return responses.respond(redirect=_microsoft_url(DEFAULT), toast="Saved.")
    return _microsoft_page(form, overview, DEFAULT)


def _microsoft_page(form: Form, overview: credentials.Overview, cloud: str) -> Response:
    callback = public_address_or_none("microsoft.consent_answer")
    overviews = credentials.overviews(db.session(), runtime().settings)
    link = (
        consent.link_to_send(overview.client_id, callback, cloud) if overview.client_id and callback else ""
    )
    view = microsoft_view(
        overview,
        cloud,
        addresses={home: _microsoft_url(home) for home in overviews},
        overviews=overviews,
        removal=url_for(".remove_registration", cloud=cloud),
        is_tried=bool(credentials.served_by(db.session(), cloud)),
        callback=callback,
        consent_link=link,
        ends=expiry.radar(db.session(), runtime().settings),
        now=utcnow(),
    )
    return page("microsoft", form, view=view, no_address=NO_ADDRESS)
