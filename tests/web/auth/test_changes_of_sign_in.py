"""P10: who changes how they sign in is asked for the password, other sessions end, and this one gets another token."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine

from portal.auth import attempts, first_administrator, passwords
from portal.auth.passwords import Gate
from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.models import Account, AccountSession, SignInAttempts
from tests.web.auth.signing_in import (
    ANN,
    NEW,
    PASSWORD,
    changing,
    csrf,
    enrolling,
    events,
    sign_in,
    switching_off,
    with_authenticator,
)


@pytest.mark.parametrize("change", [enrolling, changing, switching_off])
def test_a_change_asks_for_the_password_ends_other_sessions_and_renews_this_one(app, ann, change):
    own, other = app.test_client(), app.test_client()
    assert sign_in(own).status_code == sign_in(other).status_code == 303
    if change is switching_off:
        with_authenticator(app, ann, utcnow())
    csrf(own, "/account")
    with own.session_transaction() as kept:
        before, csrf_token = kept["_user_id"], kept["csrf_token"]
    for wrong in ("", "a guess, one of many"):
        refused = change(own, wrong)
        assert refused.status_code == 422 and "not your current password" in refused.text
    assert other.get("/account").status_code == 200
    assert change(own, PASSWORD).status_code == 303
    assert own.get("/account").status_code == 200 and other.get("/account").status_code == 303
    with own.session_transaction() as kept:
        assert kept["_user_id"] != before
        assert kept["csrf_token"] == csrf_token, "what is open in another tab can still be saved"
    stolen = app.test_client()
    with stolen.session_transaction() as kept:
        kept["_user_id"], kept["_fresh"] = before, True
    assert stolen.get("/account").status_code == 303, "the former token opens nothing"


@pytest.mark.parametrize(("minutes", "status"), [(0, 303), (11, 422)])
def test_who_has_no_password_signed_in_a_moment_ago(app, ann, minutes, status):
    """An account that signs in with Microsoft only."""
    client = app.test_client()
    assert sign_in(client).status_code == 303
    with app.app_context():
        mark_write(db.session())
        db.session.get_one(Account, ann).password_hash = None
        db.session.commit()
    with time_machine.travel(utcnow() + timedelta(minutes=minutes)):
        answer = changing(client, "")
    assert answer.status_code == status
    assert ("Sign out, sign in again" in answer.text) == (status == 422)
    assert events(app, "sign_in_failed") == []


def test_an_address_without_an_account_is_answered_and_locked_as_one_with(app, ann):
    seen = []
    for email in (ANN, "nobody@rollcall.example"):
        client = app.test_client()
        pages = [sign_in(client, "a guess, one of many", email=email) for _ in range(6)]
        pages.append(sign_in(client, PASSWORD, email=f"  {email.upper()} "))
        seen.append(
            [re.search(r'role="alert".*?<div>(.*?)</div>', page.text, re.DOTALL)[1] for page in pages]
        )
    assert seen[0] == seen[1]
    assert "Too many attempts" in seen[0][5] and "Too many attempts" in seen[0][6]


def test_the_same_work_is_done_for_every_address_locked_or_not(app, ann, monkeypatch):
    done = []
    verify = passwords.verify

    def watched(stored, password):
        done.append(password)
        return verify(stored, password)

    monkeypatch.setattr(passwords, "verify", watched)
    for email in (ANN, "nobody@rollcall.example"):
        for _ in range(7):
            sign_in(app.test_client(), "a guess, one of many", email=email)
    assert len(done) == 14


def test_addresses_nobody_tries_any_more_are_forgotten(app, ann):
    now = utcnow()
    sign_in(app.test_client(), email="nobody@rollcall.example")
    with time_machine.travel(now + 2 * attempts.LOCK_FOR + timedelta(seconds=5)):
        sign_in(app.test_client(), "a guess, one of many")
    with app.app_context():
        assert [row.key for row in db.session.query(SignInAttempts)] == [attempts.of_address(ANN)]


def test_no_password_is_hashed_within_a_transaction_that_writes(app, ann, client_as, monkeypatch):
    """What was open while a password was hashed, at each door that does."""
    open_then = []
    for name in ("hash_password", "verify"):
        real = getattr(passwords, name)

        def watched(*args, real=real):
            open_then.append(db.session().in_transaction())
            return real(*args)

        monkeypatch.setattr(passwords, name, watched)
    client = app.test_client()
    sign_in(client, "a guess, one of many")
    assert sign_in(client).status_code == 303
    assert changing(client, PASSWORD).status_code == 303
    assert enrolling(client, NEW).status_code == 303
    assert switching_off(client, NEW).status_code == 303
    link = re.search(
        r"/invitations/[\w-]+",
        client_as().send("/settings/people", {"email": ANN, "role": "technician"}).text,
    )[0]
    guest = app.test_client()
    assert guest.post(link, data={"csrf_token": csrf(guest, link), "password": PASSWORD}).status_code == 303
    assert len(open_then) == 7 and not any(open_then)


def test_the_first_administrators_password_is_hashed_with_nothing_open(app, monkeypatch):
    open_then, real = [], passwords.hash_password

    def watched(password):
        open_then.append(db.session().in_transaction())
        return real(password)

    monkeypatch.setattr(passwords, "hash_password", watched)
    with app.app_context():
        mark_write(db.session())
        token = first_administrator.new_setup_token(db.session(), utcnow())
        db.session.commit()
    client = app.test_client()
    form = {"csrf_token": csrf(client, "/setup"), "token": token, "email": ANN, "password": PASSWORD}
    assert client.post("/setup", data=form).status_code == 303
    assert open_then == [False]


def test_who_comes_when_too_many_wait_is_told_to_come_back(app, ann, monkeypatch):
    gate = Gate(1, 0)
    monkeypatch.setattr(passwords, "gate", gate)
    with gate.passed(1.0):
        answer = sign_in(app.test_client())
    assert answer.status_code == 503 and answer.headers["Retry-After"] == "5"
    assert sign_in(app.test_client()).status_code == 303
    assert events(app, "sign_in_failed") == []


@pytest.mark.parametrize("path", ["/account/password", "/invitations", "/setup"])
def test_weak_passwords_are_refused_at_every_door(app, client_as, path):
    client, data = client_as(), {"old_password": "", "new_password": "password123", "password": "password123"}
    if path == "/invitations":
        path = re.search(
            r"/invitations/[\w-]+", client.send("/settings/people", {"email": ANN, "role": "technician"}).text
        )[0]
        data["password"] = "ann-rollcall-ann"
    if path == "/setup":
        with app.app_context():
            mark_write(db.session())
            db.session.query(AccountSession).delete()
            db.session.query(Account).delete()
            data |= {"token": first_administrator.new_setup_token(db.session(), utcnow()), "email": ANN}
            db.session.commit()
        client = app.test_client()
        data["csrf_token"] = csrf(client, "/setup")
        answer = client.post(path, data=data)
    else:
        answer = client.send(path, data)
    assert answer.status_code == 422 and "easily guessed" in answer.text
