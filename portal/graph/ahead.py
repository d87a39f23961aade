"""Reads one step ahead: while a page is worked on, the next one is on its way."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

T = TypeVar("T")


def read_ahead(pages: Iterator[T]) -> Generator[T]:
    """``pages``, each asked for in a thread of its own while its user is at the one before.

    What a step raises is raised here when its turn comes. Whoever ends early waits for the step on its way: nothing goes on behind
    the back of what ``pages`` reads from.
    """
    step = partial(next, pages, None)
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as thread:
        following = thread.submit(step)
        while (page := following.result()) is not None:
            following = thread.submit(step)
            yield page
