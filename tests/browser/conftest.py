"""The browser tests' Chromium: found as ``make test`` finds it. A missing one fails the tests, it never skips them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tools import browser


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any]) -> dict[str, Any]:
    """What pytest-playwright starts Chromium with. No sandbox: it refuses to run as root, and pages are our own."""
    path = browser.find()
    if path is None:
        pytest.fail(browser.ADVICE, pytrace=False)
    return {**browser_type_launch_args, "executable_path": path, "args": ["--no-sandbox", "--disable-dev-shm-usage"]}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark this folder's tests, so that ``-m 'not browser'`` leaves them out."""
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.browser)
