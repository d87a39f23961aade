"""Filter templates in Settings: the list, one template with who follows it, create, edit, delete; leave and go back to one (F2)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response

from portal.extensions import db
from portal.filter_templates import documents, service, views
from portal.filter_templates.forms import TemplateForm
from portal.http import responses
from portal.http.access import load, requires
from portal.http.forms import ShowingInvalid, text
from portal.http.responses import safe_next
from portal.models import FilterTemplate, Organization, Role, TemplateFollower, UserSync
from portal.rollouts import beginnings
from portal.rollouts import service as rollouts
from portal.runtime import runtime
from portal.user_sync.documents import saved_request

bp = Blueprint("filter_templates", __name__)


@bp.get("/settings/filter-templates")
@requires(Role.READ_ONLY)
def index() -> Response:
    """All templates, with what each says and how many follow it."""
    rows = service.everyone()
    counts = service.follower_counts(rows)
    return responses.render(
        "filter_templates/list.html",
        section="filter_templates",
        templates=[views.template_line(row, counts.get(row.id, 0)) for row in rows],
    )


@bp.get("/settings/filter-templates/<template_id>")
@requires(Role.READ_ONLY)
def detail(template_id: str) -> Response:
    """One template, and who follows it or departs from it where."""
    row = _template(template_id)
    followed_by = db.session.execute(
        select(Organization, TemplateFollower, UserSync)
        .join(TemplateFollower, TemplateFollower.organization_id == Organization.id)
        .outerjoin(UserSync, UserSync.organization_id == Organization.id)
        .where(TemplateFollower.template_id == row.id)
        .order_by(Organization.name_key)
    )
    followers = [
        views.follower_line(
            organization,
            service.departures(follower, sync),
            follower.applied if sync is None else saved_request(sync),
            follower.applied,
        )
        for organization, follower, sync in followed_by
    ]
    return responses.render(
        "filter_templates/detail.html",
        section="filter_templates",
        line=views.template_line(row, len(followers)),
        summary=views.summary(documents.body_of(row)),
        followers=followers,
    )


@bp.route("/settings/filter-templates/new", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
def new() -> Response:
    """Make a template; ``next`` leads back to where one was wanted."""
    form = TemplateForm(data=TemplateForm.data_of(documents.default_body()))
    if _is_fine(form):
        row = form.make(
            FilterTemplate,
            lambda row_id: service.create(
                text(form.name), form.body(documents.default_body()), row_id=row_id
            ),
        )
        if row is not None:
            name, target = row.name, url_for(".detail", template_id=row.id)
            db.session.commit()
            return responses.respond(
                redirect=safe_next(request.form.get("next"), target), toast=f"{name} is saved."
            )
    return _form_page(form, None)


@bp.route("/settings/filter-templates/<template_id>/edit", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
def edit(template_id: str) -> Response:
    """Change a template. Where Organizations follow it, who would enter and leave is shown before it is saved (U11)."""
    row = _template(template_id)
    saved = documents.body_of(row)
    form = TemplateForm(data={"name": row.name, **TemplateForm.data_of(saved)})
    if _is_fine(form):
        with ShowingInvalid(form):
            target = _save_or_preview(row, text(form.name), form.body(saved))
            db.session.commit()
            runtime().wake()
            return responses.respond(redirect=target)
        row = _template(template_id)
    return _form_page(form, row)


def _save_or_preview(row: FilterTemplate, name: str, body: dict[str, Any]) -> str:
    """Save at once if no follower's filters change; otherwise preview the change. Returns the next page's address."""
    changes = service.changed_parts(documents.body_of(row), documents.parse(body))
    if changes and service.follower_counts([row]):
        return url_for("rollouts.detail", rollout_id=beginnings.begin_template_change(row, name, body).id)
    service.change(row, name, body)
    return url_for(".detail", template_id=row.id)


@bp.route("/settings/filter-templates/<template_id>/delete", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
def delete(template_id: str) -> Response:
    """Ask, then delete; Organizations that follow it keep their filters."""
    row = _template(template_id)
    if request.method == "POST":
        name = row.name
        service.remove(row)
        db.session.commit()
        return responses.respond(redirect=url_for(".index"), toast=f"{name} is deleted.")
    return responses.render(
        "filter_templates/delete.html",
        blocks={"dialog": "dialog"},
        section="filter_templates",
        line=views.template_line(row, service.follower_counts([row]).get(row.id, 0)),
    )


@bp.post("/organizations/<organization_id>/filter-template/back")
@requires(Role.ADMINISTRATOR)
def back(organization_id: str) -> Response:
    """Back to the template: preview it for this Organization, then save it."""
    organization = load(Organization, organization_id, "Organization")
    following = service.following(organization)
    rollout = beginnings.begin_organizations([organization])
    rollouts.set_up(rollout, following.template, documents.body_of(following.template))
    rollout_id = rollout.id
    db.session.commit()
    runtime().wake()
    return responses.respond(redirect=url_for("rollouts.detail", rollout_id=rollout_id))


@bp.post("/organizations/<organization_id>/filter-template/leave")
@requires(Role.ADMINISTRATOR)
def leave(organization_id: str) -> Response:
    """Follow no template any more; the filters stay as they are."""
    organization = load(Organization, organization_id, "Organization")
    name, tenant_id = organization.name, organization.tenant_id
    service.leave(organization)
    db.session.commit()
    return responses.respond(
        redirect=url_for("tenants.detail", tenant_id=tenant_id), toast=f"{name} no longer follows a template."
    )


def _is_fine(form: TemplateForm) -> bool:
    """Whether the form was posted and nothing in it contradicts itself; what does is said at its field."""
    if request.method != "POST":
        return False
    is_valid = form.validate()
    return not form.contradicts() and is_valid


def _template(template_id: str) -> FilterTemplate:
    return load(FilterTemplate, template_id, "filter template")


def _form_page(form: TemplateForm, row: FilterTemplate | None) -> Response:
    line = None if row is None else views.template_line(row, service.follower_counts([row]).get(row.id, 0))
    return responses.render(
        "filter_templates/form.html",
        section="filter_templates",
        form=form,
        view=views.form_view(url_for(".index"), line),
        line=line,
        hints=views.HINTS,
        next=safe_next(request.values.get("next"), ""),
    )
