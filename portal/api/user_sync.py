"""``/api/v1/organizations/{id}/user-sync``: enable, edit, preview, explain, run, disable (U, L5, T5)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import Response, request
from pydantic import Field

from portal.api.blueprint import bp
from portal.api.schema import Request, Whole, answer, asked, body, nothing, page_of, paging
from portal.errors import Invalid
from portal.extensions import db
from portal.http.access import load, reads_first, requires
from portal.models import EndUser, Organization, Role
from portal.runs import listing as runs
from portal.runtime import runtime
from portal.user_sync import service
from portal.user_sync.documents import run_document


class Section(Request):
    """One section; with ``all`` the values are kept and ignored."""

    all: bool
    values: list[str] = Field(default_factory=list)


class Filters(Request):
    """All five sections."""

    user_type: Section
    domain: Section
    office_location: Section
    department: Section
    group: Section


class Hold(Request):
    """G1's threshold."""

    percent: Whole = 25
    minimum: Whole = 10


class UserSyncRequest(Request):
    """What PUT and preview take."""

    filters: Filters
    add_disabled_accounts: bool = False
    only_licensed: bool = False
    include_agents: bool = False
    hold: Hold = Field(default_factory=Hold)
    plan_id: str | None = None


class RunRequest(Request):
    """With ``plan_id`` exactly that plan (U12); with ``end_user_id`` that person alone."""

    plan_id: str | None = None
    end_user_id: str | None = None


@bp.get("/organizations/<organization_id>/user-sync")
@requires(Role.READ_ONLY)
def get_user_sync(organization_id: str) -> Response:
    """The User Sync of an Organization."""
    return answer(service.document(_organization(organization_id)))


@bp.put("/organizations/<organization_id>/user-sync")
@requires(Role.ADMINISTRATOR)
def put_user_sync(organization_id: str) -> Response:
    """The first PUT enables and queues the initial run; a later one edits and starts nothing (U7)."""
    organization = _organization(organization_id)
    given = body(UserSyncRequest)
    service.put(organization, _request(given), plan_id=given.plan_id)
    db.session.commit()
    runtime().wake()
    return answer(service.document(organization))


@bp.delete("/organizations/<organization_id>/user-sync")
@requires(Role.TECHNICIAN)
def disable_user_sync(organization_id: str) -> Response:
    """Stop automatic updates; End Users stay (L5)."""
    service.disable(_organization(organization_id))
    db.session.commit()
    return nothing()


@bp.get("/organizations/<organization_id>/user-sync/options")
@requires(Role.READ_ONLY)
def user_sync_options(organization_id: str) -> Response:
    """What each section offers, with the number of people behind each value."""
    organization = _organization(organization_id)
    found = service.options(organization)
    db.session.commit()
    return answer(found)


@bp.post("/organizations/<organization_id>/user-sync/preview")
@requires(Role.READ_ONLY)
@reads_first
def preview_user_sync(organization_id: str) -> Response:
    """What a run would do; writes nothing."""
    organization = _organization(organization_id)
    given = body(UserSyncRequest)
    page, per_page = paging()
    found = service.preview(organization, _request(given), page=page, per_page=per_page)
    db.session.rollback()
    return answer(found)


@bp.get("/organizations/<organization_id>/user-sync/explain")
@requires(Role.READ_ONLY)
def explain_user(organization_id: str) -> Response:
    """Why a person is or is not synced."""
    user = request.args.get("user", "")
    if not user.strip() or "\x00" in user:
        raise Invalid({"user": ["Name a person by UPN, object ID or e-mail address."]})
    return answer(service.explain(_organization(organization_id), user))


@bp.get("/organizations/<organization_id>/user-sync/runs")
@requires(Role.READ_ONLY)
def list_runs_of(organization_id: str) -> Response:
    """The runs of an Organization."""
    organization = _organization(organization_id)
    wanted = asked(runs.RUNS)
    wanted = replace(wanted, filters={**wanted.filters, "organization_id": organization.id})
    return page_of(runs.runs(wanted), run_document)


@bp.post("/organizations/<organization_id>/user-sync/runs")
@requires(Role.TECHNICIAN)
def sync_now(organization_id: str) -> Response:
    """Sync Now: 202 and the run, the one already running if there is one (T5)."""
    organization = _organization(organization_id)
    given = body(RunRequest)
    if given.end_user_id is None:
        run = service.request_run(organization, plan_id=given.plan_id)
    else:
        run = service.request_person(organization, _person(organization, given))
    db.session.commit()
    runtime().wake()
    return answer(run_document(run), 202)


def _person(organization: Organization, given: RunRequest) -> EndUser:
    found = db.session.get(EndUser, given.end_user_id or "")
    if found is None or found.organization_id != organization.id:
        raise Invalid({"end_user_id": ["This Organization has no such End User."]})
    if given.plan_id is not None:
        raise Invalid({"plan_id": ["A plan is for all people: leave out end_user_id, or the plan."]})
    return found


def _organization(organization_id: str) -> Organization:
    return load(Organization, organization_id, "Organization")


def _request(given: UserSyncRequest) -> dict[str, Any]:
    return given.model_dump(exclude={"plan_id"})
