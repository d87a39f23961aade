"""Extensions, unbound: the composition root binds them. Also the SQLite recipe (dependencies.md, section 5)."""

from __future__ import annotations

import json
from contextvars import ContextVar
from typing import Any

import orjson
from flask_login import LoginManager
from flask_sqlalchemy import SQLAlchemy
from flask_wtf import CSRFProtect
from sqlalchemy import Connection, Engine, event
from sqlalchemy.orm import Session, sessionmaker

from portal.models import Base
from portal.text import text_key

db = SQLAlchemy(metadata=Base.metadata)
csrf = CSRFProtect()  # type: ignore[no-untyped-call]
login = LoginManager()

SessionFactory = sessionmaker[Session]

writing: ContextVar[bool] = ContextVar("writing", default=False)
"""True while a request or command runs that writes: all its transactions begin as writing ones on SQLite."""


def to_json(value: Any) -> str:
    """What JSON columns are written with: many are, in bulk. Half surrogate pairs and huge numbers only Python's own writes."""
    try:
        return orjson.dumps(value).decode()
    except TypeError:
        return json.dumps(value)


JSON_COLUMNS: dict[str, Any] = {"json_serializer": to_json, "json_deserializer": orjson.loads}
"""Options of an engine."""


def tune_engine(engine: Engine) -> Engine:
    """Give SQLite WAL, foreign keys, patience, and BEGIN IMMEDIATE for transactions marked ``sqlite_write``.

    Deferred transactions lose read-modify-write races in spite of busy_timeout (dependencies.md, finding 5).
    """
    if engine.dialect.name != "sqlite":
        return engine

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        connection.isolation_level = None  # we begin ourselves, below
        # Its own knows the letters of ASCII only, and would not find "Ärzte" for "ärzte".
        connection.create_function("lower", 1, _lower, deterministic=True)
        connection.create_function("text_key", 1, _text_key, deterministic=True)
        cursor = connection.cursor()
        for pragma in (
            "page_size=16384",  # of a new file only, so before WAL: a search reads its index in two thirds of the time
            "journal_mode=WAL",
            "synchronous=NORMAL",
            "foreign_keys=ON",
            "busy_timeout=30000",
            "cache_size=-65536",
            "temp_store=MEMORY",
        ):
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        is_write = connection.get_execution_options().get("sqlite_write", False) or writing.get()
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")

    return engine


def _lower(value: Any) -> Any:
    return value.lower() if isinstance(value, str) else value


def _text_key(value: Any) -> Any:
    return text_key(value) if isinstance(value, str) else value


def begin_write(session: Session) -> Session:
    """End what was only read and begin the transaction that writes. Call it when nothing is left to wait for.

    Raises RuntimeError when something is pending in ``session``, which would be lost.
    """
    if session.new or session.dirty or session.deleted:
        raise RuntimeError("begin_write would lose what is pending: call it before the first change")
    session.rollback()
    return mark_write(session)


def mark_write(session: Session) -> Session:
    """Say that the transaction about to begin in ``session`` will write. Call it before the first statement."""
    session.connection(execution_options={"sqlite_write": True})
    return session
