"""Failed sign-ins in a row (P10): five lock an address for a quarter of an hour, whether it has an account or not.

Counted by what was typed into the address field, so that nothing tells known addresses from unknown ones; and by account
for the browsers that signed in to it before, apart, so that a stranger who goes on guessing keeps nobody out who comes back.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, case, delete, null, or_, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from portal.crypto import hash_token
from portal.models import Account, SignInAttempts

LOCK_AFTER = 5
LOCK_FOR = timedelta(minutes=15)


def of_address(address: str) -> str:
    """The key for browsers that never signed in with this address, as ``portal.text.email_key`` has it."""
    return hash_token(f"stranger {address}")


def of_account(account_id: str) -> str:
    """The key for browsers that signed in to this account before, and are signed in to it."""
    return hash_token(f"known {account_id}")


def key_of(address: str, account: Account | None, known_ids: Collection[str]) -> str:
    """The key of an attempt from a browser that signed in to the accounts ``known_ids`` before."""
    return of_account(account.id) if account is not None and account.id in known_ids else of_address(address)


def locked_until(session: Session, key: str, now: datetime) -> datetime | None:
    """Until when no attempt is taken; None when one is."""
    until = session.scalar(select(SignInAttempts.locked_until).where(SignInAttempts.key == key))
    return until if until is not None and until > now else None


def count_failure(session: Session, key: str, now: datetime) -> int:
    """Count one failure in one statement, however many come at once. Returns the number in a row.

    LOCK_AFTER: this one raised the lock. More: it was raised already, and the attempt does not count as one that was taken.
    """
    _forget_old(session, now)
    insert = postgresql.insert if session.get_bind().dialect.name == "postgresql" else sqlite.insert
    is_over = _is_over(now)
    row = SignInAttempts
    statement = (
        insert(row)
        .values(key=key, failures=1, last_at=now, locked_until=None)
        .on_conflict_do_update(
            index_elements=[row.key],
            set_={
                "failures": case((is_over, 1), else_=row.failures + 1),
                "last_at": now,
                "locked_until": case(
                    (is_over, null()),
                    (row.failures + 1 == LOCK_AFTER, now + LOCK_FOR),
                    else_=row.locked_until,
                ),
            },
        )
        .returning(row.failures)
    )
    return int(session.execute(statement).scalar_one())


def clear(session: Session, key: str, now: datetime) -> datetime | None:
    """Reset the count after a success. Returns the end of the lock if other failures raised one meanwhile."""
    row = SignInAttempts
    is_open = or_(row.locked_until.is_(None), row.locked_until <= now)
    session.execute(delete(row).where(row.key == key, is_open))
    return locked_until(session, key, now)


def unlock(session: Session, account: Account) -> None:
    """Forget the failures of an account: its owner has a new password, or comes by an administrator's link."""
    keys = (of_address(account.email), of_account(account.id))
    session.execute(delete(SignInAttempts).where(SignInAttempts.key.in_(keys)))


def _is_over(now: datetime) -> Any:
    row = SignInAttempts
    return or_(
        row.locked_until <= now,
        and_(row.locked_until.is_(None), row.last_at <= now - LOCK_FOR),
    )


def _forget_old(session: Session, now: datetime) -> None:
    """Delete the counts of addresses that are no longer tried; rows that another sign-in has locked are skipped."""
    old = select(SignInAttempts.key).where(SignInAttempts.last_at <= now - 2 * LOCK_FOR)
    session.execute(
        delete(SignInAttempts).where(SignInAttempts.key.in_(old.with_for_update(skip_locked=True))),
        execution_options={"synchronize_session": False},
    )
