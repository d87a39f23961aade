"""All people (F4): the list over every Organization, its export, and saved views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, urlencode

from flask import Blueprint, request, url_for
from flask_login import current_user
from werkzeug.wrappers import Response
from wtforms import BooleanField, StringField
from wtforms.validators import InputRequired, Length

from portal.errors import Invalid
from portal.extensions import db
from portal.http import csv_download, responses
from portal.http.access import load, may, reads_first, requires
from portal.http.checked_rows import checked_ids, filtered_list
from portal.http.forms import Form, ShowingInvalid, text
from portal.http.listing import Listing, parse
from portal.models import Role, SavedView
from portal.people import saved, service, views
from portal.people.listing import SPEC, days

bp = Blueprint("people", __name__)
EXTRA = ("columns", "view")


class ViewForm(Form):
    """The name of a view, and whether everybody finds it."""

    name = StringField("Name", validators=[InputRequired("Enter a name."), Length(max=saved.MAX_NAME)])
    is_shared = BooleanField("Show it to everyone")


@bp.get("/people")
@requires(Role.READ_ONLY)
def index() -> Response:
    """Everybody of every Organization, by search, filters and saved views."""
    columns = views.columns_of(request.args.get("columns", ""))
    listing = service.page(_list_query())
    page = views.people_page(
        listing, service.people(listing.items), service.offered(), columns, _saved(listing, columns)
    )
    return responses.render("people/list.html", blocks={"people_table": "people_table"}, page=page)


@bp.route("/people.csv", methods=["GET", "POST"])
@requires(Role.READ_ONLY)
@reads_first
def export() -> Response:
    """CSV of everybody that is filtered; POST: of the checked people, or of all that fit."""
    query, ids = _list_query(), None
    if request.method == "POST":
        query = _usable(filtered_list(SPEC, EXTRA))
        ids = None if request.form.get("all_filtered") else checked_ids("person", is_page=True)
    return csv_download.download(
        service.export(query, ids), csv_download.customer(query), "people", what="people"
    )


@bp.get("/people/columns")
@requires(Role.READ_ONLY)
def columns() -> Response:
    """The list again, with the chosen columns in its address."""
    pairs = dict(parse_qsl(request.args.get("query", "").lstrip("?")))
    pairs["columns"] = ",".join(views.columns_of(",".join(request.args.getlist("column"))))
    return responses.respond(redirect=f"{url_for('.index')}?{urlencode(pairs)}")


@bp.get("/people/views/<view_id>")
@requires(Role.READ_ONLY)
def view(view_id: str) -> Response:
    """A saved view by its address, which people share."""
    row = load(SavedView, view_id, "view")
    return responses.respond(redirect=f"{url_for('.index')}?{row.query}")


@bp.route("/people/views/new", methods=["GET", "POST"])
@requires(Role.READ_ONLY)
def save_view() -> Response:
    """Save what the list shows under a name."""
    form = ViewForm()
    query = saved.tidy(request.values.get("query", ""))
    if form.submitted():
        with ShowingInvalid(form):
            row = saved.save(
                db.session(),
                current_user.account.id,
                text(form.name),
                query,
                is_shared=bool(form.is_shared.data),
            )
            db.session.commit()
            return responses.respond(
                redirect=f"{url_for('.index')}?{row.query}", toast=f"“{row.name}” is saved."
            )
    return responses.render(
        "people/save_view.html",
        blocks={"dialog": "dialog"},
        form=form,
        query=query,
    )


@bp.route("/people/views/<view_id>/delete", methods=["GET", "POST"])
@requires(Role.READ_ONLY)
def delete_view(view_id: str) -> Response:
    """Ask, then delete a saved view."""
    row = load(SavedView, view_id, "view")
    if request.method == "POST":
        name = row.name
        is_administrator = may(Role.ADMINISTRATOR)
        saved.remove(db.session(), row, current_user.account.id, is_administrator=is_administrator)
        db.session.commit()
        return responses.respond(redirect=url_for(".index"), toast=f"“{name}” is deleted.")
    return responses.render("people/delete_view.html", blocks={"dialog": "dialog"}, row=row)


def _list_query() -> Listing:
    return _usable(parse(request.args, SPEC, strict=False, extra=EXTRA))


def _usable(query: Listing) -> Listing:
    """Pages leave out what cannot be used, as ``parse`` does."""
    try:
        days(query.filters.get("inactive_days", "1"))
    except Invalid:
        filters = {name: value for name, value in query.filters.items() if name != "inactive_days"}
        return Listing(q=query.q, sort=query.sort, filters=filters, page=query.page, per_page=query.per_page)
    return query


def _saved(listing: Listing, columns: Sequence[str]) -> list[views.ViewLink]:
    account_id = current_user.account.id
    usual = list(columns) == list(views.USUAL)
    state: dict[str, Any] = {
        "q": listing.q,
        **listing.filters,
        "sort": listing.sort,
        "columns": "" if usual else ",".join(columns),
    }
    return [
        views.ViewLink(
            id=row.id,
            name=row.name,
            href=f"{url_for('.index')}?{row.query}",
            is_shown=saved.is_shown(row, state),
            is_shared=row.is_shared,
            owner="" if row.account_id == account_id else row.account.name,
            may_delete=row.account_id == account_id or may(Role.ADMINISTRATOR),
        )
        for row in saved.views_for(db.session(), account_id)
    ]
