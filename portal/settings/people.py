"""People of the portal (P10): roles, invitations, switching off; never without an active administrator."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import delete, select

from portal import audit
from portal.api import tokens
from portal.auth import attempts, links, sessions
from portal.auth import service as accounts
from portal.clock import utcnow
from portal.errors import Refused
from portal.extensions import db
from portal.models import Account, ConsentRequest, Invitation, Role


def people() -> Sequence[Account]:
    """Every account, by address."""
    return db.session.scalars(select(Account).order_by(Account.email)).all()


def other_administrators(row: Account) -> Sequence[Account]:
    """The active administrators beside an account. Raises Refused if there is none: one must remain.

    They are locked until the transaction ends, so that of two who let each other go at once one is refused.
    """
    administrators = db.session.scalars(
        select(Account)
        .where(Account.role == Role.ADMINISTRATOR.value, Account.is_active.is_(True))
        .order_by(Account.id)
        .with_for_update()
    )
    others = sorted(
        (administrator for administrator in administrators if administrator.id != row.id),
        key=lambda account: account.email,
    )
    if not others:
        raise Refused(
            f"{row.email} is the last active administrator. Make someone else an administrator first.",
            link="/settings/people",
        )
    return others


def change_role(row: Account, role: str, *, keep: str | None = None) -> None:
    """Give an account another role. Raises Invalid, Refused for the last administrator.

    A lower role ends what the higher one allowed: other sessions (``keep``: the one that changes this), the links it made if it
    may make none any more, and its tokens of a higher role.
    """
    new_role = accounts.role_of(role)
    if new_role.value == row.role:
        return
    if row.role == Role.ADMINISTRATOR:
        other_administrators(row)
    changes = f"role: {row.role} → {new_role.value}"
    is_lower = new_role.rank < Role(row.role).rank
    row.role = new_role.value
    if is_lower:
        sessions.end_all_sessions(db.session(), row.id, utcnow(), but=keep)
        tokens.revoke_above(row.id, new_role)
        _withdraw_made(row)
    _record(row, changes)


def switch(row: Account, *, active: bool) -> None:
    """Switch an account on or off. Raises Refused for the last administrator.

    Switched off, its sessions and the links that it made end at once, and its tokens are refused until it is on again.
    """
    if row.is_active == active:
        return
    if not active and row.role == Role.ADMINISTRATOR:
        other_administrators(row)
    row.is_active = active
    if not active:
        _shut_out(row)
    _record(row, "switched on" if active else "switched off")


def reset_totp(row: Account) -> None:
    """Take a lost authenticator away: the password is enough until its owner sets up a new one.

    The sessions of the account end: whoever has the authenticator now may have one.
    """
    if row.totp_secret is None:
        return
    row.totp_secret = row.totp_last_step = None
    sessions.end_all_sessions(db.session(), row.id, utcnow())
    audit.record(db.session(), "totp_changed", row, enabled=False)


def withdraw(row: Invitation) -> None:
    """End an open one-time link."""
    if links.withdraw(db.session(), row.email, utcnow()):
        audit.record(db.session(), "invitation_withdrawn", email=row.email)


def remove(row: Account) -> None:
    """Remove an account. Raises Refused for the last administrator.

    It leaves nothing behind that opens anything: sessions, links for it and by it, tokens, consent under way.
    """
    if row.role == Role.ADMINISTRATOR:
        other_administrators(row)
    accounts.record_account(db.session(), "account_removed", row)
    _shut_out(row)
    tokens.revoke_above(row.id, None)
    attempts.unlock(db.session(), row)
    db.session.delete(row)
    db.session.flush()


def _shut_out(row: Account) -> None:
    """End an account's sessions and open links: a link could restore a removed account."""
    sessions.end_all_sessions(db.session(), row.id, utcnow())
    links.withdraw(db.session(), row.email, utcnow())
    db.session.execute(delete(ConsentRequest).where(ConsentRequest.account_id == row.email[:36]))
    _withdraw_made(row)


def _withdraw_made(row: Account) -> None:
    """End the open links that an account made: it may no longer invite."""
    for invitation in links.made_by(db.session(), row.id, utcnow()):
        withdraw(invitation)


def _record(row: Account, changes: str) -> None:
    db.session.flush()
    accounts.record_account(db.session(), "account_changed", row, changes=changes)
