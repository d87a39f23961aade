"""P10: an administrator who is removed, switched off or lowered leaves nothing behind that opens anything."""

from __future__ import annotations

import re
from datetime import timedelta

import pytest
import time_machine

from portal.api import tokens
from portal.auth import links
from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.models import Account, AccountSession, ApiToken, Invitation, Role
from tests.web.auth.signing_in import ANN, PASSWORD, csrf, events, sign_in


@pytest.fixture
def left(app, ann):
    """What Ann, an administrator, made: a link, and tokens of each role; she is signed in."""
    client = app.test_client()
    assert sign_in(client).status_code == 303
    made = client.post(
        "/settings/people",
        data={
            "csrf_token": csrf(client, "/account"),
            "email": "mole@rollcall.example",
            "role": "administrator",
        },
    )
    link = re.search(r"/invitations/[\w-]+", made.text)[0]
    plain = {}
    for role in ("administrator", "read-only"):
        page = client.post(
            "/settings/tokens", data={"csrf_token": csrf(client, "/account"), "name": role, "role": role}
        )
        plain[role] = re.search(r"rc_[\w-]+", page.text)[0]
    return client, link, plain


def status_of(app, token):
    return (
        app.test_client()
        .get("/api/v1/audit-events", headers={"Authorization": f"Bearer {token}"})
        .status_code
    )


@pytest.mark.parametrize("how", ["remove", "off", "role"])
def test_links_tokens_and_sessions_end_with_their_maker(app, ann, left, client_as, how):
    client, link, plain = left
    assert [status_of(app, token) for token in plain.values()] == [200, 200]
    assert app.test_client().get(link).status_code == 200
    owner = client_as()
    assert owner.send(f"/settings/people/{ann}", {"do": how, "role": "technician"}).status_code == 303
    assert app.test_client().get(link).status_code == 404
    assert client.get("/account").status_code == 303, "to the sign-in page"
    assert status_of(app, plain["administrator"]) == 401
    assert status_of(app, plain["read-only"]) == (200 if how == "role" else 401)
    assert len(events(app, "invitation_withdrawn")) == 1
    assert len(events(app, "token_revoked")) == {"remove": 2, "off": 0, "role": 1}[how]
    if how == "off":
        owner.send(f"/settings/people/{ann}", {"do": "on"})
        assert [status_of(app, token) for token in plain.values()] == [200, 200], (
            "they were refused, not revoked"
        )
        assert app.test_client().get(link).status_code == 404


def test_a_removed_account_leaves_no_row_that_opens_anything(app, ann, left, client_as):
    client_as().send(f"/settings/people/{ann}", {"do": "remove"})
    with app.app_context():
        assert db.session.query(AccountSession).filter_by(account_id=ann).count() == 0
        assert db.session.query(ApiToken).filter(ApiToken.revoked_at.is_(None)).count() == 0
        assert db.session.query(Invitation).filter(Invitation.expires_at > utcnow()).count() == 0


def test_a_token_never_does_more_than_its_owner(app, ann, left):
    _, _, plain = left
    with app.app_context():  # however the role came to be lowered
        mark_write(db.session())
        db.session.get_one(Account, ann).role = Role.READ_ONLY.value
        db.session.commit()
    call = {"headers": {"Authorization": f"Bearer {plain['administrator']}"}, "json": {"name": "X"}}
    assert app.test_client().post("/api/v1/organizations", **call).status_code == 403


def test_a_token_ends_on_its_day_and_says_whose_it_is(app, ann):
    client, now = app.test_client(), utcnow()
    assert sign_in(client).status_code == 303

    def make(name, day):
        form = {"csrf_token": csrf(client, "/account"), "name": name, "role": "read-only", "expires_at": day}
        return client.post("/settings/tokens", data=form)

    refused = make("late", f"{now - timedelta(days=1):%Y-%m-%d}")
    assert refused.status_code == 422 and "in the future" in refused.text
    assert make("later", "next week").status_code == 422
    page = make("in time", f"{now + timedelta(days=2):%Y-%m-%d}").text
    token = re.search(r"rc_[\w-]+", page)[0]
    assert ANN in page and 'data-label="Expires">Never' not in page
    assert status_of(app, token) != 401
    with time_machine.travel(now + timedelta(days=2), tick=False):
        assert status_of(app, token) == 401
    (event,) = events(app, "token_refused")
    assert event.detail == {"name": "in time", "reason": "expired", "count": 1}


def test_a_token_for_more_than_its_owner_may_is_not_made(app, ann):
    with app.app_context():
        mark_write(db.session())
        owner = db.session.get_one(Account, ann)
        owner.role = Role.TECHNICIAN.value
        with pytest.raises(tokens.Invalid):
            tokens.create("x", "administrator", owner=owner)


@pytest.mark.parametrize(
    ("email", "life"), [("new@rollcall.example", timedelta(days=7)), (ANN, timedelta(hours=1))]
)
def test_a_link_for_a_new_password_lives_an_hour(app, ann, client_as, email, life):
    page = client_as().send("/settings/people", {"email": email, "role": "technician"}).text
    assert ("within an hour" in page) == (life == timedelta(hours=1))
    link, now = re.search(r"/invitations/[\w-]+", page)[0], utcnow()
    with time_machine.travel(now + life - timedelta(minutes=1), tick=False):
        assert app.test_client().get(link).status_code == 200
    with time_machine.travel(now + life, tick=False):
        assert app.test_client().get(link).status_code == 404


def test_an_invitation_ends_when_the_account_is_made_otherwise(app, client_as):
    link = re.search(
        r"/invitations/[\w-]+",
        client_as().send("/settings/people", {"email": ANN, "role": "technician"}).text,
    )[0]
    with app.app_context():
        mark_write(db.session())
        links.accounts.add_account(
            db.session(), email=ANN, role="technician", now=utcnow(), password=PASSWORD
        )
        db.session.commit()
    assert app.test_client().get(link).status_code == 404
