"""What Microsoft's sign-in publishes (endpoints, keys), cached because a public page asks for it.

Also the HTTP client that MSAL gets, so that its own discovery goes the same way.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import requests

from portal import clock

MAX_AGE = 3600.0
"""Seconds for which an answer is believed."""
AGAIN = 60.0
"""Seconds after which it may be asked for anew when it does not do: a key that is not among the ones kept."""
PAUSE = 10.0
"""Seconds for which nobody asks again after a failure: each of them would wait for the time-out."""
READ_TIMEOUT = (3, 5)
TOKEN_TIMEOUT = (5, 10)
MAX_KEPT = 64


@dataclass(frozen=True)
class _Answer:
    response: requests.Response | requests.RequestException
    at: float

    def is_good(self) -> bool:
        return isinstance(self.response, requests.Response) and self.response.status_code == 200


class Discovery:
    """One per process, for any number of threads. Of concurrent requests for the same, one asks and the others wait."""

    def __init__(self) -> None:
        self._kept: OrderedDict[str, _Answer] = OrderedDict()
        self._asking: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(
        self,
        url: str,
        *,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        max_age: float = MAX_AGE,
        **_more: Any,
    ) -> requests.Response:
        """The answer for ``url``, at most ``max_age`` seconds old. Raises requests' errors. Redirects are not followed."""
        key = requests.Request("GET", url, params=params).prepare().url or url
        with self._lock:
            turn = self._asking.setdefault(key, threading.Lock())
        with turn:
            answer = self._fresh(key, max_age)
            if answer is None:
                answer = _ask(key, headers)
                self._keep(key, answer)
        if isinstance(answer.response, requests.RequestException):
            raise answer.response
        return answer.response

    def post(self, url: str, **more: Any) -> requests.Response:
        """Send a form, as MSAL does to get a token; never kept. Raises requests' errors."""
        more |= {"timeout": TOKEN_TIMEOUT, "allow_redirects": False}
        return requests.post(url, **more)  # noqa: S113  # it has one

    def close(self) -> None:
        """MSAL asks its clients for this; there is nothing to close."""

    def _fresh(self, key: str, max_age: float) -> _Answer | None:
        with self._lock:
            answer = self._kept.get(key)
        if answer is None:
            return None
        age = clock.monotonic() - answer.at
        return answer if age < (max_age if answer.is_good() else PAUSE) else None

    def _keep(self, key: str, answer: _Answer) -> None:
        with self._lock:
            self._kept[key] = answer
            self._kept.move_to_end(key)
            while len(self._kept) > MAX_KEPT:
                gone, _ = self._kept.popitem(last=False)
                self._asking.pop(gone, None)


def _ask(url: str, headers: Mapping[str, str] | None) -> _Answer:
    try:
        answer: requests.Response | requests.RequestException = requests.get(
            url, headers=headers, timeout=READ_TIMEOUT, allow_redirects=False
        )
    except requests.RequestException as error:
        answer = error
    return _Answer(answer, clock.monotonic())


class Once:
    """Remembers what was used, for ``life`` seconds: the cookie it came in can be sent again, whatever we said to forget."""

    def __init__(self, life: float, most: int = 10_000) -> None:
        self._life, self._most = life, most
        self._used: OrderedDict[str, float] = OrderedDict()
        self._lock = threading.Lock()

    def take(self, token: str) -> bool:
        """True for the first call with ``token``."""
        key, now = hashlib.sha256(token.encode()).hexdigest(), clock.monotonic()
        with self._lock:
            while self._used and next(iter(self._used.values())) < now - self._life:
                self._used.popitem(last=False)
            if key in self._used:
                return False
            self._used[key] = now
            if len(self._used) > self._most:
                self._used.popitem(last=False)
            return True
