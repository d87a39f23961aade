"""Leases: one run at a time per Microsoft Tenant, whoever starts it (T1), and takeover when the holder died (G4).

Each is one conditional UPDATE that must change exactly one row; no locks are held, so it works alike on SQLite and PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import or_, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session, sessionmaker

from portal.models import MicrosoftTenant

TTL = timedelta(seconds=150)
"""How long a lease lives without a beat. Chunks and pages beat far more often; one request may take 2 minutes (G5)."""

Part = Literal["run", "slow"]

_COLUMNS: dict[Part, tuple[InstrumentedAttribute[Any], InstrumentedAttribute[Any]]] = {
    "run": (MicrosoftTenant.lease_owner, MicrosoftTenant.lease_expires_at),
    "slow": (MicrosoftTenant.slow_lease_owner, MicrosoftTenant.slow_lease_expires_at),
}

Sessions = sessionmaker[Session]


def write_session(sessions: Sessions) -> Session:
    """A session whose transactions SQLite begins as writing ones (dependencies.md, finding 5)."""
    session = sessions()
    begin_write(session)
    return session


def begin_write(session: Session) -> None:
    """Say, before the first statement of a transaction, that it will write."""
    session.connection(execution_options={"sqlite_write": True})


def claim(
    sessions: Sessions, tenant_id: str, owner: str, now: datetime, *, part: Part = "run", ttl: timedelta = TTL
) -> bool:
    """Take the lease when it is free, ours, or has run out. True when it is ours now."""
    holder, until = _COLUMNS[part]
    free = or_(holder.is_(None), holder == owner, until <= now)
    return _change(sessions, tenant_id, free, {holder.key: owner, until.key: now + ttl})


def beat(
    sessions: Sessions, tenant_id: str, owner: str, now: datetime, *, part: Part = "run", ttl: timedelta = TTL
) -> bool:
    """Live on. False when somebody else took over: stop at once."""
    holder, until = _COLUMNS[part]
    return _change(sessions, tenant_id, holder == owner, {until.key: now + ttl})


def beat_within(session: Session, tenant_id: str, owner: str, now: datetime, *, ttl: timedelta = TTL) -> bool:
    """The same inside the transaction of a chunk: a run that lost its lease writes nothing more."""
    statement = (
        update(MicrosoftTenant)
        .where(MicrosoftTenant.id == tenant_id, MicrosoftTenant.lease_owner == owner)
        .values(lease_expires_at=now + ttl)
        .execution_options(synchronize_session=False)
    )
    return session.execute(statement).rowcount == 1  # type: ignore[attr-defined,no-any-return]


def release(sessions: Sessions, tenant_id: str, owner: str, *, part: Part = "run") -> None:
    """Give the lease back; not ours any more is fine."""
    holder, until = _COLUMNS[part]
    _change(sessions, tenant_id, holder == owner, {holder.key: None, until.key: None})


def is_gone(sessions: Sessions, tenant_id: str) -> bool:
    """True when the tenant was removed: whatever goes wrong with it now goes wrong because of that."""
    with sessions() as session:
        return session.get(MicrosoftTenant, tenant_id) is None


def release_dead(sessions: Sessions, is_dead: Callable[[str], bool]) -> int:
    """Free the leases of holders that are known to be dead, instead of waiting for them to run out (G4). Gives their number."""
    freed = 0
    for holder, until in _COLUMNS.values():
        with sessions() as session:
            held = session.execute(select(MicrosoftTenant.id, holder).where(holder.is_not(None))).all()
        for tenant_id, owner in held:
            if is_dead(owner):
                freed += _change(sessions, tenant_id, holder == owner, {holder.key: None, until.key: None})
    return freed


def _change(sessions: Sessions, tenant_id: str, condition: Any, values: dict[str, Any]) -> bool:
    with write_session(sessions) as session:
        result = session.execute(
            update(MicrosoftTenant).where(MicrosoftTenant.id == tenant_id, condition).values(**values)
        )
        session.commit()
        return result.rowcount == 1  # type: ignore[attr-defined,no-any-return]
