"""Many rows of one table in one statement, past the ORM: the driver's own executemany, with each column's type applied.

SQLAlchemy's way with a list of dicts costs as much again as the database does; this one prepares what it needs once per table
and column list.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import Dialect, Table
from sqlalchemy.orm import DeclarativeBase, Session

Row = dict[str, Any]
_Processor = Callable[[Any], Any]


def insert_rows(session: Session, model: type[DeclarativeBase], rows: Sequence[Row]) -> None:
    """Insert ``rows`` in the present transaction. Each names the same columns; what is left out must have a database default."""
    if not rows:
        return
    connection = session.connection()
    names = tuple(rows[0])
    statement, processors = _insert(connection.dialect, _table(model), names)
    connection.exec_driver_sql(statement, _parameters(rows, names, processors))


def update_rows(
    session: Session, model: type[DeclarativeBase], rows: Iterable[Row], *, keys: Sequence[str]
) -> None:
    """Update rows by the columns ``keys``, which each row names beside those to be set; one statement per set of columns."""
    connection, table = session.connection(), _table(model)
    for names, alike in groupby(sorted(rows, key=_names), key=_names):
        statement, processors = _update(connection.dialect, table, names, tuple(keys))
        order = (*(name for name in names if name not in keys), *keys)
        connection.exec_driver_sql(statement, _parameters(alike, order, processors))


def _names(row: Row) -> tuple[str, ...]:
    return tuple(sorted(row))


def _parameters(
    rows: Iterable[Row], names: Sequence[str], processors: Sequence[_Processor | None]
) -> list[tuple[Any, ...]]:
    processed = [
        (place, _remembering(process)) for place, process in enumerate(processors) if process is not None
    ]
    values_of = itemgetter(*names) if len(names) > 1 else lambda row: [row[names[0]]]
    found: list[tuple[Any, ...]] = []
    for row in rows:
        values = list(values_of(row))
        for place, process in processed:
            values[place] = process(values[place])
        found.append(tuple(values))
    return found


@lru_cache(maxsize=256)
def _insert(
    dialect: Dialect, table: Table, names: tuple[str, ...]
) -> tuple[str, tuple[_Processor | None, ...]]:
    mark = _placeholder(dialect)
    columns = ", ".join(dialect.identifier_preparer.quote(name) for name in names)
    places = ", ".join(mark for _ in names)
    statement = f"INSERT INTO {_quoted(dialect, table)} ({columns}) VALUES ({places})"  # noqa: S608  our own names
    return statement, _processors(dialect, table, names)


@lru_cache(maxsize=256)
def _update(
    dialect: Dialect, table: Table, names: tuple[str, ...], keys: tuple[str, ...]
) -> tuple[str, tuple[_Processor | None, ...]]:
    mark, quote = _placeholder(dialect), dialect.identifier_preparer.quote
    changed = tuple(name for name in names if name not in keys)
    settings = ", ".join(f"{quote(name)} = {mark}" for name in changed)
    condition = " AND ".join(f"{quote(name)} = {mark}" for name in keys)
    statement = f"UPDATE {_quoted(dialect, table)} SET {settings} WHERE {condition}"  # noqa: S608  our own names
    return statement, _processors(dialect, table, (*changed, *keys))


def _processors(dialect: Dialect, table: Table, names: Sequence[str]) -> tuple[_Processor | None, ...]:
    return tuple(table.c[name].type.dialect_impl(dialect).bind_processor(dialect) for name in names)


def _remembering(process: _Processor) -> _Processor:
    """Many columns of rows written together hold the very same object: the time, a license list, nothing. For one thread."""
    last: Any = process
    result: Any = None

    def remembering(value: Any) -> Any:
        nonlocal last, result
        if value is not last:
            last, result = value, process(value)
        return result

    return remembering


def _placeholder(dialect: Dialect) -> str:
    return "?" if dialect.paramstyle == "qmark" else "%s"


def _quoted(dialect: Dialect, table: Table) -> str:
    return dialect.identifier_preparer.quote(table.name)


def _table(model: type[DeclarativeBase]) -> Table:
    table = model.__table__
    if not isinstance(table, Table):
        raise TypeError(f"{model.__name__} has no table of its own")
    return table
