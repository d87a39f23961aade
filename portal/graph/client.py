"""The one place that talks to Graph: sessions, host pinning (G6), retries (G5), paging and batches (graph-facts 4.5, 10, 11)."""

from __future__ import annotations

import json
import random
import re
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests

from portal.errors import (
    NotFound,
    SourceAuthError,
    SourceBadAnswer,
    SourceError,
    SourceGone,
    SourceLicenseMissing,
    SourcePermissionMissing,
    SourceRejected,
    SourceThrottled,
    SourceTransient,
)
from portal.graph.retry import BUDGET_SECONDS, RetryAction, decide
from portal.graph.tokens import TokenProvider

CONNECT_SECONDS, READ_SECONDS, SHORTEST_READ = 10.0, 60.0, 5.0
MAX_PAGES = 2000
HALF_ESCAPE, HALVES = re.compile(rb"\\u[dD][89a-fA-F]"), re.compile("[\ud800-\udfff]")
BATCH = 20
VERSION = "/v1.0"
GONE_CODES = frozenset({"syncStateNotFound", "resyncRequired", "SyncStateNotFound", "ResyncRequired"})
USER_AGENT = "Rollcall/1 (directory sync)"
NOT_OFFERED = "Microsoft Graph does not offer this in this tenant"


class ObjectMissing(SourceError, NotFound):
    """404: the object was deleted."""

    def __init__(self, advice: str, *, code: str = "") -> None:
        SourceError.__init__(self, advice, code=code)


@dataclass
class Meter:
    """What a run cost (interfaces.md)."""

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

    def get(self, path: str, *, headers: Mapping[str, str] | None = None) -> dict[str, Any]:
        """One JSON object. ``path`` starts with ``/`` or is a link that Graph gave. Raises Source errors."""
        return _object(self._send("GET", self._url(path), headers))

    def get_number(self, path: str, *, headers: Mapping[str, str] | None = None) -> int:
        """A plain-text number, as ``$count`` answers."""
        answer = self._send("GET", self._url(path), {"Accept": "text/plain", **(headers or {})})
        text = answer.content.decode("utf-8-sig", "replace").strip()
        if not (text.isascii() and text.isdigit()):
            raise _bad("a count that is not a number")
        return int(text)

    def pages(self, path: str, *, headers: Mapping[str, str] | None = None) -> Iterator[dict[str, Any]]:
        """Every page to the end, or an error: an iterator that ends has read everything (L2).

        A link that Graph refuses with 400 is restarted from the first page, once (graph-facts 11.6).
        """
        link, seen, restarted = path, set[str](), False
        for _ in range(MAX_PAGES):
            try:
                page = self.get(link, headers=headers)
            except SourceRejected as error:
                if error.status != 400 or restarted or link == path:
                    raise
                link, restarted = path, True
                seen.clear()
                continue
            if not isinstance(page.get("value"), list):
                raise _bad("a page without a list")
            yield page
            following = page.get("@odata.nextLink")
            if following is None:
                return
            link = self.check_link(following)
            if link in seen:
                raise _bad("the same page again and again")
            seen.add(link)
        raise _bad(f"more than {MAX_PAGES} pages")

    def batch(self, paths: Sequence[str]) -> list[dict[str, Any] | SourceError]:
        """GETs in one or more ``$batch`` requests; an answer or an error per path. Only failed items are sent again.

        Where ``$batch`` itself is refused each path is asked for alone.
        """
        results: list[dict[str, Any] | SourceError] = [
            SourceTransient("Microsoft left the request out.")
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
                    status, headers, body = _batch_item(answer)
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
                        results[int(number)] = self._error(status, body, choice.wait_seconds)
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
        answer = _object(self._send("POST", self._url("/$batch"), None, {"requests": items}))
        responses = answer.get("responses")
        if not isinstance(responses, list) or not all(isinstance(item, dict) for item in responses):
            raise _bad("a batch without answers")
        return responses

    def _send(
        self, method: str, url: str, headers: Mapping[str, str] | None, body: dict[str, Any] | None = None
    ) -> requests.Response:
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
                self.tokens.forget()  # it may be older than the consent: the next one is not (graph-facts 1.3)
            waited = max(
                waited, (self.now() - began).total_seconds()
            )  # a server that hangs uses the time up too
            found = answer.headers if answer is not None else {}
            choice = decide(
                attempt=attempt,
                status=status,
                headers=found,
                now=self.now(),
                waited=waited,
                jitter=self.jitter(),
            )
            if choice.new_connection:
                self.close()
            if choice.is_throttling and self.on_throttled is not None:
                self.on_throttled(choice.wait_seconds)
            asked = choice.wait_seconds if choice.is_throttling else 0.0
            failure = self._error(status, _json_or_empty(answer), asked, is_broken=answer is not None)
            if choice.next is not RetryAction.RETRY:
                raise failure
            waited += choice.wait_seconds
            if choice.is_throttling:
                self.meter.throttled_seconds += choice.wait_seconds
            self._pause(choice.wait_seconds, failure)

    def _wait_for_login(self, attempt: int, waited: float, failure: SourceTransient) -> float:
        """The login page has bad minutes like Graph, and gets as much patience. Seconds waited, or ``failure``.

        A Retry-After of the login page is MSAL's to keep: until then it repeats the refusal without asking (graph-facts 1.7).
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
            raise failure from impatience  # what Microsoft did helps more than that nobody waits for it

    def _try(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None,
        body: dict[str, Any] | None,
        token: str,
        waited: float,
    ) -> tuple[requests.Response | None, int | None]:
        self.meter.requests += 1
        if self._session is None:
            self._session = requests.Session()
        try:
            answer = self._session.request(
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
            _ = answer.content
        except requests.RequestException:
            self.close()
            return None, None
        if 300 <= answer.status_code < 400:
            raise _bad("a redirect", code="redirect")
        if answer.status_code == 200 and not _is_whole(answer):
            return answer, None
        return answer, answer.status_code

    def close(self) -> None:
        """Drop the connection; the next request opens a new one."""
        if self._session is not None:
            self._session.close()
            self._session = None

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
                "Microsoft's answer leads to another server. The portal did not follow it and sent no token there. "
                "Check MICROSOFT_GRAPH_URL, a proxy in between, or report it.",
                code="foreign link",
            )
        return str(link)

    def _error(
        self, status: int | None, body: Any, wait_seconds: float, *, is_broken: bool = False
    ) -> SourceError:
        code, message = error_code(body)
        if status is None and is_broken:
            return SourceTransient(
                "Microsoft Graph's answers break off or are no JSON. Check MICROSOFT_GRAPH_URL and any proxy in between, "
                "then try again; syncs do so by themselves.",
                code="malformed answer",
            )
        if status is None:
            return SourceTransient(
                "Microsoft Graph cannot be reached. Check this server's network and proxy, then try again; syncs do so by themselves.",
                code="unreachable",
            )
        if status == 429 or wait_seconds > 0:  # 503 with a Retry-After longer than a run waits (G5)
            return SourceThrottled(
                "Microsoft asks the portal to slow down. Try again in some minutes; syncs go on by themselves, nothing is lost.",
                code=code or str(status),
                retry_at=self.now() + timedelta(seconds=wait_seconds),
            )
        if status == 410 or code in GONE_CODES:
            return SourceGone(
                "Microsoft no longer knows the state of the last read. The portal reads everything again.",
                code=code,
            )
        if status == 401:
            return _unauthorized(code)
        if status == 403:
            return _forbidden(code, message)
        if status == 404:
            return ObjectMissing("Microsoft does not know this object any more.", code=code)
        if status >= 500 and status != 501:
            retry_at = self.now() + timedelta(seconds=wait_seconds) if wait_seconds else None
            return SourceTransient(
                f"Microsoft Graph keeps answering with an error ({status}). Try again in a minute; syncs do so by themselves.",
                code=code or str(status),
                retry_at=retry_at,
            )
        what = NOT_OFFERED if status == 501 else "Microsoft Graph refused a request of the portal"
        return SourceRejected(f"{what} ({code or status}).", status=status, code=code)


def error_code(body: Any) -> tuple[str, str]:
    """(code, message) of Graph's error shape: the deepest code; Intune hides one as JSON in the message (graph-facts 8.2, 10.3)."""
    error = body.get("error") if isinstance(body, dict) else None
    if not isinstance(error, dict):
        return "", ""
    code, message = str(error.get("code") or ""), str(error.get("message") or "")
    inner = error.get("innerError") or error.get("innererror")
    while isinstance(inner, dict):
        found = inner.get("code")
        if isinstance(found, str) and found and not found.isdigit():
            code = found
        inner = inner.get("innerError") or inner.get("innererror")
    if message.startswith("{"):
        try:
            hidden = orjson.loads(message)
        except orjson.JSONDecodeError:
            hidden = None
        if isinstance(hidden, dict) and code in {"", "UnknownError"}:
            code = str(hidden.get("ErrorCode") or hidden.get("code") or code)
    return code[:100], message


def _unauthorized(code: str) -> SourceError:
    if code == "Forbidden":
        return SourcePermissionMissing("An application permission is missing for this data.", code=code)
    if code == "Authorization_IdentityNotFound":
        return SourceAuthError(
            "The portal's app is not, or not yet, in this Microsoft tenant. Wait some minutes after consent.",
            remedy="Or press {button}.",
            code=code,
        )
    return SourceAuthError(
        f"Microsoft Graph does not accept the portal's token. Check that the right cloud is chosen, then check the connection. ({code or 401})",
        code=code or "401",
    )


def _forbidden(code: str, message: str) -> SourceError:
    if code == "Authentication_RequestFromNonPremiumTenantOrB2CTenant":
        return SourceLicenseMissing(
            "This tenant has no Entra ID P1, so Microsoft does not provide this.", code=code
        )
    permission = next(
        (
            word
            for word in (
                "AuditLog.Read.All",
                "Organization.Read.All",
                "User.Read.All",
                "GroupMember.Read.All",
                "Domain.Read.All",
            )
            if word in message
        ),
        "",
    )
    named = f"{permission} is missing" if permission else "An application permission is missing"
    return SourcePermissionMissing(
        f"{named}. Add it to the app registration and let the customer's administrator consent again. ({code or 403})",
        permission=permission,
        code=code or "403",
    )


def _is_whole(answer: requests.Response) -> bool:
    """False for JSON that breaks off or is none: then the same request is tried again."""
    if "json" not in answer.headers.get("Content-Type", "json").lower():
        return "text/plain" in answer.headers.get("Content-Type", "")
    try:
        _parsed(answer.content)
    except ValueError:
        return False
    return True


def _parsed(content: bytes) -> Any:
    """JSON; a name that was cut within an emoji, so that half of it is left, never costs the page (G8). Raises ValueError."""
    try:
        return orjson.loads(content)
    except orjson.JSONDecodeError:
        if not HALF_ESCAPE.search(content):
            raise
        found = json.loads(content)  # puts up with halves, where orjson refuses the whole document
        return orjson.loads(HALVES.sub("\ufffd", json.dumps(found, ensure_ascii=False)))


def _object(answer: requests.Response) -> dict[str, Any]:
    try:
        found = _parsed(answer.content)
    except ValueError:
        raise _bad("no JSON") from None
    if not isinstance(found, dict):
        raise _bad("no JSON object")
    return found


def _json_or_empty(answer: requests.Response | None) -> Any:
    try:
        return orjson.loads(answer.content) if answer is not None else {}
    except orjson.JSONDecodeError:
        return {}


def _batch_item(answer: dict[str, Any]) -> tuple[int | None, Mapping[str, str], dict[str, Any]]:
    status, headers, body = answer.get("status"), answer.get("headers"), answer.get("body")
    return (
        status if isinstance(status, int) else None,
        {str(k): str(v) for k, v in headers.items()} if isinstance(headers, dict) else {},
        body if isinstance(body, dict) else {},
    )


def _bad(what: str, *, code: str = "malformed answer") -> SourceBadAnswer:
    return SourceBadAnswer(
        f"Microsoft's answer cannot be used ({what}). Nothing was changed; the portal tries again at the next run.",
        code=code,
    )
