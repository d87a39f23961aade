"""An import can be followed, goes on after a stop, and lets others write meanwhile."""

from contextlib import nullcontext

import pytest
import sqlalchemy as sa

from portal.clock import utcnow
from portal.engine import pace
from portal.errors import RetryLater, Stopped
from portal.extensions import db, mark_write
from portal.imports import runner
from portal.models import AuditEvent, EndUser, Import, ImportPart
from portal.transactions import waiting_for_locks
from tests.api.imports import Elsewhere, assets, people, told, undone, upload


def test_an_import_can_be_followed(app, api, reef):
    report = upload(
        api, reef, "email,display_name\nann@x.example,Ann\nbad,Bad\n", Prefer="respond-async, wait=10"
    )
    assert (report["status"], report["progress"]) == ("queued", {"done": 0, "total": 2})
    path = f"/imports/{report['import_id']}"
    assert api("GET", path)[1]["status"] == "queued"
    assert people(api, reef) == {}
    with app.app_context():
        runner.work_off(app.extensions["rollcall"].sessions, "worker")
        assert db.session.scalar(sa.select(sa.func.count()).select_from(ImportPart)) == 0
        event = db.session.scalar(sa.select(AuditEvent).where(AuditEvent.action == "end_users_imported"))
        assert (event.actor, event.source, event.detail["created"]) == ("token test administrator", "api", 1)
    after = api("GET", path)[1]
    assert (after["status"], after["progress"], *told(after)) == (
        "succeeded",
        {"done": 2, "total": 2},
        1,
        0,
        0,
        [3],
    )
    assert api("GET", "/imports/nothing")[0] == 404


@pytest.mark.parametrize("status", ["failed", "succeeded", "undoing", "undone"])
def test_the_file_of_an_import_that_is_over_does_not_stay(app, api, reef, status):
    report = upload(api, reef, "email,display_name\nann@x.example,Ann\n")
    with app.app_context():
        mark_write(db.session())
        db.session.add(
            ImportPart(import_id=report["import_id"], number=0, text="x")
        )  # its process died just then
        db.session.get(Import, report["import_id"]).status = status
        db.session.commit()
        runner.forget_abandoned(app.extensions["rollcall"].sessions, utcnow())
        assert db.session.scalar(sa.select(sa.func.count()).select_from(ImportPart)) == 0
    assert api("GET", f"/imports/{report['import_id']}")[0] == 200


def test_another_process_goes_on_where_one_stopped(app, api, reef, monkeypatch):
    monkeypatch.setattr(pace, "FIRST_ROWS", 10)
    monkeypatch.setattr(pace, "next_size", lambda size, *_told: size)
    text = "email,display_name\n" + "".join(f"p{n}@x.example,P{n}\n" for n in range(35))
    report = upload(api, reef, text, Prefer="respond-async")
    with app.app_context():
        sessions = app.extensions["rollcall"].sessions
        answers = iter([False, False, True])
        with pytest.raises(Stopped):
            runner.work_off(sessions, "first", lambda: next(answers))
    path = f"/imports/{report['import_id']}"
    assert api("GET", path)[1]["progress"] == {"done": 20, "total": 35}
    with app.app_context():
        mark_write(db.session())
        db.session.get(Import, report["import_id"]).owner = "somebody"  # who died without a word, just now
        db.session.get(Import, report["import_id"]).renewed_at = utcnow()
        db.session.commit()
        runner.work_off(sessions, "second")
        assert api("GET", path)[1]["status"] == "running"
        runner.release_dead(sessions, lambda owner: owner == "somebody")
        runner.work_off(sessions, "second")
    assert told(api("GET", path)[1]) == (35, 0, 0, [])
    assert len(people(api, reef)) == 35


def test_an_import_that_goes_on_takes_the_rows_that_a_whole_one_takes(app, api, reef, monkeypatch):
    """What it made before the stop is not taken for what was here before the file came."""
    monkeypatch.setattr(pace, "FIRST_ROWS", 1)
    monkeypatch.setattr(pace, "next_size", lambda size, *_told: size)
    present = api.made(f"/organizations/{reef['id']}/assets", {"name": "Old name"})
    text = f"id,name,mac_addresses\n{present['id']},Dock,\n,iPhone,\n,iPhone,\n,Dock,\n,iPhone,A87EEABC6AC1\n"
    report = upload(api, reef, text, "assets", Prefer="respond-async")
    sessions = app.extensions["rollcall"].sessions
    with app.app_context():
        for _ in range(4):
            answers = iter([False, True])
            with pytest.raises(Stopped):
                runner.work_off(sessions, "one", lambda answers=answers: next(answers))
        runner.work_off(sessions, "one")
    assert told(api("GET", f"/imports/{report['import_id']}")[1]) == (4, 1, 0, [])
    assert sorted(one["name"] for one in assets(api, reef)) == ["Dock", "Dock", "iPhone", "iPhone", "iPhone"]


@pytest.mark.parametrize("is_undo", [False, True])
def test_an_import_that_meets_a_lock_answers_503_and_goes_on_later(
    app, api, reef, impatient, monkeypatch, database_url, is_undo
):
    monkeypatch.setattr(pace, "FIRST_ROWS", 10)
    monkeypatch.setattr(pace, "next_size", lambda size, *_told: size)
    sheet = "email,display_name\n" + "".join(f"p{n}@x.example,P{n}\n" for n in range(25))
    path = f"/organizations/{reef['id']}/end-users/import"
    if is_undo:
        path = f"/imports/{upload(api, reef, sheet)['import_id']}/undo"
    elsewhere = Elsewhere(database_url)
    monkeypatch.setattr(pace, "next_size", elsewhere.take)
    answer = api.raw(
        "POST", path, data=b"" if is_undo else sheet.encode(), content_type=None if is_undo else "text/csv"
    )
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5"), answer.text
    import_id = answer.get_json()["import_id"]
    assert answer.headers["Location"] == f"/api/v1/imports/{import_id}"
    waiting = api("GET", f"/imports/{import_id}")[1]
    assert (waiting["status"], waiting["error"], len(people(api, reef))) == (
        ("undoing", None, 15) if is_undo else ("running", None, 10)
    )
    sessions = app.extensions["rollcall"].sessions
    with (
        app.app_context(),
        waiting_for_locks(0.05),
        pytest.raises(RetryLater) if not database_url.startswith("sqlite") else nullcontext(),
    ):
        runner.work_off(sessions, "worker")  # still; where no owner could be given back it takes two minutes
    elsewhere.give_back()
    with app.app_context():
        runner.release_dead(sessions, lambda owner: True)
        runner.work_off(sessions, "worker")
    after = api("GET", f"/imports/{import_id}")[1]
    assert (after["status"], after["error"], len(people(api, reef))) == (
        ("undone", None, 0) if is_undo else ("succeeded", None, 25)
    )


def test_whoever_lost_an_import_writes_nothing_more(app, api, reef, monkeypatch):
    monkeypatch.setattr(pace, "FIRST_ROWS", 10)
    monkeypatch.setattr(pace, "next_size", lambda size, *_told: size)
    text = "email,display_name\n" + "".join(f"p{n}@x.example,P{n}\n" for n in range(25))
    report = upload(api, reef, text, Prefer="respond-async")
    sessions = app.extensions["rollcall"].sessions

    def steal():
        with sessions() as session:
            mark_write(session)
            session.get(Import, report["import_id"]).owner = "thief"
            session.commit()
        return False

    with app.app_context():
        runner.work_off(sessions, "first", steal)
    assert people(api, reef) == {}


def test_a_fault_says_how_far_it_came(app, api, reef, monkeypatch):
    monkeypatch.setattr(pace, "FIRST_ROWS", 10)
    monkeypatch.setattr(pace, "next_size", lambda size, *_told: size)
    importer = runner.IMPORTERS["end_users"]
    write, calls = importer.write, []

    def failing(session, organization_id, planned, now):
        calls.append(1)
        if len(calls) > 2:
            raise RuntimeError("a fault of ours")
        write(session, organization_id, planned, now)

    monkeypatch.setattr(importer, "write", failing, raising=True)
    text = "email,display_name\n" + "".join(f"p{n}@x.example,P{n}\n" for n in range(35))
    status, problem = api(
        "POST", f"/organizations/{reef['id']}/end-users/import", data=text.encode(), content_type="text/csv"
    )
    assert (status, problem["done"], problem["total"]) == (500, 20, 35)
    assert "20 of 35" in problem["detail"]
    assert len(people(api, reef)) == 20
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(ImportPart)) == 0, (
            "nobody goes on with it"
        )
    undone(api, problem)
    assert people(api, reef) == {}


def test_somebody_who_comes_meanwhile_is_not_added_twice(app, api, reef, monkeypatch):
    """The same address is entered between the look at who is here and the insert. SQLite's lock leaves no such moment."""
    importer, sessions, entered = runner.IMPORTERS["end_users"], app.extensions["rollcall"].sessions, []
    plan = importer.plan

    def late(session, organization_id, candidates, *, lock=False):
        found = plan(session, organization_id, candidates, lock=lock)
        if lock and not entered:
            entered.append(1)
            if session.get_bind().dialect.name == "sqlite":
                raise sa.exc.IntegrityError("insert", {}, Exception("taken"))
            with sessions() as other:
                now = utcnow()
                other.add(
                    EndUser(
                        organization_id=organization_id,
                        display_name="Ann",
                        email="ann@x.example",
                        email_key="ann@x.example",
                        created_at=now,
                        updated_at=now,
                    )
                )
                other.commit()
        return found

    monkeypatch.setattr(importer, "plan", late)
    created, updated, unchanged, rejected = told(upload(api, reef, "email,display_name\nann@x.example,Ann\n"))
    assert (created + unchanged, updated, rejected, entered) == (1, 0, [], [1])
    assert len(people(api, reef)) == 1


def test_an_import_lets_others_write_between_its_transactions(app, api, reef, monkeypatch):
    """Another client writes while the file is read and between any two transactions, without waiting at all."""
    monkeypatch.setattr(pace, "FIRST_ROWS", 10)
    monkeypatch.setattr(pace, "next_size", lambda size, *_told: size)
    sessions, written = app.extensions["rollcall"].sessions, []

    def other(*_arguments):
        with sessions() as session:
            if session.get_bind().dialect.name == "sqlite":
                session.connection().exec_driver_sql("PRAGMA busy_timeout=0")
                session.rollback()
            mark_write(session)
            session.execute(sa.update(EndUser).values(notes="x"))
            session.commit()
        written.append(1)
        return 10

    importer = runner.IMPORTERS["end_users"]
    match = importer.match
    monkeypatch.setattr(importer, "match", lambda *arguments: (other(), match(*arguments))[1])
    monkeypatch.setattr(pace, "next_size", other)
    text = "email,display_name\n" + "".join(f"p{n}@x.example,P{n}\n" for n in range(35))
    assert told(upload(api, reef, text)) == (35, 0, 0, [])
    assert len(written) == 5
