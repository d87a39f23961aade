"""Backup and restore (O3): one gzip file of JSON lines, the same for SQLite and PostgreSQL, so it also moves between them.

First line: header with the schema revision. Then one line per row: ``["table", {column: value}]``. Last line: the number of
rows, so that a cut file is noticed before anything is touched. The key that opens stored secrets is not in it.
"""

from __future__ import annotations

import base64
import gzip
import itertools
import json
import zlib
from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Any

from alembic import command
from alembic.migration import MigrationContext
from sqlalchemy import Connection, DateTime, Engine, LargeBinary, MetaData, Table, insert, select
from sqlalchemy.exc import DatabaseError, OperationalError, StatementError
from sqlalchemy.orm import Session

from portal import audit
from portal.errors import PortalError
from portal.evidence import chain
from portal.extensions import mark_write
from portal.models import words
from portal.operations import job_tables, private_files, schema

FORMAT, VERSION = "rollcall-backup", 1
CHUNK = 1000


class BackupError(PortalError):
    """The file cannot be written, or cannot be restored; nothing was changed."""


def backup(engine: Engine, path: Path) -> int:
    """Write everything to ``path`` (mode 0600, replaced only when complete) and give the number of rows."""
    partial = path.with_name(path.name + ".partial")
    rows = 0
    try:
        with (
            private_files.create(partial) as raw,
            gzip.open(raw, "wt", encoding="utf-8") as out,
            engine.connect() as source,
        ):
            if engine.dialect.name == "postgresql":
                source.execution_options(
                    isolation_level="REPEATABLE READ"
                )  # one moment, as SQLite gives by itself
            revision = MigrationContext.configure(source).get_current_revision()
            if revision is None:
                raise BackupError("The database is empty: run `rollcall db upgrade` first.")
            out.write(json.dumps({"format": FORMAT, "version": VERSION, "revision": revision}) + "\n")
            for table in _tables(source):
                for row in source.execute(select(table)).mappings():
                    out.write(
                        json.dumps([table.name, {key: _plain(value) for key, value in row.items()}]) + "\n"
                    )
                    rows += 1
            out.write(json.dumps({"rows": rows}) + "\n")
        partial.replace(path)
    except OSError as error:
        raise BackupError(
            f"Cannot write {path}: {error.strerror}. Choose a folder that exists and can be written."
        ) from error
    finally:
        partial.unlink(missing_ok=True)
    _note(engine, "backup_made", rows=rows, bytes=path.stat().st_size)
    return rows


def restore(engine: Engine, path: Path) -> int:
    """Replace all data by the backup at ``path``, in one transaction, then migrate the schema.

    Raises BackupError when the file is damaged or of a newer version; nothing is changed then.
    """
    revision, rows = _check(path)
    replaced = _head(engine)
    try:
        _replace(engine, path, revision)
    except (KeyError, TypeError, ValueError, AttributeError, StatementError) as error:
        if isinstance(error, OperationalError):
            raise  # the database's trouble, not the file's
        raise _damaged(path) from error
    _note(engine, "backup_restored", rows=rows, replaced_head=replaced)
    return rows


def _replace(engine: Engine, path: Path, revision: str) -> None:
    settings = schema.config()
    with engine.connect().execution_options(sqlite_write=True) as target, target.begin():
        if engine.dialect.name == "sqlite":
            target.exec_driver_sql("PRAGMA defer_foreign_keys=ON")
        settings.attributes["connection"] = target
        present = MigrationContext.configure(target).get_current_revision()
        if target.dialect.name == "postgresql" and present is not None and schema.is_known(present):
            command.downgrade(settings, "base")  # what no table holds goes too, such as a trigger's function
        words.drop(target)
        job_tables.drop(target)
        metadata = MetaData()
        metadata.reflect(target)
        metadata.drop_all(target)
        command.upgrade(settings, revision)
        tables = {table.name: table for table in _tables(target)}
        # Rows were written table by table, parents first; each chunk belongs to one table, so foreign keys hold.
        for name, chunk in _chunks(path):
            table = tables[name]
            typed = [{key: _typed(table, key, value) for key, value in row.items()} for row in chunk]
            target.execute(insert(table), typed)
        command.upgrade(settings, "head")


def _note(engine: Engine, action: str, **detail: Any) -> None:
    """A copy of everything was taken, or put in place of everything (O4)."""
    with Session(engine) as session:
        mark_write(session)
        audit.record(session, action, **detail)
        session.commit()


def _head(engine: Engine) -> str:
    """The end of the audit chain that a restore replaces by another: it is named in the new one."""
    try:
        with engine.connect() as connection:
            return str(chain.ends(connection)[1])
    except DatabaseError:  # restored into an older schema, which has no chain
        return ""


def _tables(connection: Connection) -> list[Table]:
    metadata = MetaData()
    metadata.reflect(connection, only=lambda name, _: not words.is_index_of_words(name))
    # Jobs are created again from the queued rows, for the workers that run now.
    return [
        table
        for table in metadata.sorted_tables
        if table.name != "alembic_version" and job_tables.is_ours(table.name, "table")
    ]


def _check(path: Path) -> tuple[str, int]:
    """Read the whole file once and give its revision and number of rows."""
    damaged = _damaged(path)
    rows = 0
    try:
        with gzip.open(path, "rt", encoding="utf-8") as source:
            header = json.loads(source.readline())
            if header.get("format") != FORMAT or not isinstance(header.get("revision"), str):
                raise damaged
            last: Any = None
            for line in source:
                last = json.loads(line)
                rows += isinstance(last, list)
    except FileNotFoundError:
        raise BackupError(f"There is no file {path}.") from None
    except (OSError, EOFError, ValueError, zlib.error, AttributeError) as error:
        raise damaged from error
    if not isinstance(last, dict) or last.get("rows") != rows:
        raise damaged
    revision = str(header["revision"])
    if header.get("version") != VERSION or not schema.is_known(revision):
        raise BackupError(
            f"{path} was made by a newer Rollcall (schema {revision}); install that version first."
        )
    return revision, rows


def _damaged(path: Path) -> BackupError:
    return BackupError(f"{path} is not a complete Rollcall backup; nothing was changed. Use another copy.")


def _chunks(path: Path) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Up to CHUNK rows of one table at a time, in the order of the file."""
    with gzip.open(path, "rt", encoding="utf-8") as source:
        lines = (record for line in source if isinstance(record := json.loads(line), list))
        for name, group in itertools.groupby(lines, key=lambda record: str(record[0])):
            while chunk := [row for _, row in itertools.islice(group, CHUNK)]:
                yield name, chunk


def _plain(value: Any) -> Any:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    return value


def _typed(table: Table, column: str, value: Any) -> Any:
    if column == "search_row":
        return None  # the index that it is a row of is not in the file
    kind = table.c[column].type
    if value is not None and isinstance(kind, DateTime):
        return datetime.fromisoformat(value)
    if value is not None and isinstance(kind, LargeBinary):
        return base64.b64decode(value)
    return value
