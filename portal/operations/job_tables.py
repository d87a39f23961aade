"""The tables of Procrastinate, which keeps the jobs of ``ROLLCALL_SCHEDULER=distributed`` in our PostgreSQL (decision 009).

They are its own: made by the files that it brings, up to the version that this release was tried with, and left out where our
tables are compared, backed up and restored. Without the library there are none. It is not imported for that.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

PREFIX = "procrastinate_"
LAST_FILE = "03.04.00_50_post_add_retry_failed_job_procedure.sql"
"""Of its migrations, the last that 0004 applies. A release with a newer Procrastinate brings a migration for what comes after."""

_OBJECTS = text(
    """
    SELECT 'TABLE', c.oid::regclass::text FROM pg_class c
    WHERE c.relkind = 'r' AND c.relnamespace = current_schema()::regnamespace AND starts_with(c.relname, :prefix)
    UNION ALL
    SELECT 'FUNCTION', p.oid::regprocedure::text FROM pg_proc p
    WHERE p.pronamespace = current_schema()::regnamespace AND starts_with(p.proname, :prefix)
    UNION ALL
    SELECT 'TYPE', t.oid::regtype::text FROM pg_type t LEFT JOIN pg_class c ON c.oid = t.typrelid
    WHERE t.typnamespace = current_schema()::regnamespace AND starts_with(t.typname, :prefix)
      AND (t.typtype = 'e' OR (t.typtype = 'c' AND c.relkind = 'c'))
    """
).bindparams(prefix=PREFIX)


def is_ours(name: str | None, kind: str, _parents: Any = None) -> bool:
    """Whether a table is one of our own; Alembic's ``include_name``. What belongs to a table goes with it."""
    return kind != "table" or not (name or "").startswith(PREFIX)


def exist(connection: Connection) -> bool:
    """Whether the tables are there."""
    table = connection.scalar(text("SELECT to_regclass('procrastinate_jobs')"))
    return table is not None


def create(connection: Connection) -> None:
    """Make the tables on PostgreSQL, where the library is installed and they are not there yet."""
    files = _files() if connection.dialect.name == "postgresql" else []
    if not files or exist(connection):
        return
    drop(connection)  # what a restore has left: it drops tables, and knows nothing of types and functions
    for file in files:
        connection.connection.cursor().execute(file.read_text(encoding="utf-8"))


def drop(connection: Connection) -> None:
    """Take everything of it away, and nothing else."""
    if connection.dialect.name != "postgresql":
        return
    for kind, name in connection.execute(_OBJECTS).all():
        connection.exec_driver_sql(f"DROP {kind} IF EXISTS {name} CASCADE")


def _files() -> list[Path]:
    spec = importlib.util.find_spec("procrastinate")
    if spec is None or spec.origin is None:
        return []
    folder = Path(spec.origin).parent / "sql" / "migrations"
    return [file for file in sorted(folder.glob("*.sql")) if file.name <= LAST_FILE]
