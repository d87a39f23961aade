"""Conflicts (M7) and exceptions (P14)."""

from __future__ import annotations

from datetime import datetime

from flask import Response

from portal.api.blueprint import bp
from portal.api.declaration import Tag, documented_as
from portal.api.documents import conflicts
from portal.api.documents import exceptions as documents
from portal.api.documents.base import OBJECT_ID_EXAMPLE, TIME_EXAMPLE, UUID_EXAMPLE, Page, described
from portal.api.schema import Request, answer, body, list_query, nothing, page_of
from portal.conflicts import service
from portal.engine.normalize import parse_time
from portal.errors import Invalid
from portal.exceptions import service as exceptions
from portal.extensions import db
from portal.http.access import load, requires
from portal.models import Conflict, Organization, Role, SyncException

documented = documented_as(
    Tag("Conflicts and exceptions", "What the sync could not decide, and what it leaves alone.")
)


class Settlement(Request):
    """``link`` names the End User meant; ``ignore`` until a side changes."""

    action: str = described("link or ignore.", "link")
    end_user_id: str | None = described("With link: the End User to link.", UUID_EXAMPLE, default=None)


class NewException(Request):
    """``never_sync`` with an object id, or ``pin`` with an End User and a field."""

    kind: str = described("never_sync or pin.", "never_sync")
    object_id: str | None = described("With never_sync: the Microsoft user.", OBJECT_ID_EXAMPLE, default=None)
    end_user_id: str | None = described("With pin: the End User.", None, default=None)
    field: str | None = described("With pin: the field.", None, default=None)
    reason: str = described("The reason; required.", "Shared mailbox of the front desk", default="")
    expires_at: str | None = described("When it expires; ISO 8601.", TIME_EXAMPLE, default=None)


@bp.get("/organizations/<organization_id>/conflicts")
@requires(Role.READ_ONLY)
@documented(answer=Page[conflicts.Conflict], query=service.CONFLICTS)
def list_conflicts(organization_id: str) -> Response:
    """List the conflicts of an Organization; the open ones unless ``state=resolved``."""
    organization = load(Organization, organization_id, "Organization")
    listing = service.page(organization, list_query(service.CONFLICTS))
    by_id = {document["id"]: document for document in service.documents(listing.items)}
    return page_of(listing, lambda row: by_id[row.id])


@bp.post("/conflicts/<conflict_id>/resolve")
@requires(Role.TECHNICIAN)
@documented(body=Settlement, answer=conflicts.Conflict)
def resolve_conflict(conflict_id: str) -> Response:
    """Settle a conflict."""
    row = load(Conflict, conflict_id, "conflict")
    requested = body(Settlement)
    service.resolve(row, requested.action, requested.end_user_id)
    db.session.commit()
    return answer(service.documents([row])[0])


@bp.post("/conflicts/<conflict_id>/reopen")
@requires(Role.TECHNICIAN)
@documented(answer=conflicts.Conflict)
def reopen_conflict(conflict_id: str) -> Response:
    """Open a settled conflict again."""
    row = load(Conflict, conflict_id, "conflict")
    service.reopen(row)
    db.session.commit()
    return answer(service.documents([row])[0])


@bp.get("/organizations/<organization_id>/exceptions")
@requires(Role.READ_ONLY)
@documented(answer=Page[documents.SyncException], query=exceptions.SPEC)
def list_exceptions(organization_id: str) -> Response:
    """List the exceptions of an Organization: never-sync people and pinned fields."""
    organization = load(Organization, organization_id, "Organization")
    return page_of(exceptions.listing(organization, list_query(exceptions.SPEC)), exceptions.to_document)


@bp.post("/organizations/<organization_id>/exceptions")
@requires(Role.TECHNICIAN)
@documented(body=NewException, answer=documents.SyncException, status=201)
def add_exception(organization_id: str) -> Response:
    """Add an exception."""
    organization = load(Organization, organization_id, "Organization")
    requested = body(NewException)
    row = _added(organization, requested)
    db.session.commit()
    return answer(exceptions.to_document(row))


@bp.delete("/exceptions/<exception_id>")
@requires(Role.TECHNICIAN)
@documented()
def remove_exception(exception_id: str) -> Response:
    """End an exception."""
    exceptions.end(load(SyncException, exception_id, "exception"))
    db.session.commit()
    return nothing()


def _added(organization: Organization, requested: NewException) -> SyncException:
    until = _time(requested.expires_at)
    match requested.kind:
        case exceptions.NEVER_SYNC:
            return exceptions.never_sync(
                organization, requested.object_id or "", reason=requested.reason, expires_at=until
            )
        case exceptions.PIN:
            return exceptions.pin(
                organization,
                requested.end_user_id or "",
                requested.field or "",
                reason=requested.reason,
                expires_at=until,
            )
        case _:
            raise Invalid({"kind": ["Must be one of: never_sync, pin."]})


def _time(text: str | None) -> datetime | None:
    if text is None:
        return None
    moment = parse_time(text)
    if moment is None:
        raise Invalid({"expires_at": ["An ISO 8601 time such as 2026-12-31T00:00:00Z."]})
    return moment
