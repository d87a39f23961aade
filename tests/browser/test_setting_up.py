"""The set-up pop-up and its sync from beginning to end (U1-U13), with and without JavaScript."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Locator, Page, expect

from tests.browser.guard import Guard
from tests.browser.running_portal import BOTH, AtWork

Visit = Callable[..., Page]


def row_of(page: Page, portal: AtWork, name: str) -> Locator:
    """The Organization's row on Tenant Details."""
    page.goto(f"/tenants/{portal.tenant_id}")
    return page.get_by_role("row", name=re.compile(name))


def from_menu(page: Page, portal: AtWork, name: str, what: str) -> None:
    """Choose from the ⋮ of the Organization's row."""
    row = row_of(page, portal, name)
    row.get_by_role("button", name=f"Actions for {name}").click()
    row.get_by_role("link", name=what).click()


def open_section(page: Page, name: str) -> Locator:
    section = page.locator(f"#{name}-section")
    if section.get_attribute("open") is None:
        section.locator("summary").click()
    return section


def choose(page: Page, department: str, *, script: bool) -> None:
    """Check a department, found by the section's search: there are more than the list shows at once."""
    section = open_section(page, "department")
    section.get_by_role("searchbox", name="Search departments").fill(department)
    if not script:
        page.get_by_role("button", name="Search departments").click()
    section.get_by_role("checkbox", name=re.compile(f"^{department}")).check()


def expect_enabled(page: Page, portal: AtWork, organization: str, name: str) -> None:
    """U6: the column says Enabled in the end: by itself with script, after looking again without."""
    run = portal.api.get(f"/organizations/{organization}/user-sync")["last_run"]
    portal.api.finished(run["id"])
    if page.evaluate("typeof htmx === 'undefined'"):
        page.reload()
    row = page.get_by_role("row", name=re.compile(name))
    expect(row.get_by_text("Enabled", exact=True)).to_be_visible(timeout=15_000)
    expect(row.get_by_role("button", name=f"Actions for {name}")).to_be_visible()


@BOTH
def test_U3_U5_U12_filters_are_chosen_previewed_and_enabled_as_they_are(
    visit: Visit, portal: AtWork, guard: Guard, script: bool
) -> None:
    name, department = f"Plan {script}", f"Planning {script}"
    portal.staff(department, f"Pam Planner {script}", f"Pat Planner {script}")
    organization = portal.organization(name)
    setup = f"/organizations/{organization}/user-sync"
    guard.expect(422, setup)
    page = visit(java_script_enabled=script)
    row_of(page, portal, name).get_by_role(
        "link", name=f"Set Up Microsoft Entra ID User Sync for {name}"
    ).click()
    form = page.get_by_role("dialog") if script else page.locator("main")
    expect(form.get_by_role("heading", name="Set Up Microsoft Entra ID User Sync")).to_be_visible()
    expect(form).to_contain_text(f"Into {name}, from the Microsoft tenant {portal.home.name}")

    section = open_section(page, "department")
    section.get_by_role("checkbox", name=re.compile("^All")).uncheck()
    form.get_by_role("button", name="Enable Sync").click()
    problems = form.get_by_role("alert")
    expect(problems).to_contain_text("Department: Check at least one department, or All.")
    expect(section.get_by_role("checkbox", name=re.compile("^All"))).not_to_be_checked()
    if script:
        expect(problems).to_be_focused()

    choose(page, department, script=script)
    if not script:
        form.get_by_role("button", name="Recount").click()
    expect(page.locator("#match")).to_contain_text(re.compile(r"^\s*What these filters match\s+2 of \d+"))
    expect(page.locator("#department-accepted")).to_have_text(re.compile(r"^2 of"))

    form.get_by_role("button", name="Preview names").click()
    decisions = form.get_by_role("region", name="Decisions")
    for person in ("Pam", "Pat"):
        expect(decisions.get_by_role("row", name=re.compile(person))).to_contain_text("Create")
    form.locator("button[name=show][value=create]").click()
    expect(form.locator("button[aria-current]")).to_contain_text("Create")
    form.get_by_role("searchbox", name="Search the preview").fill("Pam")
    form.get_by_role("searchbox", name="Search the preview").press("Enter")
    expect(decisions.get_by_role("row", name=re.compile("Pat"))).to_have_count(0)
    expect(form.locator("button[aria-current]")).to_contain_text("Create")
    assert portal.api.people(organization) == {}
    form.get_by_role("button", name="Enable with exactly this plan").click()
    progress = page.get_by_role("dialog") if script else page.locator("main")
    expect(progress).to_contain_text(re.compile("in progress|Succeeded"))
    progress.get_by_role("link", name="Close", exact=True).click()
    expect(page).to_have_url(re.compile(f"/tenants/{portal.tenant_id}$"))
    expect_enabled(page, portal, organization, name)
    page.get_by_role("rowheader", name=name, exact=True).get_by_role("link").click()
    expect(page.locator("tbody tr")).to_have_count(2)


def test_U2_all_clears_what_was_checked_and_a_value_clears_all(visit: Visit, portal: AtWork) -> None:
    portal.staff("Clearing", "Clara Clearing")
    organization = portal.organization("Clears")
    page = visit()
    page.goto(f"/organizations/{organization}/user-sync")
    section = open_section(page, "department")
    everything = section.get_by_role("checkbox", name=re.compile("^All"))
    choose(page, "Clearing", script=True)
    expect(everything).not_to_be_checked()
    everything.check()
    expect(section.locator("input[name=department]:checked")).to_have_count(0)
    expect(page.locator("#department-choice")).to_contain_text("All")


@BOTH
def test_U12_a_plan_that_microsoft_has_overtaken_is_shown_anew(
    visit: Visit, portal: AtWork, guard: Guard, script: bool
) -> None:
    name, department = f"Stale {script}", f"Overtaken {script}"
    portal.staff(department, f"Olga Overtaken {script}")
    organization = portal.organization(name)
    guard.expect(422, f"/organizations/{organization}/user-sync")
    page = visit(java_script_enabled=script)
    row_of(page, portal, name).get_by_role("link", name=re.compile("^Set Up")).click()
    open_section(page, "department").get_by_role("checkbox", name=re.compile("^All")).uncheck()
    choose(page, department, script=script)
    page.get_by_role("button", name="Preview names").click()
    expect(page.get_by_role("row", name=re.compile("Olga"))).to_be_visible()
    portal.staff(department, f"Late Latham {script}")
    page.get_by_role("button", name="Enable with exactly this plan").click()
    expect(page.get_by_role("alert")).to_contain_text(
        "Microsoft has changed since this preview. Nothing was applied."
    )
    expect(page.get_by_role("row", name=re.compile("Late Latham"))).to_contain_text("Create")
    assert portal.api.people(organization) == {}
    page.get_by_role("button", name="Enable with exactly this plan").click()
    expect(page.get_by_text(re.compile("in progress|Succeeded")).first).to_be_visible()


@BOTH
def test_U10_a_tenant_that_nobody_fits_takes_one_more_click(
    visit: Visit, portal: AtWork, guard: Guard, script: bool
) -> None:
    name = f"Elsewhere {script}"
    organization = portal.organization(name)
    for number in range(5):
        portal.api.post(
            f"/organizations/{organization}/end-users",
            {"display_name": f"Else {number}", "email": f"else{number}@elsewhere.example"},
        )
    guard.expect(422, f"/organizations/{organization}/user-sync")
    page = visit(java_script_enabled=script)
    row_of(page, portal, name).get_by_role("link", name=re.compile("^Set Up")).click()
    expect(page.locator("#right-tenant")).to_contain_text("None of 5 known e-mail addresses")
    page.get_by_role("button", name="Enable Sync").click()
    expect(page.get_by_role("alert")).to_contain_text("Confirm that it is the right one")
    page.get_by_role("checkbox", name="It is the right one, go on").check()
    page.get_by_role("button", name="Enable Sync").click()
    expect(page.get_by_text(re.compile("in progress|Succeeded")).first).to_be_visible()
    portal.api.finished(portal.api.get(f"/organizations/{organization}/user-sync")["last_run"]["id"])
    portal.api.delete(f"/organizations/{organization}/user-sync")


@BOTH
def test_U7_U11_editing_says_by_name_who_enters_stays_and_leaves(
    visit: Visit, portal: AtWork, script: bool
) -> None:
    name = f"Edited {script}"
    stay, leave, enter = (f"{word} {script}" for word in ("Staying", "Leaving", "Entering"))
    portal.staff(leave, f"Lena Leaves {script}")
    portal.staff(enter, f"Ella Enters {script}")
    portal.staff(stay, f"Stan Stays {script}")
    organization = portal.organization(name)
    portal.api.enabled(organization, department=[stay, leave])
    page = visit(java_script_enabled=script)
    from_menu(page, portal, name, "Edit User Sync Filters")
    section = open_section(page, "department")
    expect(section.get_by_role("checkbox", name=re.compile(leave))).to_be_checked()
    section.get_by_role("checkbox", name=re.compile(leave)).uncheck()
    choose(page, enter, script=script)
    if not script:
        page.get_by_role("button", name="Recount").click()
    for title, person in (("Enters", "Ella"), ("Stays", "Stan"), ("Leaves", "Lena")):
        group = page.locator("#sums details", has=page.locator("summary", has_text=title))
        expect(group.locator("summary")).to_contain_text(re.compile(r"1\s*$"))
        group.locator("summary").click()
        expect(group.get_by_role("list", name=title)).to_contain_text(person)
    page.get_by_role("button", name="Save", exact=True).click()
    expect(
        page.get_by_role("status").filter(has_text="Filters saved. They apply from the next run")
    ).to_be_visible()
    expect(page).to_have_url(re.compile(f"/tenants/{portal.tenant_id}$"))
    saved = portal.api.get(f"/organizations/{organization}/user-sync")
    assert sorted(saved["filters"]["department"]["values"]) == sorted([enter, stay])
    assert len(portal.api.people(organization)) == 2


@BOTH
def test_U8_disabling_asks_first_and_the_column_offers_the_set_up_again(
    visit: Visit, portal: AtWork, script: bool
) -> None:
    name = f"Stopped {script}"
    organization, _ = portal.synced(name, f"Stopping {script}", f"Sid Stopped {script}")
    page = visit("technician", java_script_enabled=script)
    from_menu(page, portal, name, "Disable User Sync")
    expect(page.get_by_text("Stays:")).to_be_visible()
    page.get_by_role("link", name="Keep it on").click()
    row = page.get_by_role("row", name=re.compile(name))
    expect(row.get_by_text("Enabled", exact=True)).to_be_visible()
    from_menu(page, portal, name, "Disable User Sync")
    page.get_by_role("button", name="Disable User Sync").click()
    expect(page.get_by_role("status").filter(has_text=f"The sync of {name} is off.")).to_be_visible()
    expect(row.get_by_text("Not set up")).to_be_visible()  # a technician may not set it up
    page = visit(java_script_enabled=script)
    expect(row_of(page, portal, name).get_by_role("link", name=re.compile("^Set Up"))).to_be_visible()
    assert len(portal.api.people(organization)) == 1


def tab_to(page: Page, wanted: Locator) -> None:
    """Press Tab until the element has the focus."""
    for _ in range(80):
        if wanted.evaluate("node => node === document.activeElement"):
            return
        page.keyboard.press("Tab")
    raise AssertionError(f"Tab never reaches {wanted}")


def test_U13_the_pop_up_by_keyboard_alone(visit: Visit, portal: AtWork) -> None:
    portal.staff("Keyboard", "Kay Keyboard")
    organization = portal.organization("By keyboard")
    page = visit()
    opener = row_of(page, portal, "By keyboard").get_by_role("link", name=re.compile("^Set Up"))
    tab_to(page, opener)
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(opener).to_be_focused()

    page.keyboard.press("Enter")
    expect(dialog.get_by_role("heading", name="Set Up Microsoft Entra ID User Sync")).to_be_focused()
    tab_to(page, dialog.locator("#department-section summary"))
    page.keyboard.press("Enter")
    tab_to(page, dialog.get_by_role("searchbox", name="Search departments"))
    page.keyboard.type("keyb")
    expect(dialog.locator("#department-values")).to_contain_text("1 of")
    tab_to(page, dialog.get_by_role("checkbox", name=re.compile("Keyboard")))
    page.keyboard.press("Space")
    expect(dialog.locator("#department-choice")).to_have_text("Keyboard")
    expect(dialog.get_by_role("checkbox", name=re.compile("^All")).nth(1)).to_be_visible()
    tab_to(page, dialog.get_by_role("button", name="Enable Sync"))
    page.keyboard.press("Enter")
    heading = dialog.get_by_role("heading", name=re.compile("The sync is in progress|Microsoft User Sync"))
    expect(heading).to_be_focused()
    tab_to(page, dialog.get_by_role("link", name="Close", exact=True))
    page.keyboard.press("Enter")
    expect(dialog).to_be_hidden()
    expect_enabled(page, portal, organization, "By keyboard")
    assert len(portal.api.people(organization)) == 1
