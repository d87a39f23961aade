"""Accounts, sign-in, sessions and the first administrator (P10, P11). Never sees a request.

What hashes a password reads first, hashes with nothing open, and then begins the transaction that writes (``begin_write``),
where everything it relied on is looked at again: the row of the account is locked until the caller's commit.
"""

from __future__ import annotations

import hmac
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import delete, func, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from portal import addresses, audit
from portal.auth import attempts, authenticator, passwords
from portal.crypto import SecretBox, hash_token, new_token
from portal.errors import Invalid, NotFound, PortalError, Refused
from portal.extensions import begin_write
from portal.http import refusals
from portal.models import Account, AccountSession, Invitation, Role, StoredSetting
from portal.text import email_key

SESSION_LIFE = timedelta(hours=12)
SESSION_IDLE = timedelta(hours=4)
KNOWN = ", known browser"
SETUP_KEY = "setup_token"
NOT_FROM_THE_LOG = (
    "This is not the token from the log. Copy it from the portal's output, or restart it for a new one."
)


class SignInRefused(PortalError):
    """Sign-in did not work; the sentence says what to do and not which half was wrong.

    reason: password | code | proof | switched off | locked; account_id: whose it was, "" for nobody's.
    """

    def __init__(self, advice: str, *, reason: str, account_id: str = "") -> None:
        super().__init__(advice)
        self.reason, self.account_id = reason, account_id


class CodeNeeded(SignInRefused):
    """The password is right, the six-digit code of ``account`` is missing or wrong."""

    def __init__(self, advice: str, account: Account, *, reason: str) -> None:
        super().__init__(advice, reason=reason, account_id=account.id)
        self.account = account


class SignInLocked(SignInRefused):
    """Too many failures in a row: nothing is counted any more until the lock ends."""

    def __init__(self, left: timedelta, *, account_id: str = "") -> None:
        minutes = max(1, round(left.total_seconds() / 60))
        super().__init__(
            f"Too many attempts for this address. Wait {minutes} minutes, or use a browser in which you signed in before.",
            reason="locked",
            account_id=account_id,
        )


@dataclass(frozen=True)
class SignedIn:
    """What a session token stands for."""

    account: Account
    session: AccountSession


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
        raise Invalid({"role": ["One of: administrator, technician, read-only."]}) from error


def add_account(
    session: Session, *, email: str, role: str, now: datetime, password: str | None = None, name: str = ""
) -> Account:
    """Create an account. Hashes before it touches ``session``: nothing may have been written with that.

    Raises Invalid for a bad address, role or password, Refused when the address is taken, RetryLater.
    """
    address, wanted = normal_email(email), role_of(role)
    if password is not None:
        passwords.check(password, email=address, name=name)
    hashed = None if password is None else passwords.hash_password(password)
    return insert_account(session, email=address, role=wanted, now=now, password_hash=hashed, name=name)


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
    taken = Refused(f"There is already an account for {email}.")
    if find_account(session, email) is not None:
        raise taken
    try:
        with session.begin_nested():
            session.add(account)
    except IntegrityError as error:
        raise taken from error
    session.execute(
        update(Invitation)
        .where(Invitation.email == email, Invitation.used_at.is_(None), Invitation.expires_at > now)
        .values(expires_at=now)
    )
    audit.record(
        session,
        "account_added",
        object_type="account",
        object_id=account.id,
        email=email,
        role=account.role,
    )
    return account


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
    known: Collection[str] = (),
    proof: str | None = None,
) -> Account:
    """Check e-mail, password and, where set up, the six-digit code. ``proof`` stands for the password (``proof_of``).

    Raises SignInRefused (CodeNeeded when only the code is missing), RetryLater. Failures are counted, also when this
    raises: commit either way. An address without an account takes the same time, and is locked the same way, as one that
    has one (``attempts``); ``known`` holds the accounts this browser signed in to before.
    """
    account = find_account(session, email)
    account_id = account.id if account is not None else ""
    stored = account.password_hash if account is not None else None
    key = attempts.key_of(email_key(email), account, known)
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
        fail(session, key, email=email, account_id=account_id, reason="password", now=now, known=known)
        raise SignInRefused(
            "The e-mail address and the password do not belong together. Check both.",
            reason="password",
            account_id=account_id,
        )
    pass_second_factor(session, account, code=code, now=now, box=box, known=known)
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
    known: Collection[str] = (),
) -> None:
    """What follows when the password, or Microsoft, was right: is the account on, and the code of its authenticator right?

    The row of the account is locked by the caller (``locked_account``). Raises SignInRefused; commit either way.
    """
    key = attempts.key_of(account.email, account, known)
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
            raise CodeNeeded("Enter the six-digit code of your authenticator app.", account, reason="no code")
        if not authenticator.use_code(session, account, code, now=now, box=box):
            fail(
                session,
                key,
                email=account.email,
                account_id=account.id,
                reason="code",
                now=now,
                known=known,
            )
            raise CodeNeeded(
                "This code is not right, or was used already. Wait for the next one and try again.",
                account,
                reason="code",
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
    known: Collection[str] = (),
) -> None:
    """Count a failure under ``key`` and record it. Raises SignInLocked when others' raised the lock meanwhile."""
    number = attempts.count_failure(session, key, now)
    if number > attempts.LOCK_AFTER:
        raise SignInLocked(attempts.LOCK_FOR, account_id=account_id)
    reason = f"{reason}{KNOWN}" if account_id in known else reason
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
    """What says, signed and for a few minutes, that the account's password was entered; another password ends it."""
    return hash_token(f"password {account.id} {account.password_hash}")


def start_session(
    session: Session, account: Account, *, now: datetime, ip: str, user_agent: str, method: str
) -> str:
    """Open a browser session and give its token: it goes into the signed cookie, only its hash is stored."""
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
        audit.record(session, "signed_in", object_type="account", object_id=account.id, method=method)
    return token


def find_session(session: Session, token: str, now: datetime) -> SignedIn | None:
    """Whom ``token`` stands for; None when it was ended, expired, idle too long, or its account switched off."""
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
    """End every session of an account, ``but`` one; gives how many."""
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
        raise NotFound("This session was ended. Sign in again.")
    return token


def change_look(session: Session, account: Account, **wanted: str) -> None:
    """Change one's own ``name``, ``theme`` or ``timezone``."""
    changed = [field for field, value in wanted.items() if getattr(account, field) != value]
    for field in changed:
        setattr(account, field, wanted[field])
    if changed:
        audit.record(
            session,
            "account_changed",
            object_type="account",
            object_id=account.id,
            email=account.email,
            changes=", ".join(changed),
        )


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


def has_accounts(session: Session) -> bool:
    """False on a fresh database: the set-up page is open then (P11)."""
    return bool(session.scalar(select(func.count()).select_from(Account)))


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
        raise Refused("Rollcall is set up already. Sign in.", link="/login")
    with audit.acting_as(audit.Actor(address, "page", audit.current_actor().ip)):
        return insert_account(
            session, email=address, role=Role.ADMINISTRATOR, now=now, password_hash=hashed, name=name
        )


def _check_setup_token(session: Session, token: str) -> None:
    if has_accounts(session):
        raise Refused("Rollcall is set up already. Sign in.", link="/login")
    row = session.get(StoredSetting, SETUP_KEY)
    if row is None or row.value.get("hash") != hash_token(token.strip()):
        raise Invalid({"token": [NOT_FROM_THE_LOG]})
