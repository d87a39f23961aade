"""``/api/docs``: the OpenAPI document for people, by Swagger UI from our own static files."""

from __future__ import annotations

from flask import Blueprint
from werkzeug.wrappers import Response

from portal.http import responses
from portal.http.access import API_DOCS, requires
from portal.models import Role

bp = Blueprint("api_docs", __name__)


@bp.get(API_DOCS)
@requires(Role.READ_ONLY)
def index() -> Response:
    """Show every operation. "Try it out" uses a token that is entered there, never the browser's session."""
    return responses.render("api/docs.html")
