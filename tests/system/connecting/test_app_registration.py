"""C1: an app registration is shown to Microsoft before it is kept."""

from __future__ import annotations

from pathlib import Path

import pytest

from portal import create_app
from portal.extensions import db
from portal.microsoft import gateway, service
from simulator.server import SimulatorServer
from tests.system.conftest import settings_for
from tests.system.connecting.consents import Browser, add_ann, unreachable


def test_C1_an_app_registration_is_shown_to_microsoft_before_it_is_kept(
    simulator: SimulatorServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Microsoft answers for a tenant only: before there is one, the page says so."""
    settings = settings_for(simulator, tmp_path, base_url="https://127.0.0.1", client_id="", client_secret="")
    app = create_app(settings)
    page, right = "/settings/microsoft", {"client_id": simulator.client_id, "secret": simulator.client_secret}
    add_ann(app)
    browser = Browser(app.test_client())

    def saved(**changes: str) -> str:
        assert browser.send(page, page, **{**right, **changes}).status_code == 303
        return str(browser.get(page).text)

    assert "the portal checks it when the first one is connected" in browser.get(page).text
    assert "Microsoft checks it when the first Microsoft tenant" in saved()
    home = {"directory_id": simulator.tenant_ids[0], "cloud": "global"}
    connect = "/microsoft-tenants/connect"
    assert browser.send(connect, connect, **home).status_code == 303
    assert "Before saving, the portal checks" in browser.get(page).text

    wrong = browser.send(page, page, **{**right, "secret": "wrong~secret"})
    assert wrong.status_code == 422 and "AADSTS7000215" in wrong.text and "wrong~secret" not in wrong.text
    with app.app_context():
        assert service.app_registration("global").secret == simulator.client_secret, (
            "the one that works stays"
        )
    assert "Saved. Microsoft accepts it." in saved()
    assert "Saved. Microsoft" not in saved(secret="", expires_on="2027-01-31"), "nothing new: nobody is asked"
    simulator.control.set_secret_expiry(-1)
    assert "AADSTS7000222" in browser.send(page, page, **right).text
    with monkeypatch.context() as patch:
        patch.setattr(gateway, "ask_for_token", lambda *_args, **_values: unreachable())
        assert "Microsoft is not answering right now" in saved()
    other = "2b4e28ba-2fa1-4d2b-883f-0016d3cca427"
    assert "cannot be read with it" in saved(client_id=other), "its customers have yet to consent"
    with app.app_context():
        assert service.app_registration("global").client_id == other
        db.engine.dispose()
