"""Lists that work at hundreds: chips with counts, natural order, bulk actions, tags, and no query per row."""

import csv
import io
import re

import pytest
from sqlalchemy import insert

from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.models import (
    Conflict,
    EndUser,
    MicrosoftTenant,
    Organization,
    SyncRun,
    UserSync,
)
from portal.models.customers import SEARCHED_IN, no_link, search_columns
from portal.organizations import tags
from portal.user_sync import documents
from tests.web import customers


def sync_of(row, **values):
    now = utcnow()
    fields = {
        "enabled": True,
        "filters": documents.default_request()["filters"],
        "initial_done_at": now,
        "updated_at": now,
    }
    db.session.add(UserSync(organization_id=row.id, **{**fields, **values}))
    return row


@pytest.fixture
def fleet(app):
    """One Organization in each state."""
    with app.app_context():
        mark_write(db.session())
        rows = {}
        for number, name in enumerate(("enabled", "held", "attention", "processing", "off")):
            microsoft = customers.microsoft_tenant(f"Customer {number + 1}")
            rows[name] = customers.organization(f"Customer {number + 1}", microsoft=microsoft)
        rows["unmapped"] = customers.organization("Customer 10")
        sync_of(rows["enabled"])
        sync_of(rows["held"], hold_run_id="x")
        sync_of(rows["attention"], attention="Three runs failed.", attention_code="failing")
        sync_of(rows["processing"], initial_done_at=None)
        db.session.add(
            Conflict(
                organization_id=rows["held"].id,
                key="k",
                kind="email",
                reason="",
                object_id="o",
                created_at=utcnow(),
            )
        )
        tags.replace(rows["enabled"], ["pod A"])
        ids = {name: row.id for name, row in rows.items()}
        db.session.commit()
    return ids


def names(text):
    return [line["name"] for line in csv.DictReader(io.StringIO(text))]


def exported(browser, query, path="/organizations.csv"):
    return names(browser.get(f"{path}?{query}").data.decode("utf-8-sig"))


def test_F3_names_stand_in_the_order_of_their_numbers(client_as, fleet):
    browser = client_as("read-only")
    assert exported(browser, "") == [*(f"Customer {n}" for n in range(1, 6)), "Customer 10"]
    assert exported(browser, "sort=-name")[0] == "Customer 10"
    assert exported(browser, "", "/microsoft-tenants.csv") == [f"Customer {n}" for n in range(1, 6)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("state=not_set_up", ["Customer 5", "Customer 10"]),
        ("state=not_mapped", ["Customer 10"]),
        ("state=processing", ["Customer 4"]),
        ("state=needs_attention", ["Customer 3"]),
        ("state=held", ["Customer 2"]),
        ("state=conflicts", ["Customer 2"]),
        ("state=enabled", ["Customer 1"]),
        ("tag=POD  a", ["Customer 1"]),
        ("q=mer+10", ["Customer 10"]),
    ],
)
def test_F3_chips_filter_and_count(client_as, fleet, query, expected):
    browser = client_as("read-only")
    assert exported(browser, query) == expected
    page = browser.get(f"/organizations?{query}").text
    current = page[page.index('aria-current="true">', page.index("rc-chips")) :] if "q=" not in query else ""
    assert not current or f'<span class="rc-tab">{len(expected)}</span>' in current[:200]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("sync=held", ["Customer 2"]),
        ("sync=conflicts", ["Customer 2"]),
        ("sync=not_set_up", ["Customer 5"]),
        ("sync=needs_attention", ["Customer 3"]),
        ("tag=pod a", ["Customer 1"]),
        ("mapped=false", []),
    ],
)
def test_F3_microsoft_tenants_filter_by_what_they_feed(client_as, fleet, query, expected):
    assert exported(client_as("read-only"), query, "/microsoft-tenants.csv") == expected


@pytest.mark.parametrize(
    "sort", ["name", "tenant", "end_users", "assets", "sync", "last_run_at", "created_at"]
)
def test_F3_every_column_sorts_both_ways(client_as, fleet, sort):
    browser = client_as("read-only")
    up, down = exported(browser, f"sort={sort}"), exported(browser, f"sort=-{sort}")
    assert sorted(up) == sorted(down) and len(up) == 6 and up == down[::-1]


def test_F3_numbers_of_people_stand_in_their_order_as_soon_as_they_change(app, client_as, fleet):
    browser = client_as("technician")

    def shown():
        page = browser.get("/organizations?sort=-end_users").text
        found = re.findall(r'href="/organizations/([-0-9a-f]{36})/end-users">([1-9][0-9]*)</a>', page)
        places = {row_id: place for place, row_id in fleet.items()}
        return [(places[row_id], int(number)) for row_id, number in found]

    assert shown() == []
    with app.app_context():
        mark_write(db.session())
        rows = [db.session.get_one(Organization, fleet[name]) for name in ("held", "off")]
        first, *_ = [customers.end_user(rows[0], f"P {n}", f"p{n}@one.example") for n in range(3)]
        customers.end_user(rows[1], "Q 1", "q@two.example")
        first_id = first.id
        db.session.commit()
    assert shown() == [("held", 3), ("off", 1)]
    assert browser.send(f"/end-users/{first_id}/delete").status_code == 303
    with app.app_context():  # a sync writes past the ORM, under the lease of the Microsoft Tenant
        mark_write(db.session())
        off = db.session.get_one(Organization, fleet["off"])
        for n in range(4):
            values = {"email": f"s{n}@two.example", "display_name": f"S {n}"}
            row = {"id": f"s{n}", "organization_id": off.id, "created_at": utcnow(), "updated_at": utcnow()}
            text = dict.fromkeys(SEARCHED_IN + ("notes",), "") | values
            db.session.execute(insert(EndUser).values({**row, **text, **no_link(), **search_columns(values)}))
        tenant = db.session.get_one(MicrosoftTenant, off.tenant.microsoft_tenant_id)
        tenant.lease_expires_at = utcnow()
        db.session.commit()
    assert shown() == [("off", 5), ("held", 2)]


@pytest.mark.parametrize("sort", ["name", "mapped", "organizations", "users", "last_synced_at", "state"])
def test_F3_every_column_of_microsoft_tenants_sorts(client_as, fleet, sort):
    browser = client_as("read-only")
    up = exported(browser, f"sort={sort}", "/microsoft-tenants.csv")
    assert up == exported(browser, f"sort=-{sort}", "/microsoft-tenants.csv")[::-1]


def test_F3_sync_now_in_bulk_says_first_and_does_then_what_it_can(app, client_as, fleet):
    browser = client_as("technician")
    form = {"action": "sync", "id": list(fleet.values()), "filtered": "?sort=name"}
    asked = browser.send("/organizations/bulk", form).text
    assert (
        "Sync 4 Organizations" in asked
        and "2 left out, no sync is enabled: Customer 5, Customer 10." in asked
    )
    with app.app_context():
        assert db.session.scalar(db.select(db.func.count()).select_from(SyncRun)) == 0, (
            "asking changes nothing"
        )
    answer = browser.send("/organizations/bulk", {**form, "confirmed": "1"}, follow_redirects=True)
    assert "4 syncs are starting. 2 left out" in answer.text
    with app.app_context():
        assert db.session.scalar(db.select(db.func.count()).select_from(SyncRun)) == 4


def test_F3_all_that_fit_the_filter_are_disabled(app, client_as, fleet):
    browser = client_as("technician")
    asked = browser.htmx(
        "/organizations/bulk",
        "dialog",
        {"action": "disable", "all_filtered": "1", "filtered": "?state=held"},
        "POST",
    )
    assert "Disable 1 sync" in asked.text and fleet["held"] in asked.text and "<html" not in asked.text
    browser.send("/organizations/bulk", {"action": "disable", "confirmed": "1", "id": [fleet["held"]]})
    assert exported(browser, "state=not_set_up") == ["Customer 2", "Customer 5", "Customer 10"]


def test_F1_tags_in_bulk_are_added_and_taken_away(client_as, fleet):
    browser = client_as("technician")
    form = {"action": "tag", "id": [fleet["enabled"], fleet["off"]], "confirmed": "1"}
    answer = browser.send(
        "/organizations/bulk",
        {**form, "add": "Gold, gold , co-managed", "remove": "pod A"},
        follow_redirects=True,
    )
    assert "2 Organizations changed." in answer.text
    assert (
        exported(browser, "tag=gold") == ["Customer 1", "Customer 5"] and exported(browser, "tag=pod a") == []
    )
    assert ">pod A" not in browser.get("/organizations").text, "a tag that nobody has is gone"
    again = browser.send("/organizations/bulk", {**form, "add": "GOLD"}, follow_redirects=True).text
    assert "2 Organizations are unchanged." in again
    assert browser.send("/organizations/bulk", {**form, "add": "x" * 51}).status_code == 422
    assert browser.send("/organizations/bulk", {**form, "add": ""}).status_code == 422
    events = browser.get("/settings/audit?action=organization_tagged")
    assert events.status_code == 200


def test_F1_tags_are_edited_on_the_form(client_as, fleet):
    browser, path = client_as("technician"), f"/organizations/{fleet['enabled']}/edit"
    form = {
        "name": "Customer 1",
        "was_name": "Customer 1",
        "was_tenant_id": "",
        "tenant_id": "",
        "was_tags": "pod A",
    }
    page = browser.get(path).text
    assert 'value="pod A"' in page
    tenant = page[page.index('name="was_tenant_id" value="') + 28 :].split('"')[0]
    form |= {"tenant_id": tenant, "was_tenant_id": tenant}
    assert browser.send(path, {**form, "tags": "pod B, POD 10, pod 9"}).status_code == 303
    text = browser.get(f"/organizations/{fleet['enabled']}").text
    assert text.index("pod 9") < text.index("POD 10") < text.index("pod B") and "pod A" not in text
    assert (
        "at most 20 tags"
        in browser.send(path, {**form, "was_tags": "", "tags": ",".join(map(str, range(21)))}).text
    )


@pytest.mark.parametrize("role", ["read-only"])
def test_F3_who_may_only_read_exports(client_as, fleet, role):
    browser = client_as(role)
    page = browser.get("/organizations").text
    assert "Sync Now" not in page and ">Export</button>" in page
    assert (
        browser.send("/organizations/bulk", {"action": "sync", "id": [fleet["enabled"]]}).status_code == 403
    )
    assert names(browser.send("/organizations.csv", {"id": [fleet["enabled"]]}).data.decode("utf-8-sig")) == [
        "Customer 1"
    ]


@pytest.mark.parametrize(
    "form", [{}, {"action": "sync"}, {"action": "nonsense", "id": "x"}, {"action": "sync", "id": "\x00"}]
)
def test_F3_a_form_that_means_nothing_is_refused(client_as, fleet, form):
    assert client_as("technician").send("/organizations/bulk", form).status_code in {404, 422}


def test_F3_microsoft_tenants_act_on_the_organizations_that_they_feed(app, client_as, fleet):
    browser = client_as("technician")
    asked = browser.send(
        "/microsoft-tenants/bulk", {"action": "sync", "all_filtered": "1", "filtered": ""}
    ).text
    assert "5 Microsoft tenants feed 5 Organizations." in asked and "Sync 4 Organizations" in asked
    answer = browser.send(
        "/microsoft-tenants/bulk", {"action": "sync", "confirmed": "1", "id": [fleet["enabled"]]}
    )
    assert answer.location == "/microsoft-tenants?sort=name"


def test_P8_activity_shows_changes_and_trouble_by_day(app, client_as, fleet):
    with app.app_context():
        mark_write(db.session())
        for name, status, counts in (
            ("quiet", "succeeded", {"read": 5}),
            ("busy", "succeeded", {"read": 5, "updated": 2}),
            ("bad", "failed", {}),
        ):
            run = SyncRun(
                organization_id=fleet["enabled"],
                trigger="hourly",
                status="queued",
                created_at=utcnow(),
                started_by=name,
            )
            db.session.add(run)
            run.counts, run.status = counts, status
        db.session.commit()
    browser = client_as("read-only")

    def starters(query):
        text = browser.get(f"/sync-runs.csv?{query}").data.decode("utf-8-sig")
        return sorted(line["started_by"] for line in csv.DictReader(io.StringIO(text)))

    assert starters("") == ["bad", "busy"]
    assert starters("view=attention") == ["bad"]
    assert starters("show=all") == ["bad", "busy", "quiet"]
    today = f"{utcnow():%Y-%m-%d}"
    assert starters(f"show=all&since={today}&until={today}") == ["bad", "busy", "quiet"]
    assert starters("show=all&since=2020-01-01&until=2020-01-02") == []
    assert starters("show=all&since=nonsense") == ["bad", "busy", "quiet"]
    assert starters("show=all&tag=pod a") == ["bad", "busy", "quiet"] and starters("show=all&tag=pod b") == []
