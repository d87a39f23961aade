"""Authenticator apps (RFC 6238): one step of tolerance, and each step accepted once, so that an overseen code is of no use."""

from __future__ import annotations

from datetime import datetime

import pyotp
from sqlalchemy import or_, update
from sqlalchemy.orm import Session

from portal import audit
from portal.crypto import SecretBox
from portal.errors import Invalid, Refused
from portal.models import Account

SECONDS = 30


def use_code(session: Session, account: Account, code: str, *, now: datetime, box: SecretBox) -> bool:
    """Use up ``code``. Returns True if the account's authenticator shows it and it was not used before."""
    totp = pyotp.TOTP(box.decrypt(account.totp_secret or "", purpose=_purpose(account)))
    step = accepted_step(totp, code, now=now)
    if step is None:
        return False
    result = session.execute(
        update(Account)
        .where(Account.id == account.id)
        .where(or_(Account.totp_last_step.is_(None), Account.totp_last_step < step))
        .values(totp_last_step=step)
    )
    return bool(result.rowcount == 1)  # type: ignore[attr-defined]


def enable(
    session: Session, account: Account, secret: str, code: str, *, now: datetime, box: SecretBox
) -> None:
    """Store an authenticator's secret once a code from it was right; that code does not sign in any more.

    ``account`` comes from ``confirmation.begin_change``. Raises Invalid, and Refused while one is set up.
    """
    if account.totp_secret is not None:
        raise Refused("An authenticator is already set up. Turn it off first.", link="/account#totp")
    step = accepted_step(pyotp.TOTP(secret), code, now=now)
    if step is None:
        raise Invalid(
            {"code": ["This code is not correct. Check the clock of your device, and enter the newest code."]}
        )
    account.totp_secret, account.totp_last_step = box.encrypt(secret, purpose=_purpose(account)), step
    audit.record(session, "totp_changed", account, enabled=True)


def disable(session: Session, account: Account) -> None:
    """Switch the second factor off. Done twice it is fine."""
    if account.totp_secret is None:
        return
    account.totp_secret = account.totp_last_step = None
    audit.record(session, "totp_changed", account, enabled=False)


def accepted_step(totp: pyotp.TOTP, code: str, *, now: datetime) -> int | None:
    """The step whose code this is, one before or after now at most; None when it is none's."""
    present = int(now.timestamp()) // SECONDS
    typed = code.strip().replace(" ", "")
    return next(
        (step for step in (present, present - 1, present + 1) if totp.verify(typed, for_time=step * SECONDS)),
        None,
    )


def _purpose(account: Account) -> str:
    return f"totp:{account.id}"
