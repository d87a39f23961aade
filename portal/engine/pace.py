"""Long work in short transactions: how many rows the next one writes, and when it may begin."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy.orm import Session

from portal import clock
from portal.transactions import is_wanted, letting_others_first

FIRST_ROWS, FEWEST_ROWS, MOST_ROWS = 100, 20, 1000
ALONE_SECONDS, WANTED_SECONDS = 0.07, 0.03
"""For one transaction, 100 ms at most being promised: while nobody else wants to write, since many rows cost less together, and else."""
PAUSE_SECONDS = 0.01
"""Between two, at least: another process is in no queue, and whoever asks again right away would have the lock for ever."""


class Pace:
    """How many rows to write next (``size``). Begins small, or with ``size`` where each row takes long; follows the measured times."""

    def __init__(self, size: int | None = None) -> None:
        self.size = size or FIRST_ROWS
        self._ended: float | None = None

    @contextmanager
    def over(self, transaction: AbstractContextManager[Session]) -> Iterator[Session]:
        """Run one ``transaction`` of ``size`` rows, when it may begin. Measured is the time from its lock to its commit."""
        if self._ended is not None:
            time.sleep(max(0.0, self._ended + PAUSE_SECONDS - clock.monotonic()))
        with letting_others_first(), transaction as session:
            began = clock.monotonic()
            yield session
            target = WANTED_SECONDS if is_wanted(session) else ALONE_SECONDS
        self._ended = clock.monotonic()
        self.size = next_size(self.size, self._ended - began, target)


def next_size(size: int, seconds: float, target: float) -> int:
    """The number of rows for which the next transaction takes about ``target`` seconds, if ``size`` took ``seconds``."""
    target_size = int(size * target / max(seconds, 0.001))
    return max(FEWEST_ROWS, min(MOST_ROWS, size * 2, target_size))
