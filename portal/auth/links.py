"""One-time links (P10): for a new account, or for a new password of an existing one. Each is used once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from portal import audit
from portal.auth import attempts, passwords, sessions
from portal.auth import service as accounts
from portal.crypto import hash_token, new_token
from portal.errors import NotFound
from portal.extensions import begin_write
from portal.models import Account, Invitation, Role

INVITATION_LIFE = timedelta(days=7)
RESET_LIFE = timedelta(hours=1)
"""Of a link for an existing account: it opens more than a new one's, and its owner waits for it."""


class WrongLink(NotFound):
    """The link was used, ran out, was withdrawn or never was."""

    def __init__(self) -> None:
        super().__init__("This link was used already or has expired. Ask an administrator for a new one.")


@dataclass(frozen=True)
class OneTimeLink:
    """A new link's token, given this once. ``is_reset``: there is such an account, and it lives for RESET_LIFE."""

    token: str
    is_reset: bool


def invite(
    session: Session, *, email: str, role: str, now: datetime, by: str, by_id: str | None = None
) -> OneTimeLink:
    """Make a one-time link for a new account, or a new password for an existing one. Raises Invalid.

    An earlier link for this address ends: there is one at most. ``by_id``: the account of who makes it.
    """
    token, address, account_role = new_token(), accounts.normal_email(email), accounts.role_of(role)
    is_reset = accounts.find_account(session, address) is not None
    withdraw(session, address, now)
    session.add(
        Invitation(
            email=address,
            role=account_role.value,
            token_hash=hash_token(token),
            invited_by=by,
            invited_by_id=by_id,
            created_at=now,
            expires_at=now + (RESET_LIFE if is_reset else INVITATION_LIFE),
        )
    )
    audit.record(session, "invitation_created", email=address, role=account_role.value)
    return OneTimeLink(token, is_reset)


def open_links(session: Session, now: datetime) -> Sequence[Invitation]:
    """The links that still work, by address."""
    return session.scalars(
        select(Invitation)
        .where(Invitation.used_at.is_(None), Invitation.expires_at > now)
        .order_by(Invitation.email)
    ).all()


def withdraw(session: Session, email: str, now: datetime) -> int:
    """End the open links of an address and give their number."""
    result = session.execute(
        update(Invitation)
        .where(Invitation.email == email, Invitation.used_at.is_(None), Invitation.expires_at > now)
        .values(expires_at=now)
    )
    return int(result.rowcount)  # type: ignore[attr-defined]


def made_by(session: Session, account_id: str, now: datetime) -> Sequence[Invitation]:
    """The valid links that somebody made."""
    return session.scalars(
        select(Invitation).where(
            Invitation.invited_by_id == account_id,
            Invitation.used_at.is_(None),
            Invitation.expires_at > now,
        )
    ).all()


def find(session: Session, token: str, now: datetime) -> Invitation:
    """The open invitation behind a link's token. Raises WrongLink."""
    row = session.scalar(select(Invitation).where(Invitation.token_hash == hash_token(token)))
    if row is None or row.used_at is not None or row.expires_at <= now:
        raise WrongLink
    return row


def use(session: Session, row: Invitation, now: datetime) -> None:
    """Use a link within the transaction that writes: of several at once one does. Raises WrongLink."""
    used = session.execute(
        update(Invitation)
        .where(Invitation.id == row.id, Invitation.used_at.is_(None), Invitation.expires_at > now)
        .values(used_at=now)
    )
    if used.rowcount != 1:  # type: ignore[attr-defined]
        raise WrongLink
    withdraw(session, row.email, now)


def accept(session: Session, token: str, *, name: str, password: str, now: datetime) -> Account:
    """Use a link: creates the account, or gives the existing one a new password. Raises WrongLink, Invalid, RetryLater."""
    row = find(session, token, now)
    account = accounts.find_account(session, row.email)
    passwords.check(password, email=row.email, name=account.name if account is not None else name)
    session.rollback()  # nothing is held while a password is hashed
    hashed = passwords.hash_password(password)
    begin_write(session)
    use(session, row, now)
    with audit.acting_as(audit.Actor(row.email, "page", audit.current_actor().ip)):
        account = _owner(session, row)
        if account is None:
            account = accounts.insert_account(
                session, email=row.email, role=Role(row.role), now=now, password_hash=hashed, name=name
            )
        else:
            account.password_hash = hashed
            begin_anew(session, account, now)
        audit.record(session, "invitation_used", account, email=row.email)
    return account


def begin_anew(session: Session, account: Account, now: datetime) -> None:
    """After a link gave an account a new way to sign in: end its sessions and its lock."""
    attempts.unlock(session, account)
    sessions.end_all_sessions(session, account.id, now)


def _owner(session: Session, row: Invitation) -> Account | None:
    account = accounts.find_account(session, row.email)
    return None if account is None else accounts.locked_account(session, account.id)
