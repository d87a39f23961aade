"""Sign-in with Microsoft, to and back: for signing in, accepting an invitation, and tying one's own account."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import asdict
from hmac import compare_digest
from typing import Any

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from portal import audit, clock
from portal.auth import confirmation, links
from portal.auth import service as accounts
from portal.auth.oidc import MicrosoftIdentity, SignInApp, SignInFailed
from portal.auth.signed_in import known_accounts, note_guess, note_refusal, open_session, renew_session
from portal.errors import Invalid, PortalError, Refused
from portal.extensions import db
from portal.http import access, refusals, responses
from portal.http.forms import text
from portal.http.proxies import public_address
from portal.http.throttle import microsoft_limit, sign_in_limit
from portal.microsoft_sign_in import service
from portal.microsoft_sign_in.forms import CodeForm
from portal.models import Account, Role
from portal.runtime import SIGN_IN_LIFE, runtime
from portal.transactions import begin_write

bp = Blueprint("microsoft_sign_in", __name__)
Answer = str | Response | tuple[str, int]

FLOW = "microsoft_flow"
CODE = "microsoft_code"
"""In the browser's signed cookie: whom Microsoft said it is, while the account's authenticator is asked."""
CODE_SECONDS = 300


@bp.app_context_processor
def _offer() -> dict[str, Callable[[], bool]]:
    """``microsoft_sign_in()`` in templates: whether the button is to be shown."""
    return {"microsoft_sign_in": lambda: _find() is not None}


@bp.get("/login/microsoft")
@access.public
@microsoft_limit
def begin() -> Response:
    """Send the browser to Microsoft to sign in."""
    return _away("sign-in", target=responses.safe_next(request.args.get("next")))


@bp.post("/invitations/<token>/microsoft")
@access.public
@access.reads_first
@sign_in_limit
def accept(token: str) -> Response:
    """Accept an invitation with a Microsoft account instead of a password."""
    try:
        links.find(db.session(), token, clock.utcnow())
    except links.WrongLink as error:
        note_refusal(error)
        raise
    return _away("invitation", target=token)


@bp.post("/account/microsoft")
@access.requires(Role.READ_ONLY)
@access.reads_first
@sign_in_limit
def connect() -> Response:
    """Tie one's own account to a Microsoft account, once the password was entered again."""
    return _away("connect", target=_confirmed()[0].id)


@bp.post("/account/microsoft/off")
@access.requires(Role.READ_ONLY)
@access.reads_first
@sign_in_limit
def disconnect() -> Response:
    """Sign in with the password only from now on."""
    if current_user.account.password_hash is None:
        raise Refused(service.CANNOT_UNTIE)
    account, session_id = _confirmed()
    service.untie(db.session(), account)
    renew_session(account, session_id)
    db.session.commit()
    return redirect(url_for("auth.account") + "#microsoft", 303)


@bp.get("/login/microsoft/answer")
@access.public
@access.reads_first
@microsoft_limit
def answer() -> Response | tuple[str, int]:
    """Microsoft's answer. The flow is taken out of the browser's session first: it works once, whatever comes."""
    flow = session.pop(FLOW, None) or {}
    purpose, target = flow.get("purpose", "sign-in"), flow.get("target", "/")
    if (stray := _stray(flow)) is not None:
        return _failed(stray)  # nothing is recorded: anybody can call this address
    try:
        app = _app()
        db.session.rollback()  # nothing is held while Microsoft is asked (T6)
        identity = app.finish(flow.get("flow"), request.args.to_dict())
        if purpose == "connect":
            return _connected(target, identity)
        return _arrived(purpose, target, identity)
    except accounts.CodeNeeded:
        db.session.rollback()
        session[CODE] = {
            "purpose": purpose,
            "target": target,
            "identity": asdict(identity),
            "at": clock.utcnow().timestamp(),
        }
        return redirect(url_for(".code"), 303)
    except (SignInFailed, accounts.SignInRefused, links.WrongLink, Refused) as error:
        return _refused(error)


@bp.route("/login/microsoft/code", methods=["GET", "POST"])
@access.public
@access.reads_first
@sign_in_limit
def code() -> Answer:
    """The second step where the account has an authenticator: the same as after a password."""
    pending = session.get(CODE) or {}
    if not 0 <= clock.utcnow().timestamp() - pending.get("at", 0) <= CODE_SECONDS:
        session.pop(CODE, None)
        return redirect(url_for("auth.login"), 303)
    form, problem = CodeForm(), "Enter the six-digit code of your authenticator app."
    if form.submitted():
        identity = MicrosoftIdentity(**pending["identity"])
        try:
            return _arrived(pending["purpose"], pending["target"], identity, code=text(form.code))
        except accounts.CodeNeeded as error:
            note_refusal(error)
            problem = error.advice
        except (SignInFailed, accounts.SignInRefused, links.WrongLink, Refused) as error:
            session.pop(CODE, None)
            return _refused(error)
    form.code.data = ""
    status = 200 if request.method == "GET" else 422
    return render_template("microsoft_sign_in/code.html", form=form, problem=problem), status


def _confirmed() -> tuple[Account, str]:
    """One's own account, to be changed now that the password was right, and this session's id. Raises Invalid."""
    account_id, session_id, now = current_user.id, current_user.session.id, clock.utcnow()
    password = request.form.get("password", "")
    verified = confirmation.verify(db.session(), account_id, password, session_id=session_id, now=now)
    try:
        account = confirmation.begin_change(db.session(), verified, field="password", now=now)
    except Invalid as error:
        note_guess(error)
        raise
    return account, session_id


def _connected(target: str, identity: MicrosoftIdentity) -> Response:
    if not current_user.is_authenticated or current_user.id != target:
        raise SignInFailed("You have been signed out. Sign in, and connect your Microsoft account again.")
    session_id = current_user.session.id
    begin_write(db.session())
    account = accounts.locked_account(db.session(), target)
    if account is None or not account.is_active:
        raise SignInFailed("This account was removed or deactivated. Ask an administrator.")
    service.tie(db.session(), account, identity)
    renew_session(account, session_id)
    db.session.commit()
    return redirect(url_for("auth.account") + "#microsoft", 303)


def _stray(begun: dict[str, Any]) -> SignInFailed | None:
    """Why this is no answer to a sign-in that began here, in this browser, a while ago at most; None when it is one."""
    flow, began = begun.get("flow"), begun.get("at")
    if not flow or not isinstance(began, int) or not 0 <= _now() - began < SIGN_IN_LIFE:
        return SignInFailed("This sign-in was used already or took too long. Start again.")
    state = str(flow.get("state", ""))
    if not compare_digest(state.encode(), request.args.get("state", "").encode()):
        return SignInFailed("This sign-in does not belong to this browser, or was used already. Start again.")
    if not runtime().sign_ins.take(state):
        return SignInFailed("This sign-in was used already. Start again.")
    return None


def _now() -> int:
    return int(clock.utcnow().timestamp())


def _arrived(purpose: str, target: str, identity: MicrosoftIdentity, *, code: str | None = None) -> Response:
    is_link = purpose == "invitation"
    account = service.arrive(
        db.session(),
        identity,
        link=target if is_link else None,
        code=code,
        now=clock.utcnow(),
        box=runtime().box,
        known_ids=known_accounts(),
    )
    session.clear()
    open_session(account, method="microsoft")
    db.session.commit()
    if is_link:
        refusals.log("link_used", level=logging.INFO)
    return redirect("/" if is_link else responses.safe_next(target), 303)


def _away(purpose: str, *, target: str) -> Response:
    try:
        app = _app()
        db.session.commit()  # what the password's check wrote; nothing is held while Microsoft is asked
        flow = app.begin(_callback())
    except SignInFailed as error:
        page, status = _failed(error)
        return Response(page, status, mimetype="text/html")
    session[FLOW] = {"flow": flow, "purpose": purpose, "target": target, "at": _now()}
    return redirect(flow["auth_uri"], 303)


def _find() -> SignInApp | None:
    return service.sign_in_app(db.session(), runtime().settings, runtime().box, runtime().discovery)


def _app() -> SignInApp:
    registration = _find()
    if registration is None:
        raise SignInFailed("Sign-in with Microsoft is turned off here. Use your password.")
    return registration


def _refused(error: PortalError) -> tuple[str, int]:
    """Say why nobody was signed in, and tell both logs."""
    if isinstance(error, accounts.SignInRefused | links.WrongLink):
        note_refusal(error)
    else:
        db.session.rollback()
        refusals.log("sign_in_failed", reason="microsoft")
        begin_write(db.session())
        audit.record(
            db.session(), "sign_in_failed", object_type="account", object_id="", email="", reason="microsoft"
        )
        db.session.commit()
    return _failed(error)


def _failed(error: PortalError) -> tuple[str, int]:
    template = "failed" if current_user.is_authenticated else "refused"
    return render_template(f"microsoft_sign_in/{template}.html", advice=error.advice), 422


def _callback() -> str:
    return public_address("microsoft_sign_in.answer")
