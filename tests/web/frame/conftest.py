"""Pages of the tests' own, served by the real app: every macro at once, and views that answer or fail in each way."""

from pathlib import Path

import pytest
from flask import Blueprint, abort
from jinja2 import ChoiceLoader, FileSystemLoader
from werkzeug.exceptions import TooManyRequests

from portal.errors import Forbidden, Invalid, NeedsAdmin, NotFound, Refused, RetryLater, SourceError
from portal.http import access, responses
from portal.http.listing import Listing
from portal.models import Role

ERRORS = {
    "forbidden": Forbidden("Your role is Technician. Ask an administrator to enable the sync."),
    "invalid": Invalid({"name": ["Enter a name."]}),
    "needs-admin": NeedsAdmin("Enter the app registration first."),
    "not-found": NotFound("There is no such Organization. It may have been deleted."),
    "refused": Refused("Harborview Dental still syncs. Disable its User Sync first.", link="/tenants/1"),
    "later": RetryLater("The values are being read.", seconds=7),
    "source": SourceError("Microsoft's answer was cut short."),
    "crash": ZeroDivisionError("secret detail"),
}


def trial_blueprint():
    bp = Blueprint("trial", __name__, url_prefix="/trial")

    @bp.route("/raise/<kind>", methods=["GET", "POST"])
    @access.public
    def fail(kind):
        if kind.isdigit():
            abort(int(kind))
        if kind == "slow-down":
            raise TooManyRequests(retry_after=60)
        raise ERRORS[kind]

    @bp.get("/two-faces")
    @access.public
    def two_faces():
        return responses.render("two_faces.html", blocks={"people_table": "people_table"}, name="Ada")

    @bp.get("/forms")
    @access.public
    def forms():
        return responses.render("forms.html")

    @bp.post("/act/<kind>")
    @access.requires(Role.READ_ONLY)
    def act(kind):
        wishes = {
            "events": {"events": {"end-user-deleted": {"id": "7"}}, "toast": "Deleted Ægir."},
            "body": {"body": "<tr></tr>", "toast": "Saved."},
            "navigate": {"toast": "Saved."},
            "quiet": {"events": {"close-dialog": {}}},
        }
        return responses.respond(redirect="/trial/two-faces", **wishes[kind])

    @bp.get("/private")
    @access.requires(Role.ADMINISTRATOR)
    def private():
        return "for administrators"

    @bp.get("/kitchen-sink")
    @access.requires(Role.READ_ONLY)
    def kitchen_sink():
        listing = Listing(q="", sort="-name", page=9, per_page=50, total=1312)
        return responses.render("kitchen_sink.html", listing=listing, asset=None, name="shadow", place="x")

    return bp


def with_trial_pages(app):
    """``app`` with the pages above."""
    app.jinja_loader = ChoiceLoader([app.jinja_loader, FileSystemLoader(Path(__file__).parent)])
    app.register_blueprint(trial_blueprint())
    return app


@pytest.fixture
def app(app):
    return with_trial_pages(app)
