"""Schema: upgrade it, and say whether it is up to date. Used by the command line and by ``/readyz``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Engine

from portal.models import words
from portal.operations import job_tables
from portal.operations.private_files import keep_file

ROOT = Path(__file__).resolve().parents[2]
SCHEMA_LOCK = 7_265_501  # any number, the same in every process: PostgreSQL's advisory lock for migrations


def config() -> Config:
    """Alembic's settings, without an ini file: everything it needs is known here."""
    alembic = Config()
    alembic.set_main_option("script_location", str(ROOT / "migrations"))
    return alembic


def upgrade(engine: Engine) -> None:
    """Bring the schema to the newest revision, once, also when several processes start together."""
    settings = config()
    _keep_private(engine)
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({SCHEMA_LOCK})")
        settings.attributes["connection"] = connection
        command.upgrade(settings, "head")
        job_tables.create(connection)  # the library may have come after the migration


def _keep_private(engine: Engine) -> None:
    """A SQLite file is made for its owner's eyes only; what SQLite puts beside it takes after it."""
    name = engine.url.database
    if engine.dialect.name == "sqlite" and name and not name.startswith((":", "file:")):
        keep_file(Path(name))
        for beside in (Path(f"{name}-wal"), Path(f"{name}-shm")):
            if beside.exists():
                keep_file(beside)


def pending(engine: Engine, *, needs_jobs: bool = False) -> str | None:
    """None when the schema is the newest, otherwise a sentence that says what to do. needs_jobs: Procrastinate's tables too."""
    head = ScriptDirectory.from_config(config()).get_current_head()
    with engine.connect() as connection:
        current = MigrationContext.configure(connection).get_current_revision()
        if current == head and needs_jobs and not job_tables.exist(connection):
            return "The tables of the queue are missing: run `rollcall db upgrade`."
    if current == head:
        return None
    return (
        f"The database schema is {current or 'empty'}, this version needs {head}: run `rollcall db upgrade`."
    )


def is_known(revision: str) -> bool:
    """True when this version has the migration ``revision``: older backups can be brought up to date, newer cannot."""
    return any(
        script.revision == revision for script in ScriptDirectory.from_config(config()).walk_revisions()
    )


def is_compared(name: str | None, kind: str, parents: Any) -> bool:
    """Whether Alembic compares something with the models: not the indexes of words, nor Procrastinate's tables."""
    return words.include_name(name, kind, parents) and job_tables.is_ours(name, kind, parents)
