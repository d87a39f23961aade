"""The blueprint of ``/api/v1``, and who calls: bearer tokens only, never a browser's cookie."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, g, request
from sqlalchemy import update

from portal import audit, clock
from portal.api import tokens
from portal.extensions import db
from portal.http import refusals
from portal.http.access import Principal, is_for_programs
from portal.models import ApiToken
from portal.runtime import runtime
from portal.transactions import note

bp = Blueprint("api", __name__, url_prefix="/api/v1")
TOUCH_EVERY = timedelta(minutes=5)


def name_principal() -> None:
    """Find the token of a request under ``/api/``; the routes' roles are checked after this (portal.http.access)."""
    if not is_for_programs():
        return
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        return
    now = clock.utcnow()
    bearer = tokens.bearer(db.session(), token.strip(), now)
    row = bearer.token
    if bearer.refused or row is None:
        _refuse(bearer)
        return
    g.principal = Principal(name=f"token {row.name}", role=tokens.effective_role(row), source="api")
    if row.last_used_at is None or now - row.last_used_at > TOUCH_EVERY:
        note(runtime().sessions, update(ApiToken).where(ApiToken.id == row.id).values(last_used_at=now))


def _refuse(bearer: tokens.Bearer) -> None:
    """Tell both logs of a token that opens nothing; the answer is that of no token at all."""
    audit.set_actor(audit.nobody("api", request.remote_addr or ""))
    row = bearer.token
    name, token_id = ("", "") if row is None else (row.name, row.id)
    db.session.rollback()
    refusals.log("token_refused", reason=bearer.refused)
    runtime().refusals.note(
        "token_refused", object_type="api_token", object_id=token_id, name=name, reason=bearer.refused
    )
