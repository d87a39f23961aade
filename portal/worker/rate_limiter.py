"""The rate limit of sign-in activity, kept in the database because all processes of the app share it (T7)."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal.errors import SourceError
from portal.extensions import SessionFactory, mark_write
from portal.graph.limiter import REQUESTS, WINDOW_SECONDS
from portal.models import SignInTurns

FARTHEST = timedelta(hours=1)
"""No queue is as long: turns beyond were handed out by a clock that was ahead and has been set back."""
KEPT = 2
"""Windows of turns to remember: those before the last ones count again when these are given back."""


class RateLimiter:
    """The SlowLimiter of all processes that share a database. ``now`` is the wall clock: only that one is common to them.

    One row holds the last turns, those to come included. Who comes writes its turn under a lock, so that turns are handed
    out one by one, in the order of asking, and a restart forgets none.
    """

    def __init__(
        self,
        sessions: SessionFactory,
        now: Callable[[], datetime],
        *,
        requests: int = REQUESTS,
        window: float = WINDOW_SECONDS,
    ) -> None:
        self._sessions, self._now = sessions, now
        self._requests, self._window = requests, timedelta(seconds=window)

    def acquire(self, wait: Callable[[float], None]) -> float:
        """Wait for the next turn with ``wait`` (which may raise Stopped). Returns the seconds waited."""
        waited = 0.0
        while True:
            turn, pause, held_until = self._reserve()
            if pause <= 0:
                return waited
            try:
                wait(pause)
            except SourceError:
                self._give_back(turn)  # a page does not wait that long
                raise
            waited += pause
            if self._held_until() == held_until:
                return waited
            # Microsoft said 429 to somebody meanwhile: the turn falls into the time when nobody has one

    def block_for(self, seconds: float) -> None:
        """Block all processes for ``seconds``, after a 429 of Microsoft."""
        with self._sessions() as session:
            row = _locked(session)
            until = self._now() + timedelta(seconds=seconds)
            if row.held_until is None or row.held_until < until:
                row.held_until = until
            session.commit()

    def _reserve(self) -> tuple[str, float, datetime | None]:
        """(the turn that is ours now, seconds until then, until when turns were held back as it was given)."""
        with self._sessions() as session:
            row = _locked(session)
            now = self._now()  # after the lock: who waited for it comes later
            turns = [datetime.fromisoformat(turn) for turn in row.turns]
            if turns and turns[-1] > now + FARTHEST:
                turns, row.held_until = [], None
            turn = max(now, row.held_until or now, *turns[-1:])
            if len(turns) >= self._requests:
                turn = max(turn, turns[-self._requests] + self._window)
            row.turns = [reserved.isoformat() for reserved in [*turns, turn][-KEPT * self._requests :]]
            held_until = row.held_until
            session.commit()
        return turn.isoformat(), (turn - now).total_seconds(), held_until

    def _give_back(self, turn: str) -> None:
        """Release an unused ``turn`` to the next caller, unless a later one was handed out already."""
        with self._sessions() as session:
            row = _locked(session)
            if row.turns[-1:] == [turn]:
                row.turns = row.turns[:-1]
            session.commit()

    def _held_until(self) -> datetime | None:
        with self._sessions() as session:
            row = session.get(SignInTurns, 1)
            return None if row is None else row.held_until


def _locked(session: Session) -> SignInTurns:
    """The row, locked until the commit: SQLite begins as a writer, PostgreSQL locks the row."""
    mark_write(session)
    row = session.get(SignInTurns, 1, with_for_update=True)
    if row is None:
        try:
            with session.begin_nested():
                session.add(SignInTurns(id=1, turns=[]))
        except IntegrityError:
            pass  # another process was first
        row = session.get_one(SignInTurns, 1, with_for_update=True, populate_existing=True)
    return row
