"""A lane's seats: how many tenants work at once, whatever the number that wait for Microsoft meanwhile (G5)."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from portal.errors import Stopped

LOOK_SECONDS = 0.5  # how soon somebody who waits for a seat sees that the process ends


class Seats:
    """``number`` seats. ``stopping`` is set when the process ends. Threads share it."""

    def __init__(self, number: int, stopping: threading.Event) -> None:
        self._free = threading.Semaphore(number)
        self._stopping = stopping

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Hold a seat, waiting for one first. Raises Stopped when the process ends meanwhile."""
        self._take()
        try:
            yield
        finally:
            self._free.release()

    def pause(self, seconds: float) -> None:
        """Wait, to be called by who holds a seat: somebody else has it meanwhile. Raises Stopped when the process ends."""
        self._free.release()
        try:
            if self._stopping.wait(seconds):
                raise Stopped
            self._take()
        except Stopped:
            # The caller gives back a seat it may not have: one too many harms nothing, as nobody begins anything now.
            self._free.acquire(blocking=False)
            raise

    def _take(self) -> None:
        while not self._free.acquire(timeout=LOOK_SECONDS):
            if self._stopping.is_set():
                raise Stopped
