"""Sign-in activity has a limit of its own: 10 requests a minute for the whole app, all tenants together (T7, graph-facts 5.2)."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable

REQUESTS = 9  # one fewer than Microsoft allows: clocks and minutes do not begin together
WINDOW_SECONDS = 61.0


class SlowLimiter:
    """Hands out turns, at most ``requests`` within ``window`` seconds, first come first served. One for the whole process."""

    def __init__(
        self, monotonic: Callable[[], float], *, requests: int = REQUESTS, window: float = WINDOW_SECONDS
    ) -> None:
        self._monotonic, self._window = monotonic, window
        self._turns: deque[float] = deque(maxlen=requests)
        self._closed_until = 0.0
        self._lock = threading.Lock()

    def take_turn(self, wait: Callable[[float], None]) -> float:
        """Wait for the next turn with ``wait`` (which may raise Stopped) and give the seconds waited."""
        with self._lock:
            now = self._monotonic()
            full = len(self._turns) == self._turns.maxlen
            turn = max(now, self._closed_until, self._turns[0] + self._window if full else now)
            self._turns.append(turn)
        pause = turn - now
        if pause > 0:
            wait(pause)
        return pause

    def hold_back(self, seconds: float) -> None:
        """Microsoft said 429: nobody gets a turn for ``seconds``."""
        with self._lock:
            self._closed_until = max(self._closed_until, self._monotonic() + seconds)
