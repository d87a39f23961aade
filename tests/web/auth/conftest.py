"""Ann, who has a password here."""

from __future__ import annotations

import pytest

from portal.auth import service
from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.models import Role
from tests.web.auth.signing_in import ANN, PASSWORD


@pytest.fixture
def ann(app):
    with app.app_context():
        mark_write(db.session())
        row = service.add_account(
            db.session(), email=ANN, role=Role.ADMINISTRATOR, now=utcnow(), password=PASSWORD, name="Ann"
        )
        db.session.commit()
        return row.id
