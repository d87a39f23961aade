"""Sign-in with Microsoft: which tenants may, and whose account a Microsoft identity is (tid + oid, never an address).

An identity is tied to an account by its owner, signed in or holding an invitation; nobody becomes somebody by a claim.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import audit
from portal.auth import attempts, links
from portal.auth import service as accounts
from portal.auth import sessions as auth_sessions
from portal.auth.discovery import Discovery
from portal.auth.oidc import MicrosoftIdentity, SignInApp, SignInFailed
from portal.config import Settings
from portal.crypto import SecretBox
from portal.errors import Invalid, NeedsAdmin, Refused
from portal.extensions import begin_write
from portal.graph.clouds import CLOUDS, DEFAULT
from portal.microsoft import credentials, gateway
from portal.models import Account, Role, StoredSetting
from portal.text import is_guid, text_key

KEY = "microsoft_sign_in"
CANNOT_UNTIE = (
    "You have no password yet. Ask an administrator for a link to set one, then disconnect Microsoft."
)
UNKNOWN = (
    "Microsoft knows you, Rollcall does not. Ask an administrator for an invitation, or sign in with your password "
    "and connect your Microsoft account on the page “Your account”."
)


def allowed_tenants(session: Session) -> tuple[str, ...]:
    """Directory ids whose people may sign in with Microsoft; empty: sign-in with Microsoft is off."""
    row = session.get(StoredSetting, KEY)
    return () if row is None else tuple(row.value.get("tenants", ()))


def sign_in_cloud(session: Session) -> str:
    """The cloud whose login page people sign in at: all tenants of the setting are of that one."""
    row = session.get(StoredSetting, KEY)
    return DEFAULT if row is None else str(row.value.get("cloud", DEFAULT))


def allow_tenants(
    session: Session, text: str, now: datetime, cloud: str = DEFAULT, *, keep: str | None = None
) -> None:
    """Store the directory ids in ``text``, one per line, and their cloud. Raises Invalid on ``tenants`` or ``cloud``.

    Ends the sessions of people whose tenant may no longer sign in, except ``keep``, the session that changes this.
    """
    ids = [word for word in re.split("[ ,;]+", text_key(text)) if word]
    wrong = [word for word in ids if not is_guid(word)]
    if wrong:
        raise Invalid(
            {"tenants": [f"{wrong[0][:60]} is not a tenant ID. Each is 36 characters, one per line."]}
        )
    if cloud not in CLOUDS:
        raise Invalid({"cloud": ["Must be one of: " + ", ".join(CLOUDS) + "."]})
    row = StoredSetting.obtain(session, KEY, now)
    _sign_out(session, set(row.value.get("tenants", ())).difference(ids), now, keep=keep)
    row.value, row.updated_at = {"tenants": list(dict.fromkeys(ids)), "cloud": cloud}, now
    audit.record(session, "settings_changed", changes=f"sign-in with Microsoft: {len(ids)} tenants")


def _sign_out(session: Session, tenants: Collection[str], now: datetime, *, keep: str | None) -> None:
    for account in session.scalars(select(Account).where(Account.microsoft_tid.in_(tenants))).all():
        if auth_sessions.end_all_sessions(session, account.id, now, but=keep):
            accounts.record_account(session, "session_ended", account)


def sign_in_app(
    session: Session, settings: Settings, box: SecretBox, discovery: Discovery | None = None
) -> SignInApp | None:
    """The app to sign in with; None while the setting is off or no app registration can be used.

    ``discovery``: what is known of Microsoft's sign-in already; each app keeps its own without.
    """
    tenants, cloud = allowed_tenants(session), sign_in_cloud(session)
    if not tenants:
        return None
    try:
        registration = credentials.load(session, settings, box, cloud)
    except NeedsAdmin:
        return None
    login = gateway.cloud_of(settings, cloud)
    return SignInApp(
        login.login_url,
        registration.client_id,
        registration.msal_credential,
        tenants,
        discovery or Discovery(),
    )


def arrive(
    session: Session,
    identity: MicrosoftIdentity,
    *,
    link: str | None,
    code: str | None,
    now: datetime,
    box: SecretBox,
    known_ids: Collection[str] = (),
) -> Account:
    """The account that ``identity`` opens: the one it is tied to, or, by a one-time link, the link's, which it is tied to.

    As with a password, an account with an authenticator is asked for its code first: nothing is tied and no link is used
    without it. ``code``: None until it was asked for; from then on nobody gets in without one.

    Raises SignInFailed, SignInRefused (commit: failures are counted), WrongLink, Refused.
    """
    begin_write(session)
    if link is not None:
        return _accept(session, link, identity, code=code, now=now, box=box, known_ids=known_ids)
    tied = _tied(session, identity)
    account = None if tied is None else accounts.locked_account(session, tied.id)
    if account is None:
        raise SignInFailed(UNKNOWN)
    _can_be_asked(account, code)
    accounts.pass_second_factor(session, account, code=code or "", now=now, box=box, known_ids=known_ids)
    return account


def _accept(
    session: Session,
    link: str,
    identity: MicrosoftIdentity,
    *,
    code: str | None,
    now: datetime,
    box: SecretBox,
    known_ids: Collection[str],
) -> Account:
    row = links.find(session, link, now)
    existing = accounts.find_account(session, row.email)
    account = None if existing is None else accounts.locked_account(session, existing.id)
    _can_be_asked(account, code)
    if account is not None:
        if account.totp_secret is None:
            attempts.unlock(session, account)  # the link replaces the password, and nothing else is asked for
        accounts.pass_second_factor(session, account, code=code or "", now=now, box=box, known_ids=known_ids)
    links.use(session, row, now)
    with audit.acting_as(audit.Actor(row.email, "page", audit.current_actor().ip)):
        if account is None:
            account = accounts.insert_account(
                session,
                email=row.email,
                role=Role(row.role),
                now=now,
                password_hash=None,
                name=identity.name,
            )
        else:
            links.begin_anew(session, account, now)
        tie(session, account, identity)
        audit.record(session, "invitation_used", account, email=row.email)
    return account


def _can_be_asked(account: Account | None, code: str | None) -> None:
    """Whether a code that was entered can be one. Raises SignInFailed where nothing shows codes, or none any more."""
    if code is not None and (account is None or account.totp_secret is None):
        raise SignInFailed("This account no longer has an authenticator. Start again.")


def tie(session: Session, account: Account, identity: MicrosoftIdentity) -> None:
    """Let this identity sign in to ``account``. Raises Refused when it is another account's."""
    other = _tied(session, identity)
    if other is not None and other.id != account.id:
        raise Refused(f"This Microsoft account belongs to {other.email} here. Remove it there first.")
    account.microsoft_tid, account.microsoft_oid = identity.tid, identity.oid
    try:
        with session.begin_nested():
            session.flush()
    except IntegrityError as error:
        raise Refused("This Microsoft account was connected to another account just now.") from error
    accounts.record_account(session, "account_changed", account, changes="Microsoft account connected")


def untie(session: Session, account: Account) -> None:
    """Take the Microsoft account away. Raises Refused when there is no password to sign in with instead."""
    if account.password_hash is None:
        raise Refused(CANNOT_UNTIE)
    account.microsoft_tid = account.microsoft_oid = None
    accounts.record_account(session, "account_changed", account, changes="Microsoft account disconnected")


def _tied(session: Session, identity: MicrosoftIdentity) -> Account | None:
    return session.scalar(
        select(Account).where(Account.microsoft_tid == identity.tid, Account.microsoft_oid == identity.oid)
    )
