"""P10: sign-in with Microsoft passes neither the authenticator nor the password asked for again."""

from __future__ import annotations

from datetime import timedelta

import pytest
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from portal.auth import service as accounts
from portal.clock import utcnow
from portal.extensions import db
from portal.models import AuditEvent
from simulator.server import SimulatorServer
from tests.system.microsoft_sign_in.steps import (
    PASSWORD,
    answer_of,
    ask,
    connected,
    enter,
    reset_link,
    send,
    tied_to,
    with_authenticator,
)


def test_P10_a_link_and_microsoft_do_not_pass_the_authenticator(
    app: Flask, browser: FlaskClient, simulator: SimulatorServer
) -> None:
    email = "mila@rollcall.example"
    totp, token = with_authenticator(app, email), reset_link(app, email)
    back = ask(browser, answer_of(simulator, send(browser, f"/invitations/{token}/microsoft")))
    assert (back.status_code, back.headers["Location"]) == (303, "/login/microsoft/code")
    assert ask(browser, "/account").status_code == 303
    wrong = enter(browser, "000000")
    assert (wrong.status_code, "This code is not correct" in wrong.text) == (422, True)
    assert tied_to(app, email) is None, "nothing is tied without the code"
    assert ask(app.test_client(), f"/invitations/{token}").status_code == 200, "and the link not used"
    code = totp.at(utcnow())
    assert enter(browser, code).headers["Location"] == "/"
    assert tied_to(app, email) is not None
    assert email in ask(browser, "/account").text
    assert ask(app.test_client(), f"/invitations/{token}").status_code == 404
    assert ask(browser, "/login/microsoft/code").status_code == 303, "what Microsoft said is forgotten"


def test_P10_sign_in_with_microsoft_asks_the_authenticator_and_counts(
    app: Flask, browser: FlaskClient, simulator: SimulatorServer
) -> None:
    connected(browser, simulator)
    totp = with_authenticator(app, "mila@rollcall.example")
    fresh = app.test_client()
    assert (
        ask(fresh, answer_of(simulator, ask(fresh, "/login/microsoft?next=/organizations"))).status_code
        == 303
    )
    for _ in range(5):
        assert "This code is not correct" in enter(fresh, "000000").text
    locked = enter(fresh, totp.at(utcnow()))
    assert (locked.status_code, "Too many attempts" in locked.text) == (422, True)
    assert (
        ask(browser, answer_of(simulator, ask(browser, "/login/microsoft?next=/organizations"))).status_code
        == 303
    )
    assert enter(browser, totp.at(utcnow())).headers["Location"] == "/organizations", "that browser was known"


def test_P10_what_microsoft_said_is_good_for_five_minutes(
    app: Flask, browser: FlaskClient, simulator: SimulatorServer
) -> None:
    connected(browser, simulator)
    with_authenticator(app, "mila@rollcall.example")
    assert ask(browser, answer_of(simulator, ask(browser, "/login/microsoft"))).status_code == 303
    with time_machine.travel(utcnow() + timedelta(seconds=301)):
        late = ask(browser, "/login/microsoft/code")
        assert (late.status_code, late.headers["Location"]) == (303, "/login")


def test_P10_a_link_and_microsoft_end_the_accounts_sessions(
    app: Flask, browser: FlaskClient, simulator: SimulatorServer
) -> None:
    email, guest = "mila@rollcall.example", app.test_client()
    assert send(browser, "/login", email=email, password=PASSWORD).status_code == 303
    away = send(guest, f"/invitations/{reset_link(app, email)}/microsoft")
    assert ask(guest, answer_of(simulator, away)).status_code == 303
    assert ask(guest, "/account").status_code == 200
    assert ask(browser, "/account").status_code == 303


@pytest.mark.parametrize("path", ["/account/microsoft", "/account/microsoft/off"])
def test_P10_tying_and_untying_ask_for_the_password_and_renew_the_session(
    app: Flask, browser: FlaskClient, simulator: SimulatorServer, path: str
) -> None:
    email, other = "mila@rollcall.example", app.test_client()
    if path.endswith("off"):
        connected(browser, simulator)
    else:
        send(browser, "/login", email=email, password=PASSWORD)
    send(other, "/login", email=email, password=PASSWORD)
    for wrong in ({}, {"password": "a guess, one of many"}):
        refused = send(browser, path, **wrong)
        assert (refused.status_code, "not your current password" in refused.text) == (422, True)
    with browser.session_transaction(base_url="https://127.0.0.1") as kept:
        before = kept["_user_id"]
    done = send(browser, path, password=PASSWORD)
    if not path.endswith("off"):
        done = ask(browser, answer_of(simulator, done))
    assert done.headers["Location"].endswith("/account#microsoft")
    assert (tied_to(app, email) is None) == path.endswith("off")
    with browser.session_transaction(base_url="https://127.0.0.1") as kept:
        assert kept["_user_id"] != before
    assert (ask(browser, "/account").status_code, ask(other, "/account").status_code) == (200, 303)


def test_P10_a_switched_off_account_is_told_in_the_audit_log(
    app: Flask, browser: FlaskClient, simulator: SimulatorServer
) -> None:
    connected(browser, simulator)
    with app.app_context():
        account = accounts.find_account(db.session(), "mila@rollcall.example")
        assert account is not None
        account.is_active = False
        db.session.commit()
    fresh = app.test_client()
    page = ask(fresh, answer_of(simulator, ask(fresh, "/login/microsoft")))
    assert (page.status_code, "deactivated" in page.text) == (422, True)
    with app.app_context():
        event = db.session.query(AuditEvent).filter_by(action="sign_in_failed").one()
        assert event.detail == {"email": "mila@rollcall.example", "reason": "switched off"}
