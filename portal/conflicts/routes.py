"""Conflicts of an Organization: see both sides, settle, open again (M7)."""

from __future__ import annotations

from flask import Blueprint, request, url_for
from werkzeug.wrappers import Response

from portal.conflicts import service, views
from portal.engine.pace import FEWEST_ROWS
from portal.errors import Invalid
from portal.extensions import db
from portal.http import access, listing, responses
from portal.http.checked_rows import filtered_list, posted_ids
from portal.http.formatting import plural
from portal.http.parts import one_by_one
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
        toast="Settled. The next run applies it." if action == "link" else "Ignored until one side changes.",
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


@bp.post("/organizations/<organization_id>/conflicts/settle")
@access.requires(Role.TECHNICIAN)
@access.reads_first
def settle(organization_id: str) -> Answer:
    """Settle many at once (M7): first the question that names them, then, when ``sure`` says how many, the deed."""
    organization = access.load(Organization, organization_id, "Organization")
    action, ids = request.form.get("action", ""), posted_ids()
    query = filtered_list(service.CONFLICTS) if request.form.get("all_filtered") else None
    try:
        outcome = service.bulk(organization, action, ids, query)
    except Invalid as error:
        return _page(organization, problem=("", error))
    if request.form.get("sure") != str(len(outcome.rows)) or not outcome.rows:
        return responses.render(
            "conflicts/settle.html",
            blocks={"dialog": "dialog"},
            organization=organization,
            view=views.settle_view(action, outcome, is_changed="sure" in request.form),
        )
    return _settle_together(organization, action, [row.id for row in outcome.rows])


def _settle_together(organization: Organization, action: str, ids: list[str]) -> Answer:
    """In short transactions, so that syncs and other people go on meanwhile."""
    organization_id, done = organization.id, 0

    def settle(part: list[str]) -> None:
        nonlocal done
        row = access.load(Organization, organization_id, "Organization")
        done += service.settle_together(row, action, part)

    one_by_one(db.session(), ids, settle, "settled", first=FEWEST_ROWS)
    word = "settled. The next run applies them" if action == "link" else "ignored until one side changes"
    return responses.respond(
        redirect=url_for(".index", organization_id=organization_id),
        toast=f"{plural(done, 'conflict')} {word}.",
    )


def _page(organization: Organization, problem: tuple[str, Invalid] | None = None) -> Answer:
    query = listing.parse(request.args, service.CONFLICTS, strict=False)
    conflicts = service.page(organization, query)
    kinds = service.kinds(organization)
    is_settled = conflicts.filters.get("state") == "resolved"
    preferred = None if is_settled else service.preferred(organization, conflicts.items)
    rows = views.conflicts(
        conflicts.items,
        service.questions(organization, conflicts.items),
        service.choices(conflicts.items),
        preferred,
    )
    return responses.render(
        "conflicts/index.html",
        blocks={"conflicts_table": "conflicts_table"},
        status=422 if problem else 200,
        organization=organization,
        view=views.conflicts_list(url_for(".index", organization_id=organization.id), conflicts, rows, kinds),
        problem_at=problem[0] if problem else "",
        problem=problem[1].sentences() if problem else "",
    )
