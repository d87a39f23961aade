"""Imports of End Users: what a file says, says twice, or may not say; and the export that it begins with."""

import csv
import io

import pytest
import sqlalchemy as sa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.models import EndUser, Import, MicrosoftTenant, SyncException, UserSync
from tests.api.imports import people, told, upload


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
