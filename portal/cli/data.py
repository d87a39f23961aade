"""``rollcall db upgrade``, ``rollcall backup`` and ``rollcall restore``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from portal.cli.context import answer, json_option, portal_app
from portal.extensions import db as extension
from portal.operations import backup as backups
from portal.operations import schema

FILE = click.argument("file", type=click.Path(dir_okay=False, path_type=Path))


@click.group()
def db() -> None:
    """The database schema."""


@db.command("upgrade")
@json_option
def upgrade(*, as_json: bool) -> None:
    """Create the schema or bring it up to date. Does nothing when it is."""
    with portal_app(writes=False):
        pending = schema.pending(extension.engine)
    answer({"up_to_date": pending is None}, pending or "The schema is up to date.", as_json=as_json)


@click.command()
@FILE
@json_option
def backup(file: Path, *, as_json: bool) -> None:
    """Write all data to FILE. It does not contain the key that opens stored secrets: keep secret.key too."""
    with portal_app(writes=False):
        rows = backups.backup(extension.engine, file)
    answer(
        {"file": str(file), "rows": rows},
        f"Wrote {rows:,} rows to {file}. Keep the secret key separately.",
        as_json=as_json,
    )


@click.command()
@FILE
@click.option("--yes", is_flag=True, help="Do not ask before replacing existing data.")
@json_option
def restore(file: Path, *, yes: bool, as_json: bool) -> None:
    """Replace all data with the contents of FILE. Stop the portal first."""
    with portal_app(writes=False):
        if not yes and sys.stdin.isatty():
            click.confirm("This replaces everything in the current database. Continue?", abort=True)
        rows = backups.restore(extension.engine, file)
    answer({"file": str(file), "rows": rows}, f"Restored {rows:,} rows from {file}.", as_json=as_json)
