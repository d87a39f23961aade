"""Connecting by consent, and mapping (C2, C6, P1, R2), with and without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, expect

from tests.browser.guard import Guard
from tests.browser.running_portal import BOTH, AtWork

Visit = Callable[..., Page]


@BOTH
def test_C2_a_customer_declines_and_then_consents(
    visit: Visit, portal: AtWork, guard: Guard, script: bool
) -> None:
    simulator = portal.simulator
    world = simulator.world
    customer = world.tenants[world.customer_ids[0 if script else 1]]
    guard.home(simulator.base_url)  # Microsoft's consent page, where the browser is sent
    guard.expect(422, "/microsoft-tenants/consent/answer")
    page = visit(java_script_enabled=script)
    page.get_by_role("link", name="Microsoft Tenants", exact=True).first.click()
    page.get_by_role("link", name="Connect a Microsoft tenant").first.click()
    page.get_by_label("Tenant ID or domain").fill(customer.domains[0])
    page.get_by_role("button", name="Ask for consent").click()
    expect(page.get_by_role("heading", name="Permissions requested")).to_be_visible()
    page.get_by_role("button", name="Decline").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Not connected")
    expect(page.get_by_text(re.compile("declined|consent", re.IGNORECASE)).first).to_be_visible()

    page.get_by_role("link", name="Start again").click()
    page.get_by_label("Tenant ID or domain").fill(customer.id)
    page.get_by_role("button", name="Ask for consent").click()
    page.get_by_role("button", name="Accept").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text(customer.name)
    expect(page.get_by_role("status").filter(has_text=f"{customer.name} is connected.")).to_be_visible()
    expect(page.get_by_role("row", name=re.compile("User.Read.All")).first).to_contain_text("Works")
    assert any(row["directory_id"] == customer.id for row in portal.api.everything("/microsoft-tenants"))


@BOTH
def test_P1_R2_map_the_refusals_way_out_remap_and_unmap(visit: Visit, portal: AtWork, script: bool) -> None:
    name = f"Kestrel {script}"
    first, second = portal.another_microsoft_tenant(), portal.another_microsoft_tenant()
    organization, tenant_id = portal.on_its_own(name)
    page = visit("technician", java_script_enabled=script)

    page.get_by_role("link", name="Microsoft Tenants", exact=True).first.click()
    page.get_by_role("link", name=f"Map Tenant for {first['name']}").click()
    page.get_by_label("Tenant", exact=True).select_option(label=name)
    page.get_by_role("button", name="Map Tenant").click()
    expect(page).to_have_url(re.compile(f"/tenants/{tenant_id}$"))
    mapped = page.get_by_role("row", name=re.compile(re.escape(first["name"])))
    page.goto("/microsoft-tenants")
    expect(mapped.get_by_role("link", name=name)).to_be_visible()

    portal.api.enabled(organization)
    mapped.get_by_role("button", name=f"Actions for {first['name']}").click()
    mapped.get_by_role("link", name="Unmap…").click()
    refusal = page.get_by_role("dialog") if script else page.locator("main")
    expect(refusal).to_contain_text("This User Sync is still enabled under this Tenant. Disable it first:")
    expect(page.get_by_role("button", name="Unmap")).to_have_count(0)
    refusal.get_by_role("link", name=f"Disable User Sync of {name}").click()
    page.get_by_role("button", name="Disable User Sync").click()
    expect(page.get_by_role("status").filter(has_text=f"The sync of {name} is off.")).to_be_visible()
    people = len(portal.api.people(organization))
    assert people > 0

    page.goto(f"/tenants/{tenant_id}")
    page.get_by_role("link", name="Remap…").click()
    expect(page.get_by_text(f"Mapped to {first['name']} now.")).to_be_visible()
    page.get_by_label("Microsoft tenant", exact=True).select_option(value=second["id"])
    page.get_by_role("button", name="Remap").click()
    expect(page.locator("#microsoft_details")).to_contain_text(second["name"])

    page.get_by_role("link", name="Unmap…").click()
    expect(page.get_by_text("Stays: all End Users")).to_be_visible()
    page.get_by_role("button", name="Unmap").click()
    expect(page.get_by_role("row", name=re.compile(name))).to_contain_text("Map a Microsoft tenant first")
    assert len(portal.api.people(organization)) == people


def test_R2_a_mapping_that_lost_the_race_is_refused_in_words(
    visit: Visit, portal: AtWork, guard: Guard
) -> None:
    """The sync was enabled while the question stood open: the answer says what to do, and the page leads there."""
    microsoft_tenant = portal.another_microsoft_tenant()
    organization, tenant_id = portal.on_its_own("Raced")
    portal.api.put(f"/tenants/{tenant_id}/microsoft-tenant", {"microsoft_tenant_id": microsoft_tenant["id"]})
    guard.expect(409, f"/tenants/{tenant_id}/unmap")
    page = visit("technician", java_script_enabled=False)
    page.goto(f"/tenants/{tenant_id}/unmap")
    portal.api.enabled(organization)
    page.get_by_role("button", name="Unmap").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("This cannot be done now")
    page.get_by_role("link", name="Fix it").click()
    expect(page.get_by_role("button", name="Disable User Sync")).to_be_visible()
