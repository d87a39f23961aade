"""Transactions: they begin as readers, are marked before they write, wait briefly for a lock, and never for anything else.

SQLite has one write lock, PostgreSQL one per row: whoever holds one while a body arrives, a password is hashed or somebody
else's server answers keeps everybody waiting. So all of that comes first, and ``begin_write`` after it
(docs/architecture.md, "Transactions").
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from typing import Any

import orjson
from sqlalchemy import Connection, Engine, Executable, event
from sqlalchemy.exc import (
    DBAPIError,
    InterfaceError,
    InternalError,
    OperationalError,
    PendingRollbackError,
    SQLAlchemyError,
)
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.orm import Session, sessionmaker

from portal.errors import RetryLater
from portal.operations.write_queue import WriteQueue
from portal.text import text_key

SessionFactory = sessionmaker[Session]

WORK_PATIENCE = 30.0
"""Seconds that a sync or a command waits for a lock."""
REQUEST_PATIENCE = 10.0
"""Seconds that a request waits for a lock before it answers 503: somebody is looking at it."""
NOTE_PATIENCE = 0.2
"""Seconds that ``note`` waits: what it writes is worth no more."""
IDLE_WRITER, IDLE_READER = 15.0, 900.0
"""Seconds after which PostgreSQL ends a transaction that asks nothing: a process that was stopped in one that writes holds rows
that others wait for. Only reading holds none, and a run reads in one transaction for as long as it plans."""

LOG_PAGES = 4_000
"""Pages of SQLite's log, 64 MB, at which a commit itself brings them into the file; ``checkpoint`` is there before."""

WRITES = "sqlite_write"
"""The execution option of a connection whose next transaction writes."""

writing: ContextVar[bool] = ContextVar("writing", default=False)
"""True where the next transaction of a request's or command's session begins as a writer, though nobody called ``begin_write``."""


def to_json(value: Any) -> str:
    """What JSON columns are written with: many are, in bulk. Half surrogate pairs and huge numbers only Python's own writes."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value)


JSON_COLUMNS: dict[str, Any] = {"json_serializer": to_json, "json_deserializer": orjson.loads}
"""Options of an engine."""

_patience: ContextVar[float] = ContextVar("patience", default=WORK_PATIENCE)
_is_work: ContextVar[bool] = ContextVar("is_work", default=False)

LOCKED = "Another change is taking longer than usual, so nothing was saved. Try again in a few seconds."
AWAY = "The database does not answer, so nothing was changed. Try again in a minute; if this continues, contact your portal administrator."
_LOCK_STATES = frozenset(
    {"55P03", "57014"}
)  # not available, cancelled; a lost race is another matter (portal.locks)
_AWAY_CLASSES = ("08", "53", "57", "58")  # connection, resources, operator, system
_BROKEN_BEFORE = (
    "8s2b"  # SQLAlchemy's: the connection broke earlier in this transaction, and somebody went on
)
_ENDED_STATE = "25P03"  # the transaction was ended because we asked nothing for too long
_SQLITE_LOCKS = frozenset({sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED})
_SQLITE_AWAY = frozenset(
    {sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_READONLY}
)


_QUEUE, _PATIENCE = "write_queue", "patience"


def begin_write(session: Session) -> Session:
    """End the reading transaction and begin the writing one; on SQLite it holds the write lock from here.

    Call it when nothing is left to wait for. Objects loaded before stay usable: they are read anew when next looked at.
    Raises RuntimeError when something is pending in ``session``, which would be lost.
    """
    if session.new or session.dirty or session.deleted:
        raise RuntimeError("begin_write would lose what is pending: call it before the first change")
    session.rollback()
    session.connection(execution_options={WRITES: True})
    return session


def mark_write(session: Session) -> Session:
    """As ``begin_write``, for a new session: call it before the first statement."""
    session.connection(execution_options={WRITES: True})
    return session


@contextmanager
def write_session(sessions: SessionFactory) -> Iterator[Session]:
    """A transaction that writes, in a session of its own; commits at the end of the block."""
    with sessions() as session:
        yield mark_write(session)
        session.commit()


def roll_back(session: Session) -> None:
    """End the transaction after an error, also when its connection broke: what is wrong is known already."""
    try:
        session.rollback()
    except SQLAlchemyError:
        session.invalidate()


def close(session: Session) -> None:
    """End a session whose answer is there: a connection that breaks now takes nothing from it. What was loaded stays usable."""
    try:
        session.close()
    except SQLAlchemyError:
        session.invalidate()


@contextmanager
def waiting_for_locks(seconds: float) -> Iterator[None]:
    """Within the block, transactions that write wait up to ``seconds`` for a lock."""
    token = _patience.set(seconds)
    try:
        yield
    finally:
        _patience.reset(token)


@contextmanager
def letting_others_first() -> Iterator[None]:
    """Within the block, transactions that write are part of long work: requests get SQLite's lock before (``WriteQueue``)."""
    token = _is_work.set(True)
    try:
        yield
    finally:
        _is_work.reset(token)


def is_wanted(session: Session) -> bool:
    """Whether a request of this process waits for SQLite's lock, which ``session`` has."""
    queue = session.connection().info.get(_QUEUE)
    return queue is not None and queue.has_requests()


def set_patience(seconds: float) -> None:
    """The same for the rest of this context: one request."""
    _patience.set(seconds)


def note(sessions: SessionFactory, statement: Executable) -> bool:
    """Execute a statement in a transaction of its own, unless a lock or the database cannot be had at once; True when done.

    For what nobody depends on, such as when something was last used: reading it waits for nobody.
    """
    try:
        with waiting_for_locks(NOTE_PATIENCE), write_session(sessions) as session:
            session.execute(statement)
    except SQLAlchemyError as error:
        if trouble(error) is None:
            raise
        return False
    return True


def trouble(error: BaseException) -> RetryLater | None:
    """What to answer (503) when ``error`` says that a lock or the database cannot be had; None when it says something else."""
    if isinstance(error, PoolTimeout):
        return RetryLater(LOCKED, seconds=5)
    if isinstance(error, PendingRollbackError) and error.code == _BROKEN_BEFORE:
        return RetryLater(AWAY, seconds=30)
    if not isinstance(error, OperationalError | InterfaceError | InternalError):
        return None
    return _sqlite_trouble(error) if isinstance(error.orig, sqlite3.Error) else _postgres_trouble(error)


def _sqlite_trouble(error: DBAPIError) -> RetryLater | None:
    primary = getattr(error.orig, "sqlite_errorcode", 0) & 0xFF  # the rest says which kind of it
    if primary in _SQLITE_LOCKS:
        return RetryLater(LOCKED, seconds=5)
    return RetryLater(AWAY, seconds=30) if primary in _SQLITE_AWAY else None


def _postgres_trouble(error: DBAPIError) -> RetryLater | None:
    state = getattr(error.orig, "sqlstate", None)
    if state in _LOCK_STATES:
        return RetryLater(LOCKED, seconds=5)
    if state in {None, _ENDED_STATE} or str(state).startswith(
        _AWAY_CLASSES
    ):  # without a state no server has answered
        return RetryLater(AWAY, seconds=30)
    return None


def connection_arguments(role: str) -> dict[str, Any]:
    """What a connection to PostgreSQL is made with. role: how it is called in ``pg_stat_activity``.

    A server that is gone without a word is noticed within half a minute, and not after the system's two hours.
    """
    return {
        "application_name": f"rollcall {role}",
        "connect_timeout": 5,
        "keepalives_idle": 15,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 30_000,
    }


def tune_engine(engine: Engine, *, is_pooled: bool = False) -> Engine:
    """Give SQLite WAL, foreign keys and BEGIN IMMEDIATE for transactions that write, and both databases bounded waits.

    Deferred transactions lose read-modify-write races in spite of busy_timeout (docs/transactions.md).
    is_pooled: somebody else hands out PostgreSQL's connections for a transaction each, so nothing may be set for longer.
    """
    if engine.dialect.name == "sqlite":
        queue = WriteQueue()
        event.listen(engine, "connect", _prepare_sqlite)
        event.listen(engine, "begin", partial(_begin_sqlite, queue))
        for ended in (
            "checkin",
            "invalidate",
        ):  # after a commit or rollback the connection goes back to the pool
            event.listen(engine, ended, _leave)
    elif is_pooled:
        event.listen(engine, "begin", _begin_pooled)
    else:
        event.listen(engine, "connect", _prepare_postgres)
        event.listen(engine, "begin", _begin_postgres)
    return engine


def forget_writing(session_factory: Any) -> None:
    """Have what follows a transaction's end read: a page that is rendered after the commit takes no lock."""

    @event.listens_for(session_factory, "after_transaction_end")
    def _ended(_session: Session, transaction: Any) -> None:
        if transaction.parent is None:
            writing.set(False)


def _prepare_sqlite(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # we begin ourselves, below
    # Its own knows the letters of ASCII only, and would not find "Ärzte" for "ärzte".
    connection.create_function("lower", 1, _lower, deterministic=True)
    connection.create_function("text_key", 1, _text_key, deterministic=True)
    cursor = connection.cursor()
    for pragma in (
        "page_size=16384",  # of a new file only, so before WAL: a search reads its index in two thirds of the time
        f"busy_timeout={int(WORK_PATIENCE * 1000)}",  # before WAL too: several processes may start at once
        "journal_mode=WAL",
        f"wal_autocheckpoint={LOG_PAGES}",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        "cache_size=-32768",
        "temp_store=MEMORY",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(queue: WriteQueue, connection: Connection) -> None:
    patience = _patience.get()
    if connection.info.get(_PATIENCE, WORK_PATIENCE) != patience:
        connection.exec_driver_sql(f"PRAGMA busy_timeout={int(patience * 1000)}")
        connection.info[_PATIENCE] = patience
    if not _writes(connection):
        connection.exec_driver_sql("BEGIN")
        return
    if not queue.enter(patience, is_request=patience < WORK_PATIENCE and not _is_work.get()):
        raise OperationalError("BEGIN IMMEDIATE", None, _locked())
    connection.info[_QUEUE] = queue
    connection.exec_driver_sql("BEGIN IMMEDIATE")


def checkpoint(sessions: SessionFactory) -> None:
    """Bring what was committed from SQLite's log into the file, so that no commit waits for the disk; others read and write meanwhile."""
    with sessions() as session:
        engine = session.get_bind().engine
    if engine.dialect.name != "sqlite":
        return
    connection = engine.raw_connection()
    try:
        connection.cursor().execute("PRAGMA wal_checkpoint(PASSIVE)")
    finally:
        connection.close()


def _leave(_connection: Any, record: Any, *_error: Any) -> None:
    queue = record.info.pop(_QUEUE, None)
    if queue is not None:
        queue.leave()


def _locked() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database is locked")
    error.sqlite_errorcode = sqlite3.SQLITE_BUSY  # what SQLite itself would say
    return error


def postgres_bounds(lock: float, idle: float, *, is_local: bool = False) -> str:
    """The statements that bound a session's, or with ``is_local`` a transaction's, waits for locks and for its client."""
    how = "SET LOCAL" if is_local else "SET"
    return (
        f"{how} lock_timeout = {int(lock * 1000)}; "
        f"{how} idle_in_transaction_session_timeout = {int(idle * 1000)}"
    )


def _prepare_postgres(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        cursor.execute(postgres_bounds(WORK_PATIENCE, IDLE_READER))
    connection.commit()


def _begin_postgres(connection: Connection) -> None:
    if _writes(connection):
        connection.exec_driver_sql(postgres_bounds(_patience.get(), IDLE_WRITER, is_local=True))


def _begin_pooled(connection: Connection) -> None:
    idle = IDLE_WRITER if _writes(connection) else IDLE_READER
    connection.exec_driver_sql(postgres_bounds(_patience.get(), idle, is_local=True))


def _writes(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get(WRITES, False)) or writing.get()


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _text_key(value: Any) -> Any:
    return text_key(value) if isinstance(value, str) else value
