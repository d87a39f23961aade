"""A portal with an administrator who connects tenants, a customer who never consented, and a partner."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask

from portal import create_app
from portal.extensions import db
from portal.models import MicrosoftTenant
from simulator.server import SimulatorServer
from tests.system.conftest import settings_for
from tests.system.connecting.consents import Browser, add_ann


@pytest.fixture
def app(simulator: SimulatorServer, tmp_path: Path) -> Iterator[Flask]:
    found = create_app(settings_for(simulator, tmp_path, base_url="https://127.0.0.1", scheduler="off"))
    add_ann(found)
    yield found
    with found.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def browser(app: Flask) -> Browser:
    return Browser(app.test_client())


@pytest.fixture
def customer(simulator: SimulatorServer) -> str:
    """A tenant that never consented."""
    return simulator.world.customer_ids[0]


@pytest.fixture
def partner(app: Flask, browser: Browser, simulator: SimulatorServer) -> str:
    """The id of our row of the partner tenant."""
    form = {"directory_id": simulator.partner_tenant_id, "cloud": "global"}
    assert browser.send("/microsoft-tenants/connect", "/microsoft-tenants/connect", **form).status_code == 303
    with app.app_context():
        return db.session.query(MicrosoftTenant).one().id
