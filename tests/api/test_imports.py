"""CSV in by the API: files lose nothing, are looked at first, and can be taken back (O2, R5, interfaces.md "CSV")."""

import csv
import io
import threading
import uuid
from contextlib import nullcontext

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.api import tokens
from portal.clock import utcnow
from portal.engine import pace
from portal.errors import RetryLater, Stopped
from portal.extensions import db, mark_write
from portal.imports import runner
from portal.models import AuditEvent, EndUser, Import, ImportPart, MicrosoftTenant, SyncException, UserSync
from portal.transactions import waiting_for_locks
from portal.worker import processes
from tests.api.conftest import Api


@pytest.fixture
def reef(api):
    return api.made("/organizations", {"name": "Müller & Söhne"})


def upload(api, organization, text, kind="end-users", query="", **headers):
    data = text if isinstance(text, bytes) else text.encode()
    path = f"/organizations/{organization['id']}/{kind}/import{query}"
    status, document = api("POST", path, data=data, content_type="text/csv", headers=headers)
    assert status in {200, 202}, document
    return document


def told(report):
    return (
        report["created"],
        report["updated"],
        report["unchanged"],
        [one["line"] for one in report["rejected"]],
    )


def people(api, organization):
    found = api("GET", f"/organizations/{organization['id']}/end-users?per_page=500")[1]["items"]
    return {one["email"]: one for one in found}


def assets(api, organization):
    return api("GET", f"/organizations/{organization['id']}/assets?per_page=500")[1]["items"]


def token_of(app):
    with app.app_context():
        token = tokens.create(f"test {uuid.uuid4()}", "technician")
        db.session.commit()
    return token


def undone(api, report, status=200, **headers):
    found, document = api("POST", f"/imports/{report['import_id']}/undo", data=b"", headers=headers)
    assert found == status, document
    return document


# -- Assets: which one is meant ------------------------------------------------------------------------------------------


def test_numbers_in_the_names_of_assets_are_in_order(api, reef):
    """However the name came: by hand, by a file, by a change."""
    made = api.made(f"/organizations/{reef['id']}/assets", {"name": "PC-10"})
    upload(api, reef, "name\npc-9\nPC-100\n", "assets")
    assert [one["name"] for one in assets(api, reef)] == ["pc-9", "PC-10", "PC-100"]
    api("PATCH", f"/assets/{made['id']}", {"name": "PC-200"})
    assert [one["name"] for one in assets(api, reef)] == ["pc-9", "PC-100", "PC-200"]
    upload(api, reef, f"id,name\n{made['id']},PC-2\n", "assets")
    assert [one["name"] for one in assets(api, reef)] == ["PC-2", "pc-9", "PC-100"]


def test_two_assets_of_one_name_stay_two_through_export_and_import(api, reef):
    owners = [
        api.made(f"/organizations/{reef['id']}/end-users", {"display_name": n, "email": f"{n}@x.example"})
        for n in ("ann", "bo")
    ]
    for number, owner in enumerate(owners):
        body = {"name": "MacBook Pro", "mac_addresses": [f"A87EEABC6AC{number}"], "end_user_id": owner["id"]}
        api.made(f"/organizations/{reef['id']}/assets", body)
    before = sorted(assets(api, reef), key=lambda one: one["id"])
    sheet = api.raw("GET", f"/organizations/{reef['id']}/assets.csv").data
    assert told(upload(api, reef, sheet, "assets")) == (0, 0, 2, [])
    without_ids = b"\n".join(line.split(b",", 1)[1] for line in sheet.splitlines())
    assert told(upload(api, reef, without_ids, "assets")) == (0, 0, 2, [])
    assert sorted(assets(api, reef), key=lambda one: one["id"]) == before


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("name,mac_addresses\niPhone,A87EEABC6AC1\niPhone,A87EEABC6AC2\nDock,A87EEABC6AC3\n", (0, 0, 3, [])),
        ("name\niPhone\niPhone\nDock\n", (0, 0, 1, [2, 3])),  # nobody can tell them apart any more
        ("name,mac_addresses\niPhone,A87EEABC6AC1\niPhone,\nDock,\n", (0, 0, 3, [])),
    ],
)
def test_a_new_file_makes_as_many_assets_as_it_has_rows_and_nothing_the_second_time(api, reef, text, second):
    assert told(upload(api, reef, text, "assets")) == (3, 0, 0, [])
    before = assets(api, reef)
    assert told(upload(api, reef, text, "assets")) == second
    assert assets(api, reef) == before


def test_an_asset_is_found_by_id_then_by_mac_then_by_a_name_that_only_one_has(api, reef):
    path = f"/organizations/{reef['id']}/assets"
    first, second, third = (
        api.made(path, {"name": n, "mac_addresses": m})
        for n, m in (("PC", ["A87EEABC6AC1"]), ("PC", ["A87EEABC6AC2"]), ("Dock", []))
    )
    text = (
        "id,name,mac_addresses\n"
        f"{first['id']},Renamed,A87EEABC6AC9\n"
        ",By its MAC,A8-7E-EA-BC-6A-C2\n"
        ",dock,A87EEABC6AC3\n"
    )
    assert told(upload(api, reef, text, "assets")) == (0, 3, 0, [])
    found = {one["id"]: (one["name"], one["mac_addresses"]) for one in assets(api, reef)}
    assert found == {
        first["id"]: ("Renamed", ["A8:7E:EA:BC:6A:C9"]),
        second["id"]: ("By its MAC", ["A8:7E:EA:BC:6A:C2"]),
        third["id"]: ("dock", ["A8:7E:EA:BC:6A:C3"]),
    }


@pytest.mark.parametrize(
    ("present", "rows", "rejected", "word"),
    [
        ([("PC", []), ("PC", [])], "PC,\n", [2], "2 Assets have this name"),
        ([("PC", [])], "PC,A87EEABC6AC1\nPC,A87EEABC6AC2\n", [2, 3], "Line 3"),
        (
            [("PC", ["A87EEABC6AC1"]), ("NB", ["A87EEABC6AC2"])],
            "Other,A87EEABC6AC1 A87EEABC6AC2\n",
            [2],
            "2 Assets have these MAC",
        ),
        ([("PC", ["A87EEABC6AC1"])], "PC,A87EEABC6AC1\nNB,A87EEABC6AC1\n", [3], "line 2"),
        ([], "PC,A87EEABC6AC1\nNB,A87EEABC6AC1\n", [3], "line 2"),
        ([], ",A87EEABC6AC1\n", [2], "Enter a name"),
        ([], "PC,zz\n", [2], "zz is not"),
        ([], "PC\n", [2], "cells"),
    ],
)
def test_an_ambiguous_row_is_rejected_with_its_line(api, reef, present, rows, rejected, word):
    for name, macs in present:
        api.made(f"/organizations/{reef['id']}/assets", {"name": name, "mac_addresses": macs})
    before = assets(api, reef)
    report = upload(api, reef, f"name,mac_addresses\n{rows}", "assets")
    assert [one["line"] for one in report["rejected"]] == rejected
    assert word in report["rejected"][0]["reason"]
    assert [one for one in assets(api, reef) if one["id"] in {b["id"] for b in before}] == before


def test_a_dock_that_two_laptops_were_seen_with_is_told_by_the_name(api, reef):
    for name, own in (("One", "A87EEABC6AC1"), ("Two", "A87EEABC6AC2")):
        api.made(
            f"/organizations/{reef['id']}/assets", {"name": name, "mac_addresses": [own, "A87EEABC6ACF"]}
        )
    sheet = api.raw("GET", f"/organizations/{reef['id']}/assets.csv").data
    assert told(upload(api, reef, sheet, "assets")) == (0, 0, 2, [])


def test_names_that_look_alike_are_one_asset_whatever_their_blanks_and_form(api, reef):
    text = "name\nCafe\u0301  du\u00a0Nord\n"
    assert told(upload(api, reef, text, "assets")) == (1, 0, 0, [])
    assert told(upload(api, reef, text, "assets")) == (0, 0, 1, [])
    assert told(upload(api, reef, "name\n Caf\u00e9 du Nord \n", "assets")) == (0, 0, 1, [])
    assert [one["name"] for one in assets(api, reef)] == ["Café du Nord"]


def test_a_short_row_and_a_blank_cell_wipe_nothing_of_an_asset(api, reef):
    owner = api.made(
        f"/organizations/{reef['id']}/end-users", {"display_name": "Ann", "email": "ann@x.example"}
    )
    api.made(
        f"/organizations/{reef['id']}/assets",
        {"name": "PC-1", "mac_addresses": ["A87EEABC6AC1"], "end_user_id": owner["id"]},
    )
    before = assets(api, reef)
    head = "name,mac_addresses,end_user_email\n"
    assert told(upload(api, reef, head + "PC-1\n", "assets")) == (0, 0, 0, [2])
    assert told(upload(api, reef, head + "PC-1,,\n", "assets")) == (0, 0, 1, [])
    assert assets(api, reef) == before
    assert told(upload(api, reef, head + "PC-1,<empty>,<empty>\n", "assets")) == (0, 1, 0, [])
    (row,) = assets(api, reef)
    assert (row["mac_addresses"], row["end_user_id"], row["assigned_by"]) == ([], None, None)


# -- End Users -----------------------------------------------------------------------------------------------------------


def test_a_row_that_is_cut_short_or_blank_wipes_nothing(api, reef):
    fields = {"display_name": "Bob", "email": "bob@x.example", "phone": "+31 6 1", "notes": "Two\nlines"}
    api.made(f"/organizations/{reef['id']}/end-users", fields)
    head = "email,display_name,phone,notes\n"
    report = upload(api, reef, head + "bob@x.example,Bob\nbob@x.example,Bob,1,2,3\n")
    assert told(report) == (0, 0, 0, [2, 3])
    assert told(upload(api, reef, head + "bob@x.example,,, \n")) == (0, 0, 1, [])
    bob = people(api, reef)["bob@x.example"]
    assert (bob["phone"], bob["notes"]) == ("+31 6 1", "Two\nlines")
    assert told(upload(api, reef, head + "bob@x.example,,<empty>,<EMPTY>\n")) == (0, 1, 0, [])
    bob = people(api, reef)["bob@x.example"]
    assert (bob["display_name"], bob["phone"], bob["notes"]) == ("Bob", "", "")
    assert told(upload(api, reef, head + "bob@x.example,<empty>,,\n<empty>,Bob,,\n")) == (0, 0, 0, [2, 3])


def test_the_same_address_twice_and_a_row_without_a_name_are_rejected(api, reef):
    text = "email,display_name,first_name\nAnn@x.example,Ann,\nnobody@x.example,,\nann@X.example ,Ann B,\nbo@x.example,,Bo\n"
    report = upload(api, reef, text)
    assert told(report) == (2, 0, 0, [3, 4])
    assert "line 2" in report["rejected"][1]["reason"]
    assert "name" in report["rejected"][0]["reason"]
    assert {one["display_name"] for one in people(api, reef).values()} == {"Ann", "Bo"}


def test_the_labels_of_the_pages_are_headers_and_a_file_says_the_same_twice(api, reef):
    text = "\ufeff\r\nsep=;\r\nName;Email;Job Title;Zip or postal code;;\r\n\u00a0Zoe\u0308 ;zoe@x.example;=1+1;2611 AB;;\r\n"
    assert told(upload(api, reef, text)) == (1, 0, 0, [])
    zoe = people(api, reef)["zoe@x.example"]
    assert (zoe["display_name"], zoe["job_title"], zoe["postal_code"]) == ("Zoë", "=1+1", "2611 AB")
    assert zoe["source"] == "import"
    assert told(upload(api, reef, text)) == (0, 0, 1, [])


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(
        st.lists(
            st.text("aÅé\u0301\u00a0\u200b\u00ad\ufeff \t\r\n;,'=＝+\"<empty>\u2028\u202e", max_size=9),
            min_size=4,
            max_size=4,
        ),
        max_size=4,
    )
)
def test_whatever_a_file_says_it_says_the_same_the_second_time(api, reef, rows):
    sheet = io.StringIO()
    csv.writer(sheet).writerows(
        [
            ("email", "display_name", "city", "phone", "notes"),
            *((f"p{n}@x.example", *row) for n, row in enumerate(rows)),
        ]
    )
    first, second = (upload(api, reef, sheet.getvalue()) for _ in range(2))
    assert (second["created"], second["updated"], second["rejected"]) == (0, 0, first["rejected"])


def test_what_microsoft_manages_is_rejected_and_the_rest_of_a_person_is_not(app, api, enabled):
    with app.app_context():
        mark_write(db.session())
        now = utcnow()
        made = {}
        for name in ("ann", "bo"):
            row = EndUser(
                organization_id=enabled["id"],
                display_name=name,
                email=f"{name}@x.example",
                email_key=f"{name}@x.example",
                created_at=now,
                updated_at=now,
            )
            db.session.add(row)
            db.session.flush()
            row.microsoft_tenant_id, row.object_id = db.session.scalar(sa.select(MicrosoftTenant.id)), name
            row.microsoft_status, row.in_scope, row.linked_at = "active", True, now
            made[name] = row.id
        db.session.add(
            SyncException(
                organization_id=enabled["id"],
                kind="pin",
                end_user_id=made["bo"],
                field="city",
                created_at=now,
            )
        )
        db.session.commit()
    text = "email,display_name,city,notes\nann@x.example,ann,Delft,\nbo@x.example,bo,Delft,hello\n"
    report = upload(api, enabled, text)
    assert told(report) == (0, 1, 0, [2])
    assert "city" in report["rejected"][0]["reason"] and "Microsoft" in report["rejected"][0]["reason"]
    assert told(upload(api, enabled, "email,city,notes\nann@x.example,,mine\n")) == (0, 1, 0, [])
    with app.app_context():
        db.session.scalar(sa.select(UserSync)).enabled = False
        db.session.commit()
    assert told(upload(api, enabled, text)) == (0, 1, 1, [])


# -- looking first, later, and how far -----------------------------------------------------------------------------------


def test_a_dry_run_says_what_would_happen_and_writes_nothing(app, api, reef):
    api.made(
        f"/organizations/{reef['id']}/end-users",
        {"display_name": "Ann", "email": "ann@x.example", "city": "Delft"},
    )
    text = "email,display_name,city\nann@x.example,,Utrecht\nbo@x.example,Bo,\nbad,Bad,\n"
    report = upload(api, reef, text, query="?dry_run=true")
    assert (report["import_id"], *told(report)) == (None, 1, 1, 0, [4])
    changes = {one["name"]: (one["action"], one["fields"]) for one in report["rows"]}
    assert changes["Ann"] == ("update", [{"field": "city", "old": "Delft", "new": "Utrecht"}])
    assert changes["Bo"][0] == "create"
    assert list(people(api, reef)) == ["ann@x.example"]
    with app.app_context():
        assert db.session.scalar(sa.select(sa.func.count()).select_from(Import)) == 0
    assert api("POST", f"/organizations/{reef['id']}/end-users/import?dry_run=yes", data="email\n")[0] == 422
    assert api("POST", f"/organizations/{reef['id']}/end-users/import?dryrun=true", data="email\n")[0] == 422


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


class Elsewhere:
    """Somebody else who takes, from the second transaction of an import on, what every one of them needs."""

    def __init__(self, url):
        self._engine = sa.create_engine(url, poolclass=sa.NullPool)
        self._other = None

    def take(self, size, *_told):
        if self._other is None:
            self._other = self._engine.connect()
            is_sqlite = self._engine.dialect.name == "sqlite"
            self._other.exec_driver_sql(
                "BEGIN IMMEDIATE" if is_sqlite else "LOCK TABLE organizations, end_users IN EXCLUSIVE MODE"
            )
        return size

    def give_back(self):
        self._other.rollback()
        self._other.close()


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


# -- undo ----------------------------------------------------------------------------------------------------------------


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


# -- transactions --------------------------------------------------------------------------------------------------------


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


# -- out -----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["end-users", "assets"])
def test_a_download_says_whose_it_is_and_begins_with_a_mark_when_asked(api, reef, kind):
    path = f"/organizations/{reef['id']}/{kind}.csv"
    plain, marked = api.raw("GET", path), api.raw("GET", f"{path}?bom=true")
    assert marked.data == b"\xef\xbb\xbf" + plain.data
    name = plain.headers["Content-Disposition"]
    assert f"m-ller-s-hne-{kind}-{utcnow():%Y-%m-%d}.csv" in name
    assert "filename*=UTF-8''m%C3%BCller-s%C3%B6hne-" in name
    assert api.raw("GET", f"{path}?bom=perhaps").status_code == 422
    assert told(upload(api, reef, marked.data, kind)) == (0, 0, 0, [])
