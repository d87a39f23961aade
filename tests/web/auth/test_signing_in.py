"""P10, P11, O4: signing in, being locked out, the second factor, one-time links, and what the audit log has of it."""

from __future__ import annotations

import re
import sys
from datetime import timedelta

import pyotp
import pytest
import time_machine

from portal.auth import attempts, authenticator, forms, passwords, service
from portal.auth import sessions as auth_sessions
from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.models import Account, AuditEvent, Role
from portal.runtime import runtime

PASSWORD = "correct horse battery staple"
ANN = "ann@rollcall.example"


@pytest.fixture
def ann(app):
    with app.app_context():
        mark_write(db.session())
        row = service.add_account(
            db.session(), email=ANN, role=Role.ADMINISTRATOR, now=utcnow(), password=PASSWORD, name="Ann"
        )
        db.session.commit()
        return row.id


def csrf(client, path="/login"):
    found = re.search(r'name="csrf_token" value="([^"]+)"', client.get(path).text)
    assert found is not None
    return found[1]


def sign_in(client, password=PASSWORD, email=ANN, **more):
    return client.post(
        "/login", data={"csrf_token": csrf(client), "email": email, "password": password, **more}
    )


def events(app, action):
    with app.app_context():
        return db.session.query(AuditEvent).filter_by(action=action).order_by(AuditEvent.at).all()


def with_authenticator(app, account_id, now):
    """Give the account an authenticator as its owner does, and its secret and the code used for that."""
    secret = pyotp.random_base32()
    with app.app_context():
        mark_write(db.session())
        account = db.session.get_one(Account, account_id)
        code = pyotp.TOTP(secret).at(now)
        authenticator.enable(db.session(), account, secret, code, now=now, box=runtime().box)
        db.session.commit()
    return pyotp.TOTP(secret), code


def test_O4_a_failed_sign_in_says_from_where_and_is_not_told_as_the_syncs_doing(app, ann):
    assert sign_in(app.test_client(), "wrong wrong wrong").status_code == 422
    (event,) = events(app, "sign_in_failed")
    assert (event.actor, event.source, event.ip) == ("not signed in", "page", "127.0.0.1")
    assert (event.object_id, event.detail) == (ann, {"email": ANN, "reason": "password"})


def test_O4_accepting_a_link_says_from_where(app, client_as):
    owner = client_as()
    answer = owner.send("/settings/people", {"email": "ben@rollcall.example", "role": "technician"})
    link = re.search(r"/invitations/[\w-]+", answer.text)[0]
    guest = app.test_client()
    data = {"csrf_token": csrf(guest, link), "name": "Ben", "password": PASSWORD}
    assert guest.post(link, data=data).status_code == 303
    assert guest.get("/account").status_code == 200
    (event,) = events(app, "invitation_used")
    assert (event.actor, event.source, event.ip) == ("ben@rollcall.example", "page", "127.0.0.1")


def test_O4_a_change_of_name_is_in_the_log(app, client_as):
    client = client_as()
    client.send("/account", {"name": "Ada", "theme": "dark", "timezone": ""})
    client.send("/account", {"name": "Ada", "theme": "dark", "timezone": ""})
    (event,) = events(app, "account_changed")
    assert event.detail == {"email": "administrator@rollcall.example", "changes": "name, theme"}


def test_P10_time_zones_are_offered_once_each_and_a_choice_made_earlier_is_kept(app, client_as):
    client = client_as()

    def offered():
        return re.findall(
            r'<option( selected)? value="([^"]*)"', client.get("/account").text.partition('"timezone"')[2]
        )

    names = [name for _, name in offered()]
    assert {"", "UTC", "Europe/Amsterdam", "America/New_York", "Asia/Kolkata"} <= set(names)
    odd = {
        "Factory",
        "EST5EDT",
        "GB",
        "Zulu",
        "Etc/GMT+5",
        "US/Eastern",
        "Asia/Calcutta",
        "localtime",
        "posixrules",
    }
    assert not odd & set(names)
    with app.app_context():
        mark_write(db.session())
        db.session.query(Account).one().timezone = "US/Eastern"
        db.session.commit()
    assert (" selected", "US/Eastern") in offered()
    client.send("/account", {"name": "Ada", "theme": "dark", "timezone": "US/Eastern"})
    assert (" selected", "US/Eastern") in offered()
    client.send("/account", {"name": "Ada", "theme": "dark", "timezone": "Europe/Oslo"})
    assert (" selected", "Europe/Oslo") in offered() and ("", "US/Eastern") not in offered()


def test_P10_without_a_list_of_zones_the_names_of_places_are_offered(monkeypatch, tmp_path):
    known = {"Europe/Amsterdam", "Asia/Calcutta", "Factory", "EST5EDT", "US/Eastern", "UTC"}
    monkeypatch.setattr(forms.zoneinfo, "available_timezones", lambda: known)
    monkeypatch.setattr(forms.zoneinfo, "TZPATH", (str(tmp_path),))
    monkeypatch.setitem(sys.modules, "tzdata.zoneinfo", None)
    assert forms.time_zones.__wrapped__() == ["Asia/Calcutta", "Europe/Amsterdam", "UTC"]


def test_five_failures_lock_strangers_out_but_not_the_browser_that_was_let_in_before(app, ann):
    own, stranger = app.test_client(), app.test_client()
    assert sign_in(own).status_code == 303
    own.post("/logout", data={"csrf_token": csrf(own, "/account")})
    for _ in range(5):
        assert sign_in(stranger, "a guess, one of many").status_code == 422
    locked = sign_in(stranger)
    assert locked.status_code == 422 and "Too many attempts" in locked.text
    assert sign_in(own).status_code == 303
    assert "Too many attempts" in sign_in(app.test_client()).text, "that one got in opens it to nobody else"


def test_a_known_browser_may_not_guess_without_end_either(app, ann):
    own = app.test_client()
    assert sign_in(own).status_code == 303
    own.post("/logout", data={"csrf_token": csrf(own, "/account")})
    for _ in range(5):
        assert "do not belong together" in sign_in(own, "a guess, one of many").text
    assert "Too many attempts" in sign_in(own).text
    assert sign_in(app.test_client()).status_code == 303, "the others are counted apart"
    with time_machine.travel(utcnow() + timedelta(minutes=16)):
        assert sign_in(own).status_code == 303


def test_a_cookie_of_a_known_browser_is_hidden_from_scripts_and_cannot_be_made(app, ann):
    client = app.test_client()
    answer = sign_in(client)
    cookie = next(c for c in answer.headers.getlist("Set-Cookie") if c.startswith("rollcall_known="))
    assert "HttpOnly" in cookie and "SameSite=Lax" in cookie
    forged = app.test_client()
    forged.set_cookie("rollcall_known", f'["{ann}"].AAAA.AAAA')
    for _ in range(5):
        sign_in(forged, "a guess, one of many")
    assert "Too many attempts" in sign_in(forged).text


def test_a_code_works_once_also_the_one_that_set_the_authenticator_up(app, ann):
    now = utcnow().replace(second=10, microsecond=0)
    with time_machine.travel(now, tick=False):
        totp, first = with_authenticator(app, ann, now)
        assert sign_in(app.test_client(), code=first).status_code == 422
    later = now + timedelta(seconds=60)
    with time_machine.travel(later, tick=False):
        assert sign_in(app.test_client(), code=totp.at(later)).status_code == 303
        assert sign_in(app.test_client(), code=totp.at(later)).status_code == 422


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


def second_step(client, **data):
    return client.post("/login", data={"csrf_token": csrf(client), "email": ANN, **data})


def test_P10_the_second_step_wants_the_code_alone(app, ann):
    now = utcnow()
    totp, _ = with_authenticator(app, ann, now)
    client = app.test_client()
    asked = sign_in(client).text
    assert (
        f"Signing in as <bdi>{ANN}</bdi>" in asked
        and 'type="password"' not in asked
        and PASSWORD not in asked
    )
    proof = re.search(r'name="proof" value="([^"]+)"', asked)[1]
    assert second_step(client, code="000000", proof=proof).status_code == 422
    with time_machine.travel(now + timedelta(minutes=1), tick=False):
        assert second_step(client, code=totp.at(utcnow()), proof=proof).status_code == 303
        assert client.get("/account").status_code == 200


def test_P10_a_code_that_is_too_long_is_asked_for_again_at_the_second_step(app, ann):
    now = utcnow()
    totp, _ = with_authenticator(app, ann, now)
    client = app.test_client()
    proof = re.search(r'name="proof" value="([^"]+)"', sign_in(client).text)[1]
    refused = second_step(client, code="0123456789012", proof=proof)
    assert (
        refused.status_code == 422
        and 'type="password"' not in refused.text
        and "0123456789012" not in refused.text
    )
    assert re.search(
        r'aria-describedby="code-note".*<div [^>]*id="code-note">Enter the six digits',
        refused.text,
        re.DOTALL,
    )
    proof = re.search(r'name="proof" value="([^"]+)"', refused.text)[1]
    with time_machine.travel(now + timedelta(minutes=1), tick=False):
        assert second_step(client, code=totp.at(utcnow()), proof=proof).status_code == 303
    assert events(app, "sign_in_failed") == []


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


def browser_of(app, account_id):
    """A browser in which the account is signed in, authenticator or not."""
    with app.app_context():
        mark_write(db.session())
        account = db.session.get_one(Account, account_id)
        token = auth_sessions.start_session(
            db.session(), account, now=utcnow(), ip="127.0.0.1", user_agent="test", method="password"
        )
        db.session.commit()
    client = app.test_client()
    with client.session_transaction() as kept:
        kept["_user_id"], kept["_fresh"] = token, True
    return client


def invited(owner, email="ben@rollcall.example"):
    return re.search(
        r"/invitations/[\w-]+", owner.send("/settings/people", {"email": email, "role": "technician"}).text
    )[0]


def test_a_newer_link_ends_the_older_one_and_open_links_can_be_withdrawn(app, client_as):
    owner, guest = client_as(), app.test_client()
    first = invited(owner)
    second = invited(owner)
    assert guest.get(first).status_code == 404
    assert guest.get(second).status_code == 200
    withdraw = re.search(
        r'action="(/settings/people/invitations/[^"]+)"', owner.get("/settings/people").text
    )[1]
    assert owner.send(withdraw).status_code == 303
    assert guest.get(second).status_code == 404
    assert len(events(app, "invitation_withdrawn")) == 1


@pytest.mark.parametrize("how", ["off", "remove"])
def test_whoever_is_switched_off_or_removed_does_not_come_back_by_an_old_link(app, ann, client_as, how):
    owner, guest = client_as(), app.test_client()
    link = invited(owner, ANN)
    assert owner.send(f"/settings/people/{ann}", {"do": how}).status_code == 303
    assert guest.get(link).status_code == 404


def test_the_last_administrator_stays(app, ann, client_as):
    owner = client_as(Role.ADMINISTRATOR)
    with app.app_context():
        me = db.session.query(Account).filter_by(email="administrator@rollcall.example").one().id
    assert owner.send(f"/settings/people/{ann}", {"do": "off"}).status_code == 303
    for form in ({"do": "off"}, {"do": "remove"}, {"do": "role", "role": "technician"}):
        answer = owner.send(f"/settings/people/{me}", form)
        assert answer.status_code == 409 and "last active administrator" in answer.text


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
            assert answer.status_code == 422 and "not your present password" in answer.text
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
