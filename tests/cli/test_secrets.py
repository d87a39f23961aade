"""C1: stored secrets – a stolen database file alone reveals none, and the key that seals them can be replaced."""

from __future__ import annotations

import json

import pyotp
import pytest

from portal import create_app
from portal.alerts import delivery, targets
from portal.api import tokens
from portal.auth import authenticator, links
from portal.auth import service as auth
from portal.auth import sessions as auth_sessions
from portal.clock import utcnow
from portal.config import Settings
from portal.crypto import CannotDecrypt, SecretBox
from portal.extensions import db, writing
from portal.microsoft import credentials
from portal.models import Account, AuditEvent, StoredSetting
from portal.operations import schema

OLD, NEW = "the old key of these tests 0123456789", "the new key of these tests 0123456789"
CLIENT_SECRET = "Xy8Q~client-secret-value-of-the-app"
WEBHOOK = "json://hook.example/webhook-token-of-the-msp"
PASSWORD = "correct horse battery staple"


@pytest.fixture
def kept(tmp_path):
    """Every kind of secret Rollcall keeps, stored under the key OLD; gives what must not be found again."""
    app = create_app(Settings(data_dir=tmp_path, secret_key=OLD, scheduler="off"))
    with app.app_context():
        schema.upgrade(db.engine)
        writing.set(True)
        session, box, now = db.session(), SecretBox([OLD]), utcnow()
        credentials.store(
            session, box, client_id="1b4e28ba-2fa1-4d2b-883f-0016d3cca427", secret=CLIENT_SECRET
        )
        delivery.add_target(session, box, targets.parse(WEBHOOK), now=now, by="test")
        account = auth.add_account(
            session, email="ada@corp.local", role="administrator", password=PASSWORD, now=now
        )
        totp = pyotp.random_base32()
        authenticator.enable(session, account, totp, pyotp.TOTP(totp).at(now), now=now, box=box)
        cookie = auth_sessions.start_session(
            session, account, now=now, ip="::1", user_agent="", method="password"
        )
        invitation = links.invite(
            session, email="bo@corp.local", role="technician", now=now, by="ada@corp.local"
        )
        api_token = tokens.create("ci", "read-only")
        session.commit()
        writing.set(False)
        db.engine.dispose()
    return [CLIENT_SECRET, "webhook-token-of-the-msp", PASSWORD, totp, cookie, invitation.token, api_token]


@pytest.fixture
def rotate(rollcall, tmp_path, monkeypatch):
    def run(*, key, old=""):
        monkeypatch.setenv("ROLLCALL_DATA_DIR", str(tmp_path))
        monkeypatch.setenv("ROLLCALL_SECRET_KEY", key)
        monkeypatch.setenv("ROLLCALL_OLD_SECRET_KEYS", old)
        return rollcall("secrets", "rotate", "--json")

    return run


def reading(tmp_path):
    """An app on the same data; the caller opens secrets with boxes of its own."""
    return create_app(Settings(data_dir=tmp_path, secret_key=NEW, scheduler="off"))


def test_C1_a_stolen_database_file_reveals_no_secret(kept, tmp_path):
    stolen = b"".join(path.read_bytes() for path in tmp_path.glob("rollcall.db*"))
    assert b"ada@corp.local" in stolen  # the data is there, so that the next line means something
    assert [secret for secret in kept if secret.encode() in stolen] == []
    assert OLD.encode() not in stolen


def test_C1_rotation_seals_everything_with_the_new_key(kept, tmp_path, rotate):
    done = rotate(key=NEW, old=OLD)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {"rotated": 3}
    with reading(tmp_path).app_context():
        box = SecretBox([NEW])  # without the old key
        registration = credentials.from_settings(db.session(), box)
        assert registration is not None and registration.secret == CLIENT_SECRET
        assert [target.url for target in delivery.stored_targets(db.session(), box).values()] == [WEBHOOK]
        account = db.session.query(Account).one()
        assert box.decrypt(account.totp_secret, purpose=f"totp:{account.id}") in kept
        event = db.session.query(AuditEvent).filter_by(action="secrets_rotated").one()
        assert event.detail == {"count": 3} and event.source == "cli"
        db.engine.dispose()
    again = rotate(key=NEW)
    assert json.loads(again.stdout) == {"rotated": 0}


def test_C1_rotation_without_the_old_key_changes_nothing_and_names_what_does_not_open(kept, tmp_path, rotate):
    refused = rotate(key=NEW)
    assert refused.returncode == 1 and refused.stderr.count("\n") == 1
    assert "ROLLCALL_OLD_SECRET_KEYS" in refused.stderr
    for name in ("Settings, microsoft", "Settings, notifications", "ada@corp.local"):
        assert name in refused.stderr
    with reading(tmp_path).app_context():
        sealed = db.session.get(StoredSetting, credentials.KEY).secret
        assert CLIENT_SECRET in SecretBox([OLD]).decrypt(sealed, purpose=f"settings:{credentials.KEY}")
        with pytest.raises(CannotDecrypt):
            credentials.from_settings(db.session(), SecretBox([NEW]))
        db.engine.dispose()
