"""Cuts long lists into parts that one SQL statement takes."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from typing import TypeVar

T = TypeVar("T")

BATCH = 500
"""Parameters of one IN (…): SQLite and PostgreSQL take many more, but their plans and logs stay readable."""


def batches(items: Sequence[T], size: int = BATCH) -> Iterator[Sequence[T]]:
    """``items`` in parts of at most ``size``, in order; nothing for none."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


def together(items: Sequence[T], keys: Callable[[T], Iterable[Hashable]]) -> list[list[T]]:
    """``items`` in groups of which no two have a key in common, in the order of their first: each can be written by itself."""
    leader = list(range(len(items)))

    def of(place: int) -> int:
        while leader[place] != place:
            leader[place] = leader[leader[place]]
            place = leader[place]
        return place

    owner: dict[Hashable, int] = {}
    for place, item in enumerate(items):
        for key in keys(item):
            first, second = sorted((of(owner.setdefault(key, place)), of(place)))
            leader[second] = first
    groups: dict[int, list[T]] = defaultdict(list)
    for place, item in enumerate(items):
        groups[of(place)].append(item)
    return list(groups.values())


def fill(groups: Sequence[Sequence[T]], at: int, size: int) -> tuple[list[T], int]:
    """(whole groups from the place ``at`` on, ``size`` items or a little more, the place of the first that is left)."""
    batch: list[T] = []
    while at < len(groups) and len(batch) < size:
        batch += groups[at]
        at += 1
    return batch, at
