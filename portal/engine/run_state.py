"""The state of a run: its row, its progress, and whether its sync is still enabled (L5, G4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import bindparam, func, select, update
from sqlalchemy.orm import Session

from portal.engine.mirror.context import RefreshResult
from portal.engine.organization_context import OrganizationContext, load_context
from portal.engine.plan.counts import WRITTEN
from portal.engine.ports import Lease
from portal.errors import Stopped
from portal.models import Change, Organization, SyncRun, UserSync

# Built once: a run that has nothing to do is mostly its statements.
_SYNC = select(UserSync).where(UserSync.organization_id == bindparam("organization"))
_SWITCH = select(UserSync.enabled, UserSync.generation).where(
    UserSync.organization_id == bindparam("organization")
)
_APPLIED = select(Change.object_id).where(Change.run_id == bindparam("run"), Change.state == "applied")


class FinishedRun(Protocol):
    """What is reported of a run that ends; a SyncRun is one."""

    @property
    def id(self) -> str:
        """Its id."""
        ...

    @property
    def organization_id(self) -> str:
        """Of its Organization."""
        ...

    @property
    def trigger(self) -> str:
        """What began it."""
        ...

    @property
    def status(self) -> str:
        """How it ended."""
        ...

    @property
    def counts(self) -> Mapping[str, Any]:
        """By name."""
        ...


class GiveWay(Exception):
    """A delayed run lets hourly ones pass (T3); it goes on where it was."""


class GroupsUnread(Exception):
    """The filters name groups whose members the read before this run did not look at: they were saved meanwhile (S6)."""


class Cancelled(Exception):
    """The sync was disabled meanwhile (L5)."""


@dataclass(frozen=True)
class Surroundings:
    """What all runs of one lease share. refreshed: what the read before this run found out, None when there was none.

    finished: told of each run that ends, within its last transaction.
    """

    lease: Lease
    now: Callable[[], datetime]
    should_stop: Callable[[], bool]
    finished: Callable[[Session, FinishedRun], None]
    refreshed: RefreshResult | None = None

    def stop_check(self) -> None:
        """Asked where nothing is half-done. Raises Stopped when the process is to end."""
        if self.should_stop():
            raise Stopped


@dataclass
class RunState:
    """Of one run.

    reading: the session that it plans with, for as long as it plans: closed meanwhile, so that it holds nothing while others write.
    applied: object ids of those this run is done with; written: how many people each kind of write was about. Both survive the
    process in the run's rows.
    """

    around: Surroundings
    reading: Session
    run_id: str
    organization_id: str
    generation: int
    lane: str
    trigger: str
    fingerprint: str | None
    only_object_id: str | None = None
    warnings: list[str] = field(default_factory=list)
    applied: set[str] = field(default_factory=set)
    written: dict[str, int] = field(default_factory=lambda: dict.fromkeys(WRITTEN, 0))
    leaving: int = 0
    is_first: bool = True

    def _context(self, session: Session) -> tuple[OrganizationContext, UserSync]:
        sync = self._sync(session)
        try:
            context = load_context(session, self.organization_id, now=self.around.now(), sync=sync)
        except LookupError as error:
            raise Cancelled from error
        if context.microsoft_tenant_id != self.around.lease.tenant_id:
            raise Cancelled
        return context, sync

    def _sync(self, session: Session) -> UserSync:
        sync = session.scalar(_SYNC, {"organization": self.organization_id})
        if sync is None or not sync.enabled or sync.generation != self.generation:
            raise Cancelled
        return sync

    def _check_switch(self, session: Session, *, until_commit: bool = False) -> None:
        """Check before each chunk that the sync is enabled (L5); ``until_commit`` locks it."""
        switch = _SWITCH.with_for_update(key_share=True) if until_commit else _SWITCH
        row = session.connection().execute(switch, {"organization": self.organization_id}).one_or_none()
        if row is None or not row.enabled or row.generation != self.generation:
            raise Cancelled

    def _people_moved(self, session: Session, context: OrganizationContext) -> bool:
        version = session.scalar(
            select(Organization.people_version).where(Organization.id == self.organization_id)
        )
        return version != context.people_version

    def _check_groups(self, context: OrganizationContext) -> None:
        """S6: an unread group is not an empty one. Raises the error that kept its members from being read."""
        read, filters = self.around.refreshed, context.filters
        if read is None or not filters.has_group_filter:
            return
        if read.group_error is not None:
            raise read.group_error
        for group_id in filters.group.values:
            if group_id in read.group_errors:
                raise read.group_errors[group_id]
        if not read.groups.issuperset(group_id for group_id in filters.group.values if group_id):
            raise GroupsUnread

    def _resume(self, session: Session) -> None:
        """Resume an interrupted run: what it did is not done again, and is counted as it was (G4)."""
        self.applied = set(session.connection().scalars(_APPLIED, {"run": self.run_id}))
        if self.applied and (run := session.get(SyncRun, self.run_id)) is not None:
            self.written.update({name: run.counts.get(name, 0) for name in WRITTEN})

    def _hourly_waits(self) -> bool:
        """True when a run of the hourly lane waits for this tenant."""
        with self.around.lease.sessions() as session:
            waiting = select(func.count()).where(
                SyncRun.microsoft_tenant_id == self.around.lease.tenant_id,
                SyncRun.status == "queued",
                SyncRun.lane == "hourly",
            )
            return bool(session.scalar(waiting))

    def _note(
        self, session: Session, phase: str, done: int, total: int | None, written: Mapping[str, int]
    ) -> None:
        session.execute(
            update(SyncRun)
            .where(SyncRun.id == self.run_id)
            .values(phase=phase, done=done, total=total, counts=dict(written), heartbeat_at=self.around.now())
        )
        # People differ from what the last complete run left, so the next run decides again, however this one ends.
        session.execute(
            update(UserSync)
            .where(UserSync.organization_id == self.organization_id, UserSync.settled_state.is_not(None))
            .values(settled_state=None)
        )

    def _show(self, phase: str, done: int, total: int | None) -> None:
        with self.around.lease.transaction() as session:
            session.execute(
                update(SyncRun)
                .where(SyncRun.id == self.run_id)
                .values(phase=phase, done=done, total=total, heartbeat_at=self.around.now())
            )
