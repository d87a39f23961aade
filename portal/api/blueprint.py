"""The blueprint of ``/api/v1``, and who calls: bearer tokens only, never a browser's cookie."""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, g, request
from sqlalchemy import select

from portal import clock
from portal.access import Principal
from portal.crypto import hash_token
from portal.extensions import db, mark_write
from portal.models import ApiToken, Role
from portal.runtime import runtime

bp = Blueprint("api", __name__, url_prefix="/api/v1")
TOUCH_EVERY = timedelta(minutes=5)


def name_principal() -> None:
    """Find the token of a request under ``/api/``; the routes' roles are checked after this (portal.access)."""
    if not request.path.startswith("/api/"):
        return
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    if kind.lower() != "bearer" or not token.strip():
        return
    row = db.session.scalar(select(ApiToken).where(ApiToken.token_hash == hash_token(token.strip())))
    if row is None or row.revoked_at is not None:
        return
    g.principal = Principal(name=f"token {row.name}", role=Role(row.role), source="api")
    now = clock.utcnow()
    if request.method == "GET" and (row.last_used_at is None or now - row.last_used_at > TOUCH_EVERY):
        with runtime().sessions() as other:
            mark_write(other)
            found = other.get(ApiToken, row.id)
            if found is not None:
                found.last_used_at = now
            other.commit()
    elif request.method != "GET":
        row.last_used_at = now
