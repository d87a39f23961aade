"""An open browser is not enough: what changes how somebody signs in asks for the password or a code again."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine

from portal.auth import attempts, passwords
from portal.auth import sessions as auth_sessions
from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.models import Account
from tests.web.auth.signing_in import (
    ANN,
    PASSWORD,
    browser_of,
    csrf,
    events,
    second_step,
    sign_in,
    with_authenticator,
)


def test_an_open_browser_is_not_enough_to_replace_an_authenticator(app, ann):
    client = app.test_client()
    assert sign_in(client).status_code == 303
    with_authenticator(app, ann, utcnow())
    assert client.get("/account/totp").status_code == 409
    assert (
        client.post(
            "/account/totp", data={"csrf_token": csrf(client, "/account"), "code": "123456"}
        ).status_code
        == 409
    )


def test_a_link_for_a_new_password_does_not_pass_the_second_factor(app, ann, client_as):
    with_authenticator(app, ann, utcnow())
    answer = client_as().send("/settings/people", {"email": ANN, "role": "technician"})
    link = re.search(r"/invitations/[\w-]+", answer.text)[0]
    client = app.test_client()
    data = {"csrf_token": csrf(client, link), "name": "", "password": "another long password"}
    assert client.post(link, data=data).status_code == 303
    assert client.get("/account").status_code == 303, "to the sign-in page"
    asked = sign_in(client, "another long password")
    assert asked.status_code == 422 and "six-digit code" in asked.text


@pytest.mark.parametrize(
    "ends", ["by time", "by another password", "by a forger", "by a reset authenticator"]
)
def test_P10_what_stands_for_the_password_ends(app, ann, ends):
    now = utcnow()
    totp, _ = with_authenticator(app, ann, now)
    client = app.test_client()
    proof = re.search(r'name="proof" value="([^"]+)"', sign_in(client).text)[1]
    if ends == "by another password":
        with app.app_context():
            mark_write(db.session())
            db.session.get(Account, ann).password_hash = passwords.hash_password("another long password")
            db.session.commit()
    if ends == "by a reset authenticator":  # nobody signs in from a page that asks for a code without one
        with app.app_context():
            mark_write(db.session())
            account = db.session.get_one(Account, ann)
            account.totp_secret = account.totp_last_step = None
            db.session.commit()
    if ends == "by a forger":
        proof = f"{proof}x"
    with time_machine.travel(now + timedelta(minutes=6 if ends == "by time" else 1), tick=False):
        refused = second_step(client, code=totp.at(utcnow()), proof=proof)
    assert refused.status_code == 422 and "That took too long. Enter the password again." in refused.text
    assert 'type="password"' in refused.text and client.get("/account").status_code == 303


def test_an_administrator_takes_a_lost_authenticator_away(app, ann, client_as):
    with_authenticator(app, ann, utcnow())
    owner = client_as()
    assert "Reset authenticator" in owner.get("/settings/people").text
    signed_in = browser_of(app, ann)
    assert signed_in.get("/account").status_code == 200
    assert owner.send(f"/settings/people/{ann}", {"do": "totp"}).status_code == 303
    assert signed_in.get("/account").status_code == 303, "whoever was signed in is not any more"
    assert sign_in(app.test_client()).status_code == 303
    assert [event.detail["enabled"] for event in events(app, "totp_changed")] == [True, False]


def test_an_open_browser_is_not_enough_to_take_ones_own_authenticator_away_in_settings(app, ann):
    with_authenticator(app, ann, utcnow())
    client = browser_of(app, ann)
    page = client.get("/settings/people").text
    assert "Reset authenticator" not in page and "/account#totp" in page
    form = {"csrf_token": csrf(client, "/account"), "do": "totp", "sure": "yes"}
    answer = client.post(f"/settings/people/{ann}", data=form)
    assert answer.status_code == 409 and "/account#totp" in answer.text
    assert [event.detail["enabled"] for event in events(app, "totp_changed")] == [True]
    assert client.get("/account").status_code == 200


@pytest.mark.parametrize("email", [ANN, " ANN@Rollcall.Example ", "ann@rollcall\u200b.example"])
def test_an_open_browser_is_not_enough_for_a_link_for_ones_own_new_password(app, ann, email):
    client = browser_of(app, ann)
    form = {"csrf_token": csrf(client, "/account"), "email": email, "role": "administrator"}
    answer = client.post("/settings/people", data=form)
    assert (
        answer.status_code == 409
        and "/account#password" in answer.text
        and "/invitations/" not in answer.text
    )
    assert events(app, "invitation_created") == []


@pytest.mark.parametrize(
    ("path", "field"), [("/account/password", "old_password"), ("/account/totp/off", "password")]
)
def test_the_present_password_cannot_be_guessed_without_end_in_an_open_browser(app, ann, path, field):
    moment = utcnow()
    if "totp" in path:
        with_authenticator(app, ann, moment)
    with app.app_context():
        mark_write(db.session())
        account = db.session.get_one(Account, ann)
        token = auth_sessions.start_session(
            db.session(), account, now=moment, ip="127.0.0.1", user_agent="test", method="password"
        )
        db.session.commit()
    client = app.test_client()
    with client.session_transaction() as kept:
        kept["_user_id"], kept["_fresh"] = token, True
    moment = utcnow()  # not before the cookie was signed

    def guess(password):
        form = {
            "csrf_token": csrf(client, "/account"),
            field: password,
            "new_password": "another long pass phrase",
        }
        return client.post(path, data=form)

    with time_machine.travel(moment, tick=False):
        for _ in range(attempts.LOCK_AFTER):
            answer = guess("a wrong guess")
            assert answer.status_code == 422 and "not your current password" in answer.text
        answer = guess(PASSWORD)
        assert answer.status_code == 422 and "Too many attempts" in answer.text, (
            "the right one does not help now"
        )
    assert {event.detail["reason"] for event in events(app, "sign_in_failed")} == {
        "present password, known browser"
    }
    with app.app_context():
        assert attempts.locked_until(db.session(), attempts.of_address(ANN), moment) is None, (
            "strangers are counted apart"
        )
    with time_machine.travel(moment + attempts.LOCK_FOR + timedelta(seconds=1), tick=False):
        assert guess(PASSWORD).status_code == 303
