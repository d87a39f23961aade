"""The journeys of product.md in a real browser, on the simulator over HTTPS, with and without JavaScript."""

import re

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from tests.browser.at_work import BOTH

AXE = Axe()
ONLY_VIOLATIONS = {"resultTypes": ["violations"]}


@BOTH
def test_U6_from_sign_in_to_visible_end_users_in_under_ten_clicks(visit, portal, script):
    page = visit(java_script_enabled=script)
    name = "Harborview"
    page.get_by_role("link", name="Organizations", exact=True).click()  # sign-in was the first click
    page.get_by_role("rowheader", name=name).get_by_role("link").click()
    page.get_by_role("link", name=re.compile("Set Up Microsoft User Sync|Manage$")).first.click()
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
    page.get_by_role("searchbox", name="Find an Organization or person").fill("Pia")
    page.keyboard.press("Enter")
    page.get_by_role("link", name=person).click()
    page.get_by_label("Job title").fill("Fitter")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_label("Job title")).to_have_value("Fitter")
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
    for name in ("Quin Able", "Quin Baker"):
        add_person(portal, f"{name} {script}")
    page = visit("technician", java_script_enabled=script)
    page.goto(f"/organizations/{portal.organization_id}/end-users?source=manual")
    expect(page.get_by_role("link", name=re.compile("^Source: Entered by hand"))).to_be_visible()
    page.get_by_role("searchbox", name="Quick search").fill(f"quin {script}")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"source=manual.*q=quin|q=quin.*source=manual"))
    expect(page.get_by_text(re.compile(r"1–2 of 2 filtered"))).to_be_visible()
    page.get_by_role("columnheader", name="Name").get_by_role("link").click()
    expect(page).to_have_url(re.compile("sort=-name"))
    expect(page.locator("tbody tr").first).to_contain_text("Quin Baker")
    with page.expect_download() as caught:
        page.get_by_role("link", name="Export CSV").click()
    assert len(caught.value.path().read_text().strip().splitlines()) == 3
    page.get_by_role("checkbox", name=re.compile("Select Quin Able")).check()
    page.get_by_role("button", name="Delete…", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Delete")
    page.get_by_role("button", name=re.compile("^Delete")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Harborview")
    page.goto(f"/organizations/{portal.organization_id}/end-users?q=quin+{script}")
    expect(page.get_by_text(re.compile(r"1–1 of 1 filtered"))).to_be_visible()


def test_U13_dialogs_are_accessible_in_both_themes_and_widths(visit, portal):
    page = visit()
    found = []
    for opener in (re.compile("^Set Up"), "Unmap…", "Remap…", "Rename this Tenant"):
        page.goto(f"/tenants/{portal.tenant_id}")
        page.get_by_role("link", name=opener).first.click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("heading").first).to_be_visible()
        dialog.evaluate("node => node.querySelectorAll('details').forEach(one => { one.open = true; })")
        for width in (1280, 390):
            page.set_viewport_size({"width": width, "height": 900})
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme, reduced_motion="reduce")
                where = f"{opener} at {width} {scheme}"
                found += [(where, v["id"], v["nodes"][0]["html"][:160]) for v in AXE.run(page, options=ONLY_VIOLATIONS).response["violations"]]
        page.set_viewport_size({"width": 1280, "height": 900})
    page.goto("about:blank")
    assert found == []


def add_person(portal, name):
    email = f"{name.replace(' ', '.')}@hand.example"
    portal.api.post(f"/organizations/{portal.organization_id}/end-users", {"display_name": name, "email": email})
    return name


@pytest.fixture(scope="module")
def pages(portal):
    """The address of every page, with something on it: a hold, a conflict, an Asset, a pin, somebody of the sync."""
    names = [f"Walter Walked {number}" for number in range(5)]
    organization, ids = portal.synced("Walked", "Walking", *names, hold={"percent": 10, "minimum": 2})
    first = portal.api.everything(f"/organizations/{organization}/user-sync/runs")[0]["id"]
    person = portal.person(organization, names[0])
    exception = {"kind": "pin", "end_user_id": person, "field": "job_title", "reason": "Ours is right"}
    portal.api.post(f"/organizations/{organization}/exceptions", exception)
    asset = {"name": "LAPTOP-7", "mac_addresses": ["02-00-00-00-00-07"], "end_user_id": person}
    asset_id = portal.api.post(f"/organizations/{organization}/assets", asset)["id"]
    for id_ in ids[2:]:
        portal.control.disable_user(portal.home.id, id_)
    for word in ("One", "Two"):
        portal.control.create_user(
            portal.home.id,
            displayName=f"Dora {word}",
            userPrincipalName=f"dora.{word.lower()}@{portal.home.domains[0]}",
            mail=f"dora@{portal.home.domains[0]}",
            department="Walking",
        )
    held = portal.api.synced(organization)
    assert held["status"] == "held", held
    assert portal.api.everything(f"/organizations/{organization}/conflicts") != []
    own, runs = f"/organizations/{organization}", f"/sync-runs/{first}"
    directory = f"/microsoft-tenants/{portal.home_id}"
    tenant = f"/tenants/{portal.tenant_id}"
    return [
        "/", "/search?q=a", "/account", "/nowhere",
        "/organizations", "/organizations/new", own, f"{own}/edit", f"{own}/history", f"{own}/exceptions",
        f"{own}/conflicts", f"{own}/recovery", f"{own}/assets", f"{own}/assets/new", f"{own}/assets/import",
        f"/assets/{asset_id}", f"/assets/{asset_id}/delete",
        f"{own}/end-users", f"{own}/end-users/new", f"{own}/end-users/import",
        f"/end-users/{person}", f"/end-users/{person}/why", f"/end-users/{person}/delete",
        f"/end-users/{person}/unlink", f"/end-users/{person}/pin/city",
        f"{own}/user-sync", f"{own}/user-sync/status", f"{own}/user-sync/disable",
        f"/organizations/{portal.organization_id}/user-sync", f"/organizations/{portal.organization_id}/delete",
        tenant, f"{tenant}/map", f"{tenant}/unmap", f"{tenant}/rename", f"{tenant}/delete", "/tenants/new",
        "/microsoft-tenants", "/microsoft-tenants/connect", "/microsoft-tenants/discover",
        directory, f"{directory}/coverage", f"{directory}/remove", f"{directory}/map",
        "/sync-runs", runs, f"{runs}/undo", f"/sync-runs/{held['id']}",
        "/settings/about", "/settings/people", "/settings/tokens", "/settings/microsoft", "/settings/notifications",
        "/settings/audit",
    ]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_U13_every_page_is_accessible_and_fits(visit, guard, pages, scheme, width):
    guard.expect(404, "/nowhere")
    page = visit(color_scheme=scheme, viewport={"width": width, "height": 900})
    found = []
    for path in pages:
        page.goto(path)
        for violation in AXE.run(page, options=ONLY_VIOLATIONS).response["violations"]:
            found.append((path, violation["id"], [node["html"][:160] for node in violation["nodes"][:3]]))
        if page.evaluate("document.documentElement.scrollWidth > document.documentElement.clientWidth"):
            found.append((path, "scrolls sideways"))
    page.goto("about:blank")
    assert found == []
