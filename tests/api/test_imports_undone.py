"""R5: an import is undone once, but for what was edited since."""

import threading

import pytest
import sqlalchemy as sa

from portal.engine import pace
from portal.errors import Stopped
from portal.extensions import db
from portal.imports import runner
from portal.models import AuditEvent
from portal.worker import processes
from tests.api.conftest import Api
from tests.api.imports import assets, people, token_of, told, undone, upload


def test_R5_an_undo_restores_but_what_was_edited_since(app, api, reef):
    path = f"/organizations/{reef['id']}/end-users"
    for name in ("ann", "bo"):
        api.made(
            path, {"display_name": name.title(), "email": f"{name}@x.example", "city": "Delft", "phone": "1"}
        )
    before = people(api, reef)
    text = "email,display_name,city,phone\nann@x.example,,Utrecht,2\nbo@x.example,,Utrecht,2\nnew@x.example,New,,\nkept@x.example,Kept,,\nbad,,,\n"
    report = upload(api, reef, text)
    assert told(report) == (2, 2, 0, [6])
    after = people(api, reef)
    api("PATCH", f"/end-users/{after['bo@x.example']['id']}", {"city": "Gouda"})
    api("PATCH", f"/end-users/{after['kept@x.example']['id']}", {"notes": "mine"})
    plan = api("POST", f"/imports/{report['import_id']}/undo", {"dry_run": True})[1]
    assert {one["name"] for one in plan["restored"]} == {"Ann", "Bo", "New"}
    assert {(one["name"], one["reason"]) for one in plan["spared"]} == {
        ("Bo", "city was edited since"),
        ("Kept", "edited since"),
    }
    document = undone(api, report)
    assert (document["status"], document["restored"], document["spared"]) == ("undone", 3, 2)
    found = people(api, reef)
    assert found["ann@x.example"] == before["ann@x.example"]
    assert (found["bo@x.example"]["city"], found["bo@x.example"]["phone"]) == ("Gouda", "1")
    assert set(found) == {"ann@x.example", "bo@x.example", "kept@x.example"}
    assert api("POST", f"/imports/{report['import_id']}/undo", data=b"")[0] == 409
    with app.app_context():
        assert (
            db.session.scalar(sa.select(AuditEvent).where(AuditEvent.action == "import_undone")) is not None
        )


def test_R5_two_imports_are_undone_one_after_the_other(api, reef):
    first = upload(api, reef, "email,display_name,city\nann@x.example,Ann,Delft\n")
    second = upload(api, reef, "email,city\nann@x.example,Utrecht\n")
    undone(api, second)
    assert people(api, reef)["ann@x.example"]["city"] == "Delft"
    undone(api, first)
    assert people(api, reef) == {}


def test_R5_an_import_of_assets_is_undone(api, reef):
    people_path, path = (f"/organizations/{reef['id']}/{word}" for word in ("end-users", "assets"))
    ann, bo = (api.made(people_path, {"display_name": n, "email": f"{n}@x.example"}) for n in ("ann", "bo"))
    api.made(path, {"name": "PC", "mac_addresses": ["A87EEABC6AC1"], "end_user_id": ann["id"]})
    other = api.made(path, {"name": "NB", "mac_addresses": ["A87EEABC6AC2"], "end_user_id": ann["id"]})
    before = {one["name"]: one for one in assets(api, reef)}
    text = "name,mac_addresses,end_user_email\nPC,A87EEABC6AC1 A87EEABC6AC3,bo@x.example\nNB,<empty>,bo@x.example\nDock,,\nKept,,\n"
    report = upload(api, reef, text, "assets")
    assert told(report) == (2, 2, 0, [])
    after = {one["name"]: one for one in assets(api, reef)}
    assert after["PC"]["end_user_id"] == bo["id"]
    api("PATCH", f"/assets/{other['id']}", {"end_user_id": None})
    api("PATCH", f"/assets/{after['Kept']['id']}", {"name": "Kept on"})
    document = undone(api, report)
    assert (document["restored"], document["spared"]) == (3, 2)
    found = {one["name"]: one for one in assets(api, reef)}
    assert set(found) == {"PC", "NB", "Kept on"}
    assert found["PC"] == before["PC"]
    assert (found["NB"]["mac_addresses"], found["NB"]["end_user_id"]) == (before["NB"]["mac_addresses"], None)


def test_of_twenty_who_undo_at_once_one_is_heard(app, reef, api):
    report = upload(api, reef, "email,display_name\nann@x.example,Ann\n")
    callers = [Api(app.test_client(), token_of(app)) for _ in range(20)]
    answers, barrier = [], threading.Barrier(20)

    def press(caller):
        barrier.wait()
        answers.append(caller("POST", f"/imports/{report['import_id']}/undo", data=b"")[0])

    threads = [threading.Thread(target=press, args=(caller,)) for caller in callers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(answers) == [200] + [409] * 19


def test_an_undo_goes_on_where_it_stopped(app, api, reef, monkeypatch):
    monkeypatch.setattr(pace, "FIRST_ROWS", 10)
    monkeypatch.setattr(pace, "next_size", lambda size, *_told: size)
    text = "email,display_name\n" + "".join(f"p{n}@x.example,P{n}\n" for n in range(25))
    report = upload(api, reef, text)
    assert undone(api, report, 202, Prefer="respond-async")["status"] == "undoing"
    sessions = app.extensions["rollcall"].sessions
    answers = iter([False, True])
    with app.app_context():
        with pytest.raises(Stopped):
            runner.work_off(sessions, "first", lambda: next(answers))
        assert len(people(api, reef)) == 15
        runner.work_off(sessions, processes.own_name())
    after = api("GET", f"/imports/{report['import_id']}")[1]
    assert (after["status"], after["restored"], people(api, reef)) == ("undone", 25, {})
