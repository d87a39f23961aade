"""What no page may do: complain in the console, break the CSP, ask another host, get an error that was not expected."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import urlsplit

from playwright.sync_api import BrowserContext, ConsoleMessage, Request, Response, WebError


class Guard:
    """Watches browser contexts; ``verdict`` fails when something happened that ``expect`` did not name."""

    def __init__(self) -> None:
        self._homes: set[str] = set()
        self._expected: dict[tuple[int, str], int] = {}
        self._allowed: set[tuple[int, str]] = set()
        self._trouble: list[str] = []

    def home(self, base: str) -> None:
        """A host that pages may be asked of: the portal's own; in some journeys Microsoft's."""
        self._homes.add(base)

    def expect(self, status: int, path: str) -> None:
        """This journey leads to an error on purpose: ``status`` for an address whose path ends in ``path``."""
        self._expected.setdefault((status, path), 0)

    def allow(self, status: int, path: str) -> None:
        """This may come or not, by who is faster: a question of the page itself about a session that just ended."""
        self._allowed.add((status, path))

    @contextmanager
    def watching(self, context: BrowserContext) -> Iterator[None]:
        """Hear of everything that the pages of a context do within the block."""
        listeners: dict[str, Callable[..., None]] = {
            "console": self._on_console,
            "weberror": self._on_web_error,
            "request": self._on_request,
            "requestfailed": self._on_failure,
            "response": self._on_response,
        }
        for event, listener in listeners.items():
            context.on(event, listener)  # type: ignore[call-overload]
        yield
        for event, listener in listeners.items():
            context.remove_listener(event, listener)

    def verdict(self) -> None:
        """Fail for all trouble seen, and for an expected error that never came."""
        missing = [f"{status} of {path} never came" for (status, path), n in self._expected.items() if not n]
        trouble = [*self._trouble, *missing]
        assert not trouble, "\n".join(trouble)

    def _on_console(self, message: ConsoleMessage) -> None:
        # An answer's status is judged by the answer. htmx calls it an error that a newer question replaces an older one
        # (hx-sync); a request that fails by itself is seen as such.
        judged = ("Failed to load resource: the server responded", "Response Status Error Code")
        quiet = (*judged, "htmx:afterRequest", "htmx:sendAbort")
        if message.type == "error" and not message.text.startswith(quiet):
            self._trouble.append(f"console: {message.text}")

    def _on_web_error(self, error: WebError) -> None:
        self._trouble.append(f"script: {error.error}")

    def _on_request(self, request: Request) -> None:
        if request.url.startswith(("data:", "blob:", "about:")):
            return
        if not any(request.url == home or request.url.startswith(f"{home}/") for home in self._homes):
            self._trouble.append(f"request elsewhere: {request.url}")

    def _on_failure(self, request: Request) -> None:
        # Left behind by somebody who went on, or a download: both are not failures.
        if request.failure != "net::ERR_ABORTED":
            self._trouble.append(f"failed: {request.method} {request.url} {request.failure}")

    def _on_response(self, response: Response) -> None:
        if response.status < 400:
            return
        path = urlsplit(response.url).path
        for key in self._expected:
            if key[0] == response.status and path.endswith(key[1]):
                self._expected[key] += 1
                return
        if any(response.status == status and path.endswith(end) for status, end in self._allowed):
            return
        self._trouble.append(f"{response.status}: {response.request.method} {response.url}")
