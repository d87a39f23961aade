"""A lock that cannot be had, and a database that is away, are 503 at pages and API alike: nobody is told of a crash."""

from __future__ import annotations

import io
import sqlite3
from datetime import timedelta

import argon2
import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from portal.clock import utcnow
from portal.engine.apply.chunks import Stale
from portal.engine.records import Counts
from portal.extensions import db, mark_write
from portal.holds import service as holds
from portal.http.access import public, reads_first
from portal.locks import CHANGED
from portal.models import ApiToken, Change, EndUser, MicrosoftTenant, Organization, SyncRun, UserSync
from portal.transactions import LOCKED, begin_write, trouble, writing
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


def error(kind, **facts):
    found = kind("x")
    for name, value in facts.items():
        setattr(found, name, value)
    return found


class Psycopg(psycopg.OperationalError):
    sqlstate = None


@pytest.mark.parametrize(
    ("orig", "seconds"),
    [
        (error(sqlite3.OperationalError, sqlite_errorcode=sqlite3.SQLITE_BUSY), 5),
        (error(sqlite3.OperationalError, sqlite_errorcode=517), 5),  # SQLITE_BUSY_SNAPSHOT
        (error(sqlite3.OperationalError, sqlite_errorcode=sqlite3.SQLITE_FULL), 30),
        (
            error(sqlite3.OperationalError, sqlite_errorcode=sqlite3.SQLITE_ERROR),
            None,
        ),  # no such table: ours to mend
        (error(Psycopg, sqlstate="55P03"), 5),
        (error(Psycopg, sqlstate="40P01"), None),
        (error(Psycopg, sqlstate=None), 30),
        (error(Psycopg, sqlstate="57P01"), 30),
        (error(Psycopg, sqlstate="53300"), 30),
        (error(Psycopg, sqlstate="42P01"), None),
    ],
)
def test_which_errors_of_a_database_pass(orig, seconds):
    later = trouble(OperationalError("x", {}, orig))
    assert (later and later.seconds) == seconds


def test_which_other_errors_pass():
    assert trouble(PoolTimeout()).seconds == 5
    assert trouble(InterfaceError("x", {}, Psycopg("closed"))).seconds == 30
    assert trouble(ValueError()) is None


# -- looking -------------------------------------------------------------------------------------------------------------


def test_looking_at_what_would_be_done_waits_for_no_lock(app, api, person, impatient):
    reef = api.made("/organizations", {"name": "Reef"})
    path = f"/organizations/{reef['id']}/end-users"
    sheet = {"data": b"email,display_name\nann@x.example,Ann\n", "content_type": "text/csv"}
    done = api("POST", f"{path}/import", **sheet)[1]
    with app.app_context():
        mark_write(db.session())
        run = SyncRun(
            organization_id=reef["id"],
            trigger="manual",
            status="succeeded",
            started_by="ada",
            created_at=utcnow(),
        )
        db.session.add(run)
        db.session.commit()
        run_id, person_id = run.id, db.session.scalar(sa.select(EndUser.id))
    bad = {"data": {"file": (io.BytesIO(b"nothing\n"), "x.csv")}, "content_type": "multipart/form-data"}
    with held(app):
        answers = {
            "import": api.raw("POST", f"{path}/import?dry_run=true", **sheet),
            "undo": api.raw("POST", f"/imports/{done['import_id']}/undo", json={"dry_run": True}),
            "run": api.raw("POST", f"/sync-runs/{run_id}/undo", json={"dry_run": True}),
            "delete": person.post(f"{path}/delete", data={"id": person_id}),
            "file": person.post(f"{path}/import", **bad),
        }
        deeds = [
            api.raw("POST", f"/sync-runs/{run_id}/undo", json={}).status_code,
            person.post(f"{path}/delete", data={"id": person_id, "confirmed": "1"}).status_code,
        ]
    assert {name: answer.status_code for name, answer in answers.items()} == {
        **dict.fromkeys(("import", "undo", "run", "delete"), 200),
        "file": 422,
    }
    assert "Ann" in answers["delete"].text
    assert deeds == [503, 503], "what is done waits"
    assert api("POST", f"/sync-runs/{run_id}/undo", {})[0] == 202
    assert person.post(f"{path}/delete", data={"id": person_id, "confirmed": "1"}).status_code == 303
    assert api("GET", path)[1]["total"] == 0


def test_G1_what_is_held_is_decided_anew_before_the_lock_is_taken(app, api, enabled, impatient, monkeypatch):
    run_id = held_run(app, enabled)
    prepare, seen = holds.holds.prepare_held, []

    def preparing(session, *arguments):
        found = prepare(session, *arguments)
        seen.append(found)
        return found

    monkeypatch.setattr(holds.holds, "prepare_held", preparing)
    with held(app):
        assert api("POST", f"/sync-runs/{run_id}/held/apply", {})[0] == 503
    assert len(seen) == 1, "only what writes has waited"
    assert api("POST", f"/sync-runs/{run_id}/held/apply", {})[0] == 200


@pytest.mark.parametrize(("times", "status"), [(1, 200), (2, 409)])
def test_G1_a_hold_whose_people_change_meanwhile_is_decided_once_more(
    app, api, enabled, monkeypatch, times, status
):
    run_id = held_run(app, enabled)
    apply, stale = holds.holds.apply_held, [Stale()] * times

    def applying(*arguments):
        number = apply(*arguments)
        if stale:
            raise stale.pop()
        return number

    monkeypatch.setattr(holds.holds, "apply_held", applying)
    found, document = api("POST", f"/sync-runs/{run_id}/held/apply", {})
    assert found == status and document.get("detail", CHANGED) == CHANGED
    with app.app_context():
        run = db.session.get(SyncRun, run_id)
        state, left = ("dismissed", 1) if status == 200 else ("waiting", None)
        assert (run.held["state"], run.held.get("left_out")) == (state, left)


def held_run(app, organization):
    """The id of a run that holds one person back, who changed since."""
    with app.app_context():
        mark_write(db.session())
        sync = db.session.scalars(sa.select(UserSync)).one()
        tenant_id = db.session.scalar(sa.select(MicrosoftTenant.id))
        run = SyncRun(
            organization_id=organization["id"],
            microsoft_tenant_id=tenant_id,
            trigger="hourly",
            status="held",
            started_by="schedule",
            created_at=utcnow(),
            counts=dict.fromkeys(Counts.__dataclass_fields__, 1),
            held={"kind": "disable", "count": 1, "state": "waiting"},
        )
        db.session.add(run)
        db.session.flush()
        facts = {"decision": "disable", "reason": "disabled_in_microsoft", "state": "held", "hold_key": "1"}
        change = Change(
            run_id=run.id,
            organization_id=run.organization_id,
            object_id="one",
            display_name="One",
            at=utcnow(),
            **facts,
        )
        db.session.add(change)
        sync.hold_run_id = run.id
        db.session.commit()
        return run.id


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_connection_that_breaks_once_the_answer_is_there_takes_nothing_from_it(app, api):
    @app.after_request
    def break_connection(answer):
        backend = db.session.scalar(sa.text("SELECT pg_backend_pid()"))
        with db.engine.connect() as other:
            other.execute(sa.text("SELECT pg_terminate_backend(:backend, 5000)"), {"backend": backend})
        return answer

    assert api("POST", "/organizations", {"name": "Reef"})[0] == 201
    assert api("GET", "/organizations")[1]["total"] == 1
