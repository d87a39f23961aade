"""What every test would make anew and may share: compiled templates and statements, and a SQLite file with all tables."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import ClassVar

import jinja2
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

from portal import transactions
from portal.app import Portal
from portal.operations import schema


class Remembered(jinja2.BytecodeCache):
    """Templates compiled once in a process, whichever app asks: they are files, and no test changes one."""

    def __init__(self) -> None:
        self._code: dict[str, CodeType | None] = {}

    def load_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Give what an earlier app compiled."""
        bucket.code = self._code.get(bucket.key)

    def dump_bytecode(self, bucket: jinja2.bccache.Bucket) -> None:
        """Keep it for the next one."""
        self._code[bucket.key] = bucket.code


Portal.jinja_options = {**Portal.jinja_options, "bytecode_cache": Remembered()}


def migrate(url: str) -> None:
    """Bring an empty database to the newest schema."""
    engine = sa.create_engine(url)
    schema.upgrade(engine)
    engine.dispose()


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A SQLite file with every table and nothing in them, to be copied."""
    path = tmp_path_factory.mktemp("template") / "rollcall.db"
    migrate(f"sqlite:///{path}")
    with contextlib.closing(sqlite3.connect(path)) as connection:
        # Or each copy would be changed over, which waits for the disk.
        connection.execute("PRAGMA journal_mode=WAL")
    return path


_prepare = transactions._prepare_sqlite


def _without_disk(connection: sqlite3.Connection, record: object) -> None:
    """As the portal does, without waiting for the disk: what was committed outlives a process, though not the machine."""
    _prepare(connection, record)
    connection.execute("PRAGMA synchronous=OFF").close()


transactions._prepare_sqlite = _without_disk


def copy(template: Path, path: Path) -> None:
    """Put a copy of the template where an app will open it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(template, path)


@pytest.fixture
def prepared(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """``prepared("sqlite")`` or ``prepared("postgresql")``: the URL of a database of this test's own with the tables, empty."""

    def url(kind: str) -> str:
        if kind == "postgresql":
            copied: str = request.getfixturevalue("postgres_copy")("prepared", migrate)
            return copied
        copy(request.getfixturevalue("sqlite_template"), tmp_path / "rollcall.db")
        return f"sqlite:///{tmp_path}/rollcall.db"

    return url


@pytest.fixture
def empty(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], str]:
    """``empty("sqlite")`` or ``empty("postgresql")``: the URL of a database of this test's own without tables."""

    def url(kind: str) -> str:
        if kind == "postgresql":
            created: str = request.getfixturevalue("postgres_url")
            return created
        return f"sqlite:///{tmp_path}/empty.db"

    return url


class RememberedRule(Rule):
    """A rule that is compiled once in a process: every test makes an app of its own, with the same three hundred rules."""

    _compiled: ClassVar[dict[object, dict[str, object]]] = {}

    def compile(self) -> None:
        """As werkzeug does, or as it did for the same rule before."""
        key = (
            self.rule,
            self.endpoint,
            frozenset(self.methods or ()),
            repr(self.defaults),
            self.strict_slashes,
        )
        if key not in self._compiled:
            super().compile()
            self._compiled[key] = {name: getattr(self, name) for name in COMPILED}
        self.__dict__.update(self._compiled[key])


COMPILED = ("_parts", "_trace", "_converters", "_build", "_build_unknown", "arguments")
"""All that ``Rule.compile`` sets."""
Portal.url_rule_class = RememberedRule


def _kind(dialect: DefaultDialect) -> tuple[object, ...]:
    return type(dialect), dialect._json_serializer, dialect._json_deserializer


# SQLAlchemy compiles a statement once for an engine and its dialect: every test has its own, which are all of two kinds.
STATEMENTS: LRUCache[object, object] = LRUCache(20_000)
sa.Engine._compiled_cache = property(lambda _engine: STATEMENTS, lambda _engine, _own: None)
for dialect in (PGDialect_psycopg, SQLiteDialect_pysqlite):
    dialect.__eq__ = lambda self, other: isinstance(other, DefaultDialect) and _kind(self) == _kind(other)
    dialect.__hash__ = lambda self: hash(_kind(self))
