"""O4: what the process log and the audit log have of sign-ins, links, tokens and roles that were refused."""

from __future__ import annotations

import logging
import re
from datetime import timedelta

import pytest
import time_machine

from portal import audit
from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.http import refusals, throttle
from portal.models import Account, Role
from portal.runtime import runtime
from tests.web.auth.signing_in import (
    ANN,
    PASSWORD,
    browser_of,
    changing,
    connecting,
    csrf,
    disconnecting,
    enrolling,
    events,
    sign_in,
    switching_off,
    with_authenticator,
)

LINE = re.compile(r"action=[a-z_]+ client=[0-9a-f.:]+( reason=[a-z_-]+)?")


@pytest.fixture
def lines(caplog):
    """What the process log says of signing in."""
    caplog.set_level(logging.INFO, logger="portal.sign_in")
    return lambda: [one.getMessage() for one in caplog.records if one.name == "portal.sign_in"]


def test_each_sign_in_is_one_line_without_what_was_typed(app, ann, lines):
    hostile = "x client=192.0.2.1\naction=signed_in"
    sign_in(app.test_client(), "wrong wrong wrong", email=hostile)
    sign_in(app.test_client(), "wrong wrong wrong")
    sign_in(app.test_client())
    assert lines() == [
        "action=sign_in_failed client=127.0.0.1 reason=password",
        "action=sign_in_failed client=127.0.0.1 reason=password",
        "action=signed_in client=127.0.0.1 reason=password",
    ]
    assert [event.detail["email"] for event in events(app, "sign_in_failed")] == ["", ANN]


def test_a_lock_and_what_is_tried_during_it_are_told_once_and_counted(app, ann, lines):
    now = utcnow()
    with time_machine.travel(now, tick=False):
        for _ in range(9):
            sign_in(app.test_client(), "wrong wrong wrong")
    assert lines().count("action=sign_in_locked client=127.0.0.1") == 1
    assert lines().count("action=sign_in_failed client=127.0.0.1 reason=locked") == 4
    (locked,) = events(app, "sign_in_locked")
    assert (locked.object_id, locked.detail) == (ann, {"email": ANN, "minutes": 15})
    assert [event.detail for event in events(app, "sign_in_while_locked")] == [{"email": ANN, "count": 1}]
    with time_machine.travel(now + timedelta(seconds=61), tick=False), app.app_context():
        runtime().refusals.flush()
        runtime().refusals.flush()
    assert [event.detail["count"] for event in events(app, "sign_in_while_locked")] == [1, 3]


@pytest.mark.parametrize("change", [enrolling, changing, switching_off, connecting, disconnecting])
def test_who_guesses_the_present_password_is_told_as_who_guesses_to_sign_in(app, ann, lines, change):
    if change is switching_off:
        with_authenticator(app, ann, utcnow())
    with time_machine.travel(utcnow(), tick=False):
        client = browser_of(app, ann)
        for _ in range(5):
            assert change(client, "wrong wrong wrong").status_code == 422
        for password in ("wrong wrong wrong", PASSWORD, "wrong wrong wrong"):
            refused = change(client, password)
            assert refused.status_code == 422 and "Too many attempts" in refused.text
    assert lines() == [
        *["action=sign_in_failed client=127.0.0.1 reason=present_password"] * 4,
        "action=sign_in_locked client=127.0.0.1",
        "action=sign_in_failed client=127.0.0.1 reason=present_password",
        *["action=sign_in_failed client=127.0.0.1 reason=locked"] * 3,
    ]
    assert [event.detail["reason"] for event in events(app, "sign_in_failed")] == [
        "present password, known browser"
    ] * 5
    (event,) = events(app, "sign_in_while_locked")
    assert (event.object_id, event.actor, event.detail) == (ann, ANN, {"email": ANN, "count": 1})


def test_a_new_password_that_is_refused_is_no_guess(app, ann, lines):
    client = browser_of(app, ann)
    form = {"csrf_token": csrf(client, "/account"), "old_password": PASSWORD, "new_password": "password123"}
    assert client.post("/account/password", data=form).status_code == 422
    assert lines() == []


def test_an_account_that_is_switched_off_is_told(app, ann, lines):
    with app.app_context():
        mark_write(db.session())
        db.session.get_one(Account, ann).is_active = False
        db.session.commit()
    assert "deactivated" in sign_in(app.test_client()).text
    assert lines() == ["action=sign_in_failed client=127.0.0.1 reason=switched_off"]
    (event,) = events(app, "sign_in_failed")
    assert (event.object_id, event.detail) == (ann, {"email": ANN, "reason": "switched off"})


def test_used_and_wrong_links_are_told(app, client_as, lines):
    link = re.search(
        r"/invitations/[\w-]+",
        client_as().send("/settings/people", {"email": ANN, "role": "technician"}).text,
    )[0]
    guest = app.test_client()
    assert guest.post(link, data={"csrf_token": csrf(guest, link), "password": PASSWORD}).status_code == 303
    for _ in range(3):
        assert app.test_client().get(link).status_code == 404
    assert lines() == [
        "action=signed_in client=127.0.0.1 reason=invitation",
        "action=link_used client=127.0.0.1",
        *["action=link_refused client=127.0.0.1"] * 3,
    ]
    assert [event.detail for event in events(app, "link_refused")] == [{"count": 1}]
    assert (events(app, "link_refused")[0].actor, len(events(app, "invitation_used"))) == ("not signed in", 1)


def test_refused_tokens_and_roles_are_told(app, client_as, lines):
    for _ in range(3):
        answer = app.test_client().get(
            "/api/v1/organizations", headers={"Authorization": "Bearer rc_nothing"}
        )
        assert answer.status_code == 401
    reader = client_as(Role.READ_ONLY)
    assert [reader.get("/settings/people").status_code for _ in range(2)] == [403, 403]
    assert lines() == [
        *["action=token_refused client=127.0.0.1 reason=unknown"] * 3,
        *["action=role_refused client=127.0.0.1 reason=needs_administrator"] * 2,
    ]
    (token,) = events(app, "token_refused")
    assert (token.actor, token.source, token.ip) == ("not signed in", "api", "127.0.0.1")
    assert token.detail == {"name": "", "reason": "unknown", "count": 1}
    (role,) = events(app, "role_refused")
    assert (role.actor, role.object_id) == ("read-only@rollcall.example", "settings.list_people")
    assert role.detail == {"needed": "administrator", "count": 1}


def test_every_line_has_the_form_that_is_documented(app, ann, client_as, lines):
    test_used_and_wrong_links_are_told(app, client_as, lambda: PATIENT)
    test_refused_tokens_and_roles_are_told(app, client_as, lambda: PATIENT)
    assert lines() and all(LINE.fullmatch(line) for line in lines())


class Anything(list):
    def __eq__(self, other):
        return True

    __hash__ = None


PATIENT = Anything()


@pytest.mark.parametrize(
    ("address", "shown", "counted"),
    [
        ("192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7", "192.0.2.7"),
        ("fe80::1%x reason=y", "fe80::1", "fe80::/64"),
        ("x reason=y\nz", "unknown", "unknown"),
        (None, "unknown", "unknown"),
    ],
)
def test_an_address_is_one_or_unknown_and_ipv6_is_counted_by_connection(address, shown, counted):
    assert (throttle.client(address), throttle.network(address)) == (shown, counted)


def test_kinds_of_refusals_are_bounded(app, ann):
    with app.app_context(), audit.acting_as(audit.Actor("x", "api", "192.0.2.1")):
        noted = runtime().refusals
        noted._windows.update({number: None for number in range(refusals.MOST_WINDOWS)})
        noted._take_over = lambda _now: []
        noted.note("link_refused")
        assert len(noted._windows) == refusals.MOST_WINDOWS
    assert events(app, "link_refused") == []


def test_one_client_signs_in_thirty_times_a_minute_and_others_go_on(app, ann, lines):
    client = app.test_client()
    token = csrf(client)

    def attempt(address):
        form = {"csrf_token": token, "email": "x", "password": ""}
        return client.post("/login", data=form, environ_base={"REMOTE_ADDR": address})

    with time_machine.travel(utcnow(), tick=False):
        assert {attempt("192.0.2.1").status_code for _ in range(30)} == {422}
        refused = attempt("192.0.2.1")
        assert refused.status_code == 429 and int(refused.headers["Retry-After"]) > 0
        assert "Wait a minute" in refused.text
        assert attempt("192.0.2.2").status_code == 422
    assert lines() == ["action=sign_in_throttled client=192.0.2.1"]
