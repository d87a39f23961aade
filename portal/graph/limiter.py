"""Sign-in activity has a limit of its own: 10 requests a minute for the whole app, all tenants together (T7, graph-facts 5.2)."""

from __future__ import annotations

import threading
from collections.abc import Callable

SPACING_SECONDS = 6.5


class SlowLimiter:
    """Hands out turns, ``spacing`` seconds apart, first come first served. One for the whole process."""

    def __init__(self, monotonic: Callable[[], float], *, spacing: float = SPACING_SECONDS) -> None:
        self._monotonic, self._spacing = monotonic, spacing
        self._next = 0.0
        self._lock = threading.Lock()

    def take_turn(self, wait: Callable[[float], None]) -> float:
        """Wait for the next turn with ``wait`` (which may raise Stopped) and give the seconds waited."""
        with self._lock:
            now = self._monotonic()
            turn = max(now, self._next)
            self._next = turn + self._spacing
        pause = turn - now
        if pause > 0:
            wait(pause)
        return pause

    def hold_back(self, seconds: float) -> None:
        """Microsoft said 429: nobody gets a turn for ``seconds``."""
        with self._lock:
            self._next = max(self._next, self._monotonic() + seconds)
