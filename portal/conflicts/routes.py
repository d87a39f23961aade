"""Conflicts of an Organization: see both sides, settle, open again (M7)."""

from __future__ import annotations

from flask import Blueprint, request, url_for
from werkzeug.wrappers import Response

from portal.conflicts import service
from portal.errors import Invalid
from portal.extensions import db
from portal.http import access, listing, responses
from portal.models import Conflict, Organization, Role

bp = Blueprint("conflicts", __name__)
Answer = str | Response | tuple[str, int]


@bp.get("/organizations/<organization_id>/conflicts")
@access.requires(Role.READ_ONLY)
def index(organization_id: str) -> Answer:
    """An Organization's conflicts, the open ones first to be settled (M7)."""
    organization = access.load(Organization, organization_id, "Organization")
    return _page(organization)


@bp.post("/conflicts/<conflict_id>/resolve")
@access.requires(Role.TECHNICIAN)
def resolve(conflict_id: str) -> Answer:
    """Settle one conflict: link to the End User who is meant, or ignore it until one side changes (M7)."""
    row = access.load(Conflict, conflict_id, "conflict")
    organization = access.load(Organization, row.organization_id, "Organization")
    action = request.form.get("action", "")
    try:
        service.resolve(row, action, request.form.get("end_user_id") or None if action == "link" else None)
    except Invalid as error:
        db.session.rollback()
        organization = access.load(Organization, organization.id, "Organization")
        return _page(organization, problem=(conflict_id, error))
    db.session.commit()
    return responses.respond(
        redirect=url_for(".index", organization_id=organization.id),
        toast="Settled. The next run acts on it." if action == "link" else "Ignored until one side changes.",
    )


@bp.post("/conflicts/<conflict_id>/reopen")
@access.requires(Role.TECHNICIAN)
def reopen(conflict_id: str) -> Answer:
    """Open an ignored conflict again (M7)."""
    row = access.load(Conflict, conflict_id, "conflict")
    service.reopen(row)
    db.session.commit()
    return responses.respond(
        redirect=url_for(".index", organization_id=row.organization_id),
        toast="The conflict is open again.",
    )


def _page(organization: Organization, problem: tuple[str, Invalid] | None = None) -> Answer:
    asked = listing.parse(request.args, service.CONFLICTS, strict=False)
    found = service.page(organization, asked)
    return responses.render(
        "conflicts/index.html",
        status=422 if problem else 200,
        organization=organization,
        found=found,
        questions=service.questions(organization, found.items),
        chosen=service.choices(found.items),
        problem_at=problem[0] if problem else "",
        problem=problem[1].sentences() if problem else "",
    )
