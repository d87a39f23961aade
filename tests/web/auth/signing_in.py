"""Steps that tests of signing in share: Ann, her password, her authenticator, and what the log says of her."""

from __future__ import annotations

import re

import pyotp

from portal.auth import authenticator
from portal.auth import sessions as auth_sessions
from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.models import Account, AuditEvent
from portal.runtime import runtime

PASSWORD = "correct horse battery staple"
ANN = "ann@rollcall.example"
NEW = "another long pass phrase"


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


def second_step(client, **data):
    return client.post("/login", data={"csrf_token": csrf(client), "email": ANN, **data})


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


def enrolling(client, password):
    page = client.get("/account/totp").text
    secret = re.search(r"secret=([A-Z2-7]+)", page)[1]
    form = {
        "csrf_token": csrf(client, "/account/totp"),
        "code": pyotp.TOTP(secret).at(utcnow()),
        "password": password,
    }
    return client.post("/account/totp", data=form)


def changing(client, password):
    form = {"csrf_token": csrf(client, "/account"), "old_password": password, "new_password": NEW}
    return client.post("/account/password", data=form)


def switching_off(client, password):
    return client.post(
        "/account/totp/off", data={"csrf_token": csrf(client, "/account"), "password": password}
    )


def connecting(client, password):
    return client.post(
        "/account/microsoft", data={"csrf_token": csrf(client, "/account"), "password": password}
    )


def disconnecting(client, password):
    return client.post(
        "/account/microsoft/off", data={"csrf_token": csrf(client, "/account"), "password": password}
    )
