"""Where recovery is, what its page holds, and who is left."""

import re

from portal.extensions import db
from portal.models import EndUser


def address(customer, tail=""):
    return f"/organizations/{customer['id']}/recovery{tail}"


def names(app):
    with app.app_context():
        return sorted(row.display_name for row in db.session.scalars(db.select(EndUser)))


def hidden(text, name):
    return re.findall(rf'type="hidden" name="{name}" value="([^"]*)"', text)
