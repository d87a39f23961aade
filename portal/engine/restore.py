"""R3: bring people who were here before a Microsoft tenant's syncs back to what they were, from all its change records.

Where an undo takes back one run (R5), this takes back everything that the syncs with one Microsoft tenant did to a person:
each field goes back to what the first record found, unless somebody edited it after the last one; then it is spared and told.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.batches import batches
from portal.engine.fields import is_link_field
from portal.engine.undo import former_time, put_link_back, take_assets_back
from portal.engine.uniqueness import find_taken
from portal.models import Change, EndUser, SyncRun
from portal.models.customers import refresh_search


@dataclass
class Restoration:
    """What goes back for one person. fields: name → (now, back to). spared: fields edited since, which stay as they are.

    former_link: the Link to another tenant that was there before, None when there was none; moved_at: when it moved away.
    updated_at: ISO time or None.
    """

    end_user: EndUser
    fields: dict[str, tuple[str, str]] = field(default_factory=dict)
    spared: tuple[str, ...] = ()
    former_link: Mapping[str, Any] | None = None
    moved_at: datetime | None = None
    updated_at: str | None = None


def plan_restore(
    session: Session, organization_id: str, microsoft_tenant_id: str, people: Sequence[EndUser]
) -> list[Restoration]:
    """One Restoration per person, in their order. Changes nothing."""
    records: dict[str, list[Change]] = {row.id: [] for row in people}
    for part in batches(list(records)):
        changes = session.scalars(
            select(Change)
            .join(SyncRun, SyncRun.id == Change.run_id)
            .where(
                Change.end_user_id.in_(part),
                Change.organization_id == organization_id,
                Change.state == "applied",
                SyncRun.kind == "sync",
                SyncRun.microsoft_tenant_id == microsoft_tenant_id,
            )
            .order_by(Change.at, Change.id)
        )
        for change in changes:
            records[change.end_user_id or ""].append(change)
    plans = [_restoration(row, records[row.id]) for row in people]
    _spare_taken(session, organization_id, plans)
    return plans


def apply_restore(session: Session, plans: Iterable[Restoration]) -> None:
    """Write the fields back, take the Links away or back to what they were, and the Assets that the sync gave. The caller commits."""
    plans = list(plans)
    for plan in plans:
        # Two people may get each other's address (M4) or account (M5) back.
        if "email" in plan.fields:
            plan.end_user.email_key = None
        if plan.former_link is not None:
            plan.end_user.object_id = None
    session.flush()
    for plan in plans:
        row = plan.end_user
        for name, (_, back) in plan.fields.items():
            setattr(row, name, back)
        refresh_search(row)
        if plan.updated_at is not None and not plan.spared:
            row.updated_at = former_time(plan.updated_at)
        if row.microsoft_tenant_id is not None:
            put_link_back(row, plan.former_link)
        take_assets_back(session, row.id, None if plan.former_link is None else plan.moved_at)
    session.flush()


def _restoration(row: EndUser, changes: Sequence[Change]) -> Restoration:
    first: dict[str, str] = {}
    last: dict[str, str] = {}
    for change in changes:
        for entry in change.fields:
            if is_link_field(entry["field"]):
                continue  # the Link goes, or comes back whole
            first.setdefault(entry["field"], entry["old"])
            last[entry["field"]] = entry["new"]
    plan, spared = Restoration(row), []
    for name, back in first.items():
        present = getattr(row, name)
        if present == back:
            continue
        if present == last[name]:
            plan.fields[name] = (present, back)
        else:
            spared.append(name)
    plan.spared = tuple(spared)
    linking = next((change for change in changes if "link" in change.undo), None)
    if linking is not None:
        plan.former_link, plan.moved_at = linking.undo["link"], linking.at
    plan.updated_at = next((c.undo["updated_at"] for c in changes if "updated_at" in c.undo), None)
    return plan


def _spare_taken(session: Session, organization_id: str, plans: Sequence[Restoration]) -> None:
    """Spare addresses and Microsoft accounts that another End User has now."""
    by_id = {plan.end_user.id: plan for plan in plans}
    addresses, accounts = find_taken(
        session,
        organization_id,
        {i: plan.fields for i, plan in by_id.items()},
        {i: plan.former_link for i, plan in by_id.items()},
    )
    for end_user_id in addresses:
        plan = by_id[end_user_id]
        del plan.fields["email"]
        plan.spared = (*plan.spared, "email")
    for end_user_id in accounts:
        by_id[end_user_id].former_link = None
