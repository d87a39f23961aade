"""Accounts and sign-in (P10, P11). Never sees a request.

What hashes a password reads first, hashes with nothing open, and then begins the transaction that writes (``begin_write``),
where everything it relied on is looked at again: the row of the account is locked until the caller's commit.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import addresses, audit
from portal.auth import attempts, authenticator, passwords
from portal.crypto import SecretBox, hash_token
from portal.errors import Invalid, PortalError, Refused
from portal.extensions import begin_write
from portal.http import refusals
from portal.models import Account, Invitation, Role
from portal.text import email_key

KNOWN = ", known browser"
MISMATCH = "The e-mail address or the password is not correct. Check both."


class SignInRefused(PortalError):
    """Sign-in did not work; the sentence says what to do and not which half was wrong.

    reason: password | code | proof | switched off | locked; account_id: whose it was, "" for nobody's.
    """

    def __init__(self, advice: str, *, reason: str, account_id: str = "") -> None:
        super().__init__(advice)
        self.reason, self.account_id = reason, account_id


class CodeNeeded(SignInRefused):
    """The password is right, the six-digit code of ``account`` is missing or wrong; ``is_missing``: nobody has tried one."""

    def __init__(self, advice: str, account: Account, *, is_missing: bool) -> None:
        super().__init__(advice, reason="code", account_id=account.id)
        self.account, self.is_missing = account, is_missing


class SignInLocked(SignInRefused):
    """Too many failures in a row: nothing is counted any more until the lock ends."""

    def __init__(self, left: timedelta, *, account_id: str = "") -> None:
        minutes = max(1, round(left.total_seconds() / 60))
        super().__init__(
            f"Too many attempts for this address. Wait {minutes} minutes, or use a browser in which you signed in before.",
            reason="locked",
            account_id=account_id,
        )


def normal_email(text: str) -> str:
    """The address as accounts store it. Raises Invalid on ``email``.

    Only its form is checked: self-hosted portals use addresses in domains no public rule knows (corp.local).
    """
    if why := addresses.problem(addresses.tidy(text)):
        raise Invalid({"email": [why]})
    return email_key(text)


def role_of(text: str) -> Role:
    """The role named ``text``. Raises Invalid on ``role``."""
    try:
        return Role(text)
    except ValueError as error:
        raise Invalid({"role": ["Must be one of: administrator, technician, read-only."]}) from error


def add_account(
    session: Session, *, email: str, role: str, now: datetime, password: str | None = None, name: str = ""
) -> Account:
    """Create an account. Hashes before it touches ``session``: nothing may have been written with that.

    Raises Invalid for a bad address, role or password, Refused when the address is taken, RetryLater.
    """
    address, account_role = normal_email(email), role_of(role)
    if password is not None:
        passwords.check(password, email=address, name=name)
    hashed = None if password is None else passwords.hash_password(password)
    return insert_account(session, email=address, role=account_role, now=now, password_hash=hashed, name=name)


def insert_account(
    session: Session, *, email: str, role: Role, now: datetime, password_hash: str | None, name: str
) -> Account:
    """The same with a password that is hashed already. Raises Refused when the address is taken, by whoever came first.

    One-time links that are open for the address end: they would be links for a new password now, and those live shorter.
    """
    account = Account(
        email=email,
        name=name.strip() or email.split("@", maxsplit=1)[0],
        role=role.value,
        password_hash=password_hash,
        created_at=now,
    )
    if find_account(session, email) is not None:
        raise _duplicate(email)
    try:
        with session.begin_nested():
            session.add(account)
    except IntegrityError as error:
        raise _duplicate(email) from error
    session.execute(
        update(Invitation)
        .where(Invitation.email == email, Invitation.used_at.is_(None), Invitation.expires_at > now)
        .values(expires_at=now)
    )
    record_account(session, "account_added", account, role=account.role)
    return account


def refuse_taken(session: Session, email: str) -> None:
    """Raise Invalid for a bad address, Refused for one that has an account."""
    address = normal_email(email)
    if find_account(session, address) is not None:
        raise _duplicate(address)


def _duplicate(address: str) -> Refused:
    return Refused(f"There is already an account for {address}.")


def find_account(session: Session, email: str) -> Account | None:
    """The account of this address, None when there is none."""
    return session.scalar(select(Account).where(Account.email == email_key(email)))


def locked_account(session: Session, account_id: str) -> Account | None:
    """The account as it is now, its row locked until the commit; None when it was removed."""
    return session.get(Account, account_id, with_for_update=True, populate_existing=True)


def sign_in(
    session: Session,
    *,
    email: str,
    password: str,
    code: str,
    now: datetime,
    box: SecretBox,
    known_ids: Collection[str] = (),
    proof: str | None = None,
) -> Account:
    """Check e-mail, password and, where set up, the six-digit code. ``proof`` stands for the password (``proof_of``).

    Raises SignInRefused (CodeNeeded when only the code is missing), RetryLater. Failures are counted, also when this
    raises: commit either way. An address without an account takes the same time, and is locked the same way, as one that
    has one (``attempts``); ``known_ids`` holds the accounts this browser signed in to before.
    """
    account = find_account(session, email)
    account_id = account.id if account is not None else ""
    stored = account.password_hash if account is not None else None
    key = attempts.key_of(email_key(email), account, known_ids)
    locked_until = attempts.locked_until(session, key, now)
    is_proven = (
        proof is not None
        and account is not None
        and account.totp_secret is not None  # nobody signs in from the page for a code without one
        and hmac.compare_digest(proof, proof_of(account))
    )
    session.rollback()  # nothing is held while a password is hashed
    if proof is not None and not is_proven:
        raise SignInRefused("That took too long. Enter the password again.", reason="proof")
    is_right = is_proven or passwords.verify(stored, password)
    renewed = None
    if is_right and not is_proven and stored is not None and passwords.is_outdated(stored):
        renewed = passwords.hash_password(password)
    if locked_until is not None:
        raise SignInLocked(locked_until - now, account_id=account_id)
    begin_write(session)
    account = locked_account(session, account_id) if is_right else None
    if account is None or account.password_hash != stored:
        fail(
            session, key, email=email, account_id=account_id, reason="password", now=now, known_ids=known_ids
        )
        raise SignInRefused(MISMATCH, reason="password", account_id=account_id)
    pass_second_factor(session, account, code=code, now=now, box=box, known_ids=known_ids)
    if renewed is not None:
        account.password_hash = renewed
    return account


def pass_second_factor(
    session: Session,
    account: Account,
    *,
    code: str,
    now: datetime,
    box: SecretBox,
    known_ids: Collection[str] = (),
) -> None:
    """Check, after the password or Microsoft's answer, that the account is active and the authenticator's code is right.

    The row of the account is locked by the caller (``locked_account``). Raises SignInRefused; commit either way.
    """
    key = attempts.key_of(account.email, account, known_ids)
    until = attempts.locked_until(session, key, now)
    if until is not None:
        raise SignInLocked(until - now, account_id=account.id)
    if not account.is_active:
        _record_failure(session, email=account.email, account_id=account.id, reason="switched off")
        raise SignInRefused(
            "This account is deactivated. Ask an administrator.",
            reason="switched off",
            account_id=account.id,
        )
    if account.totp_secret is not None:
        if not code.strip():
            raise CodeNeeded("Enter the six-digit code of your authenticator app.", account, is_missing=True)
        if not authenticator.use_code(session, account, code, now=now, box=box):
            fail(
                session,
                key,
                email=account.email,
                account_id=account.id,
                reason="code",
                now=now,
                known_ids=known_ids,
            )
            raise CodeNeeded(
                "This code is not correct, or was used already. Wait for the next one and try again.",
                account,
                is_missing=False,
            )
    until = attempts.clear(session, key, now)
    if until is not None:
        raise SignInLocked(until - now, account_id=account.id)


def fail(
    session: Session,
    key: str,
    *,
    email: str,
    account_id: str,
    reason: str,
    now: datetime,
    known_ids: Collection[str] = (),
) -> None:
    """Count a failure under ``key`` and record it. Raises SignInLocked when others' raised the lock meanwhile."""
    number = attempts.count_failure(session, key, now)
    if number > attempts.LOCK_AFTER:
        raise SignInLocked(attempts.LOCK_FOR, account_id=account_id)
    reason = f"{reason}{KNOWN}" if account_id in known_ids else reason
    _record_failure(session, email=email, account_id=account_id, reason=reason)
    if number == attempts.LOCK_AFTER:
        refusals.log("sign_in_locked")
        audit.record(
            session,
            "sign_in_locked",
            object_type="account",
            object_id=account_id,
            email=address_or_nothing(email),
            minutes=int(attempts.LOCK_FOR.total_seconds() // 60),
        )


def address_or_nothing(typed: str) -> str:
    """What was typed into the address field when it is an address, "" otherwise: people type passwords there too."""
    try:
        return normal_email(typed)
    except Invalid:
        return ""


def _record_failure(session: Session, *, email: str, account_id: str, reason: str) -> None:
    audit.record(
        session,
        "sign_in_failed",
        object_type="account",
        object_id=account_id,
        email=address_or_nothing(email),
        reason=reason,
    )


def proof_of(account: Account) -> str:
    """The proof, valid for a few minutes, that the account's password was entered; a new password ends it."""
    return hash_token(f"password {account.id} {account.password_hash}")


def change_look(session: Session, account: Account, **values: str) -> None:
    """Change one's own ``name``, ``theme`` or ``timezone``."""
    changed = [field for field, value in values.items() if getattr(account, field) != value]
    for field in changed:
        setattr(account, field, values[field])
    if changed:
        record_account(session, "account_changed", account, changes=", ".join(changed))


def record_account(session: Session, event: str, account: Account, **detail: str) -> None:
    """Audit what was done to an account, by its address."""
    audit.record(session, event, account, email=account.email, **detail)


def has_accounts(session: Session) -> bool:
    """False on a fresh database: the set-up page is open then (P11)."""
    return bool(session.scalar(select(func.count()).select_from(Account)))
