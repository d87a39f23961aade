"""Browser sessions: opened by a sign-in, found by their token, ended (P11). Never sees a request."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session, joinedload

from portal import audit
from portal.crypto import hash_token, new_token
from portal.errors import NotFound
from portal.models import Account, AccountSession

SESSION_LIFE = timedelta(hours=12)
SESSION_IDLE = timedelta(hours=4)


@dataclass(frozen=True)
class SignedIn:
    """Whose session a token opens."""

    account: Account
    session: AccountSession


def start_session(
    session: Session, account: Account, *, now: datetime, ip: str, user_agent: str, method: str
) -> str:
    """Open a browser session. Returns its token for the signed cookie; only its hash is stored."""
    token = new_token()
    session.add(
        AccountSession(
            account_id=account.id,
            token_hash=hash_token(token),
            created_at=now,
            last_seen_at=now,
            expires_at=now + SESSION_LIFE,
            ip=ip[:64],
            user_agent=user_agent[:256],
        )
    )
    account.last_sign_in_at = now
    with audit.acting_as(audit.Actor(account.email, "page", ip)):
        audit.record(session, "signed_in", account, method=method)
    return token


def find_session(session: Session, token: str, now: datetime) -> SignedIn | None:
    """Whose session ``token`` opens. None if it was ended, expired or idle too long, or the account is deactivated."""
    row = session.scalar(
        select(AccountSession)
        .where(AccountSession.token_hash == hash_token(token))
        .options(joinedload(AccountSession.account))
    )
    if (
        row is None
        or row.ended_at is not None
        or row.expires_at <= now
        or row.last_seen_at + SESSION_IDLE <= now
    ):
        return None
    return SignedIn(row.account, row) if row.account.is_active else None


def end_session(session: Session, session_id: str, now: datetime) -> None:
    """End one browser session; ending it twice is fine."""
    row = session.get(AccountSession, session_id)
    if row is not None and row.ended_at is None:
        row.ended_at = now


def end_all_sessions(session: Session, account_id: str, now: datetime, *, but: str | None = None) -> int:
    """End every session of an account except ``but``. Returns how many."""
    statement = (
        update(AccountSession)
        .where(AccountSession.account_id == account_id, AccountSession.ended_at.is_(None))
        .values(ended_at=now)
    )
    if but is not None:
        statement = statement.where(AccountSession.id != but)
    return int(session.execute(statement).rowcount)  # type: ignore[attr-defined]


def renew_session(session: Session, session_id: str) -> str:
    """Give a session another token, after a change of how its account signs in. Raises NotFound when it was ended."""
    token = new_token()
    renewed = session.execute(
        update(AccountSession)
        .where(AccountSession.id == session_id, AccountSession.ended_at.is_(None))
        .values(token_hash=hash_token(token))
    )
    if renewed.rowcount != 1:  # type: ignore[attr-defined]
        raise NotFound("This session has ended. Sign in again.")
    return token


def open_sessions(session: Session, account_id: str, now: datetime) -> list[AccountSession]:
    """The browsers an account is signed in on, latest use first."""
    statement = (
        select(AccountSession)
        .where(
            AccountSession.account_id == account_id,
            AccountSession.ended_at.is_(None),
            AccountSession.expires_at > now,
            AccountSession.last_seen_at > now - SESSION_IDLE,
        )
        .order_by(AccountSession.last_seen_at.desc())
    )
    return list(session.scalars(statement))
