"""Accounts, sign-in, sessions, invitations and the first administrator (P10, P11). Never sees a request."""

from __future__ import annotations

import hmac
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

import pyotp
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, joinedload

from portal import addresses, audit
from portal.auth import passwords
from portal.crypto import SecretBox, hash_token, new_token
from portal.errors import Invalid, NotFound, PortalError, Refused
from portal.models import Account, AccountSession, AuditEvent, Invitation, Role, StoredSetting
from portal.text import email_key

SESSION_LIFE = timedelta(hours=12)
SESSION_IDLE = timedelta(hours=4)
INVITATION_LIFE = timedelta(days=7)
LOCK_AFTER = 5
LOCK_FOR = timedelta(minutes=15)
KNOWN = ", known browser"
SETUP_KEY = "setup_token"


class SignInRefused(PortalError):
    """Sign-in did not work; the sentence says what to do and not which half was wrong."""


class CodeNeeded(SignInRefused):
    """The password is right, the six-digit code of ``account`` is missing or wrong."""

    def __init__(self, advice: str, account: Account) -> None:
        super().__init__(advice)
        self.account = account


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
    """Create an account. Raises Invalid for a bad address, role or password, Refused when the address is taken."""
    address = normal_email(email)
    if password is not None:
        _check_password(password)
    if find_account(session, address) is not None:
        raise Refused(f"There is already an account for {address}.")
    account = Account(
        email=address,
        name=name.strip() or address.split("@", maxsplit=1)[0],
        role=role_of(role).value,
        password_hash=None if password is None else passwords.hash_password(password),
        created_at=now,
    )
    session.add(account)
    session.flush()
    audit.record(
        session,
        "account_added",
        object_type="account",
        object_id=account.id,
        email=address,
        role=account.role,
    )
    return account


def find_account(session: Session, email: str) -> Account | None:
    """The account of this address, None when there is none."""
    return session.scalar(select(Account).where(Account.email == email_key(email)))


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

    Raises SignInRefused (CodeNeeded when only the code is missing). Failures are counted, also when this raises: commit
    either way. After five the account is locked for a quarter of an hour: for browsers that never signed in to it and
    for those that did (``known`` holds this browser's account ids) apart, so that a stranger who goes on guessing keeps
    nobody out who comes back.
    """
    account = find_account(session, email)
    is_known = account is not None and account.id in known
    locked_until = _locked_until(session, account, now=now, is_known=is_known)
    if locked_until is not None and locked_until > now:
        raise SignInRefused(
            f"Too many attempts for this account. Try again in {_minutes(locked_until - now)} minutes, use a browser in which you signed in "
            "before, or ask an administrator for a new link."
        )
    if proof is not None and (account is None or not hmac.compare_digest(proof, proof_of(account))):
        raise SignInRefused("That took too long. Enter the password again.")
    is_right = proof is not None or passwords.verify(account.password_hash if account else None, password)
    if not is_right or account is None:
        _count_failure(session, account, email=email, now=now, reason="password", is_known=is_known)
        raise SignInRefused("The e-mail address and the password do not belong together. Check both.")
    if not account.is_active:
        raise SignInRefused("This account is switched off. Ask an administrator.")
    if account.totp_secret is not None:
        _check_code(session, account, code=code, now=now, box=box, is_known=is_known)
    if proof is None and account.password_hash and passwords.is_outdated(account.password_hash):
        account.password_hash = passwords.hash_password(password)
    if not is_known:
        account.failed_sign_ins, account.locked_until = 0, None
    return account


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


def change_password(
    session: Session, account: Account, *, old: str, new: str, now: datetime, keep: str
) -> None:
    """Change one's own password; other sessions end. Raises Invalid; commit either way, a wrong password is counted."""
    if account.password_hash is not None:
        _check_present_password(session, account, old, field="old_password", now=now)
    _check_password(new, field="new_password")
    account.password_hash = passwords.hash_password(new)
    end_all_sessions(session, account.id, now, but=keep)
    audit.record(session, "password_changed", object_type="account", object_id=account.id)


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


def enable_totp(
    session: Session, account: Account, secret: str, code: str, *, now: datetime, box: SecretBox
) -> None:
    """Store an authenticator's secret once a code from it was right; that code does not sign in any more.

    Raises Invalid, and Refused while one is set up: switching that off takes the password, an open browser is not enough.
    """
    if account.totp_secret is not None:
        raise Refused("An authenticator is set up already. Switch it off first.", link="/account#totp")
    step = _accepted_step(pyotp.TOTP(secret), code, now=now, after=0)
    if step is None:
        raise Invalid(
            {"code": ["This code is not right. Check that the clocks agree, and enter the newest code."]}
        )
    account.totp_secret = box.encrypt(secret, purpose=f"totp:{account.id}")
    account.totp_last_step = step
    audit.record(session, "totp_changed", object_type="account", object_id=account.id, enabled=True)


def disable_totp(session: Session, account: Account, password: str, *, now: datetime) -> None:
    """Switch the second factor off. Raises Invalid when the password is not right; commit either way, it is counted."""
    _check_present_password(session, account, password, field="password", now=now)
    account.totp_secret = account.totp_last_step = None
    audit.record(session, "totp_changed", object_type="account", object_id=account.id, enabled=False)


def invite(session: Session, *, email: str, role: str, now: datetime, by: str) -> str:
    """Make a one-time link's token for a new account, or a new password for an existing one. Raises Invalid.

    An earlier link for this address ends: there is one at most.
    """
    token = new_token()
    address = normal_email(email)
    withdraw_invitations(session, address, now)
    session.add(
        Invitation(
            email=address,
            role=role_of(role).value,
            token_hash=hash_token(token),
            invited_by=by,
            created_at=now,
            expires_at=now + INVITATION_LIFE,
        )
    )
    audit.record(session, "invitation_created", email=address, role=role)
    return token


def open_invitations(session: Session, now: datetime) -> Sequence[Invitation]:
    """The links that still work, by address."""
    return session.scalars(
        select(Invitation)
        .where(Invitation.used_at.is_(None), Invitation.expires_at > now)
        .order_by(Invitation.email)
    ).all()


def withdraw_invitations(session: Session, email: str, now: datetime) -> int:
    """End the open links of an address and give their number."""
    found = session.execute(
        update(Invitation)
        .where(Invitation.email == email, Invitation.used_at.is_(None), Invitation.expires_at > now)
        .values(expires_at=now)
    )
    return int(found.rowcount)  # type: ignore[attr-defined]


def find_invitation(session: Session, token: str, now: datetime) -> Invitation:
    """The open invitation behind a link's token. Raises NotFound when it was used, ran out or never was."""
    row = session.scalar(select(Invitation).where(Invitation.token_hash == hash_token(token)))
    if row is None or row.used_at is not None or row.expires_at <= now:
        raise NotFound("This link was used already or has run out. Ask an administrator for a new one.")
    return row


def accept_invitation(session: Session, token: str, *, name: str, password: str, now: datetime) -> Account:
    """Use an invitation: creates the account, or gives the existing one a new password. Raises NotFound, Invalid."""
    row = find_invitation(session, token, now)
    _check_password(password)
    row.used_at = now
    account = find_account(session, row.email)
    with audit.acting_as(audit.Actor(row.email, "page", audit.current_actor().ip)):
        if account is None:
            account = add_account(
                session, email=row.email, role=row.role, now=now, password=password, name=name
            )
        else:
            account.password_hash = passwords.hash_password(password)
            account.failed_sign_ins, account.locked_until = 0, None
            end_all_sessions(session, account.id, now)
        audit.record(session, "invitation_used", object_type="account", object_id=account.id, email=row.email)
    return account


def has_accounts(session: Session) -> bool:
    """False on a fresh database: the set-up page is open then (P11)."""
    return bool(session.scalar(select(func.count()).select_from(Account)))


def new_setup_token(session: Session, now: datetime) -> str | None:
    """A fresh one-time token for the set-up page, replacing an earlier one; None once there is an account (P11)."""
    if has_accounts(session):
        return None
    token = new_token()
    row = session.get(StoredSetting, SETUP_KEY)
    if row is None:
        row = StoredSetting(key=SETUP_KEY, updated_at=now)
        session.add(row)
    row.value, row.updated_at = {"hash": hash_token(token)}, now
    return token


def create_first_administrator(
    session: Session, token: str, *, email: str, name: str, password: str, now: datetime
) -> Account:
    """Create the first administrator (P11). Raises Refused for a wrong token or once there is an account, Invalid."""
    if has_accounts(session):
        raise Refused("Rollcall is set up already. Sign in.", link="/login")
    row = session.get(StoredSetting, SETUP_KEY)
    if row is None or row.value.get("hash") != hash_token(token.strip()):
        raise Invalid(
            {
                "token": [
                    "This is not the token from the log. Copy it from the portal's output, or restart it for a new one."
                ]
            }
        )
    with audit.acting_as(audit.Actor(normal_email(email), "page", audit.current_actor().ip)):
        account = add_account(
            session, email=email, role=Role.ADMINISTRATOR, now=now, password=password, name=name
        )
    session.delete(row)
    return account


def _check_password(password: str, *, field: str = "password") -> None:
    problem = passwords.problem_with(password)
    if problem is not None:
        raise Invalid({field: [problem]})


def _check_present_password(
    session: Session, account: Account, password: str, *, field: str, now: datetime
) -> None:
    """An open browser is one that signed in before: whoever guesses there is counted, and locked out, as such."""
    locked_until = _locked_until(session, account, now=now, is_known=True)
    if locked_until is not None and locked_until > now:
        minutes = _minutes(locked_until - now)
        raise Invalid({field: [f"Too many attempts for this account. Try again in {minutes} minutes."]})
    if not passwords.verify(account.password_hash, password):
        _count_failure(
            session, account, email=account.email, now=now, reason="present password", is_known=True
        )
        raise Invalid({field: ["This is not your present password."]})


def _minutes(left: timedelta) -> int:
    return max(1, round(left.total_seconds() / 60))


def _locked_until(
    session: Session, account: Account | None, *, now: datetime, is_known: bool
) -> datetime | None:
    """Until when this account takes no attempt: strangers are counted on the account, known browsers in the audit log."""
    if account is None or not is_known:
        return None if account is None else account.locked_until
    events = session.scalars(
        select(AuditEvent)
        .where(
            AuditEvent.object_type == "account",
            AuditEvent.object_id == account.id,
            AuditEvent.action == "sign_in_failed",
            AuditEvent.at > now - LOCK_FOR,
        )
        .order_by(AuditEvent.at.desc())
    )
    failures = [event.at for event in events if str(event.detail["reason"]).endswith(KNOWN)]
    return failures[LOCK_AFTER - 1] + LOCK_FOR if len(failures) >= LOCK_AFTER else None


def _count_failure(
    session: Session, account: Account | None, *, email: str, now: datetime, reason: str, is_known: bool
) -> None:
    if account is not None and not is_known:
        account.failed_sign_ins += 1
        if account.failed_sign_ins >= LOCK_AFTER:
            account.failed_sign_ins, account.locked_until = 0, now + LOCK_FOR
    audit.record(
        session,
        "sign_in_failed",
        object_type="account",
        object_id=account.id if account else "",
        email=email_key(email)[:320],
        reason=f"{reason}{KNOWN}" if is_known else reason,
    )


def _check_code(
    session: Session, account: Account, *, code: str, now: datetime, box: SecretBox, is_known: bool
) -> None:
    """RFC 6238 with one step of tolerance; a step is accepted once, so that an overseen code cannot be used again."""
    if not code.strip():
        raise CodeNeeded("Enter the six-digit code of your authenticator app.", account)
    totp = pyotp.TOTP(box.decrypt(account.totp_secret or "", purpose=f"totp:{account.id}"))
    accepted = _accepted_step(totp, code, now=now, after=account.totp_last_step or 0)
    if accepted is not None:
        account.totp_last_step = accepted
        return
    _count_failure(session, account, email=account.email, now=now, reason="code", is_known=is_known)
    raise CodeNeeded(
        "This code is not right, or was used already. Wait for the next one and try again.", account
    )


def _accepted_step(totp: pyotp.TOTP, code: str, *, now: datetime, after: int) -> int | None:
    """The step later than ``after`` whose code this is, one before or after now at most; None when it is none's."""
    step = int(now.timestamp()) // 30
    typed = code.strip().replace(" ", "")
    return next(
        (one for one in (step, step - 1, step + 1) if one > after and totp.verify(typed, for_time=one * 30)),
        None,
    )
