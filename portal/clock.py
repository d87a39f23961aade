"""The only file that reads the clock (style-anchors 3.2). Everything else is handed ``now``."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime


def utcnow() -> datetime:
    """The present moment, aware, UTC."""
    return _source()


def set_source(source: Callable[[], datetime] | None) -> None:
    """Replace the clock, for trials and tests; None puts the real one back."""
    global _source
    _source = source or _system


def monotonic() -> float:
    """Seconds on a clock that never goes back, for spacing and budgets."""
    return time.monotonic()


def _system() -> datetime:
    return datetime.now(UTC)


_source: Callable[[], datetime] = _system
