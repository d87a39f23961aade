"""API tokens: made once, shown once, stored as a hash (O2, P10)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, joinedload

from portal import audit
from portal.auth.service import role_of
from portal.clock import utcnow
from portal.crypto import hash_token, new_token
from portal.errors import Invalid
from portal.extensions import db
from portal.models import Account, ApiToken, Role
from portal.text import is_blank, text_key


def create(name: str, role: str, *, owner: Account | None = None, expires_at: datetime | None = None) -> str:
    """Make a token and give it, this once. It does no more than its owner may, and ends with them.

    owner: None for one of the command line. Raises Invalid for a name that is empty or taken, an unknown role or one above
    the owner's, and an end that has passed.
    """
    token_name, level, now = " ".join(name.split()), role_of(role), utcnow()
    if is_blank(token_name) or len(token_name) > 100:
        raise Invalid({"name": ["Enter a name of at most 100 characters."]})
    duplicate = Invalid({"name": ["There is already a token with this name."]})
    if text_key(token_name) in map(text_key, db.session.scalars(select(ApiToken.name))):
        raise duplicate
    if owner is not None and level.rank > Role(owner.role).rank:
        raise Invalid({"role": ["A token may do no more than its owner. Choose a lower role."]})
    if expires_at is not None and expires_at <= now:
        raise Invalid({"expires_at": ["Enter a day in the future."]})
    plain = f"rc_{new_token()}"
    row = ApiToken(
        name=token_name,
        role=level.value,
        token_hash=hash_token(plain),
        hint=plain[:9],
        owner_id=None if owner is None else owner.id,
        created_by=audit.current_actor().name,
        created_at=now,
        expires_at=expires_at,
    )
    try:
        with db.session.begin_nested():
            db.session.add(row)
    except IntegrityError as error:  # the database decides which of two is first
        raise duplicate from error
    audit.record(db.session(), "token_created", row, name=token_name, role=row.role)
    return plain


def revoke(row: ApiToken) -> None:
    """End a token; ending it twice is fine. Its name becomes free."""
    now, name = utcnow(), row.name
    ended = db.session.execute(
        update(ApiToken)
        .where(ApiToken.id == row.id, ApiToken.revoked_at.is_(None))
        .values(revoked_at=now, name=f"{name[:70]} (revoked {now:%Y-%m-%d %H:%M:%S.%f})")
    )
    if ended.rowcount == 1:  # type: ignore[attr-defined]
        audit.record(db.session(), "token_revoked", row, name=name)


def revoke_above(owner_id: str, role: Role | None) -> None:
    """End somebody's tokens of a higher role than they have now; all of them when they have none (None)."""
    owned = select(ApiToken).where(ApiToken.owner_id == owner_id, ApiToken.revoked_at.is_(None))
    for row in db.session.scalars(owned).all():
        if role is None or Role(row.role).rank > role.rank:
            revoke(row)


@dataclass(frozen=True)
class Bearer:
    """Whose token a request brings. refused: "" | unknown | revoked | expired | owner switched off."""

    token: ApiToken | None
    refused: str = ""


def bearer(session: Session, plain: str, now: datetime) -> Bearer:
    """Look a token up; for one that is refused, why."""
    row = session.scalar(
        select(ApiToken).where(ApiToken.token_hash == hash_token(plain)).options(joinedload(ApiToken.owner))
    )
    if row is None:
        return Bearer(None, "unknown")
    if row.revoked_at is not None:
        return Bearer(row, "revoked")
    if row.expires_at is not None and row.expires_at <= now:
        return Bearer(row, "expired")
    if row.owner is not None and not row.owner.is_active:
        return Bearer(row, "owner switched off")
    return Bearer(row)


def effective_role(row: ApiToken) -> Role:
    """A token's role, and never more than its owner's."""
    own = Role(row.role)
    return own if row.owner is None else min(own, Role(row.owner.role), key=lambda role: role.rank)


def tokens() -> Sequence[ApiToken]:
    """Tokens that were not revoked, by name; those that have expired among them, as their names are not free."""
    return db.session.scalars(
        select(ApiToken)
        .where(ApiToken.revoked_at.is_(None))
        .options(joinedload(ApiToken.owner))
        .order_by(ApiToken.name)
    ).all()
