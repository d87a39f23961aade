"""API tokens: made once, shown once, stored as a hash (O2, P10)."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from portal import audit
from portal.auth.service import role_of
from portal.clock import utcnow
from portal.crypto import hash_token, new_token
from portal.errors import Invalid
from portal.extensions import db
from portal.models import ApiToken
from portal.text import is_blank, text_key


def create(name: str, role: str) -> str:
    """Make a token and give it, this once. Raises Invalid for a name that is empty or taken, or an unknown role."""
    wanted = " ".join(name.split())
    if is_blank(wanted) or len(wanted) > 100:
        raise Invalid({"name": ["Enter a name of at most 100 characters."]})
    if text_key(wanted) in map(text_key, db.session.scalars(select(ApiToken.name))):
        raise Invalid({"name": ["There is already a token of this name."]})
    plain = f"rc_{new_token()}"
    row = ApiToken(
        name=wanted,
        role=role_of(role).value,
        token_hash=hash_token(plain),
        hint=plain[:9],
        created_by=audit.current_actor().name,
        created_at=utcnow(),
    )
    db.session.add(row)
    db.session.flush()
    audit.record(
        db.session(), "token_created", object_type="api_token", object_id=row.id, name=wanted, role=row.role
    )
    return plain


def revoke(row: ApiToken) -> None:
    """End a token; ending it twice is fine. Its name becomes free."""
    if row.revoked_at is not None:
        return
    now = utcnow()
    audit.record(db.session(), "token_revoked", object_type="api_token", object_id=row.id, name=row.name)
    row.revoked_at = now
    row.name = f"{row.name[:70]} (revoked {now:%Y-%m-%d %H:%M:%S})"
    db.session.flush()


def tokens() -> Sequence[ApiToken]:
    """Tokens that work, by name."""
    return db.session.scalars(
        select(ApiToken).where(ApiToken.revoked_at.is_(None)).order_by(ApiToken.name)
    ).all()
