"""What one turn with a leased Microsoft Tenant shares between its runs, and the ways in which a run ends early."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine import claims
from portal.engine.claims import Sessions
from portal.engine.mirror.reading import ReadResult
from portal.engine.records import RemoteUser
from portal.engine.snapshot import load_users
from portal.errors import Stopped
from portal.models import SyncRun


class LeaseLost(Exception):
    """Somebody else holds the lease now: write nothing more."""


class GiveWay(Exception):
    """A delayed run lets hourly ones pass (T3); it goes on where it was."""


class Cancelled(Exception):
    """The sync was disabled meanwhile (L5)."""


@dataclass
class Turn:
    """The tenant, who holds it, and what was read of it. should_stop, on_commit, finished: the Runner's.

    read: what the last read of this turn found out, None when there was none.
    """

    tenant_id: str
    owner: str
    sessions: Sessions
    now: Callable[[], datetime]
    should_stop: Callable[[], bool]
    on_commit: Callable[[str], None]
    finished: Callable[[Session, SyncRun], None]
    read: ReadResult | None = None
    _people: tuple[RemoteUser, ...] | None = None

    def note_read(self, read: ReadResult) -> None:
        """The mirror holds something new: whoever runs now decides on that."""
        self.read, self._people = read, None

    def people(self, session: Session) -> tuple[RemoteUser, ...]:
        """The mirror's people, loaded once for all Organizations."""
        if self._people is None:
            self._people = load_users(session, self.tenant_id)
        return self._people

    def beat(self, session: Session) -> None:
        """Live on, in the transaction of ``session``. Raises LeaseLost when somebody else took over."""
        if not claims.beat_within(session, self.tenant_id, self.owner, self.now()):
            raise LeaseLost

    def stop_check(self) -> None:
        """Asked where nothing is half-done. Raises Stopped when the process is to end."""
        if self.should_stop():
            raise Stopped

    def hourly_waits(self) -> bool:
        """True when a run of the hourly lane waits for this tenant."""
        with self.sessions() as session:
            waiting = (
                select(SyncRun.id)
                .where(
                    SyncRun.microsoft_tenant_id == self.tenant_id,
                    SyncRun.status == "queued",
                    SyncRun.lane == "hourly",
                )
                .limit(1)
            )
            return session.scalar(waiting) is not None
