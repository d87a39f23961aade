"""P4: the tabs of an Organization share one header."""

import pytest


@pytest.mark.parametrize("tab", ["", "/end-users", "/assets", "/history", "/exceptions"])
def test_P4_every_tab_says_which_tenant_and_when_it_was_synced(client_as, ids, tab):
    page = client_as("read-only").get(f"/organizations/{ids['organization']}{tab}").get_data(as_text=True)
    head = page.partition('class="rc-head"')[2].partition("rc-tabs")[0]
    assert "Enabled" in head
    assert "Tenant <a" in head
    assert "synced <time" in head


def test_P8_sync_history_names_runs_as_sync_activity_does(client_as, ids):
    page = client_as("read-only").get(f"/organizations/{ids['organization']}/history").get_data(as_text=True)
    assert "First sync" in page
    assert f"/sync-runs?organization_id={ids['organization']}" in page
