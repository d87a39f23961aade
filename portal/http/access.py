"""Who may do what: three roles, and every route names its own.

``enforce`` runs before each request and refuses a route that names no permission, so none can be forgotten.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from flask import Flask, g, request

from portal import audit
from portal.errors import Forbidden, NotFound, PortalError
from portal.extensions import db
from portal.http import refusals
from portal.locks import lock
from portal.models import Base, Role
from portal.runtime import runtime

View = TypeVar("View", bound=Callable[..., Any])
Model = TypeVar("Model", bound=Base)

API_DOCS = "/api/docs"
"""The one page under ``/api/``."""
PUBLIC = "public"
"""The permission of routes that need no sign-in."""


class NotSignedIn(PortalError):
    """Nobody is signed in, or the token is not known (401)."""


@dataclass(frozen=True)
class Principal:
    """Who makes this request: an account in a browser, or an API token."""

    name: str
    role: Role
    source: str  # page | api
    account_id: str | None = None
    session_id: str | None = None


def is_for_programs() -> bool:
    """True for the addresses of the REST API: tokens instead of a browser's session, and problem documents."""
    return request.path.startswith("/api/") and request.path != API_DOCS


def requires(role: Role) -> Callable[[View], View]:
    """Name the lowest role that may call this route."""

    def mark(view: View) -> View:
        view.required_role = role  # type: ignore[attr-defined]
        return view

    return mark


def public(view: View) -> View:
    """Mark a route that needs no sign-in."""
    view.required_role = PUBLIC  # type: ignore[attr-defined]
    return view


def reads_first(view: View) -> View:
    """Mark a view that is posted to and does not begin by writing: it only reads, or waits for something else first.

    What waits (Microsoft, a mail server, a password's hash) does so with nothing open, and then calls ``begin_write``.
    """
    view.reads_first = True  # type: ignore[attr-defined]
    return view


def required_role(app: Flask, endpoint: str) -> Role | str | None:
    """The permission ``endpoint`` names; None when it names none. Static files are public."""
    if endpoint == "static" or endpoint.endswith(".static"):
        return PUBLIC
    return getattr(app.view_functions[endpoint], "required_role", None)


def principal() -> Principal | None:
    """Who makes this request; None if unknown."""
    caller: Principal | None = g.get("principal")
    return caller


def may(role: Role | str) -> bool:
    """True when the present role is at least ``role``; for templates: ``may("administrator")``."""
    who = principal()
    return who is not None and who.role.rank >= Role(role).rank


def enforce(app: Flask) -> None:
    """Check the route of the present request. Raises NotSignedIn or Forbidden; RuntimeError for an unmarked route."""
    if request.endpoint is None:
        return
    needed = required_role(app, request.endpoint)
    if needed is None:
        raise RuntimeError(f"route {request.endpoint} names no permission: add @requires(...) or @public")
    who = principal()
    ip = request.remote_addr or ""
    if who is None:
        audit.set_actor(audit.nobody("api" if is_for_programs() else "page", ip))
    else:
        audit.set_actor(audit.Actor(who.name, who.source, ip))
    if needed == PUBLIC:
        return
    if who is None:
        raise NotSignedIn(
            "Sign in to see this page." if not is_for_programs() else "A bearer token is needed."
        )
    if not may(needed):
        _note_refused_role(Role(needed))
        raise Forbidden(
            f"Your role is {ROLE_NAMES[who.role]}. This needs the role {ROLE_NAMES[Role(needed)]}: "
            "ask an administrator, or send them the address of this page.",
            needed=Role(needed).value,
        )


def _note_refused_role(needed: Role) -> None:
    db.session.rollback()
    refusals.log("role_refused", reason=f"needs {needed.value}")
    runtime().refusals.note(
        "role_refused", object_type="page", object_id=(request.endpoint or "")[:64], needed=needed.value
    )


ROLE_NAMES = {
    Role.READ_ONLY: "Read-only",
    Role.TECHNICIAN: "Technician",
    Role.ADMINISTRATOR: "Administrator",
}


def load(model: type[Model], object_id: str, what: str, *, locked: bool = False) -> Model:
    """Load one object or raise NotFound: ``load(Organization, id, "Organization")``.

    locked: keep it as it is until the request ends, where what is read decides what is written (``portal.locks``).
    A Microsoft Tenant whose connection was removed is not found either (L7).
    """
    is_possible = len(object_id) <= 64 and "\x00" not in object_id
    if locked and is_possible:
        return lock(db.session(), model, object_id, what)
    row = db.session.get(model, object_id) if is_possible else None
    if row is None or getattr(row, "is_removed", False):
        raise NotFound(f"There is no such {what}. It may have been deleted.")
    return row
