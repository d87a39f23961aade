"""Limits how many requests compute at once: Python has one core for all of them, and shares it evenly.

With thirty at work each is thirty times as slow, also whoever holds the write lock: the others then wait thirty times as long
for it. So a request waits for one of a few slots, first come, first served, and gives it back while it waits for anything
else. Who computes for long loses it: a large page or a file costs the others no more than ``SECONDS`` each.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

from portal import clock

AT_ONCE = 2
"""One that computes, and one to go on with while the database or a disk is at work."""
SECONDS = 0.25
"""How long a slot lasts."""
LOOK_SECONDS = 0.05
"""How often somebody who waits looks whether a slot has ended."""
AT_ONCE_ALWAYS = frozenset({"/healthz", "/readyz"})
"""Paths that wait for nobody: who asks takes a busy portal for a dead one."""


class Slots:
    """``number`` slots of ``seconds`` each. Threads share it."""

    def __init__(self, number: int = AT_ONCE, seconds: float = SECONDS) -> None:
        self._number, self._seconds = number, seconds
        self._lock = threading.Lock()
        self._since: dict[int, float] = {}  # thread → since when it has its slot
        self._waiting: deque[tuple[int, threading.Event]] = deque()

    @contextmanager
    def held(self) -> Iterator[None]:
        """Begin the block with a slot."""
        self.take()
        try:
            yield
        finally:
            self.give_back()

    @contextmanager
    def lent(self) -> Iterator[None]:
        """Release the slot within the block, which waits for something else, and take one again afterwards."""
        had_one = self.give_back()
        try:
            yield
        finally:
            if had_one:
                self.take()

    def take(self) -> None:
        """Wait for a slot."""
        called = threading.Event()
        with self._lock:
            self._waiting.append((threading.get_ident(), called))
            self._call()
        while not called.wait(LOOK_SECONDS):
            with self._lock:
                self._call()

    def take_at_once(self) -> None:
        """Take a slot without waiting, one over the limit: for a thread that has what others wait for, such as a lock."""
        with self._lock:
            self._since[threading.get_ident()] = clock.monotonic()

    def give_back(self) -> bool:
        """Release this thread's slot. Returns False if it has none, or no longer."""
        with self._lock:
            had_one = self._since.pop(threading.get_ident(), None) is not None
            self._call()
        return had_one

    def _call(self) -> None:
        """Hand free and expired slots to the waiting threads."""
        now = clock.monotonic()
        while self._waiting and (len(self._since) < self._number or self._end_one(now)):
            thread, called = self._waiting.popleft()
            self._since[thread] = now
            called.set()

    def _end_one(self, now: float) -> bool:
        late = next((thread for thread, since in self._since.items() if now - since >= self._seconds), None)
        if late is not None:
            del self._since[late]
        return late is not None


slots = Slots()
"""This process's."""


def one_of_few(app: Callable[..., Iterable[bytes]]) -> Callable[..., Iterable[bytes]]:
    """The WSGI app, a few of whose requests compute at once."""

    def limited(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        if environ.get("PATH_INFO") in AT_ONCE_ALWAYS:
            return app(environ, start_response)
        with slots.held():
            return app(environ, start_response)

    return limited
