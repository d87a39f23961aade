"""Settings: API tokens."""

from __future__ import annotations

from flask import g, request, url_for
from werkzeug.wrappers import Response

from portal.api import tokens
from portal.clock import utcnow
from portal.extensions import db
from portal.http import responses
from portal.http.access import load, requires
from portal.http.forms import ShowingInvalid, text
from portal.models import Account, ApiToken, Role
from portal.settings import views
from portal.settings.forms import TokenForm
from portal.settings.routes.blueprint import ask, bp, page


@bp.route("/tokens", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
def list_tokens() -> Response:
    """API tokens; POST makes one, shown once."""
    form, plain = TokenForm(), None
    if form.submitted():
        with ShowingInvalid(form):
            plain = tokens.create(
                text(form.name),
                text(form.role),
                owner=load(Account, g.principal.account_id, "account"),
                expires_at=form.expires_at.moment(),
            )
            db.session.commit()
            form = TokenForm(formdata=None)  # a second press is a second token only if it was meant
    return page("tokens", form, tokens=views.token_rows(tokens.tokens(), utcnow()), plain=plain)


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
    return ask(
        "tokens",
        f"Revoke the token {name}?",
        "Stops now: every program that uses it is refused. A revoked token cannot be restored; create a new one instead.",
        "Stays: what was done with it, in the audit log.",
        button="Revoke token",
        action=url_for(".revoke_token", token_id=row.id),
    )
