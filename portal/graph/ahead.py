"""Reads one step ahead: while a page is worked on, the next one is on its way."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")


def read_ahead(pages: Iterator[T], is_last: Callable[[T], bool] = lambda _page: False) -> Generator[T]:
    """``pages``, each asked for in a thread of its own while its user is at the one before.

    What a step raises is raised here when its turn comes. Whoever ends early waits for the step on its way: nothing goes on behind
    the back of what ``pages`` reads from. is_last: nothing is asked for after such a page, so that no thread is begun for one alone.
    """
    first = next(pages, None)
    if first is None:
        return
    if is_last(first):
        yield first
        yield from pages
        return
    step = partial(next, pages, None)
    with ThreadPoolExecutor(1, thread_name_prefix="read-ahead") as thread:
        page: T | None = first
        while page is not None:
            following = thread.submit(step)
            yield page
            page = following.result()


def has_delta_link(page: Any) -> bool:
    """Whether a page of users is the last one."""
    return page.delta_link is not None
