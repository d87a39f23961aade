"""Browser contexts that are used again: a new one, with nothing in its cache, costs more than most tests do in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext

from tests.browser.guard import Guard


class Contexts:
    """The contexts of one file's tests. All that the portal leaves in one are cookies: they go with the pages."""

    def __init__(self, browser: Browser, defaults: dict[str, Any]) -> None:
        self._browser, self._defaults = browser, defaults
        self._idle: dict[str, list[BrowserContext]] = defaultdict(list)

    @contextmanager
    def one(self, guard: Guard, **options: Any) -> Iterator[BrowserContext]:
        """A context with these options of Playwright's, without pages or cookies, watched for as long as the block lasts."""
        idle = self._idle[repr(sorted(options.items()))]
        context = idle.pop() if idle else self._browser.new_context(**{**self._defaults, **options})
        with guard.watching(context):
            yield context
            for page in context.pages:
                page.close()
        context.clear_cookies()
        idle.append(context)

    def close(self) -> None:
        """Close them all."""
        for idle in self._idle.values():
            for context in idle:
                context.close()
