"""Roll-outs: one page from the customers of a partner, or a selection of Organizations, to enabled syncs (C3, F2, F3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response

from portal.engine.batches import batches
from portal.errors import Invalid, NotFound
from portal.extensions import db
from portal.filter_templates import documents
from portal.filter_templates import service as templates
from portal.filter_templates.views import HINTS
from portal.http import checked_rows, responses
from portal.http.access import load, requires
from portal.http.formatting import plural
from portal.microsoft import listing as tenant_list
from portal.models import FilterTemplate, MicrosoftTenant, Role, Rollout, RolloutRow
from portal.models.microsoft import IS_CONNECTED
from portal.organizations import bulk
from portal.organizations import listing as organization_list
from portal.rollouts import beginnings, progress, service, views
from portal.rollouts.forms import SetUpForm
from portal.runtime import runtime

bp = Blueprint("rollouts", __name__)


@bp.get("/rollouts/<rollout_id>")
@requires(Role.ADMINISTRATOR)
def detail(rollout_id: str) -> Response:
    """Where a roll-out stands, and what there is to do."""
    return _page(_rollout(rollout_id))


@bp.post("/rollouts")
@requires(Role.ADMINISTRATOR)
def begin() -> Response:
    """Begin with the Organizations that were chosen in their list."""
    ids = checked_rows.chosen_ids(organization_list.SPEC, organization_list.ids_of)
    return _went_on(beginnings.begin_organizations(bulk.load(ids)))


@bp.post("/rollouts/tenants")
@requires(Role.ADMINISTRATOR)
def begin_tenants() -> Response:
    """Begin with the Microsoft tenants that were chosen in their list: their Organizations are created or matched first."""
    ids = checked_rows.chosen_ids(tenant_list.SPEC, tenant_list.ids_of)
    rows = select(MicrosoftTenant).where(IS_CONNECTED).order_by(MicrosoftTenant.sort_key)
    tenants = [
        row for part in batches(ids) for row in db.session.scalars(rows.where(MicrosoftTenant.id.in_(part)))
    ]
    return _went_on(beginnings.begin_tenants(tenants))


@bp.post("/rollouts/<rollout_id>/rows/<row_id>/organization")
@requires(Role.ADMINISTRATOR)
def choose(rollout_id: str, row_id: str) -> Response:
    """Keep which Organization was entered for one Microsoft tenant, as it is entered."""
    rollout = _rollout(rollout_id)
    row = _row(rollout, row_id)
    problem = ""
    try:
        service.choose(rollout, row, request.form.get(f"name_{row_id}", ""))
        db.session.commit()
    except Invalid as error:
        db.session.rollback()
        problem = error.sentences()
    return responses.render(
        "rollouts/detail.html",
        blocks={f"match_{row_id}": "match"},
        **_context(_rollout(rollout_id), {}),
        matched=views.line(_row(_rollout(rollout_id), row_id), problem=problem),
    )


@bp.post("/rollouts/<rollout_id>/organizations")
@requires(Role.ADMINISTRATOR)
def confirm_organizations(rollout_id: str) -> Response:
    """Create or match the chosen Organizations and map them."""
    rollout = _rollout(rollout_id)
    prefix = "name_"
    names = {key.removeprefix(prefix): value for key, value in request.form.items() if key.startswith(prefix)}
    try:
        service.confirm_organizations(rollout, names, set(request.form.getlist("id")))
    except Invalid as error:
        db.session.rollback()
        return _page(_rollout(rollout_id), problems=error.errors, entered=names, problem=error)
    return _went_on(rollout)


@bp.post("/rollouts/<rollout_id>/filters")
@requires(Role.ADMINISTRATOR)
def set_up(rollout_id: str) -> Response:
    """Choose a template, or filters for just these, and preview them for all."""
    rollout, form = _rollout(rollout_id), SetUpForm()
    template_id = str(form.template_id.data or "")
    template = load(FilterTemplate, template_id, "filter template") if template_id else None
    if template is not None:
        service.set_up(rollout, template, documents.body_of(template))
        return _went_on(rollout)
    contradicts = not form.validate() or form.contradicts()
    try:
        if contradicts:
            raise Invalid({})
        service.set_up(rollout, None, form.body(documents.default_body()))
    except Invalid as error:
        db.session.rollback()
        form.show(error)
        return _page(_rollout(rollout_id), form=form)
    return _went_on(rollout)


@bp.post("/rollouts/<rollout_id>/enable")
@requires(Role.ADMINISTRATOR)
def enable(rollout_id: str) -> Response:
    """Enable or save for the rows that are checked, just as they were previewed (U12)."""
    rollout = _rollout(rollout_id)
    try:
        number = service.confirm(rollout, set(request.form.getlist("id")))
    except Invalid as error:
        db.session.rollback()
        return _page(_rollout(rollout_id), problem=error)
    message = f"{rollout.request['name']} is saved." if rollout.kind == "template" else ""
    if number and not message:
        message = f"{plural(number, 'sync is', 'syncs are')} starting."
    return _went_on(rollout, message)


@bp.post("/rollouts/<rollout_id>/retry")
@requires(Role.ADMINISTRATOR)
def retry(rollout_id: str) -> Response:
    """Try again what failed: one row, or all."""
    rollout = _rollout(rollout_id)
    service.retry(rollout, request.form.get("row") or None)
    return _went_on(rollout)


@bp.post("/rollouts/<rollout_id>/leave-out")
@requires(Role.ADMINISTRATOR)
def leave_out(rollout_id: str) -> Response:
    """Take one row out; what was done for it stays."""
    rollout = _rollout(rollout_id)
    service.leave_out(_row(rollout, request.form.get("row", "")))
    return _went_on(rollout)


@bp.post("/rollouts/<rollout_id>/close")
@requires(Role.ADMINISTRATOR)
def close(rollout_id: str) -> Response:
    """Be done with it; whatever still waits is left out."""
    rollout = _rollout(rollout_id)
    service.close(rollout)
    db.session.commit()
    return responses.respond(
        redirect=url_for("microsoft.index"), toast="Done. Syncs that were set up continue."
    )


def _rollout(rollout_id: str) -> Rollout:
    return load(Rollout, rollout_id, "roll-out")


def _row(rollout: Rollout, row_id: str) -> RolloutRow:
    row = service.row_of(rollout, row_id[:36])
    if row is None:
        raise NotFound("There is no such row. It may have been deleted.")
    return row


def _went_on(rollout: Rollout, message: str = "") -> Response:
    rollout_id = rollout.id
    db.session.commit()
    runtime().wake()
    return responses.respond(redirect=url_for(".detail", rollout_id=rollout_id), toast=message or None)


def _page(
    rollout: Rollout,
    *,
    form: SetUpForm | None = None,
    problems: Mapping[str, list[str]] | None = None,
    entered: Mapping[str, str] | None = None,
    problem: Invalid | None = None,
) -> Response:
    sentences = {key: " ".join(texts) for key, texts in (problems or {}).items()}
    bad = problem is not None or form is not None
    return responses.render(
        "rollouts/detail.html",
        blocks={"rollout": "rollout"},
        status=422 if bad else 200,
        **_context(rollout, sentences, form),
        entered=entered or {},
        problem_text="" if problem is None else _error_text(problem),
    )


def _error_text(error: Invalid) -> str:
    """One sentence above the tables; errors of a row are shown at the row."""
    return " ".join(error.errors["id"]) if "id" in error.errors else error.advice


def _context(rollout: Rollout, problems: Mapping[str, str], form: SetUpForm | None = None) -> dict[str, Any]:
    rows = service.rows(rollout)
    page = views.page(rollout, rows, progress.sync_lines(rows), problems)
    template = db.session.get(FilterTemplate, rollout.template_id or "")
    offered = templates.everyone() if page.mapped or page.previewed or page.failed else ()
    return {
        "rollout": rollout,
        "page": page,
        "template_name": rollout.request.get("name") or ("" if template is None else template.name),
        "form": form or SetUpForm.opened(rollout.template_id, rollout.request or documents.default_body()),
        "offered": offered,
        "free_names": service.free_names() if page.to_match else (),
        "hints": HINTS,
        "consent_cloud": rollout.cloud,
    }
