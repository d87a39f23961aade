"""``rollcall secrets``: what is stored encrypted."""

from __future__ import annotations

import click

from portal.cli.context import answer, json_option, portal_app
from portal.extensions import db
from portal.operations import keys
from portal.runtime import runtime


@click.group()
def secrets() -> None:
    """Stored secrets."""


@secrets.command("rotate")
@json_option
def rotate(*, as_json: bool) -> None:
    """Encrypt all stored secrets with the current ROLLCALL_SECRET_KEY.

    Afterwards the previous keys can be removed from ROLLCALL_OLD_SECRET_KEYS.
    """
    with portal_app():
        count = keys.rotate(db.session(), runtime().box)
        db.session.commit()
    text = (
        f"{count} secret{'s' if count != 1 else ''} encrypted again." if count else "All secrets are current."
    )
    answer({"rotated": count}, f"{text} ROLLCALL_OLD_SECRET_KEYS is no longer needed.", as_json=as_json)
