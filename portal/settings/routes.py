"""Settings (P10): Microsoft connection, people and roles, API tokens, audit log, about and health."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from flask import Blueprint, g, request, url_for
from sqlalchemy import func, select
from werkzeug.wrappers import Response
from wtforms import PasswordField, SelectField, StringField, TextAreaField
from wtforms.validators import InputRequired, Length, Optional

from portal import audit
from portal.api import tokens
from portal.auth import links
from portal.auth import service as accounts
from portal.clock import utcnow
from portal.errors import Invalid, Refused
from portal.evidence import retention
from portal.extensions import db
from portal.graph.clouds import CLOUDS, DEFAULT, REGISTRATIONS, registered_in
from portal.http import responses
from portal.http.access import load, may, reads_first, requires
from portal.http.forms import DayField, Form, choices, text
from portal.http.listing import parse
from portal.http.proxies import NO_ADDRESS, public_address, public_address_or_none
from portal.microsoft import check, consent, credentials, expiry
from portal.microsoft import service as microsoft_tenants
from portal.microsoft_sign_in import service as microsoft_sign_in
from portal.models import ACTIVE, Account, ApiToken, Invitation, Role, SyncRun
from portal.runtime import runtime
from portal.settings import audit_log, people, permissions, registration
from portal.text import text_key
from portal.transactions import begin_write

bp = Blueprint("settings", __name__, url_prefix="/settings")
ROLES = [("administrator", "Administrator"), ("technician", "Technician"), ("read-only", "Read-only")]
NAMED = 3
"""So many administrators who are left are named."""


class MicrosoftForm(Form):
    """The app registration."""

    client_id = StringField("Client ID", validators=[InputRequired("Enter the client ID."), Length(max=64)])
    secret = PasswordField(
        "Client secret",
        validators=[Length(max=512)],
        description="The secret's Value, not its ID. Empty keeps the stored one.",
    )
    certificate = TextAreaField(
        "Certificate",
        validators=[Length(max=40_000)],
        description="PEM with private key and certificate.",
    )
    expires_on = DayField("Secret expires on", description="As Microsoft shows it.")

    def ask_again(self) -> None:
        """A secret is not sent back to the browser: saved without it, the old one would stay, and nobody would know."""
        if self.secret.data and not self.secret.errors:
            self.secret.errors = ["Enter the secret again: it is not kept when something else is refused."]


class EndForm(Form):
    """When the secret of the environment expires."""

    expires_on = DayField(
        "Secret expires on",
        description="As Microsoft shows it. The portal cannot read it, and warns 60, 30 and 7 days before.",
    )


class InviteForm(Form):
    """Whom to invite, as what."""

    email = StringField("Email", validators=[InputRequired("Enter an email address."), Length(max=320)])
    role = SelectField("Role", choices=choices(ROLES), default="technician")


class SignInForm(Form):
    """Microsoft tenants whose people may sign in."""

    tenants = TextAreaField(
        "Tenant IDs, one a line",
        validators=[Optional(), Length(max=4000)],
        description="Empty: sign-in with Microsoft is off.",
    )
    cloud = SelectField("Cloud", choices=choices(REGISTRATIONS.items()), default=DEFAULT)


class TokenForm(Form):
    """A new API token."""

    name = StringField("Name", validators=[InputRequired("Enter a name."), Length(max=100)])
    role = SelectField("Role", choices=choices(ROLES), default="read-only")
    expires_at = DayField(
        "Expires on", description="The first day on which it does not work any more (UTC). Empty: never."
    )


class RetentionForm(Form):
    """For how long audit events are kept."""

    days = SelectField(
        "Keep events",
        choices=choices((str(days), label) for days, label in retention.CHOICES.items()),
        description="Older events are deleted, also from the history on End User pages. The rest can still be verified.",
    )


@bp.get("")
@requires(Role.READ_ONLY)
def index() -> Response:
    """Settings begin with the Microsoft connection (P10), and for whom it is not, with About: everybody may see that."""
    return responses.respond(redirect=url_for(".microsoft" if may(Role.ADMINISTRATOR) else ".about"))


@bp.route("/microsoft", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
@reads_first
def microsoft() -> Response:
    """The app registration of a cloud: what is set, what it needs, and how to change it (C1, C5)."""
    cloud = _cloud()
    shown = credentials.overview(db.session(), runtime().settings, cloud)
    end = f"{shown.expires_at:%Y-%m-%d}" if shown.expires_at else ""
    if shown.source == "environment":
        return _environment(shown, EndForm(data={"expires_on": end}))
    form = MicrosoftForm(data={"client_id": shown.client_id, "expires_on": end})
    if form.submitted():
        said = "Saved."
        try:
            _keep(form, cloud)
            if (
                text(form.secret)
                or text(form.certificate)
                or text_key(text(form.client_id)) != shown.client_id
            ):
                entered = microsoft_tenants.app_registration(cloud)
                # rolls back what was kept: it is kept when it works
                said = check.try_releasing(entered, cloud)
                _keep(form, cloud)
        except Invalid as error:
            db.session.rollback()
            form.show(error)
        else:
            microsoft_tenants.try_again()
            db.session.commit()
            runtime().wake()
            return responses.respond(redirect=_microsoft_url(cloud), toast=said)
    if form.errors:
        form.ask_again()
    return _microsoft_page(form, shown, cloud)


def _keep(form: MicrosoftForm, cloud: str) -> None:
    begin_write(db.session())
    credentials.store(
        db.session(),
        runtime().box,
        client_id=text(form.client_id),
        cloud=cloud,
        secret=text(form.secret),
        certificate_pem=text(form.certificate),
        expires_at=form.expires_on.moment(),
    )


@bp.route("/microsoft/remove", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
def remove_registration() -> Response:
    """Ask, then delete the stored app registration of a cloud (C1)."""
    cloud = _cloud()
    if request.method == "POST":
        credentials.forget(db.session(), cloud)
        db.session.commit()
        return responses.respond(redirect=_microsoft_url(cloud), toast="The app registration is removed.")
    return responses.render(
        "settings/remove_registration.html",
        blocks={"dialog": "dialog"},
        label=REGISTRATIONS[cloud],
        action=url_for(".remove_registration", cloud=cloud),
        back=_microsoft_url(cloud),
        served=credentials.served_by(db.session(), cloud),
    )


def _cloud() -> str:
    """The cloud of the app registration that the address names, the default one for what is none."""
    asked = request.args.get("cloud", DEFAULT)
    return registered_in(asked) if asked in CLOUDS else DEFAULT


def _microsoft_url(cloud: str) -> str:
    return url_for(".microsoft", cloud=None if cloud == DEFAULT else cloud)


def _environment(shown: credentials.Overview, form: EndForm) -> Response:
    """The environment wins (C1): only the day on which its secret expires can be noted here."""
    if shown.kind == "secret" and form.submitted():
        try:
            credentials.note_end(begin_write(db.session()), runtime().settings, form.expires_on.moment())
        except Invalid as error:
            db.session.rollback()
            form.show(error)
        else:
            db.session.commit()
            return responses.respond(redirect=_microsoft_url(DEFAULT), toast="Saved.")
    return _microsoft_page(form, shown, DEFAULT)


def _microsoft_page(form: Form, shown: credentials.Overview, cloud: str) -> Response:
    callback = public_address_or_none("microsoft.consent_answer")
    return _page(
        "microsoft",
        form,
        shown=shown,
        action=_microsoft_url(cloud),
        removal=url_for(".remove_registration", cloud=cloud) if shown.source == "settings" else None,
        is_default=cloud == DEFAULT,
        label=REGISTRATIONS[cloud],
        clouds=[
            (_microsoft_url(home), REGISTRATIONS[home], one, home == cloud)
            for home, one in credentials.overviews(db.session(), runtime().settings).items()
        ],
        is_tried=bool(credentials.served_by(db.session(), cloud)),
        permissions=permissions.PERMISSIONS + permissions.PARTNER_PERMISSIONS,
        manifest=permissions.manifest(),
        guide=registration.steps(shown.client_id, cloud),
        callback=callback,
        no_address=NO_ADDRESS,
        consent_link=consent.link_to_send(shown.client_id, callback, cloud)
        if shown.client_id and callback
        else None,
        radar=expiry.radar(db.session(), runtime().settings),
        now=utcnow(),
    )


@bp.route("/people", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
def list_people() -> Response:
    """Accounts and roles; POST makes a one-time link, shown once."""
    form, link, is_reset = InviteForm(), None, False
    if form.submitted():
        public_address("auth.login")  # refuses before anything is made
        try:
            _is_somebody_else(text(form.email))
            made = links.invite(
                db.session(),
                email=text(form.email),
                role=text(form.role),
                now=utcnow(),
                by=audit.current_actor().name,
                by_id=g.principal.account_id,
            )
        except Invalid as error:
            db.session.rollback()
            form.show(error)
        else:
            db.session.commit()
            link, is_reset = public_address("auth.invitation", token=made.token), made.is_reset
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
    found = accounts.find_account(db.session(), accounts.normal_email(email))
    if found is not None and found.id == g.principal.account_id:
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
    return _page(
        "people",
        sign_in if sign_in.errors else form,
        invite=form,
        sign_in=sign_in,
        people=people.people(),
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
    """What goes and what stays when an account is removed."""
    row = load(Account, account_id, "account")
    whose = "You are" if row.id == g.principal.account_id else "They are"
    return _ask(
        "people",
        f"Remove {row.email}?",
        f"Goes: the account. {whose} signed out everywhere at once; one-time links for it and by it, and its API tokens, stop working.",
        "Stays: everything it did, in the audit log. Coming back takes a new invitation.",
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
                "Switch your own authenticator off on the page “Your account”.",
                link=url_for("auth.account") + "#totp",
            )
        case "totp":
            people.reset_totp(row)
            done = f"{email} signs in without an authenticator until a new one is set up."
        case _:
            raise Invalid({"do": ["One of: role, off, on, remove, totp."]})
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
    others = ", ".join(one.email for one in left[:NAMED]) + more
    if do == "role":
        label = dict(ROLES)[accounts.role_of(role).value]
        question, button, keep = "Give up your role Administrator?", f"Become {label}", "Stay Administrator"
        goes = f"Goes: what only administrators may do, one-time links you made, and your API tokens above {label}."
        stays = f"Stays: your account, and everything you did. Only another administrator can give the role back: {others}."
    else:
        question, button, keep = "Deactivate your own account?", "Deactivate my account", "Keep it active"
        goes = "Goes: you are signed out everywhere at once; one-time links for you and by you, and your API tokens, stop working."
        stays = f"Stays: everything you did. Only another administrator can activate it again: {others}."
    return _ask(
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


@bp.route("/tokens", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
def list_tokens() -> Response:
    """API tokens; POST makes one, shown once."""
    form, plain = TokenForm(), None
    if form.submitted():
        try:
            plain = tokens.create(
                text(form.name),
                text(form.role),
                owner=load(Account, g.principal.account_id, "account"),
                expires_at=form.expires_at.moment(),
            )
        except Invalid as error:
            db.session.rollback()
            form.show(error)
        else:
            db.session.commit()
            form = TokenForm(formdata=None)  # a second press is a second token only if it was meant
    return _page("tokens", form, tokens=tokens.tokens(), plain=plain, now=utcnow())


@bp.route("/tokens/<token_id>/revoke", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
def revoke_token(token_id: str) -> Response:
    """Ask, then end a token."""
    row = load(ApiToken, token_id, "token")
    name = row.name  # revoking renames it
    if request.method == "POST":
        tokens.revoke(row)
        db.session.commit()
        return responses.respond(redirect=url_for(".list_tokens"), toast=f"{name} is revoked.")
    return _ask(
        "tokens",
        f"Revoke the token {name}?",
        "Stops now: every program that uses it is refused. A revoked token cannot be brought back; make a new one instead.",
        "Stays: what was done with it, in the audit log.",
        button="Revoke token",
        action=url_for(".revoke_token", token_id=row.id),
    )


@bp.get("/audit")
@requires(Role.READ_ONLY)
def audit_events() -> Response:
    """The audit log (O4)."""
    return _audit_page(RetentionForm(formdata=None, days=str(retention.keep_days(db.session()))))


@bp.post("/audit/retention")
@requires(Role.ADMINISTRATOR)
def keep_audit_events() -> Response:
    """For how long events are kept."""
    form = RetentionForm()
    if not form.submitted():
        return _audit_page(form)
    retention.set_keep_days(db.session(), int(text(form.days)), now=utcnow())
    db.session.commit()
    return responses.respond(redirect=url_for(".audit_events"), toast="Saved.")


def _audit_page(form: RetentionForm) -> Response:
    asked = parse(request.args, audit_log.SPEC, strict=False)
    return responses.render(
        "settings/audit.html",
        status=422 if form.errors else 200,
        blocks={"audit_table": "audit_table"},
        section="audit",
        form=form,
        listing=audit_log.listing(asked),
        actions=sorted(audit.EVENTS),
        words=audit_log.words,
        told=audit_log.told,
        chain=audit_log.chain_document(),
    )


@bp.get("/audit.csv")
@requires(Role.READ_ONLY)
def export_audit() -> Response:
    """CSV of what is filtered, with the chain and its head."""
    return audit_log.download(parse(request.args, audit_log.SPEC, strict=False), "csv", bom=True)


@bp.get("/audit.json")
@requires(Role.READ_ONLY)
def export_audit_json() -> Response:
    """The same as JSON."""
    return audit_log.download(parse(request.args, audit_log.SPEC, strict=False), "json")


@bp.get("/about")
@requires(Role.READ_ONLY)
def about() -> Response:
    """Version, database, queue and scheduler (O3)."""
    waiting = db.session.scalar(select(func.count()).select_from(SyncRun).where(SyncRun.status.in_(ACTIVE)))
    settings = runtime().settings
    return _page(
        "about",
        None,
        version=_version(),
        database="SQLite" if settings.is_sqlite else "PostgreSQL",
        scheduler=settings.scheduler,
        interval=settings.sync_interval_minutes,
        waiting=waiting or 0,
    )


def _page(name: str, form: Form | None, **context: object) -> Response:
    status = 422 if form is not None and form.errors else 200
    return responses.render(f"settings/{name}.html", status=status, form=form, section=name, **context)  # type: ignore[arg-type]


def _ask(
    section: str,
    question: str,
    *sentences: str,
    button: str,
    action: str,
    keep: str = "Keep it",
    values: dict[str, str] | None = None,
) -> Response:
    return responses.render(
        "settings/ask.html",
        blocks={"dialog": "dialog"},
        section=section,
        question=question,
        sentences=sentences,
        button=button,
        action=action,
        keep=keep,
        back=url_for(".list_people" if section == "people" else ".list_tokens"),
        values=values or {},
    )


def _version() -> str:
    try:
        return version("rollcall")
    except PackageNotFoundError:
        return "from source"
