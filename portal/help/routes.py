"""Help: the guides, one page each, with the pictures they show."""

from __future__ import annotations

from flask import Blueprint, request, send_from_directory, url_for
from werkzeug.wrappers import Response

from portal.help import guides
from portal.http import responses
from portal.http.access import requires
from portal.models import Role

bp = Blueprint("help", __name__)


@bp.get("/help")
@requires(Role.READ_ONLY)
def index() -> Response:
    """The list of guides."""
    return responses.render("help/index.html", guides=[guides.guide(name) for name in guides.names()])


@bp.get("/help/<name>")
@requires(Role.READ_ONLY)
def page(name: str) -> Response:
    """One guide."""
    return responses.render("help/page.html", guide=guides.guide(name))


@bp.get("/help/pictures/<path:name>")
@requires(Role.READ_ONLY)
def picture(name: str) -> Response:
    """A picture of a guide. 404 where the documents were installed without."""
    return send_from_directory(guides.PICTURES, name, mimetype="image/png", max_age=3600)


@bp.app_context_processor
def _links() -> dict[str, str]:
    """``help_url``: the guide, at the heading, that helps with the present page."""
    topic = guides.topic(request.endpoint) if request else None
    if topic is None:
        return {"help_url": url_for("help.index") if request else ""}
    return {"help_url": url_for("help.page", name=topic[0], _anchor=topic[1])}
