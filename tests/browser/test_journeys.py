"""Whole journeys in a real browser, on the simulator over HTTPS, with and without JavaScript."""

import re

from playwright.sync_api import expect

from tests.browser.accessibility import looked_at
from tests.browser.running_portal import BOTH


@BOTH
def test_U6_from_sign_in_to_visible_end_users_in_under_ten_clicks(visit, portal, script):
    page = visit(java_script_enabled=script)
    name = "Harborview"
    page.get_by_role("link", name="Organizations", exact=True).click()  # sign-in was the first click
    page.get_by_role("rowheader", name=name).get_by_role("link").click()
    page.get_by_role("link", name=re.compile("Set Up Microsoft Entra ID User Sync|Manage$")).first.click()
    column = page.get_by_role("row", name=re.compile(name))
    column.get_by_role("link", name=re.compile("^Set Up")).click()
    page.get_by_role("button", name="Enable Sync").click()
    if script:
        expect(page.get_by_role("dialog")).to_contain_text("in progress")
        page.get_by_role("dialog").get_by_role("link", name="Close", exact=True).click()
    else:
        page.goto(f"/organizations/{portal.organization_id}")
        page.get_by_role("link", name="Manage", exact=True).click()
    enabled = page.get_by_role("row", name=re.compile(name)).get_by_text("Enabled", exact=True)
    if script:
        expect(enabled).to_be_visible(timeout=30_000)
    else:
        for _ in range(200):
            if enabled.is_visible():
                break
            page.reload()
    page.get_by_role("rowheader", name=name).get_by_role("link").click()
    expect(page.locator("tbody tr").first).to_be_visible()
    expect(page.get_by_text(re.compile(r"1–50 of \d\d"))).to_be_visible()
    # U8: and off again, for the next test
    page.goto(f"/organizations/{portal.organization_id}/user-sync/disable")
    page.get_by_role("button", name=re.compile("Disable")).click()
    expect(page.get_by_role("link", name=re.compile("^Set Up"))).to_be_visible()


def test_R2_a_technician_is_told_what_is_in_the_way_of_unmapping(visit, portal):
    page = visit("technician")
    page.goto(f"/tenants/{portal.tenant_id}")
    expect(page.get_by_role("link", name=re.compile("^Set Up"))).to_have_count(0)
    page.get_by_role("link", name="Unmap…").click()
    expect(page.get_by_role("dialog").get_by_role("button", name="Unmap")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()


@BOTH
def test_P6_P14_a_technician_finds_pins_and_deletes_a_person_for_good(visit, portal, script):
    person = add_person(portal, f"Pia {'Script' if script else 'Plain'}")
    page = visit("technician", java_script_enabled=script)
    page.get_by_role("combobox", name="Find anything").fill("Pia")
    page.keyboard.press("Enter")
    page.get_by_role("link", name=person).click()
    page.get_by_label("Job Title").fill("Fitter")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Job Title")).to_have_value("Fitter")
    page.get_by_role("link", name="Why?").click()
    if script:
        expect(page.get_by_role("dialog")).to_be_visible()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
    else:
        page.get_by_role("link", name="Close").click()
    page.get_by_role("link", name="Delete…").click()
    page.get_by_role("button", name="Delete End User").click()
    expect(page.get_by_text(f"{person} is deleted.")).to_be_visible()


@BOTH
def test_P5_the_table_keeps_its_state_in_the_address(visit, portal, script):
    for name in ("Quin Able", "Quin Baker", "Rex Other"):
        add_person(portal, f"{name} {script}")
    page = visit("technician", java_script_enabled=script)
    page.goto(f"/organizations/{portal.organization_id}/end-users?source=manual")
    expect(page.get_by_role("link", name=re.compile("^Source: Entered by hand"))).to_be_visible()
    page.get_by_role("searchbox", name="Quick search").fill(f"quin {script}")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"source=manual.*q=quin|q=quin.*source=manual"))
    expect(page.get_by_text(re.compile(r"1–2 of 2 filtered"))).to_be_visible()
    with page.expect_download() as caught:
        page.get_by_role("link", name="Export CSV").click()
    assert len(caught.value.path().read_text().strip().splitlines()) == 3
    page.get_by_role("columnheader", name="Name").get_by_role("link").click()
    expect(page).to_have_url(re.compile("sort=-name"))
    expect(page.locator("tbody tr").first).to_contain_text("Quin Baker")
    page.get_by_role("checkbox", name=re.compile("Select Quin Able")).check()
    page.get_by_role("button", name="Delete…", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Delete")
    page.get_by_role("button", name=re.compile("^Delete")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Harborview")
    page.goto(f"/organizations/{portal.organization_id}/end-users?q=quin+{script}")
    expect(page.get_by_text(re.compile(r"1–1 of 1 filtered"))).to_be_visible()


def test_U13_dialogs_are_accessible_in_both_themes_and_widths(visit, portal):
    page = visit()
    page.emulate_media(reduced_motion="reduce")
    found = []
    for opener in (re.compile("^Set Up"), "Unmap…", "Remap…", "Rename this Tenant"):
        page.goto(f"/tenants/{portal.tenant_id}")
        page.get_by_role("link", name=opener).first.click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("heading").first).to_be_visible()
        dialog.evaluate("node => node.querySelectorAll('details').forEach(one => { one.open = true; })")
        found += looked_at(page, str(opener))
    page.goto("about:blank")
    assert found == []


def test_U13_a_dialog_is_as_large_as_what_it_asks(visit, portal):
    page = visit()
    for opener, is_large in ((re.compile("^Set Up"), True), ("Remap…", False), ("Rename this Tenant", False)):
        page.goto(f"/tenants/{portal.tenant_id}")
        page.get_by_role("link", name=opener).first.click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("button").last).to_be_visible()
        expect(dialog.get_by_role("progressbar")).to_have_count(0)
        assert (dialog.bounding_box()["width"] > 600) is is_large, opener
        page.set_viewport_size({"width": 390, "height": 900})
        assert (dialog.bounding_box()["height"] > 600) is is_large, opener
        page.set_viewport_size({"width": 1280, "height": 900})


def add_person(portal, name):
    email = f"{name.replace(' ', '.')}@hand.example"
    portal.api.post(
        f"/organizations/{portal.organization_id}/end-users", {"display_name": name, "email": email}
    )
    return name
