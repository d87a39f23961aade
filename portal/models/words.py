"""The indexes of words: how a part of a name is found among a million people without reading a million rows.

SQLite: two FTS5 tables of trigrams without content, filled afterwards by ``portal.search.index`` and never changed: a row of
theirs counts as long as somebody's ``search_row`` names it. They are no data: backups leave them out, and a copy that was restored
fills them again. PostgreSQL keeps its own (pg_trgm), where the extension may be created. Without either, searches read more.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError, OperationalError

from portal.models.customers import EndUser
from portal.models.microsoft import DirectoryUser

PEOPLE, MIRROR = "people_words", "mirror_words"
PEOPLE_TEXT = "(search_text || ' ' || lower(user_principal_name))"
MIRROR_TEXT = "(lower(display_name) || ' ' || email_key || ' ' || lower(user_principal_name))"
TRIGRAM_INDEXES = {
    "ix_end_users_words": f"end_users USING gin ({PEOPLE_TEXT} gin_trgm_ops)",
    "ix_directory_users_words": f"directory_users USING gin ({MIRROR_TEXT} gin_trgm_ops)",
}
_MADE = (
    "CREATE VIRTUAL TABLE IF NOT EXISTS {0} USING fts5(words, content='', detail='none', tokenize='trigram')"
)


_MAY_HAVE_TRIGRAMS = """
SELECT 1 FROM pg_available_extension_versions
WHERE name = 'pg_trgm' AND (installed OR trusted AND has_database_privilege(current_database(), 'CREATE')
    OR (SELECT rolsuper FROM pg_roles WHERE rolname = current_user))
LIMIT 1
"""
"""Asked before it is tried: after a refusal PostgreSQL takes new kinds of values of the same transaction for unsafe (0004)."""


def is_index_of_words(name: str | None) -> bool:
    """Whether a table or index of the database is one of these, or what FTS5 keeps for them."""
    return name in TRIGRAM_INDEXES or (name or "").startswith((PEOPLE, MIRROR))


def include_name(name: str | None, kind: str, _parents: Any) -> bool:
    """For Alembic's comparisons: these are in no model."""
    return kind not in {"table", "index"} or not is_index_of_words(name)


def create(connection: Connection) -> None:
    """Make them where the database can; it works without, more slowly."""
    if connection.dialect.name == "sqlite":
        for name in (PEOPLE, MIRROR):
            try:
                connection.exec_driver_sql(_MADE.format(name))
            except OperationalError:  # built without FTS5, or before it knew trigrams
                return
        return
    if connection.exec_driver_sql(_MAY_HAVE_TRIGRAMS).scalar() is None:
        return
    try:
        with connection.begin_nested():
            connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS pg_trgm")
            for name, what in TRIGRAM_INDEXES.items():
                connection.exec_driver_sql(f"CREATE INDEX IF NOT EXISTS {name} ON {what}")
    except DBAPIError:  # it is not installed, or the role may not
        return


def drop(connection: Connection) -> None:
    """Take them away; what FTS5 keeps for them goes along."""
    if connection.dialect.name == "sqlite":
        for name in (PEOPLE, MIRROR):
            connection.exec_driver_sql(f"DROP TABLE IF EXISTS {name}")
        return
    for name in TRIGRAM_INDEXES:
        connection.exec_driver_sql(f"DROP INDEX IF EXISTS {name}")


@event.listens_for(DirectoryUser.__table__, "after_create")
def _with_tables(_table: Any, connection: Connection, **_: Any) -> None:
    if connection.dialect.name == "sqlite":
        create(connection)


@event.listens_for(EndUser.__table__, "before_drop")
def _before_drop(_table: Any, connection: Connection, **_: Any) -> None:
    drop(connection)
