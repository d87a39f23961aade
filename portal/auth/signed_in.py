"""Who is signed in: loads the browser session of each request for Flask-Login and ``portal.http.access``."""

from __future__ import annotations

import logging
from datetime import timedelta

from flask import Flask, Response, after_this_request, current_app, g, request, session
from flask_login import UserMixin, current_user, login_user
from itsdangerous import BadData, URLSafeTimedSerializer
from sqlalchemy import update

from portal import clock
from portal.auth import confirmation, links, service, sessions
from portal.errors import Invalid, PortalError
from portal.extensions import db, login
from portal.http import refusals
from portal.http.access import Principal, is_for_programs
from portal.models import Account, AccountSession, Role
from portal.runtime import runtime
from portal.transactions import note

TOUCH_EVERY = timedelta(minutes=5)
KNOWN_COOKIE, KNOWN_MOST = "rollcall_known", 5
KNOWN_SECONDS = 180 * 24 * 3600
PROOF_SECONDS = 300  # for the second step of signing in


class SignedInUser(UserMixin):  # type: ignore[misc]
    """An account in one browser session, as templates see it: ``current_user``."""

    def __init__(self, account: Account, session: AccountSession, token: str) -> None:
        self.account, self.session, self._token = account, session, token
        self.id, self.name, self.email, self.role = account.id, account.name, account.email, account.role
        self.theme, self.timezone = account.theme, account.timezone
        self.initials = account.name[:2].upper()

    def get_id(self) -> str:
        """The session token: Flask-Login keeps it in the signed cookie."""
        return self._token


def init_login(app: Flask) -> None:
    """Bind Flask-Login and load the principal before every page request."""
    login.init_app(app)
    login.session_protection = None  # the token alone decides; it is random and can be ended
    login.user_loader(_load)
    app.before_request(_name_principal)


def open_session(account: Account, *, method: str) -> None:
    """Sign ``account`` in on this browser; the caller commits."""
    token = sessions.start_session(
        db.session(),
        account,
        now=clock.utcnow(),
        ip=request.remote_addr or "",
        user_agent=request.user_agent.string,
        method=method,
    )
    db.session.flush()
    session_row = sessions.find_session(db.session(), token, clock.utcnow())
    if session_row is not None:
        login_user(SignedInUser(session_row.account, session_row.session, token))
    _remember(account.id)

    refusals.log("signed_in", reason=method, level=logging.INFO)


def renew_session(account: Account, session_id: str) -> None:
    """After a change of how ``account`` signs in: end its other sessions and give this one a new token.

    The caller commits.
    """
    token = confirmation.finish(db.session(), account.id, session_id, clock.utcnow())
    carried = {name: session[name] for name in ("csrf_token", "toasts") if name in session}
    session.clear()
    session.update(carried)  # what is open in another tab can still be saved
    row = db.session.get(AccountSession, session_id, populate_existing=True)
    if row is not None:
        login_user(SignedInUser(account, row, token))


def note_refusal(error: PortalError, *, email: str = "") -> None:
    """Commit what a refused sign-in counted, and log it. A wrong link counts too."""
    if isinstance(error, service.CodeNeeded) and error.is_missing:
        db.session.commit()
        return
    noted = runtime().refusals
    if isinstance(error, service.SignInLocked):
        db.session.rollback()
        refusals.log("sign_in_failed", reason=error.reason)
        address = service.address_or_nothing(email)
        noted.note("sign_in_while_locked", object_type="account", object_id=error.account_id, email=address)
    elif isinstance(error, links.WrongLink):
        db.session.rollback()
        refusals.log("link_refused")
        noted.note("link_refused", object_type="invitation")
    else:
        db.session.commit()
        reason = error.reason if isinstance(error, service.SignInRefused) else "microsoft"
        refusals.log("sign_in_failed", reason=reason)


def note_guess(error: Invalid) -> None:
    """Commit what a wrong present password counted, and log it; other errors are not logged."""
    if isinstance(error, confirmation.Locked):
        db.session.rollback()
        refusals.log("sign_in_failed", reason="locked")
        noted = runtime().refusals
        noted.note(
            "sign_in_while_locked",
            object_type="account",
            object_id=current_user.id,
            email=current_user.email,
        )
        return
    db.session.commit()
    if isinstance(error, confirmation.WrongPassword):
        refusals.log("sign_in_failed", reason="present password")


def known_accounts() -> tuple[str, ...]:
    """Ids of the accounts this browser signed in to before, the latest first (``service.sign_in``)."""
    try:
        account_ids = _signer().loads(request.cookies.get(KNOWN_COOKIE, ""), max_age=KNOWN_SECONDS)
    except BadData:
        return ()
    return tuple(str(account_id) for account_id in account_ids)


def _remember(account_id: str) -> None:
    """Leave a signed cookie that this browser was let in; it opens nothing."""
    ids = list(dict.fromkeys([account_id, *known_accounts()]))[:KNOWN_MOST]

    @after_this_request
    def _set(response: Response) -> Response:
        response.set_cookie(
            KNOWN_COOKIE,
            str(_signer().dumps(ids)),
            max_age=KNOWN_SECONDS,
            httponly=True,
            samesite="Lax",
            secure=current_app.config["SESSION_COOKIE_SECURE"],
        )
        return response


def prove(account: Account) -> str:
    """The signed proof that the second step of signing in sends instead of the password, which no page should hold."""
    return str(_signer("password").dumps(service.proof_of(account)))


def proven(text: str) -> str:
    """The value that ``prove`` signed; "" if it is too old or was not signed."""
    try:
        return str(_signer("password").loads(text, max_age=PROOF_SECONDS))
    except BadData:
        return ""


def _signer(salt: str = KNOWN_COOKIE) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(current_app.config["SECRET_KEY"], salt=salt)


def _load(token: str) -> SignedInUser | None:
    session_row = sessions.find_session(db.session(), token, clock.utcnow())
    return None if session_row is None else SignedInUser(session_row.account, session_row.session, token)


def _name_principal() -> None:
    if is_for_programs() or request.endpoint in {None, "static"}:
        return
    if current_user.is_authenticated:
        g.principal = Principal(
            name=current_user.email,
            role=Role(current_user.role),
            source="page",
            account_id=current_user.id,
            session_id=current_user.session.id,
        )
        _touch(current_user.session)


def _touch(session: AccountSession) -> None:
    """Note now and then that the session is in use, in a short transaction of its own: loading the principal only reads."""
    now = clock.utcnow()
    if now - session.last_seen_at >= TOUCH_EVERY:
        touched = update(AccountSession).where(AccountSession.id == session.id).values(last_seen_at=now)
        note(runtime().sessions, touched)
