"""Sign-in with Microsoft, to and back: for signing in, accepting an invitation, and tying one's own account."""

from __future__ import annotations

from collections.abc import Callable
from hmac import compare_digest
from typing import Any

from flask import Blueprint, redirect, render_template, request, session, url_for
from flask_login import current_user
from werkzeug.wrappers import Response

from portal import access, audit, clock, web
from portal.auth import service as accounts
from portal.auth.oidc import MicrosoftIdentity, SignInApp, SignInFailed
from portal.auth.signed_in import open_session
from portal.errors import NotFound, PortalError, Refused
from portal.extensions import db
from portal.microsoft_sign_in import service
from portal.models import Account, Role
from portal.runtime import SIGN_IN_LIFE, runtime

bp = Blueprint("microsoft_sign_in", __name__)

FLOW = "microsoft_flow"


@bp.app_context_processor
def _offer() -> dict[str, Callable[[], bool]]:
    """``microsoft_sign_in()`` in templates: whether the button is to be shown."""
    return {"microsoft_sign_in": lambda: _find() is not None}


@bp.get("/login/microsoft")
@access.public
def begin() -> Response:
    """Send the browser to Microsoft to sign in."""
    return _away("sign-in", target=web.safe_next(request.args.get("next")))


@bp.post("/invitations/<token>/microsoft")
@access.public
def accept(token: str) -> Response:
    """Accept an invitation with a Microsoft account instead of a password."""
    accounts.find_invitation(db.session(), token, clock.utcnow())
    return _away("invitation", target=token)


@bp.post("/account/microsoft")
@access.requires(Role.READ_ONLY)
def connect() -> Response:
    """Tie one's own account to a Microsoft account."""
    return _away("connect", target=current_user.id)


@bp.post("/account/microsoft/off")
@access.requires(Role.READ_ONLY)
def disconnect() -> Response:
    """Sign in with the password only from now on."""
    service.untie(db.session(), access.load(Account, current_user.id, "account"))
    db.session.commit()
    return redirect(url_for("auth.account") + "#microsoft", 303)


@bp.get("/login/microsoft/answer")
@access.public
@access.writes
def answer() -> Response | tuple[str, int]:
    """Microsoft's answer. The flow is taken out of the browser's session first: it works once, whatever comes."""
    kept = session.pop(FLOW, None) or {}
    purpose, target = kept.get("purpose", "sign-in"), kept.get("target", "/")
    if (stray := _stray(kept)) is not None:
        return _failed(stray)  # nobody is asked and nothing recorded: anybody can call this address
    try:
        app = _app()
        db.session.rollback()  # nothing is held while Microsoft is asked (T6)
        identity = app.finish(kept.get("flow"), request.args.to_dict())
        return _arrived(purpose, target, identity)
    except (SignInFailed, NotFound, Refused) as error:
        db.session.rollback()
        audit.record(
            db.session(), "sign_in_failed", object_type="account", object_id="", email="", reason="microsoft"
        )
        db.session.commit()
        return _failed(error)


def _stray(kept: dict[str, Any]) -> SignInFailed | None:
    """Why this is no answer to a sign-in that began here, in this browser, a while ago at most; None when it is one."""
    flow, began = kept.get("flow"), kept.get("at")
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


def _arrived(purpose: str, target: str, identity: MicrosoftIdentity) -> Response:
    now = clock.utcnow()
    if purpose == "connect":
        if not current_user.is_authenticated or current_user.id != target:
            raise SignInFailed(
                "You were signed out meanwhile. Sign in, and connect your Microsoft account again."
            )
        service.tie(db.session(), access.load(Account, target, "account"), identity)
        db.session.commit()
        return redirect(url_for("auth.account") + "#microsoft", 303)
    if purpose == "invitation":
        account = service.accept_invitation(db.session(), target, identity, now)
        target = "/"
    else:
        account = service.account_of(db.session(), identity)
    session.clear()
    open_session(account, method="microsoft")
    db.session.commit()
    return redirect(web.safe_next(target), 303)


def _away(purpose: str, *, target: str) -> Response:
    try:
        flow = _app().begin(_callback())
    except SignInFailed as error:
        page, status = _failed(error)
        return Response(page, status, mimetype="text/html")
    session[FLOW] = {"flow": flow, "purpose": purpose, "target": target, "at": _now()}
    return redirect(flow["auth_uri"], 303)


def _find() -> SignInApp | None:
    return service.sign_in_app(db.session(), runtime().settings, runtime().box, runtime().discovery)


def _app() -> SignInApp:
    found = _find()
    if found is None:
        raise SignInFailed("Sign-in with Microsoft is switched off here. Use your password.")
    return found


def _failed(error: PortalError) -> tuple[str, int]:
    template = "failed" if current_user.is_authenticated else "refused"
    return render_template(f"microsoft_sign_in/{template}.html", advice=error.advice), 422


def _callback() -> str:
    base = runtime().settings.base_url
    path = url_for("microsoft_sign_in.answer")
    return f"{base}{path}" if base else url_for("microsoft_sign_in.answer", _external=True)
