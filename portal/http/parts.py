"""One request's long work in short transactions, so that nobody waits for it: deleting thousands, recovery, bulk actions."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from portal.engine.batches import fill
from portal.engine.pace import Pace
from portal.errors import RetryLater
from portal.transactions import begin_write, roll_back, trouble

T = TypeVar("T")


def in_parts(
    session: Session,
    groups: Sequence[Sequence[T]],
    work: Callable[[list[T]], None],
    done_word: str,
    *,
    first: int | None = None,
) -> None:
    """Do ``work`` for a group at a time, and commit; what was done before an interruption stays done.

    Each part decides anew on what is there by then. first: how many to begin with, where each takes long. Raises RetryLater
    when a lock or the database cannot be had in between, which says how far it came: "1,200 of 40,000 are <done_word>".
    """
    pace, at, done, total = Pace(first), 0, 0, sum(map(len, groups))
    while at < len(groups):
        part, after = fill(groups, at, pace.size)
        try:
            with pace.over(_transaction(session)):
                work(part)
        except SQLAlchemyError as error:
            later = trouble(error)
            if later is None or not done:
                raise
            roll_back(session)
            message = f"{done:,} of {total:,} are {done_word}; another change is taking long. Try again in a moment for the rest."
            raise RetryLater(message, seconds=later.seconds) from error
        at, done = after, done + len(part)


@contextmanager
def _transaction(session: Session) -> Iterator[Session]:
    yield begin_write(session)
    session.commit()


def one_by_one(
    session: Session,
    items: Sequence[T],
    work: Callable[[list[T]], None],
    done_word: str,
    *,
    first: int | None = None,
) -> None:
    """``in_parts`` of items none of which has to go with another."""
    in_parts(session, [[item] for item in items], work, done_word, first=first)
