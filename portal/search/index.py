"""Filling the indexes of words afterwards, a few rows at a time, so that no sync waits for it (SQLite; ``models.words``).

Who is not in it yet has no ``search_row`` and is looked at by each search, so nobody is missed meanwhile. A row is written once and
never changed: after a change somebody gets a new one, and the old one means nothing any more. When most mean nothing, all is
made anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

from sqlalchemy import bindparam, func, select, text, update
from sqlalchemy.orm import Session

from portal.engine.pace import Pace
from portal.models import DirectoryUser, EndUser
from portal.models import words as tables
from portal.search import words
from portal.text import text_key
from portal.transactions import SessionFactory, write_session

SPARE = 100_000
"""Rows that may mean nothing before it is worth making all anew, beside as many as mean something."""
CODE = 8
"""Characters of a product's id that stand for it among the words."""
_PRIVATE, _SIGNS = 0xE000, 6_400
"""Where Unicode has signs that mean nothing to anybody, and how many."""


@dataclass(frozen=True)
class _Kind:
    model: Any
    table: str
    columns: Sequence[Any]
    keys: Sequence[str]
    words_of: Callable[[Any], str]


def index_some(sessions: SessionFactory, most: int) -> int:
    """Index about ``most`` rows of each kind. Returns how many it wrote; 0 once everybody is indexed."""
    number = 0
    for kind in _KINDS:
        pace, done, written = Pace(), 0, 1
        while written and done < most:
            written = _index(sessions, kind, pace)
            done += written
        number += done
    return number


def start_anew_if_worn(sessions: SessionFactory) -> bool:
    """Empty an index whose rows are mostly stale, so that it is filled again. Returns True if one was."""
    was_worn = False
    for kind in _KINDS:
        with sessions() as session:
            if not words.are_there(session):
                return False
            row_count = words.next_row(session, kind.table) - 1
            if row_count <= SPARE:
                continue
            meant = session.scalar(
                select(func.count()).select_from(kind.model).where(kind.model.search_row.is_not(None))
            )
            if row_count <= 2 * (meant or 0) + SPARE:
                continue
        with write_session(sessions) as session:
            session.execute(
                update(kind.model).values(search_row=None).execution_options(synchronize_session=False)
            )
            session.execute(text(f"INSERT INTO {kind.table}({kind.table}) VALUES ('delete-all')"))  # noqa: S608
        was_worn = True
    return was_worn


def department_code(department: str) -> str:
    """The code of a whole department in the index of words: three signs, so that one list holds exactly its people."""
    digest = blake2b(text_key(department).encode(errors="replace"), digest_size=2 * words.SIZE).digest()
    numbers = (int.from_bytes(digest[at : at + 2]) for at in range(0, len(digest), 2))
    return "".join(chr(_PRIVATE + number % _SIGNS) for number in numbers)


def sku_code(sku_id: str) -> str:
    """The code of a product in the index of words."""
    return sku_id[:CODE].lower()


def _index(sessions: SessionFactory, kind: _Kind, pace: Pace) -> int:
    waiting = select(kind.model.search_row).where(kind.model.search_row.is_(None)).limit(1)
    with sessions() as session:  # usually nobody waits: then nothing is locked
        if not words.are_there(session) or not session.execute(waiting).first():
            return 0
    with pace.over(write_session(sessions)) as session:
        return _write(session, kind, pace.size)


def _write(session: Session, kind: _Kind, most: int) -> int:
    waiting = select(*kind.columns).where(kind.model.search_row.is_(None)).limit(most)
    rows = session.execute(waiting).all()
    if not rows:
        return 0
    start = words.next_row(session, kind.table)
    session.execute(
        text(f"INSERT INTO {kind.table}(rowid, words) VALUES (:row, :words)"),  # noqa: S608
        [{"row": start + place, "words": kind.words_of(row)} for place, row in enumerate(rows)],
    )
    table = kind.model.__table__
    named = update(table).values(search_row=bindparam("b_row"))
    for key in kind.keys:
        named = named.where(table.c[key] == bindparam(f"b_{key}"))
    session.connection().execute(
        named,
        [
            {"b_row": start + place, **{f"b_{key}": getattr(row, key) for key in kind.keys}}
            for place, row in enumerate(rows)
        ],
    )
    return len(rows)


def _persons(row: Any) -> str:
    sign_in_name = text_key(row.user_principal_name)
    own = [sign_in_name] if sign_in_name not in row.search_text else []
    codes = (sku_code(sku) for sku in row.license_sku_ids)
    return "\n".join([row.search_text, department_code(row.department), *own, *codes])


def mirror_words(row: Any) -> str:
    """The searchable texts of a Microsoft user: name, address and sign-in name."""
    parts = (text_key(row.display_name), row.email_key, text_key(row.user_principal_name))
    return "\n".join(dict.fromkeys(part for part in parts if part))


_KINDS = (
    _Kind(
        EndUser,
        tables.PEOPLE,
        (
            EndUser.id,
            EndUser.search_text,
            EndUser.user_principal_name,
            EndUser.department,
            EndUser.license_sku_ids,
        ),
        ("id",),
        _persons,
    ),
    _Kind(
        DirectoryUser,
        tables.MIRROR,
        (
            DirectoryUser.microsoft_tenant_id,
            DirectoryUser.object_id,
            DirectoryUser.display_name,
            DirectoryUser.email_key,
            DirectoryUser.user_principal_name,
        ),
        ("microsoft_tenant_id", "object_id"),
        mirror_words,
    ),
)
