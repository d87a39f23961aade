"""People: exceptions and pins (P14), CSV in and out (P5), and what a read-only person may not press."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import Page, expect

from tests.browser.guard import Guard
from tests.browser.running_portal import BOTH, AtWork

Visit = Callable[..., Page]
OFFERS = """() => [
  ...[...document.forms].flatMap(form => {
    const buttons = [...form.querySelectorAll('button:not([type=button])')];
    return buttons.map(b => [form.method.toUpperCase(), b.getAttribute('formaction') ?? form.getAttribute('action')]);
  }),
  ...[...document.links].filter(link => link.origin === location.origin).map(link => ['GET', link.pathname]),
]"""
"""Method and path of all that a page's buttons and links ask for."""


@BOTH
def test_P14_somebody_is_never_synced_and_a_field_is_pinned(
    visit: Visit, portal: AtWork, script: bool
) -> None:
    person, never = f"Petra Pinned {script}", f"Nora Never {script}"
    organization, ids = portal.synced(f"Excepted {script}", f"Excepting {script}", person)
    portal.staff("Elsewhere", never)
    mail = f"{never.lower().replace(' ', '.')}@{portal.home.domains[0]}"
    page = visit("technician", java_script_enabled=script)
    page.goto(f"/organizations/{organization}/exceptions")
    expect(page.get_by_text("No exceptions.")).to_be_visible()
    page.get_by_label(re.compile("^Email, UPN or Object ID")).fill(mail)
    page.get_by_label("Reason").fill("A mailbox of the fax machine")
    page.get_by_role("button", name="Add to the list").click()
    row = page.get_by_role("row", name=re.compile("Never synced"))
    expect(row).to_contain_text(never)
    expect(row).to_contain_text("A mailbox of the fax machine")
    row.get_by_role("button", name="End").click()
    expect(page.get_by_text("No exceptions.")).to_be_visible()

    page.goto(f"/end-users/{portal.person(organization, person)}")
    expect(page.get_by_label("Job Title")).not_to_be_editable()
    page.get_by_role("link", name=re.compile("^Pin Job Title to our value", re.IGNORECASE)).click()
    page.get_by_role("dialog" if script else "main").get_by_label("Job Title").fill("Lighthouse keeper")
    page.get_by_label("Reason").fill("She asked for it")
    page.get_by_role("button", name="Pin", exact=True).click()
    expect(page.get_by_text("“She asked for it”")).to_be_visible()
    page.get_by_label("Job Title").fill("Lighthouse keeper")
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.get_by_label("Job Title")).to_have_value("Lighthouse keeper")
    portal.control.patch_user(portal.home.id, ids[0], jobTitle="Clerk")
    assert portal.api.synced(organization)["status"] == "succeeded"
    page.reload()
    expect(page.get_by_label("Job Title")).to_have_value("Lighthouse keeper")
    expect(page.get_by_text("Microsoft says Clerk.")).to_be_visible()
    page.get_by_role("button", name="Unpin Job Title").click()
    expect(page.get_by_label("Job Title")).not_to_be_editable()


@BOTH
def test_P5_people_go_out_and_come_in_as_csv(
    visit: Visit, portal: AtWork, tmp_path: Path, script: bool
) -> None:
    organization = portal.organization(f"Imported {script}")
    portal.api.post(
        f"/organizations/{organization}/end-users", {"display_name": "Cora", "email": "cora@hand.example"}
    )
    page = visit("technician", java_script_enabled=script)
    page.goto(f"/organizations/{organization}/end-users")
    with page.expect_download() as caught:
        page.get_by_role("link", name="Export CSV").click()
    lines = list(csv.DictReader(caught.value.path().read_text(encoding="utf-8-sig").splitlines()))
    assert [line["email"] for line in lines] == ["cora@hand.example"]

    sheet = tmp_path / "people.csv"
    sheet.write_text(
        "display_name,email,job_title\nCora,cora@hand.example,Cook\nCarl,carl@hand.example,Carter\nNobody,,None\n"
    )
    page.get_by_role("link", name="Import").click()
    page.get_by_label("CSV file").set_input_files(sheet)
    page.get_by_role("button", name="Review the file").click()
    review = page.get_by_role("region", name="Review")
    expect(review).to_contain_text(re.compile(r"1\s+new\s+1\s+updated\s+0\s+unchanged\s+1\s+rejected"))
    expect(review).to_contain_text("Line 4")
    expect(review.get_by_role("listitem").filter(has_text="Cora")).to_contain_text("Job Title: Cook")
    page.get_by_role("button", name="Import 2 End Users").click()
    result = page.get_by_role("region", name="Result")
    if not script:
        for _ in range(100):
            if "Imported" in result.inner_text():
                break
            page.get_by_role("link", name="Refresh").click()
    expect(result).to_contain_text("Imported")
    page.reload()
    page.get_by_role("link", name="Show End Users").click()
    expect(page.locator("tbody tr")).to_have_count(2)
    expect(page.get_by_role("row", name=re.compile("Cora"))).to_contain_text("Cook")

    page.go_back()
    page.get_by_role("link", name="Undo this import").click()
    page.get_by_role("button", name="Undo and delete 1 End User").click()
    if not script:
        for _ in range(100):
            if "rows undone" in result.inner_text():
                break
            page.get_by_role("link", name="Refresh").click()
    expect(result).to_contain_text("2 rows undone")
    page.get_by_role("link", name="Show End Users").click()
    expect(page.locator("tbody tr")).to_have_count(1)
    expect(page.get_by_role("row", name=re.compile("Cora"))).not_to_contain_text("Cook")


def offers_to_be_refused(page: Page, portal: AtWork, path: str) -> list[str]:
    """The buttons and links of a page that a Read-only person may not follow: "POST /assets"."""
    page.goto(path)
    expect(page.get_by_role("heading", level=1)).to_be_visible()
    return [
        f"{method} {target}"
        for method, target in page.evaluate(OFFERS)
        if not portal.may("read-only", method, target)
    ]


@BOTH
def test_a_read_only_person_sees_no_button_that_may_not_be_pressed(
    visit: Visit, portal: AtWork, guard: Guard, script: bool
) -> None:
    name = f"Looked at {script}"
    people = [f"Lola {n} {script}" for n in ("One", "Two", "Three")]
    organization, ids = portal.synced(name, f"Looking {script}", *people, hold={"percent": 10, "minimum": 2})
    for id_ in ids[:2]:
        portal.control.disable_user(portal.home.id, id_)
    held = portal.api.synced(organization)
    person = portal.person(organization, people[2])
    own = f"/organizations/{organization}"
    page = visit("read-only", java_script_enabled=script)
    readable = [
        "/",
        "/organizations",
        own,
        f"{own}/end-users",
        f"{own}/assets",
        f"{own}/history",
        f"{own}/exceptions",
        f"{own}/conflicts",
        f"{own}/recovery",
        f"{own}/user-sync",
        f"{own}/user-sync/status",
        f"/end-users/{person}",
        f"/end-users/{person}/why",
        f"/tenants/{portal.tenant_id}",
        "/microsoft-tenants",
        f"/microsoft-tenants/{portal.home_id}",
        f"/microsoft-tenants/{portal.home_id}/coverage",
        "/sync-runs",
        f"/sync-runs/{held['id']}",
        "/search?q=Lola",
        "/settings/about",
    ]
    refused = [f"{path}: {offer}" for path in readable for offer in offers_to_be_refused(page, portal, path)]
    assert refused == []

    guard.expect(403, "/microsoft-tenants/connect")
    page.goto("/microsoft-tenants/connect")
    expect(page.get_by_role("heading", level=1)).to_have_text("Your role does not allow this")
    expect(page.get_by_text("Your role is Read-only. This needs the role Administrator:")).to_be_visible()
    page.get_by_role("link", name="Dashboard").last.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Dashboard")
