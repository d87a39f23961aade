"""What tests of holds read off the pages and out of the rows."""

import re
from html import unescape

from portal.extensions import db
from portal.models import EndUser, SyncRun, UserSync
from tests.web import holds


def form_of(text):
    """What the hold's form would post: its hidden fields and checked boxes."""
    form = text.partition('id="hold"')[2].partition("<form")[2].partition("</form>")[0]
    fields = {"seen": [], "id": []}
    for tag in re.findall(r"<input [^>]*>", form):
        found = {name: unescape(value) for name, value in re.findall(r'([a-z-]+)="([^"]*)"', tag)}
        name, is_box = found.get("name"), found.get("type") == "checkbox"
        if name in ("seen", "id"):
            if not is_box or re.search(r" checked\b", tag):
                fields[name].append(found["value"])
        elif name and name != "csrf_token":
            fields[name] = found.get("value", "")
    return fields


def selected(text):
    return int(re.search(r"data-selected>(\d+) selected", text).group(1))


def state_of(app, run_id):
    with app.app_context():
        run = db.session.get_one(SyncRun, run_id)
        disabled = db.session.query(EndUser).filter_by(microsoft_status="disabled").count()
        sync = db.session.query(UserSync).one()
        assert holds.adds_up(run.counts)
        return run.status, run.held, run.counts, disabled, sync.hold_run_id
