"""Settings: accounts, roles, one-time links, and who may sign in with Microsoft (P10)."""

from __future__ import annotations

from flask import g, request, url_for
from werkzeug.wrappers import Response

from portal import audit
from portal.auth import links
from portal.auth import service as accounts
from portal.clock import utcnow
from portal.errors import Invalid, Refused
from portal.extensions import db
from portal.graph.clouds import DEFAULT
from portal.http import responses
from portal.http.access import load, requires
from portal.http.forms import ShowingInvalid, text
from portal.http.proxies import NO_ADDRESS, public_address, public_address_or_none
from portal.microsoft_sign_in import service as microsoft_sign_in
from portal.models import Account, Invitation, Role
from portal.settings import people, views
from portal.settings.forms import ROLES, InviteForm, SignInForm
from portal.settings.routes.blueprint import ask, bp, page

NAMED = 3
"""So many administrators who are left are named."""


@bp.route("/people", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
def list_people() -> Response:
    """Accounts and roles; POST makes a one-time link, shown once."""
    form, link, is_reset = InviteForm(), None, False
    if form.submitted():
        public_address("auth.login")  # refuses before anything is made
        with ShowingInvalid(form):
            _is_somebody_else(text(form.email))
            invitation = links.invite(
                db.session(),
                email=text(form.email),
                role=text(form.role),
                now=utcnow(),
                by=audit.current_actor().name,
                by_id=g.principal.account_id,
            )
            db.session.commit()
            link, is_reset = public_address("auth.invitation", token=invitation.token), invitation.is_reset
            form = InviteForm(formdata=None)
    return _people(form, link=link, is_reset=is_reset)


@bp.post("/people/microsoft")
@requires(Role.ADMINISTRATOR)
def allow_sign_in() -> Response:
    """Say which Microsoft tenants' people may sign in; none switches sign-in with Microsoft off."""
    sign_in = SignInForm()
    try:
        microsoft_sign_in.allow_tenants(
            db.session(),
            text(sign_in.tenants),
            utcnow(),
            text(sign_in.cloud) or DEFAULT,
            keep=g.principal.session_id,
        )
    except Invalid as error:
        db.session.rollback()
        sign_in.show(error)
        return _people(InviteForm(formdata=None), sign_in=sign_in)
    db.session.commit()
    return responses.respond(redirect=url_for(".list_people"), toast="Saved.")


def _is_somebody_else(email: str) -> None:
    """Whether a link is asked for another account than one's own. Raises Invalid, Refused."""
    account = accounts.find_account(db.session(), accounts.normal_email(email))
    if account is not None and account.id == g.principal.account_id:
        raise Refused(
            "This is your own account. Change your password on the page “Your account”.",
            link=url_for("auth.account") + "#password",
        )


def _people(
    form: InviteForm, *, link: str | None = None, is_reset: bool = False, sign_in: SignInForm | None = None
) -> Response:
    if sign_in is None:
        allowed = microsoft_sign_in.allowed_tenants(db.session())
        cloud = microsoft_sign_in.sign_in_cloud(db.session())
        sign_in = SignInForm(formdata=None, tenants="\n".join(allowed), cloud=cloud)
    return page(
        "people",
        sign_in if sign_in.errors else form,
        invite=form,
        sign_in=sign_in,
        people=views.account_rows(people.people(), g.principal.account_id),
        invitations=links.open_links(db.session(), utcnow()),
        roles=ROLES,
        link=link,
        is_reset=is_reset,
        answer=public_address_or_none("microsoft_sign_in.answer"),
        no_address=NO_ADDRESS,
    )


@bp.get("/people/<account_id>")
@requires(Role.ADMINISTRATOR)
def ask_to_remove(account_id: str) -> Response:
    """The question before an account is removed: what goes and what stays."""
    row = load(Account, account_id, "account")
    whose = "You are" if row.id == g.principal.account_id else "They are"
    return ask(
        "people",
        f"Remove {row.email}?",
        f"The account is removed. {whose} signed out everywhere; one-time links for it and by it, and its API tokens, stop working.",
        "Stays: everything it did, in the audit log. To come back, they need a new invitation.",
        button="Remove account",
        action=url_for(".change_person", account_id=row.id),
        values={"do": "remove"},
    )


@bp.post("/people/<account_id>")
@requires(Role.ADMINISTRATOR)
def change_person(account_id: str) -> Response:
    """Change a role, switch off or on, remove, or take a lost authenticator away.

    Who takes something from themselves is asked first: only somebody else could give it back.
    """
    row = load(Account, account_id, "account")
    email = row.email
    is_own = row.id == g.principal.account_id
    if is_own and "sure" not in request.form and (question := _ask_oneself(row)) is not None:
        return question
    match request.form.get("do"):
        case "role":
            people.change_role(row, request.form.get("role", ""), keep=g.principal.session_id)
            done = f"{email} is now {dict(ROLES)[row.role]}."
        case "off":
            people.switch(row, active=False)
            done = f"{email} is deactivated."
        case "on":
            people.switch(row, active=True)
            done = f"{email} is active again."
        case "remove":
            people.remove(row)
            done = f"{email} is removed."
        case "totp" if is_own:  # an open browser is not enough: the page of one's own asks for the password
            raise Refused(
                "Turn off your own authenticator on the page “Your account”.",
                link=url_for("auth.account") + "#totp",
            )
        case "totp":
            people.reset_totp(row)
            done = f"{email} signs in without an authenticator until a new one is set up."
        case _:
            raise Invalid({"do": ["Must be one of: role, off, on, remove, totp."]})
    back = ".list_people" if row.role == Role.ADMINISTRATOR or not is_own else ".index"
    db.session.commit()
    return responses.respond(redirect=url_for(back), toast=done)


def _ask_oneself(row: Account) -> Response | None:
    """The question before an administrator steps down or switches their own account off; None when nothing is lost."""
    do, role = request.form.get("do", ""), request.form.get("role", "")
    if do not in {"role", "off"} or (do == "role" and role == row.role):
        return None
    left = people.other_administrators(row)
    more = f" and {len(left) - NAMED} more" if len(left) > NAMED else ""
    others = ", ".join(name.email for name in left[:NAMED]) + more
    if do == "role":
        label = dict(ROLES)[accounts.role_of(role).value]
        question, button, keep = "Give up your role Administrator?", f"Become {label}", "Stay Administrator"
        goes = f"You lose what only administrators may do, one-time links you made, and your API tokens above {label}."
        stays = f"Stays: your account, and everything you did. Only another administrator can give the role back: {others}."
    else:
        question, button, keep = "Deactivate your own account?", "Deactivate my account", "Keep it active"
        goes = "You are signed out everywhere; one-time links for you and by you, and your API tokens, stop working."
        stays = f"Stays: everything you did. Only another administrator can activate it again: {others}."
    return ask(
        "people",
        question,
        goes,
        stays,
        button=button,
        keep=keep,
        action=url_for(".change_person", account_id=row.id),
        values={"do": do, "role": role, "sure": "yes"},
    )


@bp.post("/people/invitations/<invitation_id>/withdraw")
@requires(Role.ADMINISTRATOR)
def withdraw_invitation(invitation_id: str) -> Response:
    """End a one-time link that was not used yet."""
    people.withdraw(load(Invitation, invitation_id, "invitation"))
    db.session.commit()
    return responses.respond(redirect=url_for(".list_people"), toast="Withdrawn.")
