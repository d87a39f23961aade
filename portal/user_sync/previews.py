"""What is shown before anything is saved: the values to choose from, what a choice matches, what a run would do, and why (U2, U5, U11).

Previews look at the mirror as it is and write nothing.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import update

from portal.clock import utcnow
from portal.engine import options as engine_options
from portal.engine import preview as engine_preview
from portal.engine.records import SECTIONS, Decision
from portal.errors import Invalid, Refused
from portal.extensions import db
from portal.microsoft import service as microsoft
from portal.models import DirectoryGroup, MicrosoftTenant, Organization
from portal.text import text_key
from portal.user_sync import documents, matching
from portal.user_sync.documents import SyncRequest, saved_request
from portal.user_sync.plans import plan_id, previewed
from portal.user_sync.service import check_groups, find, mapped

ASK_AGAIN = timedelta(minutes=1)
PREVIEW_ROWS = 100
LIVE_LIMIT = 3_000  # users up to which every change in the pop-up is decided about at once; beyond, apart
OPENING_LIMIT = 300  # the same when it opens: it is there at once, and the decisions follow


def options(
    organization: Organization, sections: Collection[str] = SECTIONS
) -> dict[str, list[dict[str, Any]]]:
    """Per section asked for what the pop-up offers (U2).

    Raises Refused when not mapped, RetryLater before the first read.
    """
    microsoft_tenant = _read(organization)
    row = find(organization)
    saved = None if row is None else documents.parse(saved_request(row)).filters
    offered = engine_options.options(db.session(), microsoft_tenant.id, saved, sections)
    return {section: [dict(value) for value in values] for section, values in offered.items()}


def want_group_members(organization: Organization, group_ids: list[str]) -> None:
    """Have the members of groups read that the pop-up shows as "not counted yet" or as of long ago. The caller commits and wakes."""
    microsoft_tenant = _read(organization)
    now = utcnow()
    changed = db.session.execute(
        update(DirectoryGroup)
        .where(
            DirectoryGroup.microsoft_tenant_id == microsoft_tenant.id,
            DirectoryGroup.object_id.in_(group_ids),
            DirectoryGroup.members_read_at.is_(None) | DirectoryGroup.members_stale.is_(True),
            # the pop-up asks every few seconds, also for a group that cannot be read
            DirectoryGroup.members_wanted_at.is_(None) | (DirectoryGroup.members_wanted_at < now - ASK_AGAIN),
        )
        .values(members_wanted_at=now)
    )
    if changed.rowcount:  # type: ignore[attr-defined]
        microsoft.request_read(microsoft_tenant)


@dataclass(frozen=True)
class Preview:
    """What the next run would do, and which ``page`` of it is looked at. fitting: the decisions that were asked for."""

    plan_id: str
    result: engine_preview.PreviewResult
    fitting: Sequence[Decision]
    page: int
    per_page: int

    @property
    def pages(self) -> int:
        """How many there are, one at least."""
        return max(1, -(-len(self.fitting) // self.per_page))

    @property
    def decisions(self) -> list[dict[str, Any]]:
        """Those of the page, as the API answers them."""
        start = (self.page - 1) * self.per_page
        return [
            engine_preview.decision_document(decision)
            for decision in self.fitting[start : start + self.per_page]
        ]

    def document(self) -> dict[str, Any]:
        """The answer of the API and the command line (U5, U10, U11, U12)."""
        return {
            "plan_id": self.plan_id,
            "counts": self.result.counts_document(),
            "total": len(self.fitting),
            "page": self.page,
            "per_page": self.per_page,
            "decisions": self.decisions,
            "domain_overlap": self.result.domain_overlap,
            "scope_change": self.result.scope_change,
            "held": self.result.held,
            "warnings": list(self.result.warnings),
        }


def preview(
    organization: Organization,
    body: Mapping[str, Any],
    *,
    decision: str = "",
    q: str = "",
    page: int = 1,
    per_page: int = PREVIEW_ROWS,
) -> Preview:
    """What the next run would do with these filters, from the mirror as it is; writes nothing (U5, U10, U11, U12).

    Narrowed to one kind of decision, or to names and addresses. Raises Invalid, Refused and RetryLater as ``put`` does.
    """
    microsoft_tenant = _read(organization)
    request = documents.parse(body)
    check_groups(request, microsoft_tenant, find(organization))
    result = previewed(organization, request)
    needle = text_key(q)
    fitting = [
        row
        for row in result.decisions
        if (not decision or row.action.value == decision)
        and (not needle or needle in text_key(f"{row.display_name} {row.email} {row.user_principal_name}"))
    ]
    return Preview(plan_id(organization, result.fingerprint), result, fitting, page, per_page)


@dataclass(frozen=True)
class Recount:
    """What some filters match now. previewed: None when it was left out."""

    match: matching.Match
    previewed: engine_preview.PreviewResult | None


def recount(organization: Organization, request: SyncRequest, *, limit: int | None = None) -> Recount:
    """How many match, and what enabling or saving would do (U5, U11); writes nothing, refuses nothing but waiting.

    The second part is left out for tenants of more users than ``limit``.

    Raises Refused when not mapped, RetryLater before the first read.
    """
    microsoft_tenant = _read(organization)
    match = matching.count(db.session(), microsoft_tenant, request.filters)
    is_wanted = limit is None or match.total <= limit
    return Recount(match, previewed(organization, request) if is_wanted else None)


def explain(organization: Organization, user: str) -> dict[str, Any]:
    """Why one person is or is not synced. Raises NotFound, and Refused if no sync is set up."""
    if find(organization) is None:
        raise Refused(
            f"{organization.name} has no Microsoft User Sync. Set it up first.",
            link=f"/tenants/{organization.tenant_id}",
        )
    if not user.strip():
        raise Invalid({"user": ["Name a person by UPN, object ID or e-mail address."]})
    _read(organization)
    return engine_preview.explain(db.session(), organization.id, user.strip(), utcnow())


def _read(organization: Organization) -> MicrosoftTenant:
    tenant = mapped(organization)
    microsoft.require_read(tenant)
    return tenant
