"""P10: sign-in with Microsoft, by browser (without script) and simulator over HTTPS."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
import requests
from flask import Flask
from flask.testing import FlaskClient

from portal.auth import links
from portal.auth import service as accounts
from portal.clock import utcnow
from portal.extensions import db
from portal.microsoft_sign_in import service
from portal.models import Account, Role
from simulator.server import SimulatorServer
from tests.system.microsoft_sign_in.steps import PASSWORD, answer_of, ask, connected, failures, send


def test_P10_somebody_connects_their_account_and_signs_in_with_it(
    app: Flask, browser: FlaskClient, simulator: SimulatorServer
) -> None:
    connected(browser, simulator)
    fresh = app.test_client()
    away = ask(fresh, "/login/microsoft?next=/organizations")
    back = ask(fresh, answer_of(simulator, away))
    assert (back.status_code, back.headers["Location"]) == (303, "/organizations")
    assert "mila@rollcall.example" in ask(fresh, "/account").text
    assert send(fresh, "/account/microsoft/off", password=PASSWORD).status_code == 303
    away = ask(app.test_client(), "/login/microsoft")
    assert away.status_code == 303


def test_P10_an_unknown_microsoft_account_is_told_what_to_do(
    browser: FlaskClient, simulator: SimulatorServer
) -> None:
    page = ask(browser, answer_of(simulator, ask(browser, "/login/microsoft")))
    assert page.status_code == 422
    assert "Microsoft knows you, Rollcall does not" in page.text
    assert ask(browser, "/account").status_code == 303


def test_P10_an_answer_works_once_and_only_in_its_browser(
    app: Flask, browser: FlaskClient, simulator: SimulatorServer
) -> None:
    connected(browser, simulator)
    fresh, stranger = app.test_client(), app.test_client()
    answer = answer_of(simulator, ask(fresh, "/login/microsoft"))
    assert "Start again" in ask(stranger, answer).text
    assert ask(fresh, answer).status_code == 303
    again = ask(app.test_client(), answer)
    assert again.status_code == 422
    forged = answer_of(simulator, ask(stranger, "/login/microsoft")).replace("state=", "state=x")
    refused = ask(stranger, forged)
    assert (refused.status_code, "does not belong to this browser" in refused.text) == (422, True)


def test_P10_declining_is_said(browser: FlaskClient) -> None:
    away = ask(browser, "/login/microsoft")
    state = dict(parse_qsl(urlsplit(away.headers["Location"]).query))["state"]
    page = ask(
        browser, f"/login/microsoft/answer?error=access_denied&error_description=AADSTS65004&state={state}"
    )
    assert page.status_code == 422
    assert "refused the sign-in" in page.text


def test_P10_people_of_another_tenant_may_not(
    app: Flask, browser: FlaskClient, simulator: SimulatorServer
) -> None:
    with app.app_context():
        service.allow_tenants(
            db.session(), f"{simulator.tenant_ids[0]}\n{'9' * 8}-9999-4999-8999-{'9' * 12}", utcnow()
        )
        db.session.commit()
    page = ask(browser, answer_of(simulator, ask(browser, "/login/microsoft"), tenant=1))
    assert "may not sign in here" in page.text


def test_P10_an_invitation_is_accepted_with_microsoft_once(
    app: Flask, browser: FlaskClient, simulator: SimulatorServer
) -> None:
    with app.app_context():
        token = links.invite(
            db.session(), email="new@rollcall.example", role="read-only", now=utcnow(), by="test"
        ).token
        db.session.commit()
    away = send(browser, f"/invitations/{token}/microsoft")
    assert ask(browser, answer_of(simulator, away)).status_code == 303
    assert "new@rollcall.example" in ask(browser, "/account").text
    with app.app_context():
        row = db.session.scalar(db.select(Account).where(Account.email == "new@rollcall.example"))
        assert (row.role, row.password_hash, bool(row.microsoft_oid)) == ("read-only", None, True)
    assert ask(app.test_client(), f"/invitations/{token}").status_code == 404
    kept = send(browser, "/account/microsoft/off")
    assert (kept.status_code, "no password yet" in kept.text) == (409, True)


def test_P10_one_microsoft_account_opens_one_account(
    app: Flask, browser: FlaskClient, simulator: SimulatorServer
) -> None:
    connected(browser, simulator)
    with app.app_context():
        accounts.add_account(
            db.session(), email="bo@rollcall.example", role=Role.READ_ONLY, now=utcnow(), password=PASSWORD
        )
        db.session.commit()
    other = app.test_client()
    send(other, "/login", email="bo@rollcall.example", password=PASSWORD)
    page = ask(other, answer_of(simulator, send(other, "/account/microsoft", password=PASSWORD)))
    assert (page.status_code, "belongs to mila@rollcall.example" in page.text) == (422, True)


def test_P10_switched_off_it_says_so(app: Flask, browser: FlaskClient) -> None:
    with app.app_context():
        service.allow_tenants(db.session(), "", utcnow())
        db.session.commit()
    assert "turned off here" in ask(browser, "/login/microsoft").text
    assert "Sign in with Microsoft" not in ask(browser, "/login").text


def test_P10_nothing_is_recorded_or_asked_without_a_sign_in_that_began_here(
    app: Flask, browser: FlaskClient, simulator: SimulatorServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The address is public: whoever called it filled the audit log and had the portal ask Microsoft."""
    asked: list[str] = []
    really = requests.Session.send

    def send_and_note(
        session: requests.Session, request: requests.PreparedRequest, **how: Any
    ) -> requests.Response:
        asked.append(str(request.url))
        return really(session, request, **how)

    answer = answer_of(simulator, ask(browser, "/login/microsoft"))
    with browser.session_transaction(base_url="https://127.0.0.1") as kept:
        cookie = dict(kept)
    monkeypatch.setattr(requests.Session, "send", send_and_note)
    stranger = app.test_client()
    for path in (
        "/login/microsoft/answer",
        "/login/microsoft/answer?code=x&state=y",
        "/login/microsoft/answer?error=access_denied",
        answer,
    ):
        assert ask(stranger, path).status_code == 422
    forged = app.test_client()
    for change in ({"at": 0}, {"at": None}, {"flow": None}, {"at": 2**40}):
        with forged.session_transaction(base_url="https://127.0.0.1") as session:
            session["microsoft_flow"] = cookie["microsoft_flow"] | change
        assert ask(forged, answer).status_code == 422
    assert (asked, failures(app)) == ([], 0)
    for _ in range(3):
        assert ask(app.test_client(), "/login/microsoft").status_code == 303
    assert asked == []  # what Microsoft publishes was asked for by the first one
    assert ask(browser, answer).status_code == 422  # Microsoft knows them, Rollcall does not
    assert failures(app) == 1 and len(asked) == 2  # a token and the keys
    with browser.session_transaction(base_url="https://127.0.0.1") as session:
        session.update(cookie)  # the same cookie, sent again
    assert "used already" in ask(browser, answer).text
    assert failures(app) == 1 and len(asked) == 2
