"""Sign-in activity has a limit of its own, for all tenants together (T7; docs/microsoft-graph.md, 5.2)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from portal.graph.client import GraphClient

REQUESTS = 9  # one fewer than Microsoft allows: clocks and minutes do not begin together
WINDOW_SECONDS = 61.0


class SlowLimiter(Protocol):
    """Hands out turns, at most ``REQUESTS`` within ``WINDOW_SECONDS``, first come first served. One for the whole app."""

    def acquire(self, wait: Callable[[float], None]) -> float:
        """Wait for the next turn with ``wait`` (which may raise Stopped). Returns the seconds waited."""
        ...

    def block_for(self, seconds: float) -> None:
        """Microsoft said 429: nobody gets a turn for ``seconds``."""
        ...


LONGEST_HOLD = 60.0  # an absurd Retry-After of one tenant postpones that tenant, not everybody for hours


class RateLimited:
    """While open, every request of the client waits for its turn among all tenants, also the ones tried again.

    The limit is the app's, so a 429 holds everybody back.
    """

    def __init__(self, client: GraphClient, limiter: SlowLimiter) -> None:
        self._client, self._limiter = client, limiter

    def __enter__(self) -> None:
        self._client.before_request, self._client.on_throttled = self._turn, self._hold

    def _turn(self) -> None:
        self._limiter.acquire(self._client.wait)

    def _hold(self, seconds: float) -> None:
        self._limiter.block_for(min(seconds, LONGEST_HOLD))

    def __exit__(self, *_: object) -> None:
        self._client.before_request = self._client.on_throttled = None
