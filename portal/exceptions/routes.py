"""Exceptions of an Organization: never-sync people and pinned fields, with reason, author and end (P14)."""

from __future__ import annotations

from flask import Blueprint, request, url_for
from werkzeug.wrappers import Response
from wtforms import StringField
from wtforms.validators import InputRequired, Length, Optional

from portal import web
from portal.access import load, requires
from portal.engine.normalize import parse_time
from portal.errors import Invalid
from portal.exceptions import service
from portal.extensions import db
from portal.forms import Form, text
from portal.listing import parse
from portal.models import EndUser, Organization, Role, SyncException
from portal.organizations import service as organizations

bp = Blueprint("exceptions", __name__)


class NeverSyncForm(Form):
    """Who is never to be synced, and why."""

    object_id = StringField(
        "Object ID of the Microsoft user", validators=[InputRequired("Enter the object ID.")]
    )
    reason = StringField("Reason", validators=[Length(max=1000)])
    expires_on = StringField(
        "Ends on", validators=[Optional()], description="A day such as 2027-01-31; empty for no end."
    )


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
        day = text(form.expires_on).strip()
        until = parse_time(f"{day}T00:00:00Z") if day else None
        try:
            if day and until is None:
                raise Invalid({"expires_on": ["Enter a day such as 2027-01-31."]})
            service.never_sync(organization, text(form.object_id), reason=text(form.reason), expires_at=until)
        except Invalid as error:
            db.session.rollback()
            form.show(error)
        else:
            db.session.commit()
            return web.respond(redirect=url_for(".index", organization_id=organization_id), toast="Added.")
    return _page(load(Organization, organization_id, "Organization"), form)


@bp.post("/exceptions/<exception_id>/end")
@requires(Role.TECHNICIAN)
def end(exception_id: str) -> Response:
    """End an exception."""
    row = load(SyncException, exception_id, "exception")
    back = url_for(".index", organization_id=row.organization_id)
    service.end(row)
    db.session.commit()
    return web.respond(
        redirect=web.safe_next(request.form.get("next"), back), toast="Ended. It counts from the next run on."
    )


def _page(organization: Organization, form: NeverSyncForm) -> Response:
    found = service.listing(organization, parse(request.args, service.SPEC, strict=False))
    people = {
        row.end_user_id: db.session.get(EndUser, row.end_user_id)
        for row in found.items
        if row.end_user_id is not None
    }
    return web.render(
        "exceptions/list.html",
        status=422 if form.errors else 200,
        organization=organization,
        counts=organizations.TabCounts(organization),
        listing=found,
        people=people,
        form=form,
        tab="exceptions",
    )
