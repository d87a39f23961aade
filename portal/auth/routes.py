"""Sign-in, sign-out, first run (P11), invitations, and one's own account (P10)."""

from __future__ import annotations

from logging import INFO

import pyotp
from flask import Blueprint, g, redirect, render_template, request, session, url_for
from flask_login import current_user, logout_user
from werkzeug.wrappers import Response

from portal import audit, clock
from portal.auth import authenticator, confirmation, first_administrator, links, service, sessions, views
from portal.auth.forms import (
    AccountForm,
    ConfirmForm,
    FirstAccountForm,
    InvitationForm,
    LoginForm,
    PasswordForm,
    TotpForm,
)
from portal.auth.signed_in import (
    known_accounts,
    note_guess,
    note_refusal,
    open_session,
    prove,
    proven,
    renew_session,
)
from portal.errors import Invalid, NotFound, Refused
from portal.extensions import db
from portal.http import access, refusals, responses
from portal.http.forms import Form, text
from portal.http.throttle import sign_in_limit
from portal.models import Account, AccountSession, Role
from portal.runtime import runtime

bp = Blueprint("auth", __name__)
Answer = str | Response | tuple[str, int]


@bp.get("/login")
@access.public
def login() -> Answer:
    """Show the sign-in form; redirect somebody who is signed in to the requested page."""
    target = responses.safe_next(request.args.get("next"))
    if current_user.is_authenticated:
        return redirect(target, 303)
    if not service.has_accounts(db.session()):
        return render_template("auth/first_run.html")
    form = LoginForm(formdata=None, next=target)
    return render_template("auth/login.html", form=form, problem=None)


@bp.post("/login")
@access.public
@access.reads_first
@sign_in_limit
def sign_in() -> Answer:
    """Check e-mail, password and code; failures are counted, so this commits either way."""
    form, problem, wants_code = LoginForm(), None, False
    if form.validate():
        proof = text(form.proof)
        try:
            account = service.sign_in(
                db.session(),
                email=text(form.email),
                password=text(form.password),
                code=text(form.code),
                now=clock.utcnow(),
                box=runtime().box,
                known_ids=known_accounts(),
                proof=proven(proof) if proof else None,
            )
        except service.SignInRefused as error:
            problem = error.advice
            wants_code = isinstance(error, service.CodeNeeded)
            form.proof.data = prove(error.account) if isinstance(error, service.CodeNeeded) else ""
            form.code.data = ""
            note_refusal(error, email=text(form.email))
        else:
            session.clear()
            open_session(account, method="password")
            db.session.commit()
            return redirect(responses.safe_next(text(form.next)), 303)
    elif list(form.errors) == ["code"] and text(form.proof):
        wants_code = True  # no authenticator makes such a code: it is not counted, and asked for again
        form.code.data = ""
    return render_template("auth/login.html", form=form, wants_code=wants_code, problem=problem), 422


@bp.post("/logout")
@access.public
def logout() -> Answer:
    """End this browser's session; done twice it is fine."""
    who = access.principal()
    if who is not None and who.session_id is not None:
        sessions.end_session(db.session(), who.session_id, clock.utcnow())
        audit.record(db.session(), "signed_out", object_type="account", object_id=who.account_id or "")
        db.session.commit()
    logout_user()
    session.clear()
    return redirect(url_for("auth.login"), 303)


@bp.route("/setup", methods=["GET", "POST"])
@access.public
@access.reads_first
@sign_in_limit
def setup() -> Answer:
    """Create the first administrator with the one-time token from the log (P11)."""
    if service.has_accounts(db.session()):
        return redirect(url_for("auth.login"), 303)
    form = FirstAccountForm(token=request.args.get("token", ""))
    if form.submitted():
        try:
            account = first_administrator.create_first_administrator(
                db.session(),
                text(form.token),
                email=text(form.email),
                name=text(form.name),
                password=text(form.password),
                now=clock.utcnow(),
            )
        except Invalid as error:
            db.session.rollback()
            form.show(error)
        except Refused:
            db.session.rollback()
            return redirect(url_for("auth.login"), 303)
        else:
            open_session(account, method="set-up")
            db.session.commit()
            return redirect("/", 303)
    return _page("auth/setup.html", form)


@bp.route("/invitations/<token>", methods=["GET", "POST"])
@access.public
@access.reads_first
@sign_in_limit
def invitation(token: str) -> Answer:
    """Let an invited person choose a password. The link works once."""
    form = InvitationForm()
    try:
        link = links.find(db.session(), token, clock.utcnow())
        if form.submitted():
            account = links.accept(
                db.session(),
                token,
                name=text(form.name),
                password=text(form.password),
                now=clock.utcnow(),
            )
            session.clear()
            if account.totp_secret is None and account.is_active:
                open_session(account, method="invitation")
            db.session.commit()
            refusals.log("link_used", level=INFO)
            # An account with an authenticator continues at the sign-in page: a link is not a code.
            return redirect("/", 303)
    except Invalid as error:
        db.session.rollback()
        form.show(error)
    except links.WrongLink as error:
        note_refusal(error)
        raise
    return _page("auth/invitation.html", form, invitation=link)


@bp.get("/account")
@access.requires(Role.READ_ONLY)
def account() -> Answer:
    """Show one's own name, look, password, second factor and sessions."""
    form = AccountForm(obj=current_user.account)
    form.offer_zones(current_user.timezone)
    return _account_page(account_form=form)


@bp.post("/account")
@access.requires(Role.READ_ONLY)
def save_account() -> Answer:
    """Save name, theme and time zone."""
    form = AccountForm()
    form.offer_zones(current_user.timezone)
    if not form.validate():
        return _account_page(account_form=form), 422
    service.change_look(
        db.session(),
        _own_account(),
        name=text(form.name).strip(),
        theme=text(form.theme),
        timezone=text(form.timezone),
    )
    db.session.commit()
    return redirect(responses.safe_next(request.form.get("next"), default=url_for("auth.account")), 303)


@bp.post("/account/theme")
@access.requires(Role.READ_ONLY)
def save_theme() -> Answer:
    """Switch the theme from the account menu and stay on the page."""
    chosen = request.form.get("theme", "")
    if chosen not in {"light", "dark", "system"}:
        raise Invalid({"theme": ["Must be one of: light, dark, system."]})
    service.change_look(db.session(), _own_account(), theme=chosen)
    db.session.commit()
    return redirect(responses.safe_next(request.form.get("next")), 303)


@bp.post("/account/password")
@access.requires(Role.READ_ONLY)
@access.reads_first
@sign_in_limit
def change_password() -> Answer:
    """Change one's own password; the other browsers are signed out."""
    form = PasswordForm()
    if form.validate():
        account_id, session_id = _own()
        try:
            account = confirmation.change_password(
                db.session(),
                account_id,
                old=text(form.old_password),
                new=text(form.new_password),
                session_id=session_id,
                now=clock.utcnow(),
            )
        except Invalid as error:
            note_guess(error)
            form.show(error)
        else:
            renew_session(account, session_id)
            db.session.commit()
            return redirect(url_for("auth.account") + "#password", 303)
    return _account_page(password_form=form), 422


@bp.post("/account/sessions/<session_id>/end")
@access.requires(Role.READ_ONLY)
def end_session(session_id: str) -> Answer:
    """Sign another of one's own browsers out."""
    row = access.load(AccountSession, session_id, "session")
    if row.account_id != current_user.id:
        raise NotFound("There is no such session.")
    sessions.end_session(db.session(), row.id, clock.utcnow())
    service.record_account(db.session(), "session_ended", current_user.account)
    db.session.commit()
    return redirect(url_for("auth.account") + "#sessions", 303)


@bp.route("/account/totp", methods=["GET", "POST"])
@access.requires(Role.READ_ONLY)
@access.reads_first
@sign_in_limit
def totp() -> Answer:
    """Set up an authenticator app; the secret is stored only once a code from it was right."""
    form = TotpForm()
    if current_user.account.totp_secret is not None:
        raise Refused("An authenticator is already set up. Turn it off first.", link="/account#totp")
    secret = session.get("totp_secret") or pyotp.random_base32()
    session["totp_secret"] = secret
    uri = pyotp.TOTP(secret).provisioning_uri(name=current_user.email, issuer_name="Rollcall")
    if form.submitted():
        try:
            account, session_id = _confirmed(text(form.password), field="password")
            authenticator.enable(
                db.session(), account, secret, text(form.code), now=clock.utcnow(), box=runtime().box
            )
        except Invalid as error:
            note_guess(error)
            form.show(error)
        else:
            renew_session(account, session_id)
            db.session.commit()
            return redirect(url_for("auth.account") + "#totp", 303)
    return _page("auth/totp.html", form, secret=secret, uri=uri)


@bp.post("/account/totp/off")
@access.requires(Role.READ_ONLY)
@access.reads_first
@sign_in_limit
def totp_off() -> Answer:
    """Switch the second factor off; takes the password, so that an open browser is not enough."""
    form = ConfirmForm()
    try:
        account, session_id = _confirmed(text(form.password), field="password")
    except Invalid as error:
        note_guess(error)
        raise
    authenticator.disable(db.session(), account)
    renew_session(account, session_id)
    db.session.commit()
    return redirect(url_for("auth.account") + "#totp", 303)


def _own() -> tuple[str, str]:
    """The ids of one's own account and of this session: what is loaded is read anew when a transaction begins."""
    return current_user.id, current_user.session.id


def _confirmed(password: str, *, field: str) -> tuple[Account, str]:
    """One's own account, to be changed now that the password was right, and this session's id. Raises Invalid."""
    account_id, session_id = _own()
    now = clock.utcnow()
    verified = confirmation.verify(db.session(), account_id, password, session_id=session_id, now=now)
    return confirmation.begin_change(db.session(), verified, field=field, now=now), session_id


def _own_account() -> Account:
    return access.load(Account, current_user.id, "account")


def _account_page(account_form: AccountForm | None = None, password_form: PasswordForm | None = None) -> str:
    if account_form is None:
        account_form = AccountForm(formdata=None, obj=current_user.account)
        account_form.offer_zones(current_user.timezone)
    return render_template(
        "auth/account.html",
        account_form=account_form,
        password_form=password_form or PasswordForm(formdata=None),
        view=views.account_view(
            current_user.account,
            sessions.open_sessions(db.session(), current_user.id, clock.utcnow()),
            g.principal.session_id,
        ),
    )


def _page(template: str, form: Form, **context: object) -> Answer:
    """The page of a form: 422 when what was sent cannot be used."""
    return render_template(template, form=form, **context), 422 if form.errors else 200
