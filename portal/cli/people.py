"""``rollcall people`` and ``rollcall token``: accounts and API tokens."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

import click

from portal import clock
from portal.api import tokens
from portal.auth import service
from portal.cli.context import answer, json_option, portal_app
from portal.errors import PortalError
from portal.extensions import db
from portal.models import Role

ROLES = click.Choice([role.value for role in reversed(Role)])


@click.group()
def people() -> None:
    """Portal accounts."""


@people.command("add")
@click.argument("email")
@click.option("--role", type=ROLES, required=True)
@click.option("--name", default="", help="The name to show on pages; the address if left out.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@json_option
def add(email: str, role: str, name: str, *, password_stdin: bool, as_json: bool) -> None:
    """Add an account. Without --password-stdin the password is asked for."""
    with portal_app():
        service.refuse_taken(db.session(), email)  # before somebody types a password for nothing
        db.session.rollback()
        if password_stdin:
            password = sys.stdin.readline().rstrip("\r\n")
        else:
            password = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        account = service.add_account(
            db.session(), email=email, role=role, password=password, name=name, now=clock.utcnow()
        )
        db.session.commit()
        document = {"id": account.id, "email": account.email, "role": account.role}
    answer(document, f"Added {document['email']} as {document['role']}.", as_json=as_json)


@click.group()
def token() -> None:
    """API tokens."""


@token.command("create")
@click.argument("name")
@click.option("--role", type=ROLES, required=True)
@click.option(
    "--owner", default="", help="E-mail address of the account that owns the token; it ends with the account."
)
@click.option(
    "--expires",
    type=click.DateTime(["%Y-%m-%d"]),
    help="The first day (UTC) on which it no longer works, such as 2027-01-31.",
)
@json_option
def create(name: str, role: str, owner: str, expires: datetime | None, *, as_json: bool) -> None:
    """Create an API token and print it, alone on the last line. It is shown only this once."""
    expires_at = None if expires is None else expires.replace(tzinfo=UTC)
    with portal_app():
        account = service.find_account(db.session(), owner) if owner else None
        if owner and account is None:
            raise PortalError(f"There is no account {owner}. 'rollcall people add' creates one.")
        plain = tokens.create(name, role, owner=account, expires_at=expires_at)
        document = {
            "name": name,
            "role": role,
            "token": plain,
            "owner": None if account is None else account.email,
            "expires_at": expires_at,
        }
        db.session.commit()
    answer(
        document,
        f"Token {name} ({role}), shown only this once:\n{plain}",
        as_json=as_json,
    )
