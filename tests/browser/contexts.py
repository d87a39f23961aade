"""Browser contexts that are used again: a new one, with nothing in its cache, costs more than most tests do in it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from playwright.sync_api import Browser, BrowserContext

from tests.browser.guard import Guard

SOON = """
const later = window.setTimeout;
window.setTimeout = (call, wait, ...given) => later(call, wait === 2000 || wait === 3000 ? wait / 10 : wait, ...given);
"""
"""What pages ask for every two or three seconds while something is under way they ask for ten times as often."""


class Contexts:
    """The contexts of one file's tests. All that the portal leaves in one are cookies: they go with the pages."""

    def __init__(self, browser: Browser, defaults: dict[str, Any]) -> None:
        self._browser, self._defaults = browser, defaults
        self._idle: dict[str, list[BrowserContext]] = defaultdict(list)

    @contextmanager
    def one(self, guard: Guard, **options: Any) -> Iterator[BrowserContext]:
        """A context with these options of Playwright's, without pages or cookies, watched for as long as the block lasts."""
        idle = self._idle[repr(sorted(options.items()))]
        context = idle.pop() if idle else self._made(options)
        with guard.watching(context):
            yield context
            for page in context.pages:
                page.close()
        context.clear_cookies()
        idle.append(context)

    def _made(self, options: dict[str, Any]) -> BrowserContext:
        context = self._browser.new_context(**{**self._defaults, **options})
        context.add_init_script(SOON)
        return context

    def close(self) -> None:
        """Close them all."""
        for idle in self._idle.values():
            for context in idle:
                context.close()
