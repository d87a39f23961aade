"""Leases: one worker at a time per Microsoft Tenant (T1), takeover if it died (G4), and a fence against one that returns.

Taking a lease is one conditional UPDATE that must change exactly one row, and gives a fence, a number that grows with each
taking. Every transaction that a worker writes begins by renewing the lease under its fence: a worker that was stopped for
longer than its lease changes no row there, knows that somebody else took over, and writes nothing (``Lease.transaction``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Update, bindparam, or_, select, text, update
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.dml import ReturningUpdate

from portal import transactions
from portal.errors import LeaseLost
from portal.models import MicrosoftTenant
from portal.transactions import SessionFactory, write_session

TTL = timedelta(seconds=150)
"""How long a lease lives without being renewed. Chunks and pages renew far more often; one request may take 2 minutes (G5)."""
SLOW_TTL = timedelta(minutes=15)
"""The slow pass's: far more than the longest wait for the app-wide rate limit, when many workers' passes queue for it (T7)."""

Part = Literal["run", "slow"]


@dataclass(frozen=True)
class _Columns:
    owner: InstrumentedAttribute[Any]
    expires_at: InstrumentedAttribute[Any]
    fence: InstrumentedAttribute[int]
    ttl: timedelta


_PARTS: dict[Part, _Columns] = {
    "run": _Columns(
        MicrosoftTenant.lease_owner, MicrosoftTenant.lease_expires_at, MicrosoftTenant.fence, TTL
    ),
    "slow": _Columns(
        MicrosoftTenant.slow_lease_owner,
        MicrosoftTenant.slow_lease_expires_at,
        MicrosoftTenant.slow_fence,
        SLOW_TTL,
    ),
}


def _of_holder(columns: _Columns) -> Update:
    """An UPDATE of the tenant that only the lease holder can make; ``Lease._held`` has the parameters."""
    table = MicrosoftTenant.__table__
    return update(table).where(  # type: ignore[arg-type]
        table.c.id == bindparam("of_tenant"),
        table.c[columns.owner.key] == bindparam("of_owner"),
        table.c[columns.fence.key] == bindparam("of_fence"),
    )


_RENEWALS: dict[Part, Update] = {
    part: _of_holder(columns).values({columns.expires_at.key: bindparam("until")})
    for part, columns in _PARTS.items()
}
"""Built once: every transaction begins with one, and building it took as long as executing it."""
_RELEASES: dict[Part, Update] = {
    part: _of_holder(columns).values({columns.owner.key: None, columns.expires_at.key: None})
    for part, columns in _PARTS.items()
}


def _taking(columns: _Columns) -> ReturningUpdate[int]:
    """The UPDATE that acquires a lease if it is free, expired or held by the same owner. Returns its fence."""
    table = MicrosoftTenant.__table__
    owner, expires_at, fence = (
        table.c[column.key] for column in (columns.owner, columns.expires_at, columns.fence)
    )
    return (
        update(table)  # type: ignore[arg-type]
        .where(
            table.c.id == bindparam("of_tenant"),
            or_(owner.is_(None), owner == bindparam("by"), expires_at <= bindparam("moment")),
        )
        .values({owner: bindparam("by"), expires_at: bindparam("until"), fence: fence + 1})
        .returning(fence)
    )


_TAKINGS: dict[Part, ReturningUpdate[int]] = {part: _taking(columns) for part, columns in _PARTS.items()}

_END_STOPPED = text(
    """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND usename = current_user AND application_name LIKE 'rollcall %'
      AND backend_xid IS NOT NULL AND wait_event = 'ClientRead'
      AND state_change < clock_timestamp() - make_interval(secs => :seconds)
    """
)


@dataclass(frozen=True)
class Lease:
    """The right to write a Microsoft Tenant, as long as it is renewed in time."""

    sessions: SessionFactory
    tenant_id: str
    owner: str
    fence: int
    now: Callable[[], datetime]
    part: Part = "run"

    @contextmanager
    def transaction(self) -> Iterator[Session]:
        """A writing transaction that only the lease holder can begin; commits at the end of the block.

        Raises LeaseLost, before anything is written, when somebody else took over. An error in the block rolls back.
        """
        with write_session(self.sessions) as session:
            if not self._renew_in(session):
                raise LeaseLost
            yield session

    def renew(self) -> None:
        """Renew the lease while nothing is written, for instance while Microsoft asks to wait (G5). Raises LeaseLost."""
        with self.transaction():
            pass

    def release(self) -> None:
        """Release the lease. Does nothing if another worker holds it."""
        with write_session(self.sessions) as session:
            self.release_in(session)

    def release_in(self, session: Session) -> None:
        """Release the lease in the transaction of ``session``: nothing can be written under it after that."""
        session.connection().execute(_RELEASES[self.part], self._held())

    def _renew_in(self, session: Session) -> bool:
        until = self.now() + _PARTS[self.part].ttl
        return (
            session.connection().execute(_RENEWALS[self.part], {**self._held(), "until": until}).rowcount == 1
        )

    def _held(self) -> dict[str, Any]:
        return {"of_tenant": self.tenant_id, "of_owner": self.owner, "of_fence": self.fence}


def acquire(
    sessions: SessionFactory,
    tenant_id: str,
    owner: str,
    now: Callable[[], datetime],
    *,
    part: Part = "run",
    first: Callable[[Lease, Session], object] = lambda _lease, _session: None,
) -> Lease | None:
    """Lease the tenant. None if another worker holds it. first: what is written in the same transaction."""
    moment = now()
    parameters = {"of_tenant": tenant_id, "by": owner, "moment": moment, "until": moment + _PARTS[part].ttl}
    with write_session(sessions) as session:
        fence = session.connection().scalar(_TAKINGS[part], parameters)
        if fence is None:
            return None
        lease = Lease(sessions, tenant_id, owner, fence, now, part)
        first(lease, session)
    return lease


def end_stopped_writers(sessions: SessionFactory) -> int:
    """End transactions of ours that have written and then been idle for ``IDLE_WRITER``. Returns the number of connections.

    PostgreSQL does so by itself, but not once many rows were written together (``executemany``): the driver sends them as one
    stream, and a message after its end by which PostgreSQL takes the client for busy until the next statement. Whoever is stopped
    there, or within the stream, would keep its rows for ever.
    """
    with sessions() as session:
        return len(session.execute(_END_STOPPED, {"seconds": transactions.IDLE_WRITER}).all())


def is_removed(sessions: SessionFactory, tenant_id: str) -> bool:
    """True if the tenant was removed, which explains any failure."""
    with sessions() as session:
        tenant = session.get(MicrosoftTenant, tenant_id)
        return tenant is None or tenant.state == "removed"


def release_orphaned(sessions: SessionFactory, is_dead: Callable[[str], bool]) -> int:
    """Release the leases of workers that are known to be dead before they expire (G4). Returns how many."""
    freed = 0
    for columns in _PARTS.values():
        with sessions() as session:
            held = session.execute(
                select(MicrosoftTenant.id, columns.owner).where(columns.owner.is_not(None))
            ).all()
        for tenant_id, owner in held:
            if not is_dead(owner):
                continue
            with write_session(sessions) as session:
                row = select(MicrosoftTenant.id).where(MicrosoftTenant.id == tenant_id)
                if session.scalar(row.with_for_update(key_share=True, skip_locked=True)) is None:
                    continue  # its worker was stopped in a transaction, which PostgreSQL ends soon
                result = session.execute(
                    update(MicrosoftTenant)
                    .where(MicrosoftTenant.id == tenant_id, columns.owner == owner)
                    .values({columns.owner.key: None, columns.expires_at.key: None})
                    .execution_options(synchronize_session=False)
                )
                freed += result.rowcount  # type: ignore[attr-defined]
    return freed
