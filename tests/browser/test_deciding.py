"""Holds, conflicts, undo and recovery (G1, M7, R3, R5): the journeys where somebody decides, with and without script."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.at_work import BOTH, AtWork

Visit = Callable[..., Page]


@pytest.mark.parametrize("choice", ["apply", "dismiss"])
@BOTH
def test_G1_a_paused_sync_is_reviewed_and_settled(visit: Visit, portal: AtWork, script: bool, choice: str) -> None:
    word = f"{choice} {script}"
    name, people = f"Held {word}", [f"Hal {n} {word}" for n in ("One", "Two", "Three", "Four")]
    organization, ids = portal.synced(name, f"Holding {word}", *people, hold={"percent": 25, "minimum": 2})
    for id_ in ids[:3]:
        portal.control.disable_user(portal.home.id, id_)
    assert portal.api.synced(organization)["status"] == "held"
    page = visit(java_script_enabled=script)
    page.goto(f"/tenants/{portal.tenant_id}")
    row = page.get_by_role("row", name=re.compile(name))
    expect(row.get_by_text("Paused", exact=True)).to_be_visible()
    row.get_by_role("link", name=f"Review what is held for {name}").click()
    hold = page.locator("#hold")
    expect(hold).to_contain_text("3 of 4 linked people would be marked Disabled in Microsoft.")
    hold.locator("summary").click()
    expect(hold.get_by_role("list", name="The people held back")).to_contain_text(people[0])
    if choice == "apply":
        hold.get_by_role("button", name="Mark 3 people disabled").click()
    else:
        hold.get_by_role("button", name="Dismiss, keep them as they are").click()
    expect(page.locator("#hold")).to_contain_text("applied" if choice == "apply" else "dismissed")
    page.goto(f"/tenants/{portal.tenant_id}")
    expect(row.get_by_text("Enabled", exact=True)).to_be_visible()
    page.goto(f"/organizations/{organization}/end-users?microsoft_status=disabled")
    expect(page.locator("tbody tr")).to_have_count(3 if choice == "apply" else 0)
    assert len(portal.api.people(organization)) == 4


@BOTH
def test_M7_one_conflict_is_settled_by_a_link_the_other_ignored(visit: Visit, portal: AtWork, script: bool) -> None:
    name, department = f"Doubled {script}", f"Doubles {script}"
    mail = f"dora.{script}@{portal.home.domains[0]}".lower()
    for word in ("One", "Two", "Three"):
        portal.control.create_user(
            portal.home.id,
            displayName=f"Dora {word} {script}",
            userPrincipalName=f"dora.{word}.{script}@{portal.home.domains[0]}".lower(),
            mail=mail,
            department=department,
            accountEnabled=True,
            userType="Member",
        )
    portal.read()
    organization = portal.organization(name)
    portal.api.enabled(organization, department=[department])
    page = visit("technician", java_script_enabled=script)
    page.goto(f"/organizations/{organization}/end-users")
    linked = page.locator("tbody tr", has_text=mail).get_by_role("rowheader").inner_text()
    conflicts = f"/organizations/{organization}/conflicts"
    page.goto(conflicts)
    rows = page.locator("tbody tr")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("Two Microsoft users have this email.")
    rows.first.get_by_role("button", name="Ignore").click()
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text("that Link moves here")
    expect(rows.first.get_by_role("cell").first).to_contain_text(f"Linked to {linked}")
    rows.first.get_by_role("radio", name=re.compile(linked)).check()
    rows.first.get_by_role("button", name="Link to this End User").click()
    expect(page.get_by_role("heading", name="No open conflicts")).to_be_visible()
    page.get_by_role("link", name="Settled", exact=True).click()
    expect(rows.filter(has_text="Ignored until one side changes")).to_have_count(1)
    expect(rows.filter(has_text=f"Linked to {linked}, who is meant")).to_have_count(1)


@BOTH
def test_R5_undoing_a_run_lists_first_what_it_restores_and_what_it_spares(
    visit: Visit, portal: AtWork, script: bool
) -> None:
    name, gone, kept = f"Undone {script}", f"Una Undone {script}", f"Edith Edited {script}"
    organization, _ = portal.synced(name, f"Undoing {script}", gone, kept)
    portal.api.patch(f"/end-users/{portal.person(organization, kept)}", {"notes": "She plays the organ."})
    portal.api.delete(f"/organizations/{organization}/user-sync")
    page = visit("technician", java_script_enabled=script)
    page.goto(f"/organizations/{organization}/history")
    page.locator("tbody").get_by_role("rowheader").get_by_role("link").click()
    page.get_by_role("link", name="Undo this run…").click()
    expect(page.get_by_role("list", name="Deleted")).to_contain_text(gone)
    expect(page.get_by_role("list", name="Spared")).to_contain_text(kept)
    expect(page.get_by_role("list", name="Deleted")).not_to_contain_text(kept)
    assert len(portal.api.people(organization)) == 2
    page.get_by_role("button", name="Undo and delete 1 End User").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_text("This run takes back")).to_be_visible()
    portal.api.finished(portal.api.get(f"/organizations/{organization}/user-sync/runs")["items"][0]["id"])
    assert [row["display_name"] for row in portal.api.people(organization).values()] == [kept]


@BOTH
def test_R3_P12_the_guided_page_leads_out_of_a_wrong_tenant(visit: Visit, portal: AtWork, script: bool) -> None:
    name = f"Lost {script}"
    wrong, right = portal.another_microsoft_tenant(), portal.another_microsoft_tenant()
    organization, tenant_id = portal.on_its_own(name)
    portal.api.put(f"/tenants/{tenant_id}/microsoft-tenant", {"microsoft_tenant_id": wrong["id"]})
    there = portal.simulator.world.tenants[wrong["directory_id"]]
    linked = next(user for user in portal.control.users(there.id) if user.get("mail") and user["accountEnabled"])
    known = {"display_name": "Was here before", "email": linked["mail"]}
    portal.api.post(f"/organizations/{organization}/end-users", known)
    portal.api.enabled(organization)
    created = len(portal.api.people(organization)) - 1
    assert created > 1

    page = visit("technician", java_script_enabled=script)
    page.goto(f"/organizations/{organization}")
    page.get_by_role("link", name="Recover from a wrong Microsoft tenant").click()
    now = page.locator("[aria-current=step]")
    expect(now).to_contain_text("Stop the sync")
    expect(page.get_by_role("button", name=re.compile("^Delete the checked"))).to_be_disabled()
    now.get_by_role("link", name="Disable User Sync…").click()
    page.get_by_role("button", name="Disable User Sync").click()
    expect(page.get_by_role("status").filter(has_text="is off.")).to_be_visible()
    page.goto(f"/organizations/{organization}/recovery")
    expect(now).to_contain_text("Take out the people it brought")
    boxes = now.get_by_role("checkbox", name=re.compile("^Delete (?!all)"))
    expect(boxes).to_have_count(created)
    boxes.first.uncheck()
    if script:  # who is checked and not listed counts too
        page.goto(f"/organizations/{organization}/recovery?look=all")
        boxes.first.uncheck()
        expect(now.locator("[data-selected]")).to_have_text(f"{created - 1} selected")
        now.get_by_role("button", name=re.compile("^Edited or owning Assets")).click()
        expect(now.get_by_text(f"{created - 1} more are checked and not shown here.")).to_be_visible()
        now.get_by_role("checkbox", name=re.compile("^Unlink everybody")).uncheck()
        expect(now.locator("[data-selected]")).to_have_text(f"{created - 1} selected")
        now.get_by_role("checkbox", name=re.compile("^Unlink everybody")).check()
        now.get_by_role("button", name=re.compile("^All")).click()
        expect(boxes).to_have_count(created)
    now.get_by_role("button", name=re.compile("^Delete the checked")).click()
    expect(page.get_by_text("Stays: everybody who was here before, and 1 person")).to_be_visible()
    page.get_by_role("button", name=re.compile(f"^Delete {created - 1} and unlink 2")).click()
    expect(page.get_by_role("status").filter(has_text=f"{created - 1} deleted, 2 unlinked")).to_be_visible()
    assert len(portal.api.people(organization)) == 2

    page.get_by_label("Microsoft tenant", exact=True).select_option(value=right["id"])
    page.get_by_role("button", name="Remap the Tenant").click()
    expect(page.get_by_role("status").filter(has_text=f"Mapped to {right['name']}.")).to_be_visible()
    page.get_by_role("link", name="Set Up Microsoft User Sync").click()
    expect(page.get_by_text(f"from the Microsoft tenant {right['name']}")).to_be_visible()
