"""Cuts long lists into parts that one SQL statement takes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

BATCH = 500
"""Parameters of one IN (…): SQLite and PostgreSQL take many more, but their plans and logs stay readable."""


def batches(items: Sequence[T], size: int = BATCH) -> Iterator[Sequence[T]]:
    """``items`` in parts of at most ``size``, in order; nothing for none."""
    for start in range(0, len(items), size):
        yield items[start : start + size]
