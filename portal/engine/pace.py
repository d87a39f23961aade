"""Long work in short transactions: how many rows the next one writes, and when it may begin."""

from __future__ import annotations

import time

from portal import clock

FIRST_ROWS, FEWEST_ROWS, MOST_ROWS = 100, 20, 1000
TARGET_SECONDS = 0.05
"""For one transaction: 100 ms at most is promised."""
PAUSE_SECONDS = 0.01
"""Between two, at least: another process is in no queue, and whoever asks again right away would have the lock for ever."""


class Pace:
    """``size`` is how many rows to write next. Begins with a few, or ``size`` where each takes long, and goes by how long the last ones took."""

    def __init__(self, size: int | None = None) -> None:
        self.size = size or FIRST_ROWS
        self._ended: float | None = None

    def wait(self) -> None:
        """Wait until the last transaction is ``PAUSE_SECONDS`` ago. Call it before each."""
        if self._ended is not None:
            time.sleep(max(0.0, self._ended + PAUSE_SECONDS - clock.monotonic()))

    def ended(self, seconds: float) -> None:
        """A transaction of ``size`` rows took so long."""
        self.size = next_size(self.size, seconds)
        self._ended = clock.monotonic()


def next_size(size: int, seconds: float) -> int:
    """So many rows that the next transaction takes about ``TARGET_SECONDS``, when ``size`` took ``seconds``."""
    wanted = int(size * TARGET_SECONDS / max(seconds, 0.001))
    return max(FEWEST_ROWS, min(MOST_ROWS, size * 2, wanted))
