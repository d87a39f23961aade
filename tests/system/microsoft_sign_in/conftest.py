"""A portal beside the simulated login page, and a browser of its administrator."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from portal import create_app
from portal.auth import service as accounts
from portal.clock import utcnow
from portal.extensions import db
from portal.microsoft_sign_in import service
from portal.models import Role
from simulator.server import SimulatorServer
from tests.system.conftest import settings_for
from tests.system.microsoft_sign_in.steps import PASSWORD


@pytest.fixture
def app(simulator: SimulatorServer, tmp_path: Path) -> Iterator[Flask]:
    found = create_app(settings_for(simulator, tmp_path, base_url="https://127.0.0.1"))
    with found.app_context():
        db.create_all()
        service.allow_tenants(db.session(), simulator.tenant_ids[0], utcnow())
        accounts.add_account(
            db.session(), email="mila@rollcall.example", role=Role.TECHNICIAN, now=utcnow(), password=PASSWORD
        )
        db.session.commit()
    yield found
    with found.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def browser(app: Flask) -> FlaskClient:
    return app.test_client()
