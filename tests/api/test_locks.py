"""A lock that cannot be had, a body that is slow to arrive: who waits, and what is open meanwhile."""

from __future__ import annotations

import io
from datetime import timedelta

import argon2
import pytest
import sqlalchemy as sa

from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.http.access import public, reads_first
from portal.models import ApiToken, Organization
from portal.transactions import LOCKED, begin_write, writing
from tests.api.conftest import held


def test_the_api_says_503_when_a_lock_cannot_be_had(app, api, impatient):
    with held(app):
        answer = api.raw("POST", "/organizations", json={"name": "Reef"})
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert answer.get_json()["detail"] == LOCKED
        assert api("GET", "/organizations")[1]["total"] == 0, "reading goes on"
    assert api("POST", "/organizations", {"name": "Reef"})[0] == 201, "and nothing is left over of it"


@pytest.mark.parametrize("headers", [{}, {"HX-Request": "true"}], ids=["page", "htmx"])
def test_a_page_says_503_when_a_lock_cannot_be_had(app, person, impatient, headers):
    with held(app):
        answer = person.post("/organizations/new", data={"name": "Reef"}, headers=headers)
        assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
        assert LOCKED in answer.text
        assert person.get("/organizations").status_code == 200


@pytest.mark.parametrize("path", ["/organizations", "/api/v1/organizations", "/login", "/metrics"])
def test_a_database_that_is_away_is_503(app, api, person, path):
    with app.app_context():
        db.session.remove()
        db.engine.dispose()
        url = db.engine.url
        if url.get_backend_name() == "sqlite":
            gone = sa.create_engine("sqlite:////nowhere/at/all.db")
        else:
            gone = sa.create_engine(url.set(query={"host": "/nowhere"}))
        db.session.session_factory.kw["binds"] = None
        db.engines[None] = gone
    answer = api.raw("GET", path.removeprefix("/api/v1")) if path.startswith("/api") else person.get(path)
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "30"), answer.text
    assert "does not answer" in answer.text


def test_who_asks_is_noted_without_waiting_for_anybody(app, api, person):
    with app.app_context():
        mark_write(db.session())
        for token in db.session.scalars(sa.select(ApiToken)):
            token.last_used_at = utcnow() - timedelta(days=1)
        db.session.commit()
    with held(app):
        assert api("GET", "/organizations")[0] == 200
    assert api("GET", "/organizations")[0] == 200
    with app.app_context():
        assert db.session.scalar(sa.select(ApiToken.last_used_at)) > utcnow() - timedelta(minutes=1)


class Slow(io.RawIOBase):
    """A body of which every piece finds out whether a connection to the database is in use."""

    def __init__(self, app, data):
        self.app, self.data, self.in_use = app, io.BytesIO(data), []

    def readable(self):
        return True

    def read(self, size=-1):
        with self.app.app_context():
            self.in_use.append(db.engine.pool.checkedout())
        return self.data.read(min(size, 4) if size > 0 else 4)


@pytest.mark.parametrize("kind", ["api", "page"])
def test_nothing_is_open_while_a_body_arrives(app, api, person, kind):
    data = b'{"name": "Reef"}' if kind == "api" else b"name=Reef"
    body = Slow(app, data)
    told = {"environ_overrides": {"wsgi.input": body, "CONTENT_LENGTH": str(len(data))}}
    if kind == "api":
        answer = api.raw("POST", "/organizations", content_type="application/json", **told)
    else:
        answer = person.post("/organizations/new", content_type="application/x-www-form-urlencoded", **told)
    assert answer.status_code in {201, 303}
    assert len(body.in_use) > 2
    assert set(body.in_use) == {0}


def test_after_the_commit_and_for_a_view_that_reads_first_nothing_takes_the_lock(app):
    seen = {}

    @app.post("/trial/commits")
    @public
    def commits():
        seen["begins"] = writing.get()
        db.session.scalar(sa.select(1))
        db.session.commit()
        seen["ends"] = writing.get()
        return ""

    @app.post("/trial/reads")
    @public
    @reads_first
    def reads():
        seen["reads"] = writing.get()
        return ""

    app.config["WTF_CSRF_ENABLED"] = False
    client = app.test_client()
    assert [client.post(f"/trial/{name}").status_code for name in ("commits", "reads")] == [200, 200]
    assert seen == {"begins": True, "ends": False, "reads": False}


def test_begin_write_keeps_what_was_loaded_and_loses_nothing_that_is_pending(app, api):
    made = api.made("/organizations", {"name": "Reef"})
    with app.app_context():
        row = db.session.get(Organization, made["id"])
        assert row.name == "Reef"
        api("PATCH", f"/organizations/{made['id']}", {"name": "Cove"})
        begin_write(db.session())
        assert row.name == "Cove", "what is changed now is what is there now"
        row.name = "Bay"
        with pytest.raises(RuntimeError, match="pending"):
            begin_write(db.session())
        db.session.rollback()


@pytest.mark.parametrize(
    ("does", "noted"),
    [
        (
            lambda: argon2.PasswordHasher(time_cost=1, memory_cost=8, parallelism=1).hash("x"),
            "a password is hashed",
        ),
        (lambda: __import__("socket").getaddrinfo("127.0.0.1", 80), "a host is looked up"),
        (lambda: None, ""),
    ],
)
def test_the_suite_notices_what_waits_inside_a_write_transaction(app, write_guard, does, noted):
    @app.post("/trial")
    @public
    def trial():
        db.session.execute(sa.update(Organization).values(name="x"))
        does()
        db.session.commit()
        does()
        return ""

    app.config["WTF_CSRF_ENABLED"] = False
    assert app.test_client().post("/trial").status_code == 200
    assert [note.partition(": ")[2].partition(" inside")[0] for note in write_guard.notes] == (
        [noted] if noted else []
    )
    write_guard.notes.clear()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_suite_notices_a_write_that_began_as_a_reader(app, write_guard):
    @app.get("/trial")
    @public
    def trial():
        db.session.scalar(sa.select(Organization.id))
        db.session.execute(sa.update(Organization).values(name="x"))
        return ""

    app.test_client().get("/trial")
    assert [note for note in write_guard.notes if "began as a reader" in note]
    write_guard.notes.clear()
