"""P2: Tenant Details, and the five ways that lead there."""

from __future__ import annotations

import re

import pytest

from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.models import Role, SubscribedSku, SyncRun, UserSync
from tests.web import customers


@pytest.fixture
def ids(app):
    """A mapped Tenant with two Organizations: one that syncs, one that was never set up."""
    with app.app_context():
        microsoft = customers.microsoft_tenant("Marula", domains=("marula.example",))
        microsoft.users_count = 1234
        db.session.add(
            SubscribedSku(
                microsoft_tenant_id=microsoft.id, sku_id="e3", name="Microsoft 365 E3", assigned=9, bought=10
            )
        )
        syncing = customers.organization("Marula Foods", microsoft)
        fresh = customers.organization("Marula Farms", tenant=syncing.tenant)
        db.session.add(
            UserSync(
                organization_id=syncing.id,
                enabled=True,
                enabled_at=utcnow(),
                initial_done_at=utcnow(),
                filters={},
                updated_at=utcnow(),
            )
        )
        db.session.commit()
        return {
            "tenant": syncing.tenant_id,
            "microsoft": microsoft.id,
            "syncing": syncing.id,
            "fresh": fresh.id,
        }


def test_P2_the_panel_tells_of_microsoft_and_the_table_of_each_sync(client_as, ids):
    text = client_as().get(f"/tenants/{ids['tenant']}").text
    panel = text.partition('id="microsoft_details"')[2].partition("</section>")[0]
    assert 'href="/microsoft-tenants">Manage' in panel and "1,234" in panel and "Sync Now" in panel
    assert "Microsoft 365 E3" in panel and "9 of 10" in panel
    assert f'action="/tenants/{ids["tenant"]}/sync"' in panel
    table = text.partition('id="organizations_table"')[2].partition("</section>")[0]
    syncing = table.partition("Marula Foods")[2].partition("</tr>")[0]
    fresh = table.partition("Marula Farms")[2].partition("</tr>")[0]
    for words in ("Enabled", "Edit User Sync Filters", "Disable User Sync"):
        assert words in syncing and words not in fresh
    assert "Set Up" in fresh and "Set Up" not in syncing


def test_P2_who_may_not_change_anything_is_offered_no_change(client_as, ids):
    text = client_as(Role.READ_ONLY).get(f"/tenants/{ids['tenant']}").text
    for words in ("Sync Now", "Remap", "Unmap", "Disable User Sync", "Rename", "Add Organization"):
        assert words not in text


def test_P2_five_ways_lead_to_the_tenant(client_as, ids):
    """Microsoft Tenants, Organizations, INFORMATION, Set Up Microsoft Entra ID User Sync, and Manage."""
    browser, goal = client_as(), f'href="/tenants/{ids["tenant"]}"'
    information = browser.get(f"/organizations/{ids['syncing']}").text
    ways = {
        "P1": browser.get("/microsoft-tenants").text,
        "P3": browser.get("/organizations").text,
        "P4": information.partition("INFORMATION")[2] or information.partition("Information")[2],
        "P5 Set Up": browser.get(f"/organizations/{ids['fresh']}/end-users").text.partition(
            'id="users_table"'
        )[2],
        "P5 Manage": browser.get(f"/organizations/{ids['syncing']}/end-users").text.partition(
            'id="users_table"'
        )[2],
    }
    assert [way for way, text in ways.items() if goal not in text] == []
    assert "Set Up Microsoft Entra ID User Sync" in ways["P5 Set Up"] and "Manage" in ways["P5 Manage"]


def test_P1_before_the_first_read_no_number_is_told(client_as, app):
    with app.app_context():
        mark_write(db.session())
        row = customers.microsoft_tenant("Not read yet", is_read=False)
        db.session.commit()
        page = client_as().get(f"/microsoft-tenants/{row.id}").text
    assert "Reading for the first time" in page and "<dt>Microsoft users</dt><dd>–</dd>" in page


def test_P2_T5_a_row_says_that_its_sync_runs_and_follows_it_to_the_end(client_as, app, ids):
    browser = client_as()
    with app.app_context():
        run = SyncRun(
            organization_id=ids["syncing"],
            microsoft_tenant_id=ids["microsoft"],
            trigger="manual",
            status="queued",
            created_at=utcnow(),
            started_by="tech@rollcall.example",
        )
        db.session.add(run)
        db.session.commit()
        run_id = run.id
    for status, words in (("queued", "Waits for its turn"), ("running", "Syncing now"), ("succeeded", None)):
        with app.app_context():
            db.session.get(SyncRun, run_id).status = status
            db.session.commit()
        text = browser.get(f"/tenants/{ids['tenant']}").text.partition('id="organizations_table"')[2]
        row = text.partition("Marula Foods")[2].partition("</tr>")[0]
        assert ("every 3s" in text.partition(">")[0]) is bool(words), status
        assert ("in the last run" in row) is (words is None), status
        assert words is None or (words in row and f'href="/sync-runs/{run_id}"' in row)


def test_P12_recovery_is_offered_where_a_sync_has_run(client_as, app, ids):
    browser = client_as()
    pages = [f"/tenants/{ids['tenant']}", *(f"/organizations/{ids[name]}" for name in ("syncing", "fresh"))]

    def offered():
        return [
            re.findall(r'href="/organizations/([^"/]+)/recovery"', browser.get(page).text) for page in pages
        ]

    assert offered() == [[], [], []]
    with app.app_context():
        db.session.add(
            SyncRun(
                organization_id=ids["syncing"],
                microsoft_tenant_id=ids["microsoft"],
                trigger="initial",
                status="succeeded",
                created_at=utcnow(),
            )
        )
        db.session.commit()
    assert offered() == [[ids["syncing"]], [ids["syncing"]], []]
    assert "Recover from a wrong Microsoft tenant in <a" in browser.get(pages[0]).text  # of two, it is named
