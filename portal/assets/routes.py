"""Assets of an Organization: list, add, edit, delete, CSV, and what the device pass reports (D2, W5)."""

from __future__ import annotations

from flask import Blueprint, request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response
from wtforms import SelectField, StringField
from wtforms.validators import InputRequired, Length, Optional

from portal.assets import service, views
from portal.extensions import db
from portal.http import csv_download, responses
from portal.http.access import load, requires
from portal.http.forms import Form, ShowingInvalid, choices, text
from portal.http.listing import parse
from portal.models import Asset, EndUser, Organization, Role
from portal.organizations.frame import frame

bp = Blueprint("assets", __name__)
MOST_PEOPLE = 1000


class AssetForm(Form):
    """Name, MAC addresses, and whose it is."""

    name = StringField("Name", validators=[InputRequired("Enter a name."), Length(max=256)])
    mac_addresses = StringField(
        "MAC addresses", validators=[Length(max=1024)], description="Separate with spaces."
    )
    end_user_id = SelectField("End User", validators=[Optional()], validate_choice=False)


@bp.get("/organizations/<organization_id>/assets")
@requires(Role.READ_ONLY)
def index(organization_id: str) -> Response:
    """The Assets subtab."""
    organization = load(Organization, organization_id, "Organization")
    return responses.render(
        "assets/list.html",
        blocks={"assets_table": "assets_table"},
        organization=organization,
        view=views.assets_list(
            url_for(".index", organization_id=organization.id),
            service.listing(organization, parse(request.args, service.SPEC, strict=False)),
        ),
        reports=views.report_rows(service.reports(organization)),
        frame=frame(organization, "assets"),
    )


@bp.get("/organizations/<organization_id>/assets.csv")
@requires(Role.READ_ONLY)
def export(organization_id: str) -> Response:
    """CSV of exactly what is filtered."""
    organization = load(Organization, organization_id, "Organization")
    query = parse(request.args, service.SPEC, strict=False)
    return csv_download.download(
        service.export(organization, query),
        organization.name,
        "assets",
        what="assets",
        object_type="organization",
        object_id=organization.id,
    )


@bp.route("/organizations/<organization_id>/assets/new", methods=["GET", "POST"])
@requires(Role.TECHNICIAN)
def new(organization_id: str) -> Response:
    """Add an Asset."""
    organization = load(Organization, organization_id, "Organization")
    form = _form(organization)
    if form.submitted():
        row = form.make(Asset, lambda row_id: service.create(organization, _values(form), row_id=row_id))
        if row is not None:
            db.session.commit()
            return responses.respond(redirect=url_for(".index", organization_id=organization_id))
    return _page(load(Organization, organization_id, "Organization"), form, None)


@bp.route("/assets/<asset_id>", methods=["GET", "POST"])
@requires(Role.TECHNICIAN)
def edit(asset_id: str) -> Response:
    """Edit an Asset; an assignment made here is manual (W5)."""
    row = load(Asset, asset_id, "Asset")
    organization = load(Organization, row.organization_id, "Organization")
    macs = " ".join(service.shown_mac(m.mac) for m in row.macs)
    form = _form(organization, name=row.name, mac_addresses=macs, end_user_id=row.end_user_id or "")
    if form.submitted():
        with ShowingInvalid(form):
            values = _values(form)
            row = load(Asset, asset_id, "Asset", locked=True)
            service.change(row, {name: values[name] for name in form.edited(*values)})
            db.session.commit()
            return responses.respond(
                redirect=url_for(".index", organization_id=row.organization_id), toast="Saved."
            )
    row = load(Asset, asset_id, "Asset")
    return _page(load(Organization, row.organization_id, "Organization"), form, row)


@bp.route("/assets/<asset_id>/delete", methods=["GET", "POST"])
@requires(Role.TECHNICIAN)
def delete(asset_id: str) -> Response:
    """Ask, then delete."""
    row = load(Asset, asset_id, "Asset")
    if request.method == "POST":
        back, name = url_for(".index", organization_id=row.organization_id), row.name
        service.remove(row)
        db.session.commit()
        return responses.respond(redirect=back, toast=f"{name} is deleted.")
    return responses.render("assets/delete.html", blocks={"dialog": "dialog"}, asset=row)


def _form(organization: Organization, **values: str) -> AssetForm:
    form = AssetForm(data=values)
    people = db.session.execute(
        select(EndUser.id, EndUser.display_name, EndUser.email)
        .where(EndUser.organization_id == organization.id)
        .order_by(EndUser.sort_name)
        .limit(MOST_PEOPLE)
    )
    named = {i: f"{name} ({email})" if email else name for i, name, email in people}
    owner = db.session.get(EndUser, text(form.end_user_id))
    if owner is not None and owner.organization_id == organization.id:
        named.setdefault(owner.id, owner.display_name)  # who is beyond so many stays the owner
    form.end_user_id.choices = choices([("", "Nobody"), *named.items()])
    return form


def _values(form: AssetForm) -> dict[str, object]:
    return {
        "name": text(form.name),
        "mac_addresses": text(form.mac_addresses).replace(",", " ").split(),
        "end_user_id": text(form.end_user_id) or None,
    }


def _page(organization: Organization, form: AssetForm, row: Asset | None) -> Response:
    return responses.render(
        "assets/form.html",
        blocks={"dialog": "dialog"},
        organization=organization,
        form=form,
        view=views.form_view(url_for(".index", organization_id=organization.id), row),
    )
