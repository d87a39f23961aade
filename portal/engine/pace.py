"""Long work in short transactions: how many rows the next one writes, and when it may begin."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy.orm import Session

from portal import clock
from portal.transactions import letting_others_first

FIRST_ROWS, FEWEST_ROWS, MOST_ROWS = 100, 20, 1000
TARGET_SECONDS = 0.03
"""For one transaction: 100 ms at most is promised."""
PAUSE_SECONDS = 0.01
"""Between two, at least: another process is in no queue, and whoever asks again right away would have the lock for ever."""


class Pace:
    """``size`` is how many rows to write next. Begins with a few, or ``size`` where each takes long, and goes by how long the last ones took."""

    def __init__(self, size: int | None = None) -> None:
        self.size = size or FIRST_ROWS
        self._ended: float | None = None

    @contextmanager
    def over(self, transaction: AbstractContextManager[Session]) -> Iterator[Session]:
        """Do one ``transaction``, of ``size`` rows, when it may begin. What it takes from when it has its lock to its commit counts."""
        if self._ended is not None:
            time.sleep(max(0.0, self._ended + PAUSE_SECONDS - clock.monotonic()))
        with letting_others_first(), transaction as session:
            began = clock.monotonic()
            yield session
        self._ended = clock.monotonic()
        self.size = next_size(self.size, self._ended - began)


def next_size(size: int, seconds: float) -> int:
    """So many rows that the next transaction takes about ``TARGET_SECONDS``, when ``size`` took ``seconds``."""
    wanted = int(size * TARGET_SECONDS / max(seconds, 0.001))
    return max(FEWEST_ROWS, min(MOST_ROWS, size * 2, wanted))
