"""An app on a fresh SQLite file, and browsers signed in through a real session."""

from datetime import UTC, datetime

import pytest
from flask.testing import FlaskClient
from itsdangerous import URLSafeTimedSerializer

from portal import create_app
from portal.auth import sessions as auth_sessions
from portal.clock import utcnow
from portal.config import Settings
from portal.extensions import db, mark_write
from portal.models import Account, Role
from tests import templates
from tests.web.html_checks import as_shown, check_page

RAW_TOKEN = "0" * 40


class Browser(FlaskClient):
    """A browser without script, unless ``htmx`` is used; knows its CSRF token."""

    csrf = ""

    def open(self, *args, **kwargs):
        """Every whole page is checked, whatever the test is about; the test reads what is shown of it."""
        answer = super().open(*args, **kwargs)
        if answer.mimetype == "text/html":
            if b"<html" in answer.data:
                check_page(answer.get_data(as_text=True), answer.request.path)
            answer.set_data(as_shown(answer.get_data(as_text=True)))
        return answer

    def send(self, url, data=None, **kwargs):
        """Post a form with its token."""
        return self.post(url, data={"csrf_token": self.csrf, **(data or {})}, **kwargs)

    def htmx(self, url, target="", data=None, method="GET"):
        """Ask as htmx does, for the element with the id ``target``."""
        headers = {"HX-Request": "true", "HX-Target": target}
        if method == "GET":
            return self.get(url, headers=headers)
        return self.send(url, data, headers=headers)


@pytest.fixture
def app(tmp_path, sqlite_template):
    templates.copy(sqlite_template, tmp_path / "rollcall.db")
    found = create_app(
        Settings(
            data_dir=tmp_path,
            secret_key="k" * 40,
            scheduler="off",
            client_id="client",
            client_secret="secret",
        )
    )
    found.test_client_class = Browser
    yield found
    with found.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def client_as(app):
    """``client_as(Role.TECHNICIAN)``: a browser of a person with that role."""

    def sign_in(role=Role.ADMINISTRATOR):
        role = Role(role)
        with app.app_context():
            mark_write(db.session())
            account = Account(
                email=f"{role.value}@rollcall.example",
                name=role.value.title(),
                role=role.value,
                created_at=utcnow(),
            )
            db.session.add(account)
            db.session.flush()
            token = auth_sessions.start_session(
                db.session(), account, now=utcnow(), ip="127.0.0.1", user_agent="test", method="password"
            )
            db.session.commit()
        browser = app.test_client()
        with browser.session_transaction() as session:
            session["_user_id"], session["_fresh"], session["csrf_token"] = token, True, RAW_TOKEN
        browser.csrf = URLSafeTimedSerializer(app.secret_key, salt="wtf-csrf-token").dumps(RAW_TOKEN)
        return browser

    return sign_in


@pytest.fixture
def now():
    return datetime(2026, 11, 24, 9, 30, tzinfo=UTC)
