"""The one place that talks to Graph: sessions, host pinning (G6), retries (G5), paging and batches.

docs/microsoft-graph.md, 4.5 and 11, says how Microsoft's pages and batches behave.
"""

from __future__ import annotations

import random
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import requests

from portal.errors import (
    SourceAuthError,
    SourceBadAnswer,
    SourceError,
    SourcePermissionMissing,
    SourceRejected,
    SourceThrottled,
    SourceTransient,
)
from portal.graph.answers import (
    Answer,
    ObjectMissing,
    bad_answer,
    batch_item,
    failure_of,
    json_or_empty,
    object_of,
)
from portal.graph.connections import graph_session
from portal.graph.retry import BUDGET_SECONDS, RetryAction, decide
from portal.graph.tokens import TokenProvider

CONNECT_SECONDS, READ_SECONDS, SHORTEST_READ = 10.0, 60.0, 5.0
MAX_PAGES = 2000
BATCH = 20
LEFT_OUT = "left_out"
VERSION = "/v1.0"
USER_AGENT = "Rollcall/1 (directory sync)"


@dataclass
class Meter:
    """What a run cost."""

    requests: int = 0
    throttled_seconds: float = 0.0


@dataclass
class GraphClient:
    """Requests to one tenant, one at a time. ``wait`` sleeps and may raise Stopped; ``stop`` is asked before each request."""

    base_url: str
    tokens: TokenProvider
    wait: Callable[[float], None]
    now: Callable[[], datetime]
    stop: Callable[[], None] = lambda: None
    meter: Meter = field(default_factory=Meter)
    jitter: Callable[[], float] = random.random
    before_request: Callable[[], None] | None = None
    on_throttled: Callable[[float], None] | None = None
    _session: requests.Session | None = None
    _had_trouble: bool = False
    _ahead: dict[str, dict[str, Any] | SourceError] = field(default_factory=dict)

    def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """One JSON object. ``path`` starts with ``/`` or is a link that Graph gave. Raises Source errors.

        What ``ask_ahead`` was told is given once, without a request.
        """
        url = self._url(path)
        answer = self._ahead.pop(url, None) if headers is None else None
        if isinstance(answer, SourceError):
            raise answer
        return object_of(self._send("GET", url, headers)) if answer is None else answer

    def ask_ahead(self, paths: Sequence[str]) -> None:
        """Ask for all of ``paths`` in one request, for ``get`` to give in their turns. Raises what concerns all: SourceThrottled and the like.

        What was left out, leads elsewhere (G6), or is refused to this token, is asked for alone when its turn comes.
        """
        root = f"{self.base_url}{VERSION}"
        ours = [path for path in (path.removeprefix(root) for path in paths) if path.startswith("/")]
        for path, answer in zip(ours, self.batch(ours), strict=True):
            is_refused = isinstance(answer, SourceAuthError | SourcePermissionMissing)
            if not is_refused and not (isinstance(answer, SourceError) and answer.code == LEFT_OUT):
                self._ahead[f"{root}{path}"] = answer

    def get_number(self, path: str, *, headers: Mapping[str, str] | None = None) -> int:
        """A plain-text number, as ``$count`` answers."""
        answer = self._send("GET", self._url(path), {"Accept": "text/plain", **(headers or {})})
        text = answer.response.content.decode("utf-8-sig", "replace").strip()
        if not (text.isascii() and text.isdigit()):
            raise bad_answer("a count that is not a number")
        return int(text)

    def pages(self, path: str, *, headers: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
        """Every page to the end, or an error: an iterator that ends has read everything (L2).

        A link that Graph refuses with 400 is restarted from the first page, once.
        """
        link, visited, restarted = path, set[str](), False
        for _ in range(MAX_PAGES):
            try:
                page = self.get(link, headers=headers)
            except SourceRejected as error:
                if error.status != 400 or restarted or link == path:
                    raise
                link, restarted = path, True
                visited.clear()
                continue
            if not isinstance(page.get("value"), list):
                raise bad_answer("a page without a list")
            yield page
            following = page.get("@odata.nextLink")
            if following is None:
                return
            link = self.check_link(following)
            if link in visited:
                raise bad_answer("the same page again and again")
            visited.add(link)
        raise bad_answer(f"more than {MAX_PAGES} pages")

    def batch(self, paths: Sequence[str]) -> list[dict[str, Any] | SourceError]:
        """GETs in one or more ``$batch`` requests; an answer or an error per path. Only failed items are sent again.

        Where ``$batch`` itself is refused each path is asked for alone.
        """
        results: list[dict[str, Any] | SourceError] = [
            SourceTransient("Microsoft did not answer this request.", code=LEFT_OUT)
        ] * len(paths)
        for start in range(0, len(paths), BATCH):
            waiting = {str(n): paths[n] for n in range(start, min(start + BATCH, len(paths)))}
            attempt, waited = 0, 0.0
            while waiting:
                attempt += 1
                pause = 0.0
                try:
                    answers = self._post_batch(waiting)
                except (ObjectMissing, SourceRejected):
                    for number, lone in waiting.items():
                        results[int(number)] = self._alone(lone)
                    break
                for answer in answers:
                    number = str(answer.get("id"))
                    path = waiting.get(number)
                    if path is None:
                        continue
                    status, headers, body = batch_item(answer)
                    choice = decide(
                        attempt=attempt,
                        status=status,
                        headers=headers,
                        now=self.now(),
                        waited=waited,
                        jitter=self.jitter(),
                    )
                    if status == 200:
                        results[int(number)] = body
                    elif choice.next is RetryAction.RETRY:
                        pause = max(pause, choice.wait_seconds)
                        continue
                    else:
                        results[int(number)] = failure_of(status, body, self.now(), choice.wait_seconds)
                    del waiting[number]
                if waiting and pause == 0.0:
                    break  # items that were not answered at all stay the transient error
                if waiting:
                    self.meter.throttled_seconds += pause
                    waited += pause
                    self.wait(pause)
        return results

    def _alone(self, path: str) -> dict[str, Any] | SourceError:
        try:
            return self.get(path)
        except (SourceAuthError, SourceThrottled):
            raise
        except SourceError as error:
            return error

    def _post_batch(self, waiting: Mapping[str, str]) -> list[dict[str, Any]]:
        items = [{"id": number, "method": "GET", "url": path} for number, path in waiting.items()]
        answer = object_of(self._send("POST", self._url("/$batch"), None, {"requests": items}))
        responses = answer.get("responses")
        if not isinstance(responses, list) or not all(isinstance(item, dict) for item in responses):
            raise bad_answer("a batch without answers")
        return responses

    def _send(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: dict[str, Any] | None = None
    ) -> Answer:
        attempt, waited, renewed = 0, 0.0, False
        began = self.now()
        while True:
            attempt += 1
            self.stop()
            try:
                token = self.tokens.token()
            except SourceTransient as no_token:
                waited = max(waited, (self.now() - began).total_seconds())
                waited += self._wait_for_login(attempt, waited, no_token)
                continue
            if self.before_request is not None:
                self.before_request()
            answer, status = self._try(method, url, headers, body, token, waited)
            if answer is not None and status is not None and 200 <= status < 300:
                return answer
            if status == 401 and not renewed:
                self.tokens.forget()
                renewed, attempt = True, attempt - 1
                continue
            if status == 403:
                self.tokens.forget()  # it may be older than the consent: the next one is not (docs/microsoft-graph.md, 1.3)
            # A server that hangs uses the time up too.
            waited = max(waited, (self.now() - began).total_seconds())
            choice = decide(
                attempt=attempt,
                status=status,
                headers=answer.response.headers if answer is not None else {},
                now=self.now(),
                waited=waited,
                jitter=self.jitter(),
            )
            if choice.new_connection:
                self.close()
            if choice.is_throttling and self.on_throttled is not None:
                self.on_throttled(choice.wait_seconds)
            throttled = choice.wait_seconds if choice.is_throttling else 0.0
            document, is_broken = json_or_empty(answer), answer is not None
            failure = failure_of(status, document, self.now(), throttled, is_broken=is_broken)
            if choice.next is not RetryAction.RETRY:
                raise failure
            waited += choice.wait_seconds
            if choice.is_throttling:
                self.meter.throttled_seconds += choice.wait_seconds
            self._pause(choice.wait_seconds, failure)

    def _wait_for_login(self, attempt: int, waited: float, failure: SourceTransient) -> float:
        """The login page has bad minutes like Graph, and gets as much patience. Seconds waited, or ``failure``.

        A Retry-After of the login page is MSAL's to keep: until then it repeats the refusal without asking
        (docs/microsoft-graph.md, 1.7).
        """
        choice = decide(
            attempt=attempt, status=None, headers={}, now=self.now(), waited=waited, jitter=self.jitter()
        )
        if choice.next is not RetryAction.RETRY:
            raise failure
        self._pause(choice.wait_seconds, failure)
        return choice.wait_seconds

    def _pause(self, seconds: float, failure: SourceError) -> None:
        try:
            self.wait(seconds)
        except SourceTransient as impatience:
            raise failure from impatience  # Microsoft's error explains more than the broken wait

    def _try(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: dict[str, Any] | None,
        token: str,
        waited: float,
    ) -> tuple[Answer | None, int | None]:
        self.meter.requests += 1
        if self._session is None:
            self._session = requests.Session() if self._had_trouble else graph_session()
        try:
            response = self._session.request(
                method,
                url,
                headers={
                    "Accept": "application/json",
                    "Authorization": f"Bearer {token}",
                    "User-Agent": USER_AGENT,
                    "client-request-id": str(uuid.uuid4()),
                    "x-ms-throttle-priority": "low",
                    **(headers or {}),
                },
                json=body,
                timeout=(CONNECT_SECONDS, max(SHORTEST_READ, min(READ_SECONDS, BUDGET_SECONDS - waited))),
                allow_redirects=False,  # a redirect would carry the token to another host (G6)
            )
            _ = response.content
        except requests.RequestException:
            self.close()
            return None, None
        answer, status = Answer(response), response.status_code
        if 300 <= status < 400:
            raise bad_answer("a redirect", code="redirect")
        return answer, None if status == 200 and not answer.is_whole() else status

    def close(self) -> None:
        """Drop the connection; the next request opens one of this client's own, which nobody else has used."""
        if self._session is not None and self._had_trouble:
            self._session.close()
        self._session, self._had_trouble = None, True

    def _url(self, path: str) -> str:
        return f"{self.base_url}{VERSION}{path}" if path.startswith("/") else self.check_link(path)

    def check_link(self, link: Any) -> str:
        """G6: only HTTPS, only the configured host; a link elsewhere is an error and gets no token."""
        ours = urlsplit(self.base_url)
        try:
            theirs = urlsplit(str(link))
            same = (
                isinstance(link, str)
                and theirs.scheme.lower() == "https"
                and (theirs.hostname or "").lower() == (ours.hostname or "").lower()
                and (theirs.port or 443) == (ours.port or 443)
                and theirs.username is None
                and theirs.password is None
                and not any(c.isspace() or c == "\\" for c in link)
            )
        except ValueError:
            same = False
        if not same:
            raise SourceBadAnswer(
                "Microsoft's answer points to another server. The portal did not follow it and sent no token there. "
                "Check MICROSOFT_GRAPH_URL, a proxy in between, or report it.",
                code="foreign link",
            )
        return str(link)
