"""Roll-outs: what a person chooses and confirms, step by step (C3, F2, F3). The work itself is ``rollouts.worker``'s.

All that was chosen is in the database at once, so that a reload, another browser or a restart goes on where it was.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import func, select, update

from portal.clock import utcnow
from portal.errors import Invalid, Refused
from portal.extensions import db
from portal.filter_templates import documents
from portal.filter_templates import service as templates
from portal.locks import lock
from portal.models import FilterTemplate, Organization, Rollout, RolloutRow, TemplateFollower, Tenant
from portal.organizations.service import checked_name
from portal.text import natural_key, text_key

BUSY = ("waiting", "connected", "mapping", "previewing", "enabling")
"""Statuses of rows that the scheduler works on."""
FAILED = ("unconnected", "unmapped", "blocked", "refused")
AGAIN = {"unconnected": "waiting", "unmapped": "suggested", "blocked": "previewing", "refused": "previewing"}
"""Where a row goes on that failed. Nothing of what failed was half-done."""


def rows(rollout: Rollout) -> Sequence[RolloutRow]:
    """Its rows, by name."""
    unsorted = db.session.scalars(select(RolloutRow).where(RolloutRow.rollout_id == rollout.id)).all()
    return sorted(unsorted, key=lambda row: (natural_key(row.name), row.id))


def row_of(rollout: Rollout, row_id: str) -> RolloutRow | None:
    """One of its rows."""
    row = db.session.get(RolloutRow, row_id)
    return row if row is not None and row.rollout_id == rollout.id else None


def statuses(rollout: Rollout) -> dict[str, int]:
    """Status -> number of rows, for those that have any."""
    counts = db.session.execute(
        select(RolloutRow.status, func.count())
        .where(RolloutRow.rollout_id == rollout.id)
        .group_by(RolloutRow.status)
    )
    return {str(status): int(number) for status, number in counts}


def unfinished(limit: int = 5) -> list[tuple[Rollout, dict[str, int]]]:
    """The newest roll-outs that somebody can go on with, each with its statuses."""
    open_rows = select(RolloutRow.rollout_id).where(
        RolloutRow.status.in_([*BUSY, "suggested", "mapped", "previewed"])
    )
    open_rollouts = db.session.scalars(
        select(Rollout)
        .where(Rollout.id.in_(open_rows), Rollout.closed_at.is_(None))
        .order_by(Rollout.created_at.desc())
        .limit(limit)
    ).all()
    return [(row, statuses(row)) for row in open_rollouts]


def choose(rollout: Rollout, row: RolloutRow, name: str) -> None:
    """Save which Organization a tenant goes to, by its name; a name that nobody has makes a new one. Raises Invalid on ``name``."""
    lock(db.session(), Rollout, rollout.id, "roll-out")
    if row.status in {"suggested", "unmapped"}:
        clean_name = checked_name(name)
        _match(row, clean_name, _organizations_named([clean_name]))
        db.session.flush()


def confirm_organizations(rollout: Rollout, names: Mapping[str, str], chosen: Collection[str]) -> int:
    """Create or match the Organizations and map them: the rows of ``chosen``, each by its name. Returns how many.

    Raises Invalid, by row id, for names that cannot be used, are used twice, or belong to a mapped Organization; nothing is
    confirmed then, and what was chosen is kept.
    """
    lock(db.session(), Rollout, rollout.id, "roll-out")
    open_rows = [row for row in rows(rollout) if row.status in {"suggested", "unmapped"}]
    errors: dict[str, list[str]] = {}
    namesakes = _organizations_named([names.get(row.id, row.organization_name) for row in open_rows])
    used: dict[str, str] = {}
    confirmed = []
    for row in open_rows:
        row.is_chosen = row.id in chosen
        if not row.is_chosen:
            continue
        try:
            clean_name = checked_name(names.get(row.id, row.organization_name))
        except Invalid as error:
            errors[row.id] = [text for texts in error.errors.values() for text in texts]
            continue
        if text_key(clean_name) != text_key(row.organization_name):
            _match(row, clean_name, namesakes)
        problem = _name_problem(row, clean_name, namesakes, used)
        if problem:
            errors[row.id] = [problem]
        else:
            confirmed.append(row)
    if errors:
        raise Invalid(errors, f"{len(errors)} of the names cannot be used. They are marked below.")
    if not confirmed:
        raise Invalid({"id": ["Choose at least one customer."]})
    for row in confirmed:
        _set(row, "mapping")
    db.session.flush()
    return len(confirmed)


def set_up(rollout: Rollout, template: FilterTemplate | None, body: Mapping[str, Any]) -> int:
    """Preview the filters for all Organizations that are mapped. Returns how many. Raises Invalid per section, Refused for none."""
    lock(db.session(), Rollout, rollout.id, "roll-out")
    if rollout.kind == "template":
        raise Refused("This previews a changed template. Edit the template to try other filters.")
    parsed = documents.parse(body)
    rollout.template_id, rollout.request = (None if template is None else template.id), parsed
    to_preview = [row for row in rows(rollout) if row.status in {"mapped", "previewed", "blocked", "refused"}]
    if not to_preview:
        raise Refused("No Organization of this roll-out is ready to be set up.")
    for row in to_preview:
        row.preview, row.plan_id, row.is_chosen = {}, "", True
        _set(row, "previewing")
    db.session.flush()
    return len(to_preview)


def confirm(rollout: Rollout, chosen: Collection[str]) -> int:
    """Enable, or save, for the rows of ``chosen`` that were previewed. Returns how many. The others wait for another time.

    Of a changed template the template itself is saved here. Raises Refused when it was changed meanwhile.
    """
    lock(db.session(), Rollout, rollout.id, "roll-out")
    previewed = [row for row in rows(rollout) if row.status == "previewed"]
    if rollout.kind == "template":
        _save_template(rollout)
    number = 0
    for row in previewed:
        row.is_chosen = row.id in chosen
        if row.is_chosen:
            _set(row, "enabling")
            number += 1
        elif rollout.kind == "template":
            _depart(row)
    if not number and rollout.kind != "template":
        raise Invalid({"id": ["Choose at least one Organization."]})
    db.session.flush()
    return number


def retry(rollout: Rollout, row_id: str | None = None) -> int:
    """Retry one failed row, or all. Returns how many."""
    lock(db.session(), Rollout, rollout.id, "roll-out")
    number = 0
    for row in rows(rollout):
        if row.status in FAILED and row_id in {None, row.id}:
            row.is_chosen = True
            _set(row, AGAIN[row.status])
            number += 1
    db.session.flush()
    return number


def leave_out(row: RolloutRow) -> None:
    """Take one out of the roll-out; what was done for it stays."""
    if row.status not in {"enabling", "enabled"}:
        _set(row, "left_out")
        db.session.flush()


def close(rollout: Rollout) -> None:
    """Close a roll-out: it is no longer listed, and rows that still wait are left out."""
    lock(db.session(), Rollout, rollout.id, "roll-out")
    db.session.execute(
        update(RolloutRow)
        .where(RolloutRow.rollout_id == rollout.id, RolloutRow.status.not_in(["enabled", "enabling"]))
        .values(status="left_out", claimed_until=None)
    )
    rollout.closed_at = utcnow()
    db.session.flush()


def free_names() -> Sequence[str]:
    """The names of the Organizations whose Tenant is not mapped: what a tenant can be matched to."""
    return db.session.scalars(
        select(Organization.name)
        .join(Tenant, Tenant.id == Organization.tenant_id)
        .where(Tenant.microsoft_tenant_id.is_(None))
        .order_by(Organization.name_key)
    ).all()


def _save_template(rollout: Rollout) -> None:
    request = rollout.request
    template = db.session.get(FilterTemplate, rollout.template_id or "")
    if template is None:
        raise Refused(
            "The template has been deleted, so nothing was saved.", link="/settings/filter-templates"
        )
    now = {**documents.body_of(template), "name": template.name}
    if now != request["before"]:
        raise Refused(
            "Someone else changed the template, so nothing was saved. Edit it again.",
            link=f"/settings/filter-templates/{template.id}",
        )
    templates.change(template, request["name"], request)
    saved = {**documents.body_of(template), "name": template.name}
    rollout.request = {**request, "before": saved}


def _depart(row: RolloutRow) -> None:
    """Record the departure of an Organization that does not get a changed template, so that later changes skip it too."""
    follower = db.session.get(TemplateFollower, row.organization_id or "")
    if follower is not None:
        follower.applied = row.preview["applied"]
    _set(row, "left_out")


def _set(row: RolloutRow, status: str) -> None:
    row.status, row.problem, row.problem_code, row.claimed_until = status, "", "", None


def _organizations_named(names: Sequence[str]) -> dict[str, Organization]:
    keys = {text_key(name) for name in names}
    organizations = db.session.scalars(select(Organization).where(Organization.name_key.in_(keys)))
    return {row.name_key: row for row in organizations}


def _match(row: RolloutRow, name: str, namesakes: Mapping[str, Organization]) -> None:
    """By name, as a person chose it: an Organization that is called so, or a new one."""
    organization = namesakes.get(text_key(name))
    row.organization_name = name if organization is None else organization.name
    row.organization_id = None if organization is None else organization.id
    row.matched_by = "person"


def _name_problem(
    row: RolloutRow, name: str, namesakes: Mapping[str, Organization], used: dict[str, str]
) -> str:
    key = text_key(name)
    organization = namesakes.get(key)
    if key in used:
        return (
            f"{used[key]} has this name in the table too. Each Microsoft tenant needs its own Organization."
        )
    used[key] = row.name
    if organization is None:
        row.organization_id = None
        return ""
    row.organization_id = organization.id
    mapped = organization.tenant.microsoft_tenant_id
    if mapped not in {None, row.microsoft_tenant_id}:
        return f"{organization.name} is mapped to another Microsoft tenant. Choose another name."
    return ""
