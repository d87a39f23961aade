"""Holds, conflicts, undo and recovery (G1, M7, R3, R5): the journeys where somebody decides, with and without script."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.guard import Guard
from tests.browser.running_portal import BOTH, AtWork

Visit = Callable[..., Page]


@pytest.mark.parametrize("choice", ["apply", "dismiss"])
@BOTH
def test_G1_a_paused_sync_is_reviewed_and_settled(
    visit: Visit, portal: AtWork, script: bool, choice: str
) -> None:
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
    expect(hold.get_by_role("row", name=re.compile(people[0]))).to_contain_text("Mark disabled")
    hold.get_by_role("button", name=f"{choice.capitalize()} all 3…").click()
    page.get_by_role(
        "button", name=f"{'Apply to' if choice == 'apply' else 'Dismiss for'} 3 people", exact=True
    ).click()
    expect(page.locator("#hold")).to_contain_text("applied" if choice == "apply" else "dismissed")
    page.goto(f"/tenants/{portal.tenant_id}")
    expect(row.get_by_text("Enabled", exact=True)).to_be_visible()
    page.goto(f"/organizations/{organization}/end-users?microsoft_status=disabled")
    expect(page.locator("tbody tr")).to_have_count(3 if choice == "apply" else 0)
    assert len(portal.api.people(organization)) == 4


@BOTH
def test_G1_some_are_applied_and_others_dismissed_by_name(
    visit: Visit, portal: AtWork, guard: Guard, script: bool
) -> None:
    """Over 50 lines: one hold, decided in steps; each page shows what the step before it left."""
    guard.expect(422, "/held/confirm")
    word = f"parts {script}"
    people = [f"Hal Part {number:02} {script}" for number in range(30)]
    organization, ids = portal.synced(
        f"Held {word}", f"Holding {word}", *people, hold={"percent": 25, "minimum": 2}
    )
    for id_ in ids:
        portal.control.disable_user(portal.home.id, id_)
    run = portal.api.synced(organization)
    assert run["status"] == "held" and run["held"]["count"] == 30
    page = visit(java_script_enabled=script)
    page.goto(f"/sync-runs/{run['id']}")
    hold = page.locator("#hold")
    chosen = hold.locator("[data-selected]")
    hold.get_by_role("button", name="Apply selected…").click()
    expect(page.get_by_text("Check at least one person first.")).to_be_visible()
    hold.get_by_role("checkbox", name=f"Select {people[0]}").check()
    hold.get_by_role("button", name="Page 2", exact=True).click()
    expect(hold.get_by_text("1 selected and not shown here")).to_be_visible()
    hold.get_by_role("checkbox", name=f"Select {people[29]}").check()
    hold.get_by_role("searchbox").fill("part 03")
    hold.get_by_role("searchbox").press("Enter")
    expect(hold.locator("tbody tr")).to_have_count(1)
    expect(chosen).to_have_text("2 selected")
    hold.get_by_role("button", name="Select all 1 found").click()
    expect(chosen).to_have_text("3 selected")
    if script:  # what is checked counts at once
        hold.get_by_role("checkbox", name=f"Select {people[3]}").uncheck()
        expect(chosen).to_have_text("2 selected")
        hold.get_by_role("checkbox", name="Select all on this page").check()
        expect(chosen).to_have_text("3 selected")
    hold.get_by_role("button", name="Apply selected…").click()
    expect(page.get_by_text("27 others still wait, and the sync stays Paused.")).to_be_visible()
    page.get_by_role("button", name="Apply to 3 people", exact=True).click()
    expect(
        page.get_by_role("status").filter(has_text="Applied to 3 people. 27 people still wait.")
    ).to_be_visible()
    expect(hold).to_contain_text("27 of 30 people held back still wait.")

    hold.get_by_role("button", name="Select all 27").click()
    expect(chosen).to_have_text("27 selected")
    hold.get_by_role("checkbox", name=f"Select {people[1]}").uncheck()
    hold.get_by_role("button", name="Dismiss selected…").click()
    page.get_by_role("button", name="Dismiss for 26 people", exact=True).click()
    expect(hold).to_contain_text("1 of 30 people held back still waits.")
    hold.get_by_role("button", name="Apply all 1…").click()
    page.get_by_role("button", name="Apply to 1 person", exact=True).click()
    expect(hold).to_contain_text("Applied to 4 people, dismissed for 26.")
    disabled = {
        row["display_name"]
        for row in portal.api.people(organization).values()
        if row["microsoft"]["status"] == "disabled"
    }
    assert disabled == {people[0], people[1], people[3], people[29]}
    assert portal.api.get(f"/organizations/{organization}/user-sync")["status"] == "enabled"


@BOTH
def test_M7_one_conflict_is_settled_by_a_link_the_other_ignored(
    visit: Visit, portal: AtWork, script: bool
) -> None:
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
    rows = page.locator("article")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text("Two Microsoft users have this email.")
    expect(rows.first.locator(".rc-side-taken")).to_contain_text("because it is linked already")
    rows.first.get_by_role("button", name=re.compile("^Keep this one")).click()
    expect(rows).to_have_count(1)
    expect(rows.first).to_contain_text(f"{linked} leaves")
    rows.first.get_by_role("button", name=re.compile("^Use this one")).click()
    expect(page.get_by_role("heading", name="No open conflicts")).to_be_visible()
    page.get_by_role("link", name="Settled", exact=True).click()
    expect(rows.filter(has_text="Ignored until one side changes")).to_have_count(1)
    expect(rows.filter(has_text=f"{linked}, who is meant")).to_have_count(1)


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
    expect(page.get_by_role("list", name="Not restored")).to_contain_text(kept)
    expect(page.get_by_role("list", name="Deleted")).not_to_contain_text(kept)
    assert len(portal.api.people(organization)) == 2
    page.get_by_role("button", name="Undo and delete 1 End User").click()
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    expect(page.get_by_text("This run undoes")).to_be_visible()
    portal.api.finished(portal.api.get(f"/organizations/{organization}/user-sync/runs")["items"][0]["id"])
    assert [row["display_name"] for row in portal.api.people(organization).values()] == [kept]


@BOTH
def test_R3_P12_the_guided_page_leads_out_of_a_wrong_tenant(
    visit: Visit, portal: AtWork, script: bool
) -> None:
    """Over 50 lines: the whole way out of a wrong tenant, told in the order in which somebody goes it."""
    name = f"Lost {script}"
    wrong, right = portal.another_microsoft_tenant(), portal.another_microsoft_tenant()
    organization, tenant_id = portal.on_its_own(name)
    portal.api.put(f"/tenants/{tenant_id}/microsoft-tenant", {"microsoft_tenant_id": wrong["id"]})
    there = portal.simulator.world.tenants[wrong["directory_id"]]
    linked = next(
        user for user in portal.control.users(there.id) if user.get("mail") and user["accountEnabled"]
    )
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
        now.get_by_role("checkbox", name=re.compile("^Unlink everyone")).uncheck()
        expect(now.locator("[data-selected]")).to_have_text(f"{created - 1} selected")
        now.get_by_role("checkbox", name=re.compile("^Unlink everyone")).check()
        now.get_by_role("button", name=re.compile("^All")).click()
        expect(boxes).to_have_count(created)
    now.get_by_role("button", name=re.compile("^Delete the checked")).click()
    expect(page.get_by_text("Stays: everyone who was here before, and 1 person")).to_be_visible()
    page.get_by_role("button", name=re.compile(f"^Delete {created - 1} and unlink 2")).click()
    expect(page.get_by_role("status").filter(has_text=f"{created - 1} deleted, 2 unlinked")).to_be_visible()
    assert len(portal.api.people(organization)) == 2

    page.get_by_label("Microsoft tenant", exact=True).select_option(value=right["id"])
    page.get_by_role("button", name="Remap the Tenant").click()
    expect(page.get_by_role("status").filter(has_text=f"Mapped to {right['name']}.")).to_be_visible()
    page.get_by_role("link", name="Set Up Microsoft Entra ID User Sync").click()
    expect(page.get_by_text(f"from the Microsoft tenant {right['name']}")).to_be_visible()
