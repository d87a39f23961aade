"""The browser tests' Chromium, the guard over every page, and a portal at work.

Chromium is found as ``make test`` finds it. A missing one fails the tests, it never skips them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect
from tools import browser as chromium

from tests.browser.contexts import Contexts
from tests.browser.guard import Guard
from tests.browser.running_portal import PASSWORD, PEOPLE, AtWork, running_portal

# Enough for a machine that is busy with other tests too: nothing that comes as it should waits for it.
expect.set_options(timeout=20_000)


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """What pytest-playwright starts Chromium with. No sandbox: it refuses to run as root, and pages are our own."""
    path = chromium.find()
    if path is None:
        pytest.fail(chromium.ADVICE, pytrace=False)
    return {
        **browser_type_launch_args,
        "executable_path": path,
        "args": ["--no-sandbox", "--disable-dev-shm-usage"],
    }


@pytest.fixture(scope="session")
def browser_context_args(browser_context_args: dict[str, Any]) -> dict[str, Any]:
    """The simulated Microsoft's certificate is signed by an authority of the test's own."""
    return {**browser_context_args, "ignore_https_errors": True}


@pytest.fixture(autouse=True)
def guard() -> Iterator[Guard]:
    """Fails the test for a console error, a CSP violation, a request elsewhere or an answer that no journey expects."""
    watching = Guard()
    yield watching
    watching.verdict()


@pytest.fixture(scope="module")
def contexts(browser: Browser, browser_context_args: dict[str, Any]) -> Iterator[Contexts]:
    """What the tests of a file look at pages with."""
    found = Contexts(browser, browser_context_args)
    yield found
    found.close()


@pytest.fixture
def context(contexts: Contexts, guard: Guard) -> Iterator[BrowserContext]:
    """What pytest-playwright's ``page`` belongs to, watched."""
    with contexts.one(guard) as context:
        yield context


@pytest.fixture(scope="module")
def portal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AtWork]:
    """One portal and its simulated Microsoft for all tests of a file."""
    with running_portal(tmp_path_factory.mktemp("portal")) as running:
        yield running


@pytest.fixture
def visit(contexts: Contexts, guard: Guard, portal: AtWork) -> Iterator[Callable[..., Page]]:
    """Open a browser for somebody who is signed in, as wide and as dark as told, with script or without."""
    guard.home(portal.base)

    def sign_in(role: str = "administrator", **options: Any) -> Page:
        context = stack.enter_context(contexts.one(guard, base_url=portal.base, **options))
        context.set_default_timeout(20_000)
        page = context.new_page()
        if role in portal.signed_in:
            context.add_cookies(portal.signed_in[role])
            page.goto("/")
        else:
            page.goto("/login")
            page.get_by_label("Email").fill(PEOPLE[role])
            page.get_by_label("Password").fill(PASSWORD)
            page.get_by_role("button", name="Sign in", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Dashboard")
        portal.signed_in[role] = context.cookies()
        return page

    with ExitStack() as stack:
        yield sign_in


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark this folder's tests, so that ``-m 'not browser'`` leaves them out; one process runs all of a file."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.xdist_group(item.path.stem))
    # The longest first, so that nobody waits for it at the end.
    items.sort(key=lambda item: item.path.stem != "test_every_page")
