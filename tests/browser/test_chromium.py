"""The browser that all tests of this folder rely on."""

from playwright.sync_api import Page, expect


def test_chromium_starts_and_knows_what_the_pages_use(page: Page) -> None:
    page.set_content(
        "<title>Ready</title><button popovertarget=menu>Open</button><div popover id=menu>Menu</div>"
    )
    expect(page).to_have_title("Ready")
    page.get_by_role("button", name="Open").click()
    expect(page.locator("#menu")).to_be_visible()
