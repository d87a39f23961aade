"""The first administrator of a fresh portal, by the token in its log (P11)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import delete
from sqlalchemy.orm import Session

from portal import audit
from portal.auth import passwords
from portal.auth.service import has_accounts, insert_account, normal_email
from portal.crypto import hash_token, new_token
from portal.errors import Invalid, Refused
from portal.extensions import begin_write
from portal.models import Account, Role, StoredSetting

SETUP_KEY = "setup_token"
NOT_FROM_THE_LOG = "This is not the token from the log. Copy it from the portal's output, or restart the portal for a new one."


def new_setup_token(session: Session, now: datetime) -> str | None:
    """A fresh one-time token for the set-up page, replacing an earlier one; None once there is an account (P11)."""
    if has_accounts(session):
        return None
    token = new_token()
    row = StoredSetting.obtain(session, SETUP_KEY, now)
    row.value, row.updated_at = {"hash": hash_token(token)}, now
    return token


def create_first_administrator(
    session: Session, token: str, *, email: str, name: str, password: str, now: datetime
) -> Account:
    """Create the first administrator (P11): one, however many send the token at once.

    Raises Refused once there is an account, Invalid for a wrong token, address or password, RetryLater.
    """
    _check_setup_token(session, token)
    address = normal_email(email)
    passwords.check(password, email=address, name=name)
    session.rollback()  # nothing is held while a password is hashed
    hashed = passwords.hash_password(password)
    begin_write(session)
    used = session.execute(delete(StoredSetting).where(StoredSetting.key == SETUP_KEY))
    if used.rowcount != 1 or has_accounts(session):  # type: ignore[attr-defined]
        raise Refused("Rollcall is already set up. Sign in.", link="/login")
    with audit.acting_as(audit.Actor(address, "page", audit.current_actor().ip)):
        return insert_account(
            session, email=address, role=Role.ADMINISTRATOR, now=now, password_hash=hashed, name=name
        )


def _check_setup_token(session: Session, token: str) -> None:
    if has_accounts(session):
        raise Refused("Rollcall is already set up. Sign in.", link="/login")
    row = session.get(StoredSetting, SETUP_KEY)
    if row is None or row.value.get("hash") != hash_token(token.strip()):
        raise Invalid({"token": [NOT_FROM_THE_LOG]})
