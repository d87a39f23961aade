"""From Discover customers to enabled syncs, as somebody new to the portal would: few clicks, one page (C3, F2, F3)."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from portal.auth import service as auth
from portal.clock import utcnow
from portal.extensions import db, mark_write
from simulator.server import SimulatorServer
from simulator.world import World
from tests.browser.running_portal import BOTH, PASSWORD, PEOPLE, serving
from tests.system.conftest import Api, running, settings_for, wait_until

TENANTS, USERS = 8, 12
MOST_CLICKS = 25
SOON = 60_000


class Fleet:
    """A portal whose partner tenant is connected, and nothing else."""

    def __init__(self, api: Api, simulator: SimulatorServer, base: str) -> None:
        self.api, self.simulator, self.base = api, simulator, base
        self.signed_in: dict[str, Any] = {}
        api.connected(simulator.partner_tenant_id)


@pytest.fixture
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """One for each test: each sets up the whole fleet."""
    patch = pytest.MonkeyPatch()
    folder = tmp_path_factory.mktemp("fleet")
    with SimulatorServer(World(tenants=TENANTS, users=USERS, seed=5)) as simulator:
        patch.setenv("REQUESTS_CA_BUNDLE", simulator.ca_file)
        with running(settings_for(simulator, folder)) as api:
            with api.application.app_context():
                mark_write(db.session())
                for role, email in PEOPLE.items():
                    auth.add_account(db.session(), email=email, role=role, password=PASSWORD, now=utcnow())
                db.session.commit()
            with serving(api.application) as base:
                yield Fleet(api, simulator, base)
    patch.undo()


class Clicks:
    """Presses what a person would, and counts."""

    def __init__(self, page: Page) -> None:
        self.page, self.number = page, 0

    def __call__(self, role: Any, name: str) -> None:
        self.page.get_by_role(role, name=name).first.click()
        self.number += 1


def until(page: Page, text: str, script: bool) -> None:
    """Wait for a heading; without script somebody presses Refresh."""
    heading = page.get_by_role("heading", name=text)
    if script:
        expect(heading).to_be_visible(timeout=SOON)
        return
    wait_until(lambda: heading.count() or reloaded(page), f"the heading {text}")


def reloaded(page: Page) -> bool:
    """What somebody without script does who waits: False, look again."""
    page.reload()
    return False


@BOTH
def test_F3_from_discover_customers_to_enabled_syncs(
    visit: Callable[..., Page], portal: Fleet, script: bool
) -> None:
    existing = portal.api.post("/organizations", {"name": "A customer of long ago"})
    first = portal.simulator.world.tenants[portal.simulator.tenant_ids[0]]
    portal.api.post(
        f"/organizations/{existing['id']}/end-users",
        {"display_name": "Kim", "email": f"kim@{first.domains[0]}"},
    )
    page = visit(java_script_enabled=script)
    click = Clicks(page)
    click("link", "Microsoft Tenants")
    click("link", "Discover customers")
    click("button", "Look for customers")
    expect(page.get_by_role("link", name=re.compile("^Ended"))).to_be_visible()
    assert page.get_by_role("checkbox", name=re.compile("^Select (?!all)")).count() == TENANTS + 4, (
        "one has ended"
    )
    if script:
        page.get_by_role("checkbox", name="Select all").check()
        click.number += 1
    else:
        for box in page.get_by_role("checkbox", name=re.compile("^Select (?!all)")).all():
            box.check()
            click.number += 1
    click("button", "Connect the selected")
    until(page, "Create or match Organizations", script)
    expect(page.get_by_role("heading", name="Not done")).to_be_visible()
    expect(page.get_by_role("button", name=re.compile("^Ask for consent of")).first).to_be_visible()
    row = page.get_by_role("row", name=re.compile(f"Select {first.name}"))
    expect(row).to_contain_text("Existing, by its e-mail domain")
    expect(row.get_by_role("combobox")).to_have_value("A customer of long ago")
    click("button", "Create and map the selected")
    until(page, "Choose who becomes an End User", script)
    click("button", f"Preview {TENANTS} Organizations")
    until(page, "Preview", script)
    expect(page.get_by_role("checkbox", name=re.compile("^Select (?!all)"))).to_have_count(TENANTS)
    click("button", "Enable the selected")
    until(page, "Enabled", script)
    over = page.get_by_text("All runs have finished")
    if not script:
        wait_until(lambda: over.count() or reloaded(page), "the end of all runs")
    expect(over).to_be_visible(timeout=SOON)
    organizations = portal.api.everything("/organizations")
    assert len(organizations) == TENANTS
    syncs = [portal.api.get(f"/organizations/{one['id']}/user-sync")["status"] for one in organizations]
    assert syncs == ["enabled"] * TENANTS
    assert len(portal.api.people(existing["id"])) > 1
    if script:
        assert click.number <= 9 < MOST_CLICKS
