"""Exceptions of an Organization: never-sync people and pinned fields, with reason, author and end (P14)."""

from __future__ import annotations

from flask import Blueprint, request, url_for
from werkzeug.wrappers import Response
from wtforms import StringField
from wtforms.validators import InputRequired, Length

from portal.exceptions import service, views
from portal.extensions import db
from portal.http import responses
from portal.http.access import load, requires
from portal.http.forms import DayField, Form, ShowingInvalid, text
from portal.http.listing import parse
from portal.models import Organization, Role, SyncException
from portal.organizations.frame import frame

bp = Blueprint("exceptions", __name__)


class NeverSyncForm(Form):
    """Whom never to sync, and why."""

    object_id = StringField(
        "Email, UPN or Object ID of the Microsoft user",
        validators=[InputRequired("Name a Microsoft user by email, UPN or object ID.")],
    )
    reason = StringField("Reason", validators=[Length(max=1000)])
    expires_at = DayField("Ends on", description="Leave empty for no end.")


@bp.get("/organizations/<organization_id>/exceptions")
@requires(Role.READ_ONLY)
def index(organization_id: str) -> Response:
    """The exceptions in force."""
    return _page(load(Organization, organization_id, "Organization"), NeverSyncForm())


@bp.post("/organizations/<organization_id>/exceptions")
@requires(Role.TECHNICIAN)
def add(organization_id: str) -> Response:
    """Put a Microsoft user on the never-sync list."""
    organization = load(Organization, organization_id, "Organization")
    form = NeverSyncForm()
    if form.submitted():
        with ShowingInvalid(form):
            until = form.expires_at.moment()
            object_id = service.object_id_of(organization, text(form.object_id))
            service.never_sync(organization, object_id, reason=text(form.reason), expires_at=until)
            db.session.commit()
            return responses.respond(
                redirect=url_for(".index", organization_id=organization_id), toast="Added."
            )
    return _page(load(Organization, organization_id, "Organization"), form)


@bp.post("/exceptions/<exception_id>/end")
@requires(Role.TECHNICIAN)
def end(exception_id: str) -> Response:
    """End an exception."""
    row = load(SyncException, exception_id, "exception")
    back = url_for(".index", organization_id=row.organization_id)
    service.end(row)
    db.session.commit()
    return responses.respond(
        redirect=responses.safe_next(request.form.get("next"), back),
        toast="Ended. This applies from the next run.",
    )


def _page(organization: Organization, form: NeverSyncForm) -> Response:
    listing = service.listing(organization, parse(request.args, service.SPEC, strict=False))
    address = url_for(".index", organization_id=organization.id)
    people, names = service.people_of(listing), service.names_of(organization, listing)
    return responses.render(
        "exceptions/list.html",
        blocks={"exceptions_table": "exceptions_table"},
        organization=organization,
        view=views.exceptions_list(address, listing, people, names),
        frame=frame(organization, "exceptions"),
        form=form,
    )
