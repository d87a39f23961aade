"""The search in the top bar: suggestions while typing, and the page of results."""

from __future__ import annotations

from flask import Blueprint, request
from werkzeug.wrappers import Response

from portal.http import responses
from portal.http.access import requires
from portal.models import Role
from portal.search import service

bp = Blueprint("search", __name__)


@bp.get("/search")
@requires(Role.READ_ONLY)
def index() -> Response:
    """Organizations, people, Assets and Microsoft tenants that fit; under htmx the options below the field."""
    text = request.args.get("q", "").strip()[:200]
    if responses.fills("jump-results"):
        return responses.render("search/_typed.html", text=text, groups=service.find(text, service.TYPED))
    return responses.render("search/results.html", text=text, groups=service.find(text), most=service.MOST)
