"""P10: sign-in with Microsoft, by browser (without script) and simulator over HTTPS."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import pyotp
import pytest
import requests
import time_machine
from flask import Flask
from flask.testing import FlaskClient

from portal import create_app
from portal.auth import links
from portal.auth import service as accounts
from portal.clock import utcnow
from portal.extensions import db
from portal.microsoft_sign_in import service
from portal.models import Account, AuditEvent, Role
from portal.runtime import runtime
from simulator.server import SimulatorServer
from tests.system.conftest import settings_for

PASSWORD = "correct horse battery staple"


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


def ask(client: FlaskClient, path: str) -> Any:
    return client.get(path, base_url="https://127.0.0.1")


def send(client: FlaskClient, path: str, **form: str) -> Any:
    """Post a form with the token of its page."""
    page = ask(
        client,
        "/login"
        if path.startswith("/login")
        else "/account"
        if "/account" in path
        else path.removesuffix("/microsoft"),
    )
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token is not None, page.text[:500]
    return client.post(
        path,
        data={"csrf_token": token[1], **form},
        base_url="https://127.0.0.1",
        headers={"Referer": "https://127.0.0.1/"},
    )


def answer_of(simulator: SimulatorServer, away: Any, tenant: int = 0) -> str:
    """What Microsoft sends the browser back with, once the first ordinary person of that tenant was chosen."""
    home = simulator.world.tenants[simulator.tenant_ids[tenant]]
    who = next(
        u for u in simulator.control.users(home.id) if u["userType"] == "Member" and u["accountEnabled"]
    )
    parts = urlsplit(away.headers["Location"])
    query = urlencode({**dict(parse_qsl(parts.query)), "login_hint": who["userPrincipalName"]})
    reply = requests.get(
        parts._replace(query=query).geturl(), verify=simulator.ca_file, allow_redirects=False, timeout=10
    )
    assert reply.status_code in {302, 303}, reply.text[:300]
    back = urlsplit(reply.headers["Location"])
    return f"{back.path}?{back.query}"


def connected(client: FlaskClient, simulator: SimulatorServer) -> None:
    """Sign in with the password and tie the Microsoft account."""
    assert send(client, "/login", email="mila@rollcall.example", password=PASSWORD).status_code == 303
    away = send(client, "/account/microsoft", password=PASSWORD)
    assert ask(client, answer_of(simulator, away)).headers["Location"].endswith("/account#microsoft")


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


def failures(app: Flask) -> int:
    with app.app_context():
        return db.session.query(AuditEvent).filter_by(action="sign_in_failed").count()


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


def with_authenticator(app: Flask, email: str) -> pyotp.TOTP:
    """Give an account an authenticator, whose codes from the next step on sign in."""
    secret = pyotp.random_base32()
    with app.app_context():
        account = accounts.find_account(db.session(), email)
        assert account is not None
        account.totp_secret = runtime().box.encrypt(secret, purpose=f"totp:{account.id}")
        db.session.commit()
    return pyotp.TOTP(secret)


def tied_to(app: Flask, email: str) -> str | None:
    with app.app_context():
        account = accounts.find_account(db.session(), email)
        assert account is not None
        return account.microsoft_oid


def reset_link(app: Flask, email: str) -> str:
    with app.app_context():
        token = links.invite(db.session(), email=email, role="read-only", now=utcnow(), by="test").token
        db.session.commit()
        return token


def enter(client: FlaskClient, code: str) -> Any:
    """The second step, as its page has it."""
    page = ask(client, "/login/microsoft/code")
    assert page.status_code == 200 and "six-digit code" in page.text
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token is not None
    form = {"csrf_token": token[1], "code": code}
    return client.post(
        "/login/microsoft/code",
        data=form,
        base_url="https://127.0.0.1",
        headers={"Referer": "https://127.0.0.1/"},
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
    assert (wrong.status_code, "This code is not right" in wrong.text) == (422, True)
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
        assert "This code is not right" in enter(fresh, "000000").text
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
        assert (refused.status_code, "not your present password" in refused.text) == (422, True)
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
