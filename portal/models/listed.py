"""Triggers that keep an End User's ``microsoft_*`` columns equal to its Link, whoever writes the Link (docs/decisions/004).

The database does it, because Links are written in bulk, row by row and by cascade, and a list that disagrees with the
page behind it is worse than a slow one. A migration that rebuilds ``links`` on SQLite must create them anew.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, event

from portal.models.base import Base

_WATCHED = "status, in_scope, is_licensed, license_names, last_sign_in_at, mfa_registered, end_user_id"
_COPY = """UPDATE end_users SET microsoft_status = NEW.status,
microsoft_licensed = CASE WHEN NEW.is_licensed THEN 'true' ELSE 'false' END,
microsoft_mfa = CASE WHEN NEW.mfa_registered IS NULL THEN '' WHEN NEW.mfa_registered THEN 'true' ELSE 'false' END,
microsoft_in_scope = CASE WHEN NEW.in_scope THEN 'true' ELSE 'false' END,
microsoft_last_sign_in = coalesce({moment}, ''),
microsoft_licenses = substr(NEW.license_names, 1, 200)
WHERE id = NEW.end_user_id;"""
_CLEAR = """UPDATE end_users SET microsoft_status = 'none', microsoft_licensed = 'false', microsoft_mfa = '',
microsoft_in_scope = '', microsoft_last_sign_in = '', microsoft_licenses = ''
WHERE id = OLD.end_user_id"""
_SQLITE_COPY = _COPY.format(moment="substr(NEW.last_sign_in_at, 1, 19)")
_POSTGRES_COPY = _COPY.format(moment="to_char(NEW.last_sign_in_at, 'YYYY-MM-DD HH24:MI:SS')")

TRIGGERS: dict[str, tuple[str, ...]] = {}  # by dialect, in the order they are made
TRIGGERS["sqlite"] = (
    f"CREATE TRIGGER links_listed_insert AFTER INSERT ON links BEGIN {_SQLITE_COPY} END",
    f"""CREATE TRIGGER links_listed_update AFTER UPDATE OF {_WATCHED} ON links BEGIN
{_CLEAR} AND OLD.end_user_id <> NEW.end_user_id; {_SQLITE_COPY} END""",
    f"CREATE TRIGGER links_listed_delete AFTER DELETE ON links BEGIN {_CLEAR}; END",
)
TRIGGERS["postgresql"] = (
    f"""CREATE FUNCTION list_link() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
IF TG_OP = 'DELETE' THEN {_CLEAR}; RETURN NULL; END IF;
IF TG_OP = 'UPDATE' THEN {_CLEAR} AND OLD.end_user_id <> NEW.end_user_id; END IF;
{_POSTGRES_COPY}
RETURN NULL; END $$""",
    f"""CREATE TRIGGER links_listed AFTER INSERT OR DELETE OR UPDATE OF {_WATCHED} ON links
FOR EACH ROW EXECUTE FUNCTION list_link()""",
)


@event.listens_for(Base.metadata, "after_create")
def _create(_metadata: Any, connection: Connection, *, tables: Any = (), **_unused: Any) -> None:
    if not any(table.name == "links" for table in tables or ()):
        return
    for statement in TRIGGERS[connection.dialect.name]:
        connection.exec_driver_sql(statement)


@event.listens_for(Base.metadata, "after_drop")
def _drop(_metadata: Any, connection: Connection, **_unused: Any) -> None:
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql("DROP FUNCTION IF EXISTS list_link()")
