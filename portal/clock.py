"""The only file that reads the clock. Everything else is handed ``now``."""

from __future__ import annotations

import time
from datetime import UTC, datetime


def utcnow() -> datetime:
    """The present moment, aware, UTC."""
    return datetime.now(UTC)


def monotonic() -> float:
    """Seconds on a clock that never goes back, for spacing and budgets."""
    return time.monotonic()


def iso(when: datetime) -> str:
    """ISO 8601 in UTC, to the second, as the API and ``--json`` write it."""
    return when.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
