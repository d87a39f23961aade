"""The tables of Procrastinate, which keeps the jobs of ``ROLLCALL_SCHEDULER=distributed`` in our PostgreSQL (decision 009).

They are its own: made by the file that it brings for a new database, and left out where our tables are compared, backed up and
restored. Without the library there are none. It is not imported for that. Its migrations would not do: before 17 PostgreSQL takes
no new value of an enum in the transaction that adds it, and ours are one transaction (``schema``).
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

PREFIX = "procrastinate_"
LAST_FILE = "03.04.00_50_post_add_retry_failed_job_procedure.sql"
"""The last of its migrations that the file has in it. A release with a newer Procrastinate brings what comes after for older tables."""

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
    folder = folder_of_sql() if connection.dialect.name == "postgresql" else None
    if folder is None or exist(connection):
        return
    drop(connection)  # what a restore has left: it drops tables, and knows nothing of types and functions
    connection.connection.cursor().execute((folder / "schema.sql").read_text(encoding="utf-8"))


def drop(connection: Connection) -> None:
    """Take everything of it away, and nothing else."""
    if connection.dialect.name != "postgresql":
        return
    for kind, name in connection.execute(_OBJECTS).all():
        connection.exec_driver_sql(f"DROP {kind} IF EXISTS {name} CASCADE")


def folder_of_sql() -> Path | None:
    """Where the library keeps its files; None where it is not installed."""
    spec = importlib.util.find_spec("procrastinate")
    return None if spec is None or spec.origin is None else Path(spec.origin).parent / "sql"
