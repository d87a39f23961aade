"""``/api/v1/filter-templates`` and ``/api/v1/user-syncs/bulk``: one set of filters for many Organizations (F2, F3)."""

from __future__ import annotations

from typing import Any

from flask import Response
from pydantic import Field

from portal.api.blueprint import bp
from portal.api.declaration import DRY_RUN, Tag, documented_as
from portal.api.documents import filter_templates as documents_of
from portal.api.documents.base import UUID_EXAMPLE, Page, described
from portal.api.documents.filter_templates import TemplateFilters
from portal.api.documents.user_sync import Hold
from portal.api.schema import Request, answer, body, is_dry_run, list_query, nothing, page_of
from portal.errors import Invalid
from portal.extensions import db
from portal.filter_templates import documents, service
from portal.http.access import load, reads_first, requires
from portal.models import FilterTemplate, Role
from portal.rollouts import bulk
from portal.runtime import runtime
from portal.transactions import begin_write

documented = documented_as(Tag("Filter templates", "One set of filters for many Organizations."))


class NewFilterTemplate(Request):
    """A filter template."""

    name: str = described("The name.", "Members with a license")
    filters: TemplateFilters
    add_disabled_accounts: bool = described("Whether disabled accounts are added too.", False, default=False)
    only_licensed: bool = described("Whether only people with a license are added.", True, default=False)
    include_agents: bool = described("Whether AI agents are synced like people.", False, default=False)
    hold: Hold = Field(default_factory=Hold)


class FilterTemplateChange(Request):
    """What is left out stays."""

    name: str = described("The new name.", "Members with a license", default="")
    filters: TemplateFilters | None = described("All five sections.", None, default=None)
    add_disabled_accounts: bool = described("Whether disabled accounts are added too.", False, default=False)
    only_licensed: bool = described("Whether only people with a license are added.", True, default=False)
    include_agents: bool = described("Whether AI agents are synced like people.", False, default=False)
    hold: Hold = Field(default_factory=Hold)


class BulkSetUp(Request):
    """Which Organizations get which template; with ``dry_run`` it only says what would happen."""

    organization_ids: list[str] = described("The Organizations.", [UUID_EXAMPLE])
    template_id: str = described("The filter template.", UUID_EXAMPLE)
    dry_run: bool = described("Whether to only report what would happen.", True, default=False)


@bp.get("/filter-templates")
@requires(Role.READ_ONLY)
@documented(answer=Page[documents_of.FilterTemplate], query=service.SPEC)
def list_filter_templates() -> Response:
    """List filter templates."""
    listing = service.listing(list_query(service.SPEC))
    counts = service.follower_counts(list(listing.items))
    return page_of(listing, lambda row: service.to_document(row, counts.get(row.id, 0)))


@bp.post("/filter-templates")
@requires(Role.ADMINISTRATOR)
@documented(body=NewFilterTemplate, answer=documents_of.FilterTemplate, status=201)
def create_filter_template() -> Response:
    """Create a filter template."""
    requested = body(NewFilterTemplate).model_dump()
    row = service.create(requested["name"], requested)
    db.session.commit()
    return answer(service.to_document(row, 0))


@bp.get("/filter-templates/<template_id>")
@requires(Role.READ_ONLY)
@documented(answer=documents_of.FilterTemplate)
def get_filter_template(template_id: str) -> Response:
    """Get a filter template."""
    return answer(_document(_template(template_id)))


@bp.patch("/filter-templates/<template_id>")
@requires(Role.ADMINISTRATOR)
@reads_first
@documented(body=FilterTemplateChange, answer=documents_of.FilterTemplateChanged, parameters=[DRY_RUN])
def change_filter_template(template_id: str) -> Response:
    """Change a template, and the filters of all Organizations that follow it, except where they depart.

    ``results`` has the outcome for each; with ``?dry_run=true`` the expected one, and nothing is saved.
    """
    requested, is_dry = body(FilterTemplateChange), is_dry_run()
    row = _template(template_id)
    name, template_body = _changed(row, requested)
    service.checked_name(name, but=row.id)
    parsed = documents.parse(template_body)
    followers = bulk.follower_ids(row) if service.changed_parts(documents.body_of(row), parsed) else []
    if is_dry:
        results = bulk.dry_run(followers, parsed, keeps_departures=True)
        return answer(
            {**_document(_template(template_id)), "results": [result.document() for result in results]}
        )
    begin_write(db.session())
    service.change(row, name, parsed)
    db.session.commit()
    results = bulk.apply(followers, parsed, template_id, keeps_departures=True)
    runtime().wake()
    return answer({**_document(_template(template_id)), "results": [result.document() for result in results]})


@bp.delete("/filter-templates/<template_id>")
@requires(Role.ADMINISTRATOR)
@documented()
def delete_filter_template(template_id: str) -> Response:
    """Delete a template. Organizations that follow it keep their filters."""
    service.remove(_template(template_id))
    db.session.commit()
    return nothing()


@bp.post("/user-syncs/bulk")
@requires(Role.ADMINISTRATOR)
@reads_first
@documented(
    body=BulkSetUp, answer=documents_of.SetUpResults, status=202, also={200: documents_of.SetUpResults}
)
def set_up_user_syncs() -> Response:
    """Set up many Organizations with a template: 202 when it enables or edits, 200 for a dry run.

    Each has its ``outcome``: enable or edit (enabled or edited once done), unchanged, waiting for the first read, or refused.
    """
    requested = body(BulkSetUp)
    rows = bulk.named(bulk.organizations(requested.organization_ids))
    template = (
        db.session.get(FilterTemplate, requested.template_id[:64])
        if "\x00" not in requested.template_id
        else None
    )
    if template is None:
        raise Invalid({"template_id": ["There is no such filter template."]})
    template_body = documents.body_of(template)
    if requested.dry_run:
        return answer({"items": [result.document() for result in bulk.dry_run(rows, template_body)]}, 200)
    results = bulk.apply(rows, template_body, requested.template_id)
    runtime().wake()
    return answer({"items": [result.document() for result in results]})


def _template(template_id: str) -> FilterTemplate:
    return load(FilterTemplate, template_id, "filter template")


def _document(row: FilterTemplate) -> dict[str, Any]:
    return service.to_document(row, service.follower_counts([row]).get(row.id, 0))


def _changed(row: FilterTemplate, requested: FilterTemplateChange) -> tuple[str, dict[str, Any]]:
    """Name and body with what was given."""
    dumped = requested.model_dump()
    fields = {name: dumped[name] for name in requested.model_fields_set if name != "name"}
    if fields.get("filters", ...) is None:
        raise Invalid({"filters": ["Must be an object."]})
    name = requested.name if "name" in requested.model_fields_set else row.name
    return name, {**documents.body_of(row), **fields}
