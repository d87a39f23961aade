"""Many rows of one table in one statement, past the ORM: the driver's own executemany, with each column's type applied.

SQLAlchemy's way with a list of dicts costs as much again as the database does; this one prepares what it needs once per table
and column list. PostgreSQL gets many rows by COPY.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache, partial
from itertools import groupby
from operator import itemgetter
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnElement,
    Connection,
    Dialect,
    Table,
    bindparam,
    func,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import DeclarativeBase, Session
from sqlalchemy.types import TypeEngine

from portal.models.base import FieldChanges, UtcDateTime, Words
from portal.transactions import SessionFactory, note

COPIED_FROM = 50
"""So many rows are copied, where that can be done: it takes a third of the processor, and fewer are not worth another statement."""
Row = dict[str, Any]
_Processor = Callable[[Any], Any]


@dataclass(frozen=True, slots=True)
class ReadyRows:
    """Rows as the driver takes them: made before a transaction that writes, which then has nothing to do but to insert them.

    copying: the statement for many, where the database has one.
    """

    statement: str
    parameters: Sequence[tuple[Any, ...]]
    copying: str = ""


def ready_rows(session: Session, model: type[DeclarativeBase], rows: Sequence[Row]) -> ReadyRows:
    """Prepare ``rows``. Each names the same columns; a column that is left out must have a database default."""
    if not rows:
        return ReadyRows("", ())
    names = tuple(rows[0])
    statement, copying, processors = _insert(session.get_bind().dialect, _table(model), names)
    return ReadyRows(statement, _parameters(rows, names, processors), copying)


def ready_tuples(
    session: Session, model: type[DeclarativeBase], names: tuple[str, ...], rows: Iterable[tuple[Any, ...]]
) -> ReadyRows:
    """As ``ready_rows``, of rows whose values are in the order of ``names``: for those that are made by the 100,000."""
    statement, copying, processors = _insert(session.get_bind().dialect, _table(model), names)
    return ReadyRows(statement, _processed(rows, processors), copying)


def insert_ready(session: Session, ready: ReadyRows) -> None:
    """Insert them in the present transaction."""
    if ready.copying and len(ready.parameters) >= COPIED_FROM:
        _copy(session.connection(), ready)
    elif ready.parameters:
        session.connection().exec_driver_sql(ready.statement, list(ready.parameters))


def _copy(connection: Connection, ready: ReadyRows) -> None:
    """Insert by PostgreSQL's COPY, past SQLAlchemy, but with its errors: callers handle those."""
    driver: Any = connection.connection.driver_connection
    dialect = connection.dialect
    errors = dialect.loaded_dbapi.Error
    try:
        with driver.cursor() as cursor, cursor.copy(ready.copying) as copy:
            for row in ready.parameters:
                copy.write_row(row)
    except errors as error:
        if dialect.is_disconnect(error, connection.connection, None):
            connection.invalidate(error)
        raise DBAPIError.instance(
            ready.copying, None, error, errors, hide_parameters=True, dialect=dialect
        ) from error


def insert_rows(session: Session, model: type[DeclarativeBase], rows: Sequence[Row]) -> None:
    """Insert ``rows`` in the present transaction; see ``ready_rows``."""
    insert_ready(session, ready_rows(session, model, rows))


def update_rows(
    session: Session, model: type[DeclarativeBase], rows: Iterable[Row], *, keys: Sequence[str]
) -> None:
    """Update rows by the columns ``keys``, which each row names beside those to be set; one statement per set of columns."""
    connection, table = session.connection(), _table(model)
    for names, alike in groupby(sorted(rows, key=_names), key=_names):
        statement, processors = _update(connection.dialect, table, names, tuple(keys))
        order = (*(name for name in names if name not in keys), *keys)
        connection.exec_driver_sql(statement, _parameters(alike, order, processors))


def read_rows(
    session: Session,
    model: type[DeclarativeBase],
    names: Sequence[str],
    fixed: Mapping[str, str],
    key: str,
    key_values: Sequence[str],
) -> Iterator[list[Any]]:
    """The columns ``names`` of the rows that have the values ``fixed``, and one of ``key_values`` (at most a few hundred) in ``key``."""
    dialect = session.get_bind().dialect
    _, readers = _select(dialect, _table(model), tuple(names), (*fixed, key), len(key_values))
    for row in read_stored(session, model, names, fixed, key, key_values):
        values = list(row)
        for n, read in readers:
            values[n] = read(values[n])
        yield values


def read_stored(
    session: Session,
    model: type[DeclarativeBase],
    names: Sequence[str],
    fixed: Mapping[str, str],
    key: str,
    key_values: Sequence[str],
) -> Sequence[tuple[Any, ...]]:
    """As ``read_rows``, of columns whose values are as the driver gives them: texts and numbers."""
    if not key_values:
        return ()
    connection = session.connection()
    statement, _ = _select(connection.dialect, _table(model), tuple(names), (*fixed, key), len(key_values))
    return connection.exec_driver_sql(statement, (*fixed.values(), *key_values)).cursor.fetchall()


@contextmanager
def joining_wholes(session: Session) -> Iterator[None]:
    """Within the block PostgreSQL goes through the tables it joins once each.

    Of a Microsoft Tenant that came after its last look at them it expects a single row, and would compare everybody with everybody.
    """
    is_postgres = session.get_bind().dialect.name == "postgresql"
    if is_postgres:
        session.execute(text("SET LOCAL enable_nestloop = off"))
    yield
    if is_postgres:
        session.execute(text("SET LOCAL enable_nestloop = on"))


def count_anew(sessions: SessionFactory, *models: type[DeclarativeBase]) -> None:
    """Have PostgreSQL look at tables that were just filled: without statistics it walks them the wrong way until its autovacuum comes.

    Whoever looks at one of them already is not waited for. SQLite goes by its indexes alone.
    """
    with sessions() as session:
        if session.get_bind().dialect.name != "postgresql":
            return
    note(sessions, text(f"ANALYZE (SKIP_LOCKED) {', '.join(_table(model).name for model in models)}"))


def _names(row: Row) -> tuple[str, ...]:
    return tuple(sorted(row))


def _parameters(
    rows: Iterable[Row], names: Sequence[str], processors: Sequence[_Processor | None]
) -> list[tuple[Any, ...]]:
    pick: Callable[[Row], Iterable[Any]] = itemgetter(*names) if len(names) > 1 else _only(names[0])
    return _processed(map(pick, rows), processors)


def _processed(
    rows: Iterable[Iterable[Any]], processors: Sequence[_Processor | None]
) -> list[tuple[Any, ...]]:
    special = [(n, _remembering(process)) for n, process in enumerate(processors) if process is not None]
    processed: list[tuple[Any, ...]] = []
    for row in rows:
        values = list(row)
        for n, process in special:
            values[n] = process(values[n])
        processed.append(tuple(values))
    return processed


def _only(name: str) -> Callable[[Row], Iterable[Any]]:
    return lambda row: (row[name],)


@lru_cache(maxsize=256)
def _insert(
    dialect: Dialect, table: Table, names: tuple[str, ...]
) -> tuple[str, str, tuple[_Processor | None, ...]]:
    mark = _placeholder(dialect)
    columns = ", ".join(dialect.identifier_preparer.quote(name) for name in names)
    places = ", ".join(mark for _ in names)
    statement = f"INSERT INTO {_quoted(dialect, table)} ({columns}) VALUES ({places})"  # noqa: S608  our own names
    copying = f"COPY {_quoted(dialect, table)} ({columns}) FROM STDIN" if dialect.name == "postgresql" else ""
    return statement, copying, _processors(dialect, table, names)


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


@lru_cache(maxsize=256)
def _select(
    dialect: Dialect, table: Table, names: tuple[str, ...], keys: tuple[str, ...], number: int
) -> tuple[str, tuple[tuple[int, _Processor], ...]]:
    mark, quote = _placeholder(dialect), dialect.identifier_preparer.quote
    columns = ", ".join(quote(name) for name in names)
    *fixed, last = keys
    conditions = [f"{quote(key)} = {mark}" for key in fixed]
    conditions.append(f"{quote(last)} IN ({', '.join(mark for _ in range(number))})")
    statement = f"SELECT {columns} FROM {_quoted(dialect, table)} WHERE {' AND '.join(conditions)}"  # noqa: S608  our own names
    readers = [(n, _reader(dialect, table.c[name].type)) for n, name in enumerate(names)]
    return statement, tuple((n, reader) for n, reader in readers if reader is not None)


def _processors(dialect: Dialect, table: Table, names: Sequence[str]) -> tuple[_Processor | None, ...]:
    return tuple(_writer(dialect, table.c[name].type) for name in names)


def _writer(dialect: Dialect, kind: TypeEngine[Any]) -> _Processor | None:
    """What SQLAlchemy does to a value on its way to the driver; the usual types by a shorter way to the same."""
    usual: _Processor | None = kind.dialect_impl(dialect).bind_processor(dialect)
    if isinstance(kind, Words):
        return _joined
    if isinstance(kind, FieldChanges):
        to_json: Any = kind.impl_instance.dialect_impl(dialect).bind_processor(dialect)
        return partial(_triples, to_json)
    if dialect.name != "sqlite":
        return usual
    if isinstance(kind, Boolean):
        return None  # the driver writes True as 1 by itself
    if isinstance(kind, UtcDateTime) and usual is not None:
        return partial(_time_to_text, usual)
    return usual


def _reader(dialect: Dialect, kind: TypeEngine[Any]) -> _Processor | None:
    """The same for a value that the driver read."""
    if isinstance(kind, Words):
        return _split
    if dialect.name == "sqlite" and isinstance(kind, UtcDateTime):
        return _text_to_time
    reader: _Processor | None = kind.dialect_impl(dialect).result_processor(dialect, None)
    return reader


def _joined(words: Iterable[str] | None) -> str:
    return " ".join(words or ())


def _triples(to_json: _Processor, changes: Iterable[tuple[str, str, str]]) -> Any:
    return to_json([change if type(change) is tuple else tuple(change) for change in changes])


def _split(text: str | None) -> tuple[str, ...]:
    return tuple(text.split(" ")) if text else ()


def _time_to_text(usual: _Processor, value: datetime | None) -> Any:
    if value is None or value.tzinfo is not UTC:
        return usual(value)
    return value.replace(tzinfo=None).isoformat(" ", "microseconds")


def _text_to_time(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text).replace(tzinfo=UTC)


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


Rows = Sequence[tuple[type[DeclarativeBase], ColumnElement[bool]]]
"""Tables with a condition each: which of their rows are meant."""


def number_of(session: Session, rows: Rows) -> int:
    """How many rows these are."""
    return sum(
        session.scalar(select(func.count()).select_from(model).where(condition)) or 0
        for model, condition in rows
    )


def delete_some(session: Session, rows: Rows, number: int) -> int:
    """Delete up to ``number`` of these rows, the first table's first. Returns how many. For one of several short transactions."""
    left = number
    for model, condition in rows:
        if not left:
            break
        key = list(_table(model).primary_key.columns)
        keys = session.execute(select(*key).where(condition).limit(left)).all()
        if keys:
            gone = _table(model).delete().where(*(column == bindparam(f"k_{column.name}") for column in key))
            names = [f"k_{column.name}" for column in key]
            session.connection().execute(gone, [dict(zip(names, row, strict=True)) for row in keys])
        left -= len(keys)
    return number - left
