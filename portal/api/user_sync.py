"""``/api/v1/organizations/{id}/user-sync``: enable, edit, preview, explain, run, disable (U, L5, T5)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import Response, request
from pydantic import Field

from portal.api.blueprint import bp
from portal.api.declaration import Parameter, Tag, documented_as
from portal.api.documents import user_sync as documents
from portal.api.documents.base import UUID_EXAMPLE, Page, described
from portal.api.documents.sync_runs import SyncRun
from portal.api.schema import PAGES, Request, answer, body, list_query, nothing, page_of, paging
from portal.errors import Invalid
from portal.extensions import db
from portal.http.access import load, reads_first, requires
from portal.models import EndUser, Organization, Role
from portal.runs import listing as runs
from portal.runtime import runtime
from portal.transactions import begin_write
from portal.user_sync import previews, service
from portal.user_sync.documents import run_document

documented = documented_as(Tag("User Sync", "Who is synced into an Organization, and running its sync."))


class UserSyncRequest(Request):
    """Whom to take, and when to ask an administrator first."""

    filters: documents.Filters
    add_disabled_accounts: bool = described("Add disabled accounts too.", False, default=False)
    only_licensed: bool = described("Add only people with a license.", False, default=False)
    include_agents: bool = described("Sync AI agents like people.", False, default=False)
    hold: documents.Hold = Field(default_factory=documents.Hold)
    plan_id: str | None = described(
        "A preview's plan; refused if the data has changed since.", UUID_EXAMPLE, default=None
    )


class RunRequest(Request):
    """With ``plan_id`` exactly that plan; with ``end_user_id`` that person alone."""

    plan_id: str | None = described("A preview's plan.", UUID_EXAMPLE, default=None)
    end_user_id: str | None = described("An End User.", None, default=None)


USER = Parameter("user", "UPN, object id or email address.", {"type": "string"}, is_required=True)


@bp.get("/organizations/<organization_id>/user-sync")
@requires(Role.READ_ONLY)
@documented(answer=documents.UserSync)
def get_user_sync(organization_id: str) -> Response:
    """Get the User Sync of an Organization."""
    return answer(service.document(_organization(organization_id)))


@bp.put("/organizations/<organization_id>/user-sync")
@requires(Role.ADMINISTRATOR)
@reads_first
@documented(body=UserSyncRequest, answer=documents.UserSync)
def put_user_sync(organization_id: str) -> Response:
    """Enable the User Sync, or edit it.

    The first call queues the initial run; later calls start nothing. 409 when the Tenant is not mapped.
    """
    organization = _organization(organization_id)
    requested = body(UserSyncRequest)
    fingerprint = service.approved(organization, requested.plan_id, _request(requested))
    begin_write(db.session())
    service.put(organization, _request(requested), fingerprint)
    db.session.commit()
    runtime().wake()
    return answer(service.document(organization))


@bp.delete("/organizations/<organization_id>/user-sync")
@requires(Role.TECHNICIAN)
@documented()
def disable_user_sync(organization_id: str) -> Response:
    """Disable the User Sync; End Users stay."""
    service.disable(_organization(organization_id))
    db.session.commit()
    return nothing()


@bp.get("/organizations/<organization_id>/user-sync/options")
@requires(Role.READ_ONLY)
@documented(answer=documents.Options, refusals=[409])
def get_user_sync_options(organization_id: str) -> Response:
    """Get what each section offers, with the number of people behind each value."""
    organization = _organization(organization_id)
    options = previews.options(organization)
    db.session.commit()
    return answer(options)


@bp.post("/organizations/<organization_id>/user-sync/preview")
@requires(Role.READ_ONLY)
@reads_first
@documented(body=UserSyncRequest, answer=documents.Preview, query=PAGES)
def preview_user_sync(organization_id: str) -> Response:
    """Preview what a run would do; nothing is written."""
    organization = _organization(organization_id)
    requested = body(UserSyncRequest)
    page, per_page = paging()
    result = previews.preview(organization, _request(requested), page=page, per_page=per_page)
    db.session.rollback()
    return answer(result.document())


@bp.get("/organizations/<organization_id>/user-sync/explain")
@requires(Role.READ_ONLY)
@documented(answer=documents.Explanation, parameters=[USER], refusals=[409])
def explain_user(organization_id: str) -> Response:
    """Explain why a person is or is not synced."""
    user = request.args.get("user", "")
    if not user.strip() or "\x00" in user:
        raise Invalid({"user": ["Name a person by UPN, object ID or e-mail address."]})
    return answer(previews.explain(_organization(organization_id), user))


@bp.get("/organizations/<organization_id>/user-sync/runs")
@requires(Role.READ_ONLY)
@documented(answer=Page[SyncRun], query=runs.RUNS)
def list_organization_runs(organization_id: str) -> Response:
    """List the runs of an Organization."""
    organization = _organization(organization_id)
    query = list_query(runs.RUNS)
    query = replace(query, filters={**query.filters, "organization_id": organization.id})
    return page_of(runs.runs(query), run_document)


@bp.post("/organizations/<organization_id>/user-sync/runs")
@requires(Role.TECHNICIAN)
@reads_first
@documented(body=RunRequest, answer=SyncRun, status=202)
def sync_now(organization_id: str) -> Response:
    """Sync now; returns the new run, or the one already running."""
    organization = _organization(organization_id)
    requested = body(RunRequest)
    fingerprint = None if requested.end_user_id else service.approved(organization, requested.plan_id)
    begin_write(db.session())
    if requested.end_user_id is None:
        run = service.request_run(organization, fingerprint)
    else:
        run = service.request_person(organization, _person(organization, requested))
    db.session.commit()
    runtime().wake()
    return answer(run_document(run))


def _person(organization: Organization, requested: RunRequest) -> EndUser:
    end_user = db.session.get(EndUser, requested.end_user_id or "")
    if end_user is None or end_user.organization_id != organization.id:
        raise Invalid({"end_user_id": ["This Organization has no such End User."]})
    if requested.plan_id is not None:
        raise Invalid({"plan_id": ["A plan covers all people. Leave out end_user_id or the plan."]})
    return end_user


def _organization(organization_id: str) -> Organization:
    return load(Organization, organization_id, "Organization")


def _request(requested: UserSyncRequest) -> dict[str, Any]:
    return requested.model_dump(exclude={"plan_id"})
