"""A template for many Organizations in one call, as programs and the command line do it: each in a transaction of its own (F3).

Nothing here is asked about: whoever wants to look first asks for a dry run. The page's way is ``rollouts.service``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from portal.errors import Invalid, PortalError, RetryLater
from portal.extensions import db
from portal.filter_templates import copying
from portal.filter_templates import service as templates
from portal.models import FilterTemplate, Organization
from portal.transactions import begin_write
from portal.user_sync import previews
from portal.user_sync.documents import no_counts

WRONG_TENANT = (
    "This may be the wrong Microsoft tenant: none of {known:,} known e-mail addresses belongs to its domains. "
    "If it is the right one, set up this Organization on its own."
)
WILL = {"enable": "enabled", "edit": "edited", "unchanged": "unchanged"}
"""What a dry run says, and what is said once it is done."""


@dataclass(frozen=True)
class BulkResult:
    """The outcome for one Organization, or the expected one.

    outcome: enable | edit, or enabled | edited once it is done; unchanged | waiting (for the first read) | refused. problem:
    why, for the last two. scope: U11 in numbers, for a sync that is enabled.
    """

    organization_id: str
    name: str
    outcome: str
    counts: Mapping[str, int] = field(default_factory=no_counts)
    scope: Mapping[str, Any] | None = None
    problem: str | None = None

    def document(self) -> dict[str, Any]:
        """The result as the API shows it."""
        return {
            "organization_id": self.organization_id,
            "name": self.name,
            "outcome": self.outcome,
            "counts": dict(self.counts),
            "scope_change": None if self.scope is None else dict(self.scope),
            "problem": self.problem,
        }


def organizations(ids: Sequence[str]) -> list[Organization]:
    """The Organizations of these ids, in their order, each once. Raises Invalid when there is none such, or none at all."""
    loaded = [
        db.session.get(Organization, row_id[:64]) for row_id in dict.fromkeys(ids) if "\x00" not in row_id
    ]
    rows = [row for row in loaded if row is not None]
    if not ids or len(rows) != len(set(ids)):
        raise Invalid({"organization_ids": ["Name at least one Organization that exists."]})
    return rows


def dry_run(
    ids: Sequence[tuple[str, str]], body: Mapping[str, Any], *, keeps_departures: bool = False
) -> list[BulkResult]:
    """What each would do, by ``(id, name)``; writes nothing."""
    return [
        _planned(organization_id, name, body, keeps_departures=keeps_departures)[0]
        for organization_id, name in ids
    ]


def apply(
    ids: Sequence[tuple[str, str]],
    body: Mapping[str, Any],
    template_id: str | None,
    *,
    keeps_departures: bool = False,
) -> list[BulkResult]:
    """Enable or edit each, by ``(id, name)``, and commit each. The caller wakes the scheduler."""
    results = []
    for organization_id, name in ids:
        result, target = _planned(organization_id, name, body, keeps_departures=keeps_departures)
        if target is not None:
            result = _applied(result, target, template_id)
        results.append(result)
    return results


def _planned(
    organization_id: str, name: str, body: Mapping[str, Any], *, keeps_departures: bool
) -> tuple[BulkResult, copying.Target | None]:
    """What would become of one Organization; without a target when nothing can."""
    db.session.rollback()
    organization = db.session.get(Organization, organization_id)
    if organization is None:
        return BulkResult(organization_id, name, "refused", problem="It has been deleted."), None
    try:
        planned = copying.preview(organization, body, keeps_departures=keeps_departures)
    except RetryLater as later:
        return BulkResult(organization_id, name, "waiting", problem=_waits(organization, body, later)), None
    except Invalid as error:
        return BulkResult(organization_id, name, "refused", problem=error.sentences()), None
    except PortalError as error:
        return BulkResult(organization_id, name, "refused", problem=error.advice), None
    finally:
        db.session.rollback()
    document = planned.document
    outcome = "unchanged" if document["is_saved"] else ("edit" if document["is_enabled"] else "enable")
    guard = document["guard"]
    problem = None
    if outcome == "enable" and guard is not None and guard["tone"] == "none":
        outcome, problem = "refused", WRONG_TENANT.format(known=guard["known"])
    result = BulkResult(organization_id, name, outcome, document["counts"], document["scope"], problem)
    return result, None if outcome == "refused" else planned.target


def _waits(organization: Organization, body: Mapping[str, Any], later: RetryLater) -> str:
    """Have the members of the groups read that the template means, so that the next call finds them."""
    try:
        ids = copying.uncounted_groups(organization, body)
    except PortalError:
        return later.advice
    if ids:
        begin_write(db.session())
        previews.want_group_members(organization, ids)
        db.session.commit()
    return later.advice


def _applied(result: BulkResult, target: copying.Target, template_id: str | None) -> BulkResult:
    session = begin_write(db.session())
    try:
        organization = session.get_one(Organization, result.organization_id)
        template = session.get(FilterTemplate, template_id) if template_id else None
        copying.apply(organization, target, template)
        session.commit()
    except PortalError as error:
        session.rollback()
        return BulkResult(result.organization_id, result.name, "refused", problem=error.advice)
    done = WILL[result.outcome]
    return BulkResult(result.organization_id, result.name, done, result.counts, result.scope)


def named(rows: Sequence[Organization]) -> list[tuple[str, str]]:
    """What the functions above take: ids and names, which stay known when a transaction ends."""
    return [(row.id, row.name) for row in rows]


def follower_ids(template: FilterTemplate) -> list[tuple[str, str]]:
    """The Organizations that follow a template."""
    return named(templates.followers(template.id))
