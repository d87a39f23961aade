"""Sign-in activity has a limit of its own: 10 requests a minute for the whole app, all tenants together (T7, graph-facts 5.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

REQUESTS = 9  # one fewer than Microsoft allows: clocks and minutes do not begin together
WINDOW_SECONDS = 61.0


class SlowLimiter(Protocol):
    """Hands out turns, at most ``REQUESTS`` within ``WINDOW_SECONDS``, first come first served. One for the whole app."""

    def acquire(self, wait: Callable[[float], None]) -> float:
        """Wait for the next turn with ``wait`` (which may raise Stopped) and give the seconds waited."""
        ...

    def block_for(self, seconds: float) -> None:
        """Microsoft said 429: nobody gets a turn for ``seconds``."""
        ...
