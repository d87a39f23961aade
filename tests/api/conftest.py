from contextlib import contextmanager

import pytest
import sqlalchemy as sa
from flask.testing import FlaskClient

import portal.app
from portal import create_app
from portal.api import tokens
from portal.auth import sessions as auth_sessions
from portal.clock import utcnow
from portal.config import Settings
from portal.extensions import db, mark_write
from portal.models import Account, MicrosoftTenant, UserSync
from portal.user_sync.documents import default_request
from tests.api.conformance import conforms


class Api:
    """The API as one role sees it. Each answer is (status, JSON or None), and is what the OpenAPI document says."""

    def __init__(self, client, token):
        self._client = client
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}

    def raw(self, method, path, **options):
        headers = {**self._headers, **options.pop("headers", {})}
        answer = self._client.open(f"/api/v1{path}", method=method, headers=headers, **options)
        conforms(self._client.application, method, path, answer)
        return answer

    def __call__(self, method, path, json=None, **options):
        answer = self.raw(method, path, **({"json": json} if json is not None else {}), **options)
        return answer.status_code, answer.get_json(silent=True)

    def made(self, path, json):
        status, document = self("POST", path, json)
        assert status == 201, document
        return document


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request, prepared):
    return prepared(request.param)


class Reader(FlaskClient):
    """Takes the whole of each answer, as a browser does: a file that nobody reads to its end would keep its connection."""

    def open(self, *arguments, buffered=True, **options):
        return super().open(*arguments, buffered=buffered, **options)


@pytest.fixture
def app(database_url, tmp_path):
    found = create_app(Settings(data_dir=tmp_path, database_url=database_url, secret_key="test"))
    found.test_client_class = Reader
    yield found
    with found.app_context():
        db.session.remove()
        db.engine.dispose()


@pytest.fixture
def as_role(app):
    def build(role):
        with app.app_context():
            token = tokens.create(f"test {role}", role) if role else None
            db.session.commit()
        return Api(app.test_client(), token)

    return build


@pytest.fixture
def api(as_role):
    return as_role("administrator")


@pytest.fixture
def microsoft_tenant(app):
    """A connected Microsoft Tenant that was read; made directly, since nothing here talks to Microsoft."""
    with app.app_context():
        row = MicrosoftTenant(
            directory_id="6b1f0f5e-1111-4c2a-9d1e-0a1b2c3d4e5f",
            name="Fabrikam",
            domains=[{"name": "fabrikam.example", "is_default": True, "is_initial": False}],
            connected_at=utcnow(),
            last_synced_at=utcnow(),
            is_complete=True,
        )
        db.session.add(row)
        db.session.commit()
        return row.id


@pytest.fixture
def enabled(app, api, microsoft_tenant):
    """An Organization whose User Sync is enabled, with nothing running."""
    organization = api.made("/organizations", {"name": "Reef"})
    api(
        "PUT",
        f"/tenants/{organization['tenant_id']}/microsoft-tenant",
        {"microsoft_tenant_id": microsoft_tenant},
    )
    with app.app_context():
        body = default_request()
        db.session.add(
            UserSync(
                organization_id=organization["id"],
                enabled=True,
                generation=1,
                filters=body["filters"],
                enabled_at=utcnow(),
                updated_at=utcnow(),
            )
        )
        db.session.commit()
    return organization


@contextmanager
def held(app):
    """Somebody else holds what every write needs: SQLite's one lock, PostgreSQL's on the tables."""
    with app.app_context():
        engine = sa.create_engine(db.engine.url)
        with engine.connect() as other:
            if engine.dialect.name == "sqlite":
                other.exec_driver_sql("BEGIN IMMEDIATE")
            else:
                other.exec_driver_sql("LOCK TABLE organizations, audit_events IN SHARE ROW EXCLUSIVE MODE")
            yield
            other.rollback()
        engine.dispose()


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(portal.app, "REQUEST_PATIENCE", 0.05)


@pytest.fixture
def person(app):
    """Somebody signed in, without CSRF tokens."""
    app.config["WTF_CSRF_ENABLED"] = False
    with app.app_context():
        mark_write(db.session())
        account = Account(email="ada@x.example", name="Ada", role="administrator", created_at=utcnow())
        db.session.add(account)
        db.session.flush()
        token = auth_sessions.start_session(
            db.session(), account, now=utcnow(), ip="", user_agent="", method="password"
        )
        db.session.commit()
    client = app.test_client()
    with client.session_transaction() as session:
        session["_user_id"], session["_fresh"] = token, True
    return client


@pytest.fixture
def reef(api):
    return api.made("/organizations", {"name": "Müller & Söhne"})
