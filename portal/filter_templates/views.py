"""What the pages about filter templates show: frozen records, no queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal.filter_templates import documents
from portal.http.form_view import FormView
from portal.models import FilterTemplate, Organization

HINTS: Mapping[str, str] = {
    "user_type": "",
    "domain": "Of the e-mail address. “(none)” stands for people without one.",
    "office_location": "“(none)” stands for people without an office.",
    "department": "“(none)” stands for people without a department.",
    "group": "“*” stands for anything: “Staff*” matches “Staff” and “Staff – Sales”. Each Microsoft tenant is searched for them.",
}


@dataclass(frozen=True)
class PartSummary:
    """What a template says in one part, such as Department: Sales."""

    label: str
    words: str


@dataclass(frozen=True)
class TemplateLine:
    """A template in the list. summary: the parts that are not as usual."""

    id: str
    name: str
    summary: Sequence[PartSummary]
    organizations: int
    updated_at: datetime
    updated_by: str


def form_view(address: str, line: TemplateLine | None) -> FormView:
    """A new template, or an edit, which those who follow it see first. address: of the list."""
    if line is None:
        return FormView("New filter template", f"{address}/new", address)
    own = f"{address}/{line.id}"
    button = "Preview and save" if line.organizations else "Save"
    return FormView(f"Edit {line.name}", f"{own}/edit", own, button, is_edit=True)


@dataclass(frozen=True)
class Difference:
    """A part in which an Organization is not as its template."""

    label: str
    own: str
    templates: str


@dataclass(frozen=True)
class FollowerLine:
    """An Organization that follows a template. differences: where it departs."""

    organization_id: str
    name: str
    differences: Sequence[Difference]


def template_line(row: FilterTemplate, organizations: int) -> TemplateLine:
    """A template with what it says that is not as usual."""
    return TemplateLine(
        row.id, row.name, summary(documents.body_of(row)), organizations, row.updated_at, row.updated_by
    )


def summary(body: Mapping[str, Any]) -> list[PartSummary]:
    """The parts that narrow or widen what everybody gets; nothing for a template of everybody."""
    usual = documents.default_body()
    return [
        PartSummary(documents.PART_LABELS[part], documents.part_words(body, part))
        for part in documents.PARTS
        if documents.part_words(body, part) != documents.part_words(usual, part)
    ]


def differences(parts: Sequence[str], own: Mapping[str, Any], applied: Mapping[str, Any]) -> list[Difference]:
    """The parts in which an Organization departs, with both sides."""
    return [
        Difference(
            documents.PART_LABELS[part], documents.part_words(own, part), documents.part_words(applied, part)
        )
        for part in parts
    ]


def follower_line(
    organization: Organization, parts: Sequence[str], own: Mapping[str, Any], applied: Mapping[str, Any]
) -> FollowerLine:
    """An Organization in the list of those that follow."""
    return FollowerLine(organization.id, organization.name, differences(parts, own, applied))
