"""P10: a key that was replaced opens stored secrets and nothing else, and no code page lets anybody in without a code."""

from __future__ import annotations

import pytest
from flask import Flask
from flask.sessions import SecureCookieSessionInterface
from itsdangerous import URLSafeSerializer, URLSafeTimedSerializer

from portal import create_app
from portal.auth import signed_in
from portal.clock import utcnow
from portal.config import Settings
from portal.extensions import db, mark_write
from portal.models import Account
from portal.runtime import runtime
from portal.user_sync import plans
from tests.web.auth.signing_in import ANN, csrf, events
from tests.web.conftest import Browser

WEAK = "changeme"
TID, OID = "5f6b8e0a-0000-4000-8000-000000000001", "5f6b8e0a-0000-4000-8000-000000000002"


@pytest.fixture
def later(app, tmp_path):
    """The same portal, started with another key after ``WEAK``."""
    found = create_app(
        Settings(data_dir=tmp_path, secret_key="n" * 40, old_secret_keys=WEAK, scheduler="off")
    )
    found.test_client_class = Browser
    yield found
    with found.app_context():
        db.session.remove()
        db.engine.dispose()


def said_by_microsoft():
    identity = {"tid": TID, "oid": OID, "name": "Ann", "email": ANN}
    return {"purpose": "sign-in", "target": "/", "identity": identity, "at": utcnow().timestamp()}


def tie(app, account_id):
    with app.app_context():
        mark_write(db.session())
        account = db.session.get_one(Account, account_id)
        account.microsoft_tid, account.microsoft_oid = TID, OID
        db.session.commit()


def cookie_signed_with(key, content):
    forger = Flask("forger")
    forger.secret_key = key
    serializer = SecureCookieSessionInterface().get_signing_serializer(forger)
    return serializer.dumps(content)


@pytest.mark.parametrize("path", ["/login/microsoft/code", "/account"])
def test_a_cookie_that_an_old_key_signed_is_none(later, ann, path):
    tie(later, ann)
    with later.app_context():
        mark_write(db.session())
        token = signed_in.sessions.start_session(
            db.session(),
            db.session.get_one(Account, ann),
            now=utcnow(),
            ip="::1",
            user_agent="",
            method="password",
        )
        db.session.commit()
    forged = {"microsoft_code": said_by_microsoft(), "_user_id": token, "_fresh": True}
    client = later.test_client()
    client.set_cookie("rollcall", cookie_signed_with(WEAK, forged))
    answer = client.get(path)
    assert (answer.status_code, answer.location.startswith("/login")) == (303, True)


def test_nothing_else_that_an_old_key_signed_is_believed(later, ann):
    known = URLSafeTimedSerializer(WEAK, salt=signed_in.KNOWN_COOKIE).dumps([ann])
    with later.test_request_context(headers={"Cookie": f"{signed_in.KNOWN_COOKIE}={known}"}):
        assert signed_in.known_accounts() == ()
        assert signed_in.proven(URLSafeTimedSerializer(WEAK, salt="password").dumps("proof")) == ""
        signer = plans._signer()
        plan = URLSafeSerializer(
            WEAK, salt="sync-plan", signer_kwargs={"digest_method": signer.signer_kwargs["digest_method"]}
        )
        assert signer.loads_unsafe(plan.dumps(["organization", "fingerprint"]))[0] is False


def test_what_an_old_key_sealed_can_still_be_opened(later, tmp_path):
    with create_app(Settings(data_dir=tmp_path, secret_key=WEAK, scheduler="off")).app_context():
        sealed = runtime().box.encrypt("hunter2", purpose="x")
        db.engine.dispose()
    with later.app_context():
        assert runtime().box.decrypt(sealed, purpose="x") == "hunter2"


def test_a_code_page_lets_nobody_in_whose_account_has_no_authenticator(app, ann):
    tie(app, ann)
    client = app.test_client()
    token = csrf(client)
    with client.session_transaction() as kept:
        kept["microsoft_code"] = said_by_microsoft()
    answer = client.post("/login/microsoft/code", data={"csrf_token": token, "code": "123456"})
    assert (answer.status_code, "no longer has an authenticator" in answer.text) == (422, True)
    assert client.get("/account").status_code == 303
    assert client.get("/login/microsoft/code").status_code == 303, "what Microsoft said is forgotten"
    assert events(app, "signed_in") == [] and len(events(app, "sign_in_failed")) == 1
