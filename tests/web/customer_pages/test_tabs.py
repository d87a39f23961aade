"""P4: the tabs of an Organization share one header."""

import re

import pytest

from portal.extensions import db
from portal.models import SyncRun, UserSync


@pytest.mark.parametrize("tab", ["", "/end-users", "/assets", "/history", "/exceptions"])
def test_P4_every_tab_says_which_tenant_and_when_it_was_synced(client_as, ids, tab):
    page = client_as("read-only").get(f"/organizations/{ids['organization']}{tab}").get_data(as_text=True)
    head = page.partition('class="rc-head"')[2].partition("rc-tabs")[0]
    assert "Enabled" in head
    assert "Tenant <a" in head
    assert "synced <time" in head


def test_P8_sync_history_names_runs_as_sync_activity_does(client_as, ids):
    page = client_as("read-only").get(f"/organizations/{ids['organization']}/history").get_data(as_text=True)
    assert "Initial sync" in page
    assert f"/sync-runs?organization_id={ids['organization']}" in page


def test_P4_T5_sync_now_is_on_every_tab_for_who_may_while_the_sync_is_enabled(app, client_as, ids):
    own = f"/organizations/{ids['organization']}"
    tabs = [own + tab for tab in ("", "/end-users", "/assets", "/history", "/exceptions")]
    browser, reader = client_as("technician"), client_as("read-only")
    for tab in tabs:
        page = browser.get(tab).text
        assert f'<form id="sync-now" method="post" action="{own}/user-sync/runs">' in page, tab
        head = page.partition('class="rc-head"')[2].partition("rc-tabs")[0]
        assert re.search(r'<button[^>]* form="sync-now">.*?Sync Now</button>', head), tab
        assert "Sync Now" not in reader.get(tab).text, tab
    answer = browser.send(f"{own}/user-sync/runs")
    with app.app_context():
        run = db.session.query(SyncRun).filter_by(trigger="manual").one()
        assert answer.location == f"/sync-runs/{run.id}"
        db.session.delete(run)
        db.session.query(UserSync).one().enabled = False
        db.session.commit()
    assert ["Sync Now" in browser.get(tab).text for tab in tabs] == [False] * 5
