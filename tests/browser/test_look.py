"""U13: both themes, wide and narrow, by axe; nothing scrolls sideways; script does its small part."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from playwright.sync_api import Page, expect

from portal import create_app
from portal.config import Settings
from portal.extensions import db, mark_write
from tests import templates
from tests.browser.accessibility import looked_at
from tests.browser.guard import Guard
from tests.browser.running_portal import looking
from tests.web import customers
from tests.web.frame.conftest import with_trial_pages

LONG = "Sociedade Cooperativa de Responsabilidade Limitada " + "W" * 80
PLACES = {"width": 1280, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture
def app(tmp_path: Path, sqlite_template: Path) -> Iterator[Flask]:
    """The real app with the trial pages, one customer, and a person whose name is long."""
    templates.copy(sqlite_template, tmp_path / "rollcall.db")
    app = with_trial_pages(create_app(Settings(data_dir=tmp_path, secret_key="k" * 40, scheduler="off")))
    with app.app_context():
        mark_write(db.session())
        microsoft = customers.microsoft_tenant()
        row = customers.organization(LONG, microsoft=microsoft)
        customers.directory_user(microsoft, "Ada", "ada@harborview.example")
        customers.end_user(row, LONG, "somebody-with-a-long-address@harborview.example")
        customers.end_user(row, "نورة الحربي", "noura@harborview.example")
        app.config["PAGES"] = (
            "/trial/kitchen-sink",
            "/",
            "/organizations",
            f"/organizations/{row.id}/end-users",
            "/microsoft-tenants",
            f"/tenants/{row.tenant_id}",
            "/sync-runs",
            "/settings/people",
            "/account",
            "/nowhere",
        )
        db.session.commit()
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def base(app: Flask, page: Page, guard: Guard) -> Iterator[str]:
    """Where the app answers, in a browser that is signed in."""
    with looking(app, page, guard) as address:
        yield address


def test_U13_axe_finds_nothing_and_nothing_scrolls_sideways(
    app: Flask, page: Page, base: str, guard: Guard
) -> None:
    guard.expect(404, "/nowhere")
    page.emulate_media(reduced_motion="reduce")
    found = []
    for path in app.config["PAGES"]:
        page.goto(base + path)
        found += looked_at(page, path)
    assert found == []


def test_paper_is_light_whatever_the_screen_is(page: Page, base: str) -> None:
    page.emulate_media(color_scheme="dark")
    page.goto(base + "/organizations")
    page.emulate_media(media="print")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "light")
    expect(page.locator("header")).to_be_hidden()
    page.emulate_media(media="screen")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")


def test_a_time_begins_with_a_capital_on_a_phone_too(page: Page, base: str) -> None:
    page.goto(base + "/microsoft-tenants")
    last_sync = page.locator("td[data-label='Last sync']").first
    for place in PLACES:
        page.set_viewport_size(place)  # type: ignore[arg-type]
        assert "Just now" in last_sync.inner_text(), place


def test_paper_says_when_exactly(page: Page, base: str) -> None:
    page.goto(base + "/microsoft-tenants")
    last_sync = page.locator("td time").first
    shown = "(one) => getComputedStyle(one, '::after').content.replaceAll('\\\"', '')"
    assert last_sync.evaluate(shown) == "none"
    page.emulate_media(media="print")
    assert last_sync.evaluate(shown) == last_sync.get_attribute("title")


def test_paper_shows_what_is_folded(page: Page, base: str) -> None:
    page.goto(base + "/settings/microsoft")
    folded = page.locator("details:not([open]) textarea").first
    expect(folded).to_be_hidden()
    page.emulate_media(media="print")
    expect(folded).to_be_visible()


def test_checked_people_bring_their_bar(page: Page, base: str) -> None:
    page.goto(base + "/trial/kitchen-sink")
    bar = page.locator(".rc-bulk")
    expect(bar).to_be_hidden()
    page.get_by_role("checkbox", name="Select person 2", exact=True).check()
    expect(bar).to_contain_text("1 selected")
    page.get_by_role("checkbox", name="Select all on this page").check()
    expect(bar).to_contain_text("5 selected")


def test_U13_all_can_be_checked_on_a_phone_too(page: Page, base: str) -> None:
    page.set_viewport_size(PLACES[1])  # type: ignore[arg-type]
    page.goto(base + "/trial/kitchen-sink")
    page.get_by_text("Select all on this page").click()
    expect(page.locator(".rc-bulk")).to_contain_text("5 selected")
    expect(page.get_by_role("columnheader", name="Email")).not_to_be_in_viewport(ratio=1)
    page.set_viewport_size(PLACES[0])  # type: ignore[arg-type]
    expect(page.get_by_text("Select all on this page")).to_be_hidden()


def test_an_error_under_htmx_is_shown_and_what_was_entered_stays(page: Page, base: str, guard: Guard) -> None:
    guard.expect(409, "/trial/raise/refused")
    page.goto(base + "/trial/forms")
    page.get_by_label("Name").fill("Harborview")
    page.get_by_role("button", name="Refuse").click()
    expect(page.get_by_role("alert")).to_contain_text("Disable its User Sync first.")
    expect(page.get_by_role("alert")).to_have_count(1)
    expect(page.get_by_label("Name")).to_have_value("Harborview")
    page.get_by_role("button", name="Close this message").click()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_portal_that_does_not_answer_is_said_once_and_can_be_put_away(
    page: Page, base: str, guard: Guard
) -> None:
    page.goto(base + "/organizations")
    page.wait_for_load_state("networkidle")
    ask = """() => document.body.dispatchEvent(new CustomEvent("htmx:sendError", {
        bubbles: true, detail: { requestConfig: { elt: document.body } } }))"""
    for _ in range(3):  # as a poll does while the portal is away
        page.evaluate(ask)
    expect(page.get_by_role("alert")).to_have_count(1)
    expect(page.get_by_role("alert")).to_contain_text("The portal does not answer.")
    page.get_by_role("button", name="Close this message").click()
    expect(page.get_by_role("alert")).to_have_count(0)


def test_a_row_menu_opens_at_its_button_and_closes_by_escape(page: Page, base: str) -> None:
    page.goto(base + "/trial/kitchen-sink")
    button = page.get_by_role("button", name="Actions for person 2")
    button.click()
    menu = page.locator("#m-2")
    expect(menu).to_be_visible()
    at, there = button.bounding_box(), menu.bounding_box()
    assert at is not None
    assert there is not None
    assert abs(there["y"] - (at["y"] + at["height"])) < 16
    assert abs(there["x"] + there["width"] - (at["x"] + at["width"])) < 16
    page.keyboard.press("Escape")
    expect(menu).to_be_hidden()
    expect(button).to_be_focused()


def test_U13_a_menu_that_is_left_by_tab_closes_forwards_and_backwards(page: Page, base: str) -> None:
    page.goto(base + "/trial/kitchen-sink")
    button, menu = page.get_by_role("button", name="Actions for person 2"), page.locator("#m-2")
    button.press("Enter")
    for _ in range(menu.locator("a, button").count()):
        page.keyboard.press("Tab")
        expect(menu).to_be_visible()
    page.keyboard.press("Tab")
    expect(menu).to_be_hidden()
    button.press("Enter")
    expect(menu).to_be_visible()
    page.keyboard.press("Shift+Tab")
    expect(menu).to_be_hidden()
    expect(button).not_to_be_focused()


def test_P5_a_sort_that_is_pressed_while_a_search_is_typed_takes_it_along(page: Page, base: str) -> None:
    page.goto(base + "/organizations?page=1")
    search = page.locator("#quick-search")
    search.evaluate("(field) => { field.value = 'o'; document.querySelector('thead a').click(); }")
    expect(page).to_have_url(re.compile(r"\?(?=.*q=o)(?=.*sort=-name)"))
    expect(search).to_have_value("o")


def test_the_five_places_are_behind_a_button_on_a_phone(page: Page, base: str) -> None:
    page.set_viewport_size(PLACES[1])  # type: ignore[arg-type]
    page.goto(base + "/organizations")
    link = page.get_by_role("link", name="Sync activity")
    expect(link).to_be_hidden()
    page.get_by_role("button", name="Menu").click()
    link.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Sync activity")
