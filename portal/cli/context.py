"""What commands share: an app with an up-to-date database, acting as the operator, and output as text or JSON."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any

import click
from alembic.util.exc import CommandError
from flask import Flask
from sqlalchemy.exc import DatabaseError, OperationalError

from portal import audit, create_app
from portal.clock import iso
from portal.errors import PortalError
from portal.extensions import db, writing
from portal.operations import schema

json_option = click.option("--json", "as_json", is_flag=True, help="Answer as one JSON document.")


@contextmanager
def portal_app(
    *, writes: bool = True, migrate: bool = True, worker_connections: int | None = None
) -> Iterator[Flask]:
    """An app context for one command. Raises PortalError when the database cannot be reached or used."""
    app = create_app(worker_connections=worker_connections)
    with app.app_context(), audit.acting_as(audit.Actor(_operator(), "cli")):
        try:
            if migrate:
                schema.upgrade(db.engine)
        except CommandError as error:  # a newer version was here before
            raise PortalError(
                f"The database was made by a newer Rollcall ({error}). Install that version, or restore a backup."
            ) from error
        except DatabaseError as error:
            raise _unusable(error) from error
        writing.set(writes)
        try:
            yield app
        except OperationalError as error:
            raise _unusable(error) from error
        finally:
            writing.set(False)
            db.session.remove()
            db.engine.dispose()  # what serves from here on opens connections of its own


def _unusable(error: DatabaseError) -> PortalError:
    reason = str(error.orig).strip().splitlines()[0]
    return PortalError(f"The database cannot be used: {reason}. Check ROLLCALL_DATABASE_URL.")


def answer(document: Any, text: str, *, as_json: bool) -> None:
    """Print ``document`` as JSON or ``text`` for people."""
    click.echo(json.dumps(document, ensure_ascii=False, default=_plain) if as_json else text)


def _plain(value: Any) -> str:
    return iso(value) if isinstance(value, datetime) else str(value)


def _operator() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "operator"
