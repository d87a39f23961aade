"""The worker slots of a lane: how many tenants work at once, not counting those that wait for Microsoft (G5)."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from portal import clock
from portal.errors import Stopped

LOOK_SECONDS = 0.5  # how soon somebody who waits for a slot sees that the process ends
ALIVE_SECONDS = 30  # how often somebody who waits says so: a lease runs out meanwhile (worker.leases)


class WorkerSlots:
    """``number`` slots. ``stopping`` is set when the process ends. Threads share it."""

    def __init__(self, number: int, stopping: threading.Event) -> None:
        self._free = threading.Semaphore(number)
        self._stopping = stopping

    @contextmanager
    def acquire(self) -> Iterator[None]:
        """Wait for a slot and hold it. Raises Stopped if the process ends."""
        self._take()
        try:
            yield
        finally:
            self._free.release()

    def sleep_released(self, seconds: float, alive: Callable[[], object]) -> None:
        """Wait while another thread uses the slot; the caller holds one. Raises Stopped if the process ends.

        ``alive`` is called before and now and then, also while there is no slot to come back to.
        """
        self._free.release()
        try:
            wait_alive(self._stopping, seconds, alive)
            self._take(alive)
        except Stopped:
            # The caller may return a slot it does not hold: one too many is harmless, as nothing starts any more.
            self._free.acquire(blocking=False)
            raise

    def _take(self, alive: Callable[[], object] = lambda: None) -> None:
        last_alive = clock.monotonic()
        while not self._free.acquire(timeout=LOOK_SECONDS):
            if self._stopping.is_set():
                raise Stopped
            if clock.monotonic() - last_alive >= ALIVE_SECONDS:
                last_alive = clock.monotonic()
                alive()


def wait_alive(stopping: threading.Event, seconds: float, alive: Callable[[], object]) -> None:
    """Wait, calling ``alive`` before and every half a minute. Raises Stopped when ``stopping`` is set meanwhile."""
    while seconds > 0:
        alive()
        if stopping.wait(min(seconds, ALIVE_SECONDS)):
            raise Stopped
        seconds -= ALIVE_SECONDS
