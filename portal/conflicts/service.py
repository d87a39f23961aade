"""Conflicts: what the sync could not decide, and how somebody settles it (M7)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import func, select

from portal import audit
from portal.clock import utcnow
from portal.conflicts import settlement
from portal.engine import people_version
from portal.engine.organization_context import load_context
from portal.engine.plan.preference import Preference, preferences
from portal.errors import Invalid, Refused
from portal.extensions import db
from portal.http.listing import Listing, ListSpec, contains_text, fetch
from portal.locks import lock
from portal.microsoft import service as microsoft
from portal.models import Conflict, DirectoryUser, EndUser, MicrosoftTenant, Organization, UserSync
from portal.runs.service import lock_run

MOST = 500
"""So many conflicts are settled at once at most."""
CONFLICTS = ListSpec(
    sorts={"created_at": (Conflict.created_at,), "email": (Conflict.email,), "kind": (Conflict.kind,)},
    default_sort="created_at",
    filters={"kind": None, "state": ("open", "resolved")},
    per_page=25,
)


def page(organization: Organization, query: Listing) -> Listing:
    """One page of an Organization's conflicts; the open ones unless ``state=resolved`` is asked for."""
    statement = select(Conflict).where(Conflict.organization_id == organization.id)
    is_resolved = query.filters.get("state") == "resolved"
    settled = Conflict.resolved_at.is_not(None)
    statement = statement.where(settled if is_resolved else ~settled)
    if "kind" in query.filters:
        statement = statement.where(Conflict.kind == query.filters["kind"])
    if query.q:
        statement = statement.where(contains_text(query.q, Conflict.display_name, Conflict.email))
    return fetch(db.session(), statement, query, CONFLICTS, tiebreaker=Conflict.id)


def kinds(organization: Organization) -> dict[str, int]:
    """Kind → how many of the Organization's conflicts are open."""
    rows = db.session.execute(
        select(Conflict.kind, func.count())
        .where(Conflict.organization_id == organization.id, Conflict.resolved_at.is_(None))
        .group_by(Conflict.kind)
    )
    return {kind: number for kind, number in rows}


def preferred(organization: Organization, rows: Sequence[Conflict]) -> dict[str, Preference]:
    """Object id → which side the next run takes, and why: asked of the plan itself, over everybody.

    Nothing for an Organization without a User Sync, or whose Microsoft tenant was not read yet.
    """
    tenant = microsoft.mapped_to(organization)
    sync = select(UserSync.id).where(UserSync.organization_id == organization.id)
    if tenant is None or tenant.last_synced_at is None or db.session.scalar(sync) is None:
        return {}
    context = load_context(db.session(), organization.id, now=utcnow())
    object_ids = {row.object_id for row in rows if row.resolved_at is None}
    shot = context.snapshot(db.session())
    return preferences(shot, object_ids, is_initial=context.is_initial) if object_ids else {}


def questions(organization: Organization, rows: Sequence[Conflict]) -> dict[str, settlement.Question]:
    """Conflict id -> both sides, and the End Users who may be meant (M7)."""
    return settlement.questions(db.session(), organization, rows)


def choices(rows: Iterable[Conflict]) -> dict[str, EndUser]:
    """End User id -> the End User who was chosen when a conflict was settled (M7), of those who still exist."""
    ids = {row.resolved_end_user_id for row in rows if row.resolution == "link"}
    return {row.id: row for row in db.session.scalars(select(EndUser).where(EndUser.id.in_(ids)))}


def documents(rows: Sequence[Conflict]) -> list[dict[str, Any]]:
    """Conflicts of one Organization as the API shows them."""
    if not rows:
        return []
    organization = db.session.get_one(Organization, rows[0].organization_id)
    by_id = questions(organization, rows)
    return [_document(row, by_id[row.id]) for row in rows]


def _document(row: Conflict, question: settlement.Question) -> dict[str, Any]:
    return {
        "id": row.id,
        "organization_id": row.organization_id,
        "kind": row.kind,
        "reason": row.reason,
        "object_id": row.object_id,
        "display_name": row.display_name,
        "email": row.email,
        "end_user_id": row.end_user_id,
        "other_object_id": row.other_object_id,
        "run_id": row.run_id,
        "created_at": row.created_at,
        "resolution": row.resolution,
        "resolved_end_user_id": row.resolved_end_user_id if row.resolution == "link" else None,
        "resolved_at": row.resolved_at,
        "resolved_by": row.resolved_by,
        "sides": [side.document() for side in question.sides],
    }


def resolve(row: Conflict, action: str, end_user_id: str | None = None) -> None:
    """Settle a conflict (M7): ``link`` gives the End User to this Microsoft user, ``ignore`` leaves it until a side changes.

    The next run links; whoever holds either of the two is unlinked now. Raises Invalid for a bad action or End User, Refused
    when it is settled already, RetryLater before the tenant's first read. The caller commits, or rolls back.
    """
    lock_run(row)
    if row.resolved_at is not None:
        raise Refused("This conflict is settled already.")
    if action not in {"link", "ignore"}:
        raise Invalid({"action": ["Must be one of: link, ignore."]})
    if action == "ignore" and end_user_id is not None:
        raise Invalid({"end_user_id": ["Only link takes an End User."]})
    row.resolution = action
    row.resolved_at = utcnow()
    row.resolved_by = audit.current_actor().name
    if action == "link":
        organization = db.session.get_one(Organization, row.organization_id)
        chosen = _chosen(row, end_user_id)
        _require_known(row, organization)
        settlement.give(db.session(), row, organization, chosen)
    audit.record(db.session(), "conflict_resolved", row, kind=row.kind, settlement=action)
    people_version.touch(db.session(), [row.organization_id])  # a run in progress decides by it too
    db.session.flush()


@dataclass(frozen=True)
class Bulk:
    """Conflicts that are settled together. rows: those that can be; names: what becomes of each, in the same order.

    left_out: how many cannot be, because more than one End User may be meant, or none.
    """

    rows: Sequence[Conflict]
    names: Sequence[tuple[str, str]]
    left_out: int


def bulk(organization: Organization, action: str, ids: Sequence[str], query: Listing | None) -> Bulk:
    """The conflicts that ``action`` settles at once: the open ones of ``ids``, or all that match ``query``.

    At most ``MOST`` at a time. Raises Invalid for nobody, or an action that is neither link nor ignore.
    """
    if action not in {"link", "ignore"}:
        raise Invalid({"action": ["Must be one of: link, ignore."]})
    if query is not None:
        rows: Sequence[Conflict] = page(organization, replace(query, page=1, per_page=MOST)).items
    else:
        rows = db.session.scalars(
            select(Conflict)
            .where(
                Conflict.organization_id == organization.id,
                Conflict.resolved_at.is_(None),
                Conflict.id.in_(ids[:MOST]),
            )
            .order_by(Conflict.display_name, Conflict.id)
        ).all()
    rows = [row for row in rows if row.resolved_at is None]
    if not rows:
        raise Invalid({"id": ["Check at least one open conflict first."]})
    if action == "ignore":
        return Bulk(rows, [(row.display_name or row.object_id, row.email) for row in rows], 0)
    by_id = questions(organization, rows)
    sure = [row for row in rows if len(by_id[row.id].choices) == 1]
    names = [
        (row.display_name or row.object_id, f"linked to {by_id[row.id].choices[0].end_user.display_name}")
        for row in sure
    ]
    return Bulk(sure, names, len(rows) - len(sure))


def settle_together(organization: Organization, action: str, ids: Sequence[str]) -> int:
    """Settle conflicts with the only possible End User, or ignore them. Returns how many. The caller commits.

    Conflicts that were settled meanwhile, or have several candidates now, are left out.
    """
    done = 0
    for row in bulk_rows(organization, ids):
        if row.resolved_at is not None:  # settled along with the one before
            continue
        choice = None
        if action == "link":
            choices = questions(organization, [row])[row.id].choices
            if len(choices) != 1:
                continue
            choice = choices[0].end_user.id
        resolve(row, action, choice)
        done += 1
    return done


def bulk_rows(organization: Organization, ids: Sequence[str]) -> list[Conflict]:
    """The open conflicts of ``ids``, kept from others until the transaction ends."""
    lock(db.session(), Organization, organization.id)
    statement = select(Conflict).where(
        Conflict.organization_id == organization.id, Conflict.id.in_(ids), Conflict.resolved_at.is_(None)
    )
    return list(db.session.scalars(statement))


def reopen(row: Conflict) -> None:
    """Take a settlement back: Links are as before, and the next run says whether it still is a conflict (M7).

    Raises Refused when nobody settled it. The caller commits.
    """
    lock_run(row)
    if row.resolution not in {"ignore", "link"}:
        raise Refused("Only a conflict that someone settled can be opened again.")
    settlement.take_back(db.session(), row)
    audit.record(db.session(), "conflict_reopened", row, kind=row.kind)
    people_version.touch(db.session(), [row.organization_id])
    db.session.flush()


def _chosen(row: Conflict, end_user_id: str | None) -> EndUser:
    if not end_user_id:
        raise Invalid({"end_user_id": ["Name the End User who is meant."]})
    end_user = db.session.get(EndUser, end_user_id)
    if end_user is None or end_user.organization_id != row.organization_id:
        raise Invalid({"end_user_id": ["This Organization has no such End User."]})
    return end_user


def _require_known(row: Conflict, organization: Organization) -> None:
    """Before a tenant's first read nobody knows whether its user still exists. Raises RetryLater."""
    tenant_id = organization.tenant.microsoft_tenant_id
    tenant = db.session.get(MicrosoftTenant, tenant_id) if tenant_id is not None else None
    if tenant is not None and db.session.get(DirectoryUser, (tenant.id, row.object_id)) is None:
        microsoft.require_read(tenant)
