"""Changes of how one's own account signs in: an open browser is not enough, the password is asked for again.

``verify`` hashes with nothing open, ``begin_change`` then begins to write. Whoever guesses there is counted, and locked out,
as a browser that signed in before. Afterwards other sessions end, and this one gets another token (``finish``).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from portal import audit
from portal.auth import attempts, passwords, service, sessions
from portal.errors import Invalid, NotFound
from portal.extensions import begin_write
from portal.models import Account, AccountSession

FRESH = timedelta(minutes=10)
"""Who has no password signed in with Microsoft, or by a one-time link, not longer ago than this."""


class WrongPassword(Invalid):
    """It is not the present password, which was counted: commit."""

    def __init__(self, field: str) -> None:
        super().__init__({field: ["This is not your current password."]})


class Locked(Invalid):
    """Too many wrong passwords in a row: none is checked or counted until the lock ends."""

    def __init__(self, field: str, left: timedelta) -> None:
        minutes = max(1, round(left.total_seconds() / 60))
        super().__init__({field: [f"Too many attempts for this account. Try again in {minutes} minutes."]})


@dataclass(frozen=True)
class Verified:
    """The result of a check that held no lock. ``stored``: the hash that ``is_right`` is about."""

    account_id: str
    stored: str | None
    is_right: bool
    locked_until: datetime | None


def verify(session: Session, account_id: str, password: str, *, session_id: str, now: datetime) -> Verified:
    """Check the present password. Nothing is open afterwards. Raises NotFound, RetryLater."""
    account = session.get(Account, account_id, populate_existing=True)
    row = session.get(AccountSession, session_id)
    if account is None or row is None:
        raise NotFound("This account was removed. Ask an administrator.")
    stored, signed_in_at = account.password_hash, row.created_at
    locked_until = attempts.locked_until(session, attempts.of_account(account_id), now)
    session.rollback()
    is_right = passwords.verify(stored, password) if stored is not None else now - signed_in_at <= FRESH
    return Verified(account_id, stored, is_right, locked_until)


def begin_change(session: Session, verified: Verified, *, field: str, now: datetime) -> Account:
    """Begin the writing transaction. Returns the account with its row locked.

    Raises Invalid on ``field``, WrongPassword or Locked among them: ``signed_in.note_guess`` counts and tells of them.
    """
    if verified.locked_until is not None:
        raise Locked(field, verified.locked_until - now)
    begin_write(session)
    account = service.locked_account(session, verified.account_id)
    if account is None or not account.is_active:
        raise NotFound("This account was removed or deactivated. Ask an administrator.")
    if not verified.is_right or account.password_hash != verified.stored:
        if account.password_hash is None:
            raise Invalid(
                {field: ["You have no password. Sign out, sign in again, and do this within 10 minutes."]}
            )
        try:
            service.fail(
                session,
                attempts.of_account(account.id),
                email=account.email,
                account_id=account.id,
                reason="present password",
                now=now,
                known_ids=(account.id,),
            )
        except service.SignInLocked as error:
            raise Locked(field, attempts.LOCK_FOR) from error
        raise WrongPassword(field)
    until = attempts.clear(session, attempts.of_account(account.id), now)
    if until is not None:
        raise Locked(field, until - now)
    return account


def change_password(
    session: Session, account_id: str, *, old: str, new: str, session_id: str, now: datetime
) -> Account:
    """Change one's own password. Raises Invalid, as ``begin_change`` does, and RetryLater."""
    account = session.get(Account, account_id, populate_existing=True)
    if account is None:
        raise NotFound("This account was removed. Ask an administrator.")
    passwords.check(new, email=account.email, name=account.name, field="new_password")
    verified = verify(session, account_id, old, session_id=session_id, now=now)
    hashed = passwords.hash_password(new) if verified.is_right else ""
    account = begin_change(session, verified, field="old_password", now=now)
    account.password_hash = hashed
    audit.record(session, "password_changed", account)
    return account


def finish(session: Session, account_id: str, session_id: str, now: datetime) -> str:
    """End the account's other sessions and give this one's new token. Raises NotFound when it was ended meanwhile."""
    sessions.end_all_sessions(session, account_id, now, but=session_id)
    return sessions.renew_session(session, session_id)
