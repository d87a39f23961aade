"""``/api/docs``: Swagger UI under our own policy, readable by everybody; a call is tried with a token that is entered there."""

import pytest
from playwright.sync_api import expect

from tests.browser.accessibility import violations


def try_out(page, token):
    """Enter a token and list the Tenants: the operation, and the status that its call got."""
    expect(page.locator("#operations-tag-Tenants")).to_be_visible(timeout=60_000)  # a large script
    page.get_by_role("button", name="Authorize", exact=True).click()
    page.locator(".auth-container input").fill(token)
    page.locator(".auth-btn-wrapper").get_by_role("button", name="Apply credentials").click()
    page.locator(".auth-btn-wrapper").get_by_role("button", name="Close").click()
    page.locator("#operations-tag-Tenants").click()
    operation = page.locator("#operations-Tenants-list_tenants")
    operation.locator(".opblock-summary-control").click()
    operation.get_by_role("button", name="Try it out").click()
    with page.expect_response(lambda response: "/api/v1/tenants" in response.url) as answer:
        operation.get_by_role("button", name="Execute").click()
    expect(operation.locator(".live-responses-table")).to_be_visible()
    return operation, answer.value.status


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_O2_a_call_is_tried_with_a_token_in_either_theme(visit, portal, scheme, width):
    page = visit(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto("/settings/tokens")
    page.get_by_role("link", name="REST API", exact=True).click()
    expect(page.get_by_role("heading", level=1)).to_have_text("REST API")
    operation, status = try_out(page, "the-token")
    assert status == 200
    expect(operation.locator(".live-responses-table")).to_contain_text("Harborview")
    assert ("dark-mode" in (page.locator("html").get_attribute("class") or "")) is (scheme == "dark")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert violations(page) == []


def test_O2_being_signed_in_is_no_token(visit, guard):
    guard.expect(401, "/api/v1/tenants")
    page = visit("read-only")
    page.goto("/api/docs")
    _, status = try_out(page, "rc_nonsense")
    assert status == 401


def test_O2_who_is_not_signed_in_is_led_to_the_page_and_one_without_script_to_the_document(
    visit, portal, page, guard
):
    guard.home(portal.base)
    page.goto(f"{portal.base}/api/docs")
    assert page.url == f"{portal.base}/login?next=%2Fapi%2Fdocs"
    plain = visit(java_script_enabled=False)
    plain.goto("/api/docs")
    expect(plain.get_by_text("Without JavaScript")).to_be_visible()
    link = plain.get_by_role("link", name="OpenAPI document")
    assert plain.request.get(link.get_attribute("href")).json()["openapi"] == "3.1.0"
