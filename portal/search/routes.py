"""The search in the top bar."""

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
    """Organizations, people and Microsoft tenants that fit."""
    text = request.args.get("q", "").strip()[:200]
    return responses.render("search/results.html", text=text, found=service.find(text), most=service.MOST)
