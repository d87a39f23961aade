"""Saved views: named states of a list, shared by address and, if wanted, with everybody."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import parse_qsl, urlencode

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session, joinedload

from portal import audit
from portal.clock import utcnow
from portal.engine.normalize import clean
from portal.errors import Forbidden, Invalid
from portal.models import SavedView
from portal.text import text_key

PAGE = "people"
MAX_NAME = 80
MOST_EACH = 50
MAX_QUERY = 2_000
_LEFT_OUT = frozenset({"page", "view", "csrf_token"})


def views_for(session: Session, account_id: str) -> Sequence[SavedView]:
    """An account's own views and those shared with everybody, by name."""
    own = or_(SavedView.account_id == account_id, SavedView.is_shared.is_(True))
    return session.scalars(
        select(SavedView)
        .where(SavedView.page == PAGE, own)
        .order_by(SavedView.name_key, SavedView.id)
        .options(joinedload(SavedView.account))
    ).all()


def save(session: Session, account_id: str, name: str, query: str, *, is_shared: bool) -> SavedView:
    """Keep a view; one of that name that the account has is replaced. Raises Invalid on ``name``."""
    clean_name = _checked(name)
    view = session.scalar(
        select(SavedView).where(
            SavedView.account_id == account_id,
            SavedView.page == PAGE,
            SavedView.name_key == text_key(clean_name),
        )
    )
    now = utcnow()
    if view is None:
        its = select(func.count()).select_from(SavedView).where(SavedView.account_id == account_id)
        if (session.scalar(its) or 0) >= MOST_EACH:
            raise Invalid({"name": [f"You have {MOST_EACH} views. Delete one first."]})
        view = SavedView(account_id=account_id, page=PAGE, created_at=now)
        session.add(view)
    view.name, view.name_key = clean_name, text_key(clean_name)
    view.query, view.is_shared, view.updated_at = tidy(query), is_shared, now
    session.flush()
    audit.record(session, "view_saved", view, name=clean_name, shared=is_shared)
    return view


def remove(session: Session, row: SavedView, account_id: str, *, is_administrator: bool) -> None:
    """Delete a view: one's own, or as an administrator one that is shared. Raises Forbidden otherwise."""
    if row.account_id != account_id and not (is_administrator and row.is_shared):
        raise Forbidden(
            "This view belongs to someone else. Ask them or an administrator.", needed="administrator"
        )
    audit.record(session, "view_deleted", row, name=row.name)
    session.delete(row)
    session.flush()


def tidy(query: str) -> str:
    """The query string to keep: without the page and whatever is no part of a list. Raises Invalid when it is too long."""
    pairs = [(name, value) for name, value in parse_qsl(query.lstrip("?")) if name not in _LEFT_OUT]
    tidied = urlencode(sorted(pairs))
    if len(tidied) > MAX_QUERY:
        raise Invalid({"name": ["This view has too many filters to be saved."]})
    return tidied


def is_shown(row: SavedView, filters: Mapping[str, str]) -> bool:
    """Whether a page with these parameters is this view."""
    return row.query == urlencode(sorted((name, value) for name, value in filters.items() if value))


def _checked(name: str) -> str:
    clean_name = " ".join(clean(name).split())
    if not clean_name:
        raise Invalid({"name": ["Enter a name."]})
    if len(clean_name) > MAX_NAME:
        raise Invalid({"name": [f"At most {MAX_NAME} characters."]})
    return clean_name
