"""Signing in: failures that lock out, browsers that are known, and the second step."""

from __future__ import annotations

import re
from datetime import timedelta

import time_machine

from portal.clock import utcnow
from tests.web.auth.signing_in import ANN, PASSWORD, csrf, events, second_step, sign_in, with_authenticator


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
        assert "password is not correct" in sign_in(own, "a guess, one of many").text
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
