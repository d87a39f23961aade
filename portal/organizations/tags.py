"""Tags on Organizations (F1): "pod A", "co-managed". Alike when their keys are (S3); shown as they were first written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, exists, func, select
from sqlalchemy.orm import selectinload

from portal import audit
from portal.clock import utcnow
from portal.engine.normalize import clean
from portal.errors import Invalid
from portal.extensions import db
from portal.models import Organization, OrganizationTag, Tag, Tenant
from portal.models.customers import TAG_LENGTH
from portal.text import text_key

MOST_EACH = 20
"""Tags that one Organization may have."""
MOST_IN_ALL = 200


@dataclass(frozen=True)
class TagCount:
    """A tag with the number of Organizations that have it."""

    name: str
    key: str
    organizations: int


def split(text: str) -> list[str]:
    """What somebody typed into one field: tags separated by commas or lines."""
    return [part for part in text.replace("\n", ",").split(",") if part.strip()]


def checked(names: Iterable[str]) -> list[str]:
    """Usable tags, each once. Raises Invalid on ``tags``."""
    tags: dict[str, str] = {}
    for typed in names:
        name = " ".join(clean(typed).split())
        if not name:
            raise Invalid({"tags": ["A tag needs a letter or a digit."]})
        if len(name) > TAG_LENGTH:
            raise Invalid(
                {"tags": [f"“{name[:20]}…” is too long: a tag has at most {TAG_LENGTH} characters."]}
            )
        if "," in name:
            raise Invalid({"tags": [f"“{name}” has a comma, which separates tags. Write it without."]})
        tags.setdefault(text_key(name), name)
    if len(tags) > MOST_EACH:
        raise Invalid({"tags": [f"An Organization has at most {MOST_EACH} tags."]})
    return list(tags.values())


def replace(row: Organization, names: Iterable[str]) -> bool:
    """Set the tags of an Organization. Returns whether anything changed. Raises Invalid on ``tags``."""
    clean_names = checked(names)
    keys = {text_key(name) for name in clean_names}
    gone = [tag.name for tag in row.tags if tag.name_key not in keys]
    return _change(row, add=clean_names, remove=gone)


def check(rows: Sequence[Organization], *, add: Iterable[str], remove: Iterable[str]) -> None:
    """Raise Invalid on ``tags`` where ``change`` would for one of these Organizations. Changes nothing."""
    added, removed = checked(add), checked(remove)
    both = {text_key(name) for name in added} & {text_key(name) for name in removed}
    if both:
        raise Invalid({"tags": ["The same tag cannot be added and removed."]})
    for row in rows:
        _difference(row, add=added, remove=removed)


def change(rows: Sequence[Organization], *, add: Iterable[str] = (), remove: Iterable[str] = ()) -> int:
    """Add and remove tags of several Organizations. Returns how many Organizations changed. Raises Invalid on ``tags``."""
    added, removed = checked(add), checked(remove)
    return sum(_change(row, add=added, remove=removed) for row in rows)


def all_tags() -> list[TagCount]:
    """Every tag with its number, in natural order."""
    rows = db.session.execute(
        select(Tag.name, Tag.name_key, func.count())
        .join(OrganizationTag, OrganizationTag.tag_id == Tag.id)
        .group_by(Tag.id, Tag.name, Tag.name_key, Tag.sort_key)
        .order_by(Tag.sort_key, Tag.id)
    )
    return [TagCount(name, key, number) for name, key, number in rows]


def tagged(name: str) -> ColumnElement[bool]:
    """The condition that an Organization has the tag."""
    return Organization.id.in_(organization_ids(name))


def organization_ids(name: str) -> Select[str]:
    """The ids of the Organizations that have the tag, as a query."""
    return (
        select(OrganizationTag.organization_id)
        .join(Tag, Tag.id == OrganizationTag.tag_id)
        .where(Tag.name_key == text_key(name))
    )


def microsoft_tenant_ids(name: str) -> Select[str | None]:
    """The ids of the Microsoft Tenants that feed an Organization with the tag, as a query."""
    return (
        select(Tenant.microsoft_tenant_id)
        .join(Organization, Organization.tenant_id == Tenant.id)
        .where(Tenant.microsoft_tenant_id.is_not(None), tagged(name))
    )


def loaded() -> Any:
    """The loader option that brings the tags of Organizations along, in one query for all of them."""
    return selectinload(Organization.tags)


def forget_unused() -> None:
    """Delete the tags that no Organization has any more."""
    used = exists().where(OrganizationTag.tag_id == Tag.id)
    db.session.execute(delete(Tag).where(~used).execution_options(synchronize_session=False))


def _change(row: Organization, *, add: Sequence[str], remove: Sequence[str]) -> bool:
    new, gone = _difference(row, add=add, remove=remove)
    if not gone and not new:
        return False
    removed = [tag.name for tag in row.tags if tag.name_key in gone]
    added = [_tag(name) for name in new]
    row.tags = [*(tag for tag in row.tags if tag.name_key not in gone), *added]
    db.session.flush()
    audit.record(
        db.session(),
        "organization_tagged",
        row,
        name=row.name,
        added=[tag.name for tag in added],
        removed=removed,
    )
    if gone:
        forget_unused()
    db.session.expire(row, ["tags"])  # in their order, and without what is gone
    return True


def _difference(
    row: Organization, *, add: Sequence[str], remove: Sequence[str]
) -> tuple[list[str], set[str]]:
    """(names of the tags that are new to it, keys of those that go). Raises Invalid when it would have too many."""
    present = {tag.name_key for tag in row.tags}
    gone = {text_key(name) for name in remove} & present
    new = [name for name in add if text_key(name) not in present]
    if new and len(present) - len(gone) + len(new) > MOST_EACH:
        raise Invalid({"tags": [f"{row.name} would have more than {MOST_EACH} tags."]})
    return new, gone


def _tag(name: str) -> Tag:
    tag = db.session.scalar(select(Tag).where(Tag.name_key == text_key(name)))
    if tag is not None:
        return tag
    if (db.session.scalar(select(func.count()).select_from(Tag)) or 0) >= MOST_IN_ALL:
        raise Invalid({"tags": [f"There are {MOST_IN_ALL} tags already. Use one of them, or remove some."]})
    tag = Tag(name=name, created_at=utcnow())
    db.session.add(tag)
    db.session.flush()
    return tag
