"""Asking the indexes of words (``models.words``): who may have some texts in their name, without reading everybody.

What they name is looked at again by the statement that asks: a row may be of before a change, and three letters in a row are
found one by one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from weakref import WeakKeyDictionary

from sqlalchemy import ColumnElement, Engine, func, literal_column, select, text
from sqlalchemy.orm import Session

from portal.models import words

SIZE = 3
"""Letters of a text that are looked up together; shorter texts cannot be."""
_has: WeakKeyDictionary[Engine, bool] = WeakKeyDictionary()


def are_there(session: Session) -> bool:
    """Whether this database has the tables: SQLite alone, and when it was built with FTS5."""
    bind = session.get_bind()
    engine = bind if isinstance(bind, Engine) else bind.engine
    if engine.dialect.name != "sqlite":
        return False
    if engine not in _has:
        count = session.scalar(
            text("SELECT count(*) FROM sqlite_master WHERE name = :name"), {"name": words.PEOPLE}
        )
        _has[engine] = bool(count)
    return _has[engine]


def query(texts: Iterable[str]) -> str:
    """What FTS5 is asked for: trigrams that cover all ``texts``, which are text keys; "" when none is long enough.

    Those between would leave out hardly anybody more, and each is a list to go through.
    """
    grams = dict.fromkeys(text[place : place + SIZE] for text in texts for place in _places(len(text)))
    return " AND ".join('"' + gram.replace('"', '""') + '"' for gram in grams)


def _places(length: int) -> Iterable[int]:
    last = length - SIZE
    return (*range(0, last, SIZE), last) if last >= 0 else ()


def rows(table: str, match: str, most: int) -> ColumnElement[bool]:
    """The condition that ``search_row`` of the statement's table is among the first ``most`` that have what ``match`` says."""
    condition = f"search_row IN (SELECT rowid FROM {table} WHERE {table} MATCH :words LIMIT :rows)"  # noqa: S608 - our own names
    return text(condition).bindparams(words=match, rows=most)  # type: ignore[return-value]


def number(session: Session, table: str, match: str, most: int) -> int:
    """How many rows have what ``match`` says, counted up to ``most``."""
    statement = f"SELECT count(*) FROM (SELECT 1 FROM {table} WHERE {table} MATCH :words LIMIT :most)"  # noqa: S608
    return session.scalar(text(statement), {"words": match, "most": most}) or 0


def first(session: Session, table: str, match: str, most: int) -> Sequence[int]:
    """The first ``most`` rows that have what ``match`` says."""
    statement = f"SELECT rowid FROM {table} WHERE {table} MATCH :words LIMIT :most"  # noqa: S608
    return list(session.scalars(text(statement), {"words": match, "most": most}))


def next_row(session: Session, table: str) -> int:
    """The number of a new row of an index: greater than any in use now or before."""
    last = session.scalar(
        select(func.max(literal_column("rowid"))).select_from(text(f"{table}_docsize AS d"))
    )
    return (last or 0) + 1
