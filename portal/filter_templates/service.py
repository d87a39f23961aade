"""Filter templates: keep them, follow them, and tell where an Organization departs from its own (F2)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select

from portal import audit
from portal.clock import utcnow
from portal.errors import Invalid, NotFound
from portal.extensions import db
from portal.filter_templates import documents
from portal.filter_templates.documents import Group, Resolved
from portal.http.listing import Listing, ListSpec, fetch
from portal.locks import lock
from portal.models import DirectoryGroup, FilterTemplate, Organization, TemplateFollower, UserSync
from portal.text import is_blank, text_key
from portal.user_sync.documents import saved_request

SPEC = ListSpec(
    sorts={
        "name": (FilterTemplate.name_key,),
        "created_at": (FilterTemplate.created_at,),
        "updated_at": (FilterTemplate.updated_at,),
    },
    default_sort="name",
)
MAX_NAME = 256


@dataclass(frozen=True)
class Following:
    """An Organization and its template. departs: the parts in which its filters are its own."""

    template: FilterTemplate
    applied: Mapping[str, Any]
    departs: Sequence[str]


def listing(query: Listing) -> Listing:
    """One page of templates."""
    statement = select(FilterTemplate)
    if query.q:
        statement = statement.where(FilterTemplate.name_key.contains(text_key(query.q), autoescape=True))
    return fetch(db.session(), statement, query, SPEC, tiebreaker=FilterTemplate.id)


def everyone() -> Sequence[FilterTemplate]:
    """All templates, by name."""
    return db.session.scalars(select(FilterTemplate).order_by(FilterTemplate.name_key)).all()


def find(name: str) -> FilterTemplate | None:
    """The template of this name."""
    return db.session.scalar(select(FilterTemplate).where(FilterTemplate.name_key == text_key(name)))


def create(name: str, body: Mapping[str, Any], *, row_id: str | None = None) -> FilterTemplate:
    """Keep a new template. Raises Invalid on ``name`` and per section."""
    clean_name, parsed = _checked(name, body)
    now = utcnow()
    row = FilterTemplate(
        id=row_id, name=clean_name, name_key=text_key(clean_name), filters={}, created_at=now, updated_at=now
    )
    _fill(row, parsed)
    db.session.add(row)
    db.session.flush()
    _record("filter_template_created", row, name=row.name)
    return row


def change(row: FilterTemplate, name: str, body: Mapping[str, Any]) -> list[str]:
    """Save a template. Returns the parts that changed. Followers are updated by ``copying``.

    Raises Invalid on ``name`` and per section.
    """
    lock(db.session(), FilterTemplate, row.id, "filter template")
    clean_name, parsed = _checked(name, body, but=row.id)
    before = documents.body_of(row)
    parts = changed_parts(before, parsed)
    changes = [f"{documents.PART_LABELS[part]}: {documents.part_words(parsed, part)}" for part in parts]
    if clean_name != row.name:
        changes.insert(0, f"name: {row.name} → {clean_name}")
        row.name, row.name_key = clean_name, text_key(clean_name)
    if changes:
        _fill(row, parsed)
        row.updated_at = utcnow()
        db.session.flush()
        _record("filter_template_changed", row, name=row.name, changes=", ".join(changes))
    return parts


def changed_parts(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[str]:
    """The parts in which two templates differ."""
    return [part for part in documents.PARTS if _comparable(before, part) != _comparable(after, part)]


def remove(row: FilterTemplate) -> None:
    """Delete a template. Organizations that follow it keep their filters, and follow nothing any more."""
    lock(db.session(), FilterTemplate, row.id, "filter template")
    _record("filter_template_deleted", row, name=row.name)
    db.session.delete(row)
    db.session.flush()


def to_document(row: FilterTemplate, organizations: int) -> dict[str, Any]:
    """A template as the API shows it. organizations: how many follow it."""
    return {
        "id": row.id,
        "name": row.name,
        **documents.body_of(row),
        "organizations": organizations,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "updated_by": row.updated_by,
    }


def follower_counts(rows: Sequence[FilterTemplate]) -> dict[str, int]:
    """Template id -> how many Organizations follow it, for those that anybody follows."""
    grouped = db.session.execute(
        select(TemplateFollower.template_id, func.count())
        .where(TemplateFollower.template_id.in_([row.id for row in rows]))
        .group_by(TemplateFollower.template_id)
    )
    return {str(template_id): int(number) for template_id, number in grouped}


def followers(template_id: str) -> Sequence[Organization]:
    """The Organizations that follow a template, by name."""
    return db.session.scalars(
        select(Organization)
        .join(TemplateFollower, TemplateFollower.organization_id == Organization.id)
        .where(TemplateFollower.template_id == template_id)
        .order_by(Organization.name_key)
    ).all()


def followings(organization_ids: Sequence[str]) -> dict[str, Following]:
    """Organization id -> its template and where it departs from it, for those that follow one."""
    rows = db.session.execute(
        select(TemplateFollower, FilterTemplate, UserSync)
        .join(FilterTemplate, FilterTemplate.id == TemplateFollower.template_id)
        .outerjoin(UserSync, UserSync.organization_id == TemplateFollower.organization_id)
        .where(TemplateFollower.organization_id.in_(organization_ids))
    )
    return {
        follower.organization_id: Following(template, follower.applied, departures(follower, sync))
        for follower, template, sync in rows
    }


def following(organization: Organization) -> Following:
    """The template that one Organization follows. Raises NotFound when it follows none."""
    row = followings([organization.id]).get(organization.id)
    if row is None:
        raise NotFound(f"{organization.name} follows no filter template.")
    return row


def drifted(follower: Following, microsoft_tenant_id: str) -> list[str]:
    """The parts that differ from what was copied because the template, or its groups in Microsoft, changed since."""
    now = resolve(documents.body_of(follower.template), microsoft_tenant_id).body
    return documents.different_parts(now, follower.applied)


def departures(follower: TemplateFollower, sync: UserSync | None) -> list[str]:
    """The parts in which a User Sync differs from what was copied to it."""
    return [] if sync is None else documents.different_parts(saved_request(sync), follower.applied)


def groups(microsoft_tenant_id: str) -> list[Group]:
    """The groups of a Microsoft tenant that patterns can mean."""
    rows = db.session.execute(
        select(DirectoryGroup.object_id, DirectoryGroup.display_name)
        .where(
            DirectoryGroup.microsoft_tenant_id == microsoft_tenant_id, DirectoryGroup.is_deleted.is_(False)
        )
        .order_by(DirectoryGroup.display_name, DirectoryGroup.object_id)
    )
    return [Group(object_id, name) for object_id, name in rows]


def resolve(body: Mapping[str, Any], microsoft_tenant_id: str) -> Resolved:
    """A template's body in one Microsoft tenant; its groups are looked at only where patterns ask for some."""
    present_groups = [] if body["filters"]["group"]["all"] else groups(microsoft_tenant_id)
    return documents.resolve(body, present_groups)


def follow(organization: Organization, template: FilterTemplate, applied: Mapping[str, Any]) -> None:
    """Note that an Organization follows a template, and what of it was copied. The caller saves the User Sync."""
    row = db.session.get(TemplateFollower, organization.id)
    is_news = row is None or row.template_id != template.id
    if row is None:
        row = TemplateFollower(organization_id=organization.id, template_id=template.id, applied={})
        db.session.add(row)
    row.template_id, row.applied = template.id, dict(applied)
    row.applied_at, row.applied_by = utcnow(), audit.current_actor().name
    db.session.flush()
    if is_news:
        _record_of("filter_template_followed", organization, template)


def leave(organization: Organization) -> None:
    """Have an Organization follow no template any more; its filters stay. Raises NotFound when it follows none."""
    row = db.session.get(TemplateFollower, organization.id)
    if row is None:
        raise NotFound(f"{organization.name} follows no filter template.")
    template = db.session.get_one(FilterTemplate, row.template_id)
    db.session.delete(row)
    db.session.flush()
    _record_of("filter_template_left", organization, template)


def checked_name(name: str, *, but: str | None = None) -> str:
    """The name as it is kept. Raises Invalid on ``name`` when it cannot be, or another template has it."""
    clean_name = " ".join(name.split())
    if is_blank(clean_name):
        raise Invalid({"name": ["Enter a name."]})
    if len(clean_name) > MAX_NAME:
        raise Invalid({"name": [f"At most {MAX_NAME} characters."]})
    other = find(clean_name)
    if other is not None and other.id != but:
        raise Invalid({"name": ["There is already a filter template with this name."]})
    return clean_name


def _checked(name: str, body: Mapping[str, Any], *, but: str | None = None) -> tuple[str, dict[str, Any]]:
    """Both at once, so that all that is wrong is said together."""
    errors: dict[str, list[str]] = {}
    clean_name, parsed = "", {}
    try:
        clean_name = checked_name(name, but=but)
    except Invalid as error:
        errors.update(error.errors)
    try:
        parsed = documents.parse(body)
    except Invalid as error:
        errors.update(error.errors)
    if errors:
        raise Invalid(errors)
    return clean_name, parsed


def _fill(row: FilterTemplate, body: Mapping[str, Any]) -> None:
    row.filters = body["filters"]
    for name in documents.ADD_RULES:
        setattr(row, name, body[name])
    row.hold_percent, row.hold_minimum = body["hold"]["percent"], body["hold"]["minimum"]
    row.updated_by = audit.current_actor().name


def _comparable(body: Mapping[str, Any], part: str) -> Any:
    if part != "group":
        return documents.part_of(body, part)
    section = body["filters"]["group"]
    return True if section["all"] else frozenset(text_key(pattern) for pattern in section["name_patterns"])


def _record(event: str, row: FilterTemplate, **detail: str) -> None:
    audit.record(db.session(), event, row, **detail)


def _record_of(event: str, organization: Organization, template: FilterTemplate) -> None:
    audit.record(db.session(), event, organization, organization=organization.name, template=template.name)
