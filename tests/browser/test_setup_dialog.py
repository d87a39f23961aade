"""U1, U5, U6, U13: the set-up pop-up in a real browser, from Tenant Details and back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from portal import create_app
from portal.config import Settings
from portal.extensions import db, mark_write
from portal.models import Organization
from tests import templates
from tests.browser.guard import Guard
from tests.browser.running_portal import looking
from tests.web import customers


@pytest.fixture
def tenant_page(tmp_path: Path, sqlite_template: Path, page: Page, guard: Guard) -> Iterator[str]:
    """The address of a Tenant with one Organization, in a browser that is signed in as an administrator."""
    templates.copy(sqlite_template, tmp_path / "rollcall.db")
    app = create_app(Settings(data_dir=tmp_path, secret_key="k" * 40, scheduler="off"))
    with app.app_context():
        mark_write(db.session())
        microsoft = customers.microsoft_tenant()
        row = customers.organization(microsoft=microsoft)
        for name, department in (("Ada", "Fundraising"), ("Bo", "Fundraising"), ("Cy", "Legal")):
            customers.directory_user(microsoft, name, f"{name}@harborview.example", department=department)
        for number in range(1, 12):  # so many offices that their section has a search (U2)
            customers.directory_user(
                microsoft, f"Dee {number}", f"dee{number}@harborview.example", office=f"Hall {number}"
            )
        db.session.commit()
        path = f"/tenants/{db.session.get_one(Organization, row.id).tenant_id}"
    with looking(app, page, guard) as base:
        yield base + path
    with app.app_context():
        db.engine.dispose()


@contextmanager
def held(page: Page, address: str | re.Pattern[str]) -> Iterator[Callable[[], None]]:
    """Hold back the request that the block makes, until the caller lets it go on."""
    waiting: list[Route] = []

    def go_on() -> None:
        while not waiting:
            page.evaluate("() => true")  # the browser says so right after the request it has begun
        waiting.pop().continue_()

    page.route(address, lambda route: waiting.append(route), times=1)
    with page.expect_request(address):
        yield go_on


def test_U6_from_set_up_to_processing_without_leaving_the_page(page: Page, tenant_page: str) -> None:
    page.goto(tenant_page)
    page.get_by_role("link", name="Set Up").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.locator("#match-line")).to_have_text("14 of 14 Microsoft users match")
    dialog.locator("#department-section summary").click()
    dialog.get_by_role("checkbox", name="Fundraising").check()
    expect(dialog.locator("#match")).to_contain_text("2 of 14")
    expect(dialog.locator("#department-choice")).to_have_text("Fundraising")
    dialog.get_by_role("button", name="Enable Sync").click()
    expect(dialog.get_by_role("heading", name="The sync is in progress")).to_be_visible()
    dialog.get_by_role("link", name="Close", exact=True).click()
    expect(dialog).to_be_hidden()
    expect(page.locator("#organizations_table")).to_contain_text("Processing")
    assert page.url == tenant_page
    button = page.get_by_role("button", name="Actions for")
    expect(button).to_be_focused()  # what Set Up has become
    button.click()
    page.get_by_role("link", name="Disable User Sync").click()
    expect(dialog).to_be_visible()
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(button).to_be_focused()


def test_U13_escape_closes_and_gives_the_focus_back(page: Page, tenant_page: str) -> None:
    page.goto(tenant_page)
    opener = page.get_by_role("link", name="Set Up").first
    opener.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("dialog")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page.get_by_role("link", name="Set Up").first).to_be_focused()


def test_U3_an_error_keeps_the_dialog_and_moves_the_focus_to_the_summary(
    page: Page, tenant_page: str, guard: Guard
) -> None:
    guard.expect(422, "/user-sync")
    page.goto(tenant_page)
    page.get_by_role("link", name="Set Up").first.click()
    dialog = page.get_by_role("dialog")
    dialog.locator("#department-section summary").click()
    dialog.locator("[name=department_all]").uncheck()
    dialog.get_by_role("button", name="Enable Sync").click()
    expect(dialog.locator("#problems")).to_be_focused()
    expect(dialog).to_contain_text("Check at least one department, or All.")


def test_U5_a_count_that_comes_after_the_dialog_has_gone_on_is_let_go(page: Page, tenant_page: str) -> None:
    page.goto(tenant_page)
    page.get_by_role("link", name="Set Up").first.click()
    dialog = page.get_by_role("dialog")
    dialog.locator("#department-section summary").click()
    with held(page, "**/recount") as go_on:
        dialog.get_by_role("checkbox", name="Fundraising").check()
    dialog.get_by_role("button", name="Preview names").click()
    expect(dialog.get_by_role("heading", name="Preview")).to_be_visible()
    with page.expect_response("**/recount") as caught:
        go_on()
    caught.value.finished()
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")
    expect(dialog.get_by_role("heading", name="Preview")).to_be_visible()


def test_U5_a_box_checked_just_before_a_count_comes_in_is_counted_too(page: Page, tenant_page: str) -> None:
    page.goto(tenant_page)
    page.get_by_role("link", name="Set Up").first.click()
    dialog = page.get_by_role("dialog")
    dialog.locator("#department-section summary").click()
    with held(page, "**/recount") as go_on:
        dialog.get_by_role("checkbox", name="Fundraising").check()
    dialog.get_by_role("checkbox", name="Legal").check()
    go_on()
    expect(dialog.locator("#match")).to_contain_text("3 of 14")
    expect(dialog.locator("#department-choice")).to_have_text("Fundraising, Legal")


def test_U2_a_box_checked_just_before_found_values_come_in_stays_checked(
    page: Page, tenant_page: str
) -> None:
    page.goto(tenant_page)
    page.get_by_role("link", name="Set Up").first.click()
    dialog = page.get_by_role("dialog")
    section = dialog.locator("#office_location-section")
    section.locator("summary").click()
    with held(page, "**/values/office_location") as go_on:
        section.get_by_role("searchbox").fill("Hall 1")
    section.get_by_role("checkbox", name="Hall 2").check()
    go_on()
    expect(section.get_by_role("status")).to_contain_text("3 of 12 offices match")
    expect(section.get_by_role("checkbox", name="Hall 3")).to_have_count(0)
    expect(section.get_by_role("checkbox", name="Hall 2")).to_be_checked()


def test_U13_a_key_pressed_while_the_list_behind_the_dialog_comes_in_is_not_lost(
    page: Page, tenant_page: str
) -> None:
    page.goto(tenant_page)
    opener = page.get_by_role("link", name="Set Up").first
    opener.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog).to_be_visible()
    page.evaluate(  # Enter, pressed the moment the list has come in
        """() => new MutationObserver((_, observer) => {
            observer.disconnect();
            setTimeout(() => document.activeElement.click());
        }).observe(document.getElementById("organizations_table").parentElement, { childList: true })"""
    )
    with held(page, tenant_page) as go_on:
        page.keyboard.press("Escape")
    expect(opener).to_be_focused()
    go_on()
    expect(dialog.get_by_role("heading", name="Set Up Microsoft Entra ID User Sync")).to_be_focused()


def test_U1_the_dialog_shows_what_was_asked_for_last_and_nothing_once_it_is_closed(
    page: Page, tenant_page: str, guard: Guard
) -> None:
    guard.expect(422, "/user-sync")
    page.goto(tenant_page)
    dialog = page.get_by_role("dialog")
    set_up = page.get_by_role("link", name="Set Up").first
    with held(page, "**/user-sync") as go_on:
        set_up.click()
    page.get_by_role("link", name="Rename this Tenant").click()
    expect(dialog.get_by_label("Name")).to_be_visible()
    with page.expect_response("**/user-sync") as caught:
        go_on()
    caught.value.finished()
    page.evaluate("() => new Promise((seen) => requestAnimationFrame(() => requestAnimationFrame(seen)))")
    expect(dialog.get_by_label("Name")).to_be_visible()
    page.keyboard.press("Escape")
    for department, is_refused in ((False, True), (True, False)):
        set_up.click()
        dialog.locator("#department-section summary").click()
        dialog.locator("[name=department_all]").set_checked(department)
        with held(page, "**/user-sync") as go_on:
            dialog.get_by_role("button", name="Enable Sync").click()
        page.keyboard.press("Escape")
        expect(dialog).to_be_hidden()
        go_on()
        if is_refused:
            expect(dialog.locator("#problems")).to_be_focused()
            page.keyboard.press("Escape")
    expect(page.locator("#organizations_table")).to_contain_text("Processing")
    expect(dialog).to_be_hidden()


def test_U6_an_open_menu_and_the_focus_outlive_what_is_fetched_behind_them(
    page: Page, tenant_page: str, guard: Guard
) -> None:
    page.goto(tenant_page)
    page.get_by_role("link", name="Set Up").first.click()
    page.get_by_role("button", name="Enable Sync").click()
    page.get_by_role("dialog").get_by_role("link", name="Close", exact=True).click()
    menu = page.get_by_role("button", name="Actions for")
    menu.click()
    history = page.get_by_role("link", name="History")
    history.focus()
    look_again = "() => document.body.dispatchEvent(new Event('dialog-closed'))"  # as its poll does
    with page.expect_response(tenant_page) as caught:
        page.evaluate(look_again)
    caught.value.finished()
    expect(history).to_be_focused()
    page.keyboard.press("Escape")
    expect(menu).to_be_focused()
    guard.expect(404, urlsplit(tenant_page).path)
    answer = {"HX-Retarget": "#toasts", "HX-Reswap": "beforeend"}
    page.route(tenant_page, lambda route: route.fulfill(status=404, headers=answer, body="<p>gone</p>"))
    for _ in range(2):
        with page.expect_response(tenant_page) as caught:
            page.evaluate(look_again)
        caught.value.finished()
    expect(page.locator("#toasts")).to_have_text("gone")


def test_P8_what_is_typed_and_chosen_while_a_search_is_answered_is_kept(page: Page, tenant_page: str) -> None:
    page.goto(f"{tenant_page.partition('/tenants')[0]}/sync-runs")
    search, outcome = (
        page.get_by_role("searchbox", name="Organization", exact=True),
        page.get_by_label("Outcome"),
    )
    with held(page, re.compile(r"/sync-runs\?q=Ki&")) as go_on:
        search.press_sequentially("Ki")
    page.get_by_role("button", name="Filter").click()
    outcome.select_option("failed")
    search.press("End")
    search.press_sequentially("m")  # last: its search, should it go out before the answer, has the choice too
    go_on()
    expect(page).to_have_url(re.compile("q=Kim&.*status=failed"))
    expect(search).to_have_value("Kim")
    expect(outcome).to_have_value("failed")


def test_U13_what_goes_wrong_in_a_dialog_is_said_where_it_can_be_read_and_pressed(
    page: Page, tenant_page: str, guard: Guard
) -> None:
    guard.expect(400, "/rename")
    guard.expect(502, "/rename")
    guard.allow(401, "/sync-runs/running")  # asked again after the session has ended
    page.goto(tenant_page)
    page.get_by_role("link", name="Rename this Tenant").click()
    dialog = page.get_by_role("dialog")
    dialog.get_by_label("Name").fill("Another name")
    known = page.context.cookies()
    page.context.clear_cookies()
    dialog.get_by_role("button", name="Save").click()
    toast = dialog.locator("#toasts")
    expect(toast).to_contain_text("your session has ended")
    page.route(
        "**/rename", lambda route: route.fulfill(status=502, body="not the portal's own words"), times=1
    )
    dialog.get_by_role("button", name="Save").click()  # which no message covers
    expect(toast).to_contain_text("This did not work (502).")
    toast.get_by_role("button").last.click()
    expect(dialog.get_by_label("Name")).to_have_value("Another name")
    toast.get_by_role("button").click()
    expect(toast).to_have_text("")
    page.context.add_cookies(known)  # type: ignore[arg-type]
    page.keyboard.press("Escape")
    expect(page.locator("body > #toasts")).to_be_attached()
