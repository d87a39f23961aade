"""Orders the writers of this process: SQLite has one write lock, and grants it in no order."""

from __future__ import annotations

import threading
from collections import deque

from portal.operations.computing import slots

MOST_PASSED = 4
"""Requests in a row that are let in before a sync or a command that waits."""


class WriteQueue:
    """Who waits in this process for SQLite's write lock: requests before long work, else first come, first served.

    SQLite lets each try again every now and then, so that whoever asks seldom starves beside a sync and an import that ask at
    once again. Other processes are not in the queue; among them SQLite's own way decides.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: deque[threading.Event] = deque()
        self._work: deque[threading.Event] = deque()
        self._passed = 0  # requests that went before work which waits
        self._is_taken = False

    def enter(self, seconds: float, *, is_request: bool) -> bool:
        """Wait for a turn, up to ``seconds``. Returns False if it did not come. is_request: somebody waits for a page."""
        waiting = self._requests if is_request else self._work
        with self._lock:
            if not self._is_taken:
                self._is_taken = True
                return True
            called = threading.Event()
            waiting.append(called)
        had_slot = slots.give_back()
        is_mine = called.wait(seconds)
        if had_slot:
            slots.take_at_once()  # everybody behind waits for who has the lock
        with self._lock:
            if is_mine or called.is_set():  # at the last moment
                return True
            waiting.remove(called)
        return False

    def has_requests(self) -> bool:
        """Whether a request waits."""
        return bool(self._requests)

    def leave(self) -> None:
        """Let the next one in."""
        with self._lock:
            is_works_turn = bool(self._work) and (self._passed >= MOST_PASSED or not self._requests)
            self._passed = 0 if is_works_turn or not self._work else self._passed + 1
            if is_works_turn or self._requests:
                (self._work if is_works_turn else self._requests).popleft().set()
            else:
                self._is_taken = False
