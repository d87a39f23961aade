"""Who stopped matching the filters in one run, and why: a department that was renamed empties a filter (G9)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.engine.batches import batches
from portal.engine.explain import SECTION_LABELS
from portal.engine.organization_context import OrganizationContext
from portal.engine.records import FilterSpec, Kind, Plan
from portal.engine.scope import value_key
from portal.engine.section_columns import COLUMNS
from portal.models import DirectoryUser, SyncRun, UserSync

PERCENT, MINIMUM = 25, 10


def warning(session: Session, sync: UserSync, plan: Plan, context: OrganizationContext) -> str | None:
    """The warning of a run after which too many linked people no longer match, else None.

    The first run after the filters were saved gives no warning: saving shows who leaves (U11).
    """
    if plan.leaving < MINIMUM or plan.leaving * 100 <= PERCENT * plan.linked:
        return None
    if not _is_decided_before(session, sync):
        return None
    left = [a.object_id for a in plan.assignments if a.kind is Kind.OUT_OF_SCOPE and a.was_in_scope]
    causes = [cause for section in COLUMNS if (cause := _cause(session, section, context, left)) is not None]
    number = f"{plan.leaving:,} of {plan.linked:,} linked people no longer match the filters."
    return " ".join((number, *causes, "Edit the filters, or leave them as they are."))


def _is_decided_before(session: Session, sync: UserSync) -> bool:
    """True when a run came to its end under the filters as they are."""
    if sync.initial_done_at is None:
        return False
    if sync.edited_at is None:
        return True
    statement = (
        select(SyncRun.id)
        .where(
            SyncRun.organization_id == sync.organization_id,
            SyncRun.kind == "sync",
            SyncRun.finished_at >= sync.edited_at,
            SyncRun.created_at >= sync.edited_at,
            SyncRun.status.in_(("succeeded", "partial", "held")),
        )
        .limit(1)
    )
    return session.scalar(statement) is not None


def _cause(session: Session, section: str, context: OrganizationContext, left: Sequence[str]) -> str | None:
    """Which values of a section's filter vanished from Microsoft, and what most of those who left have now."""
    vanished = _vanished(session, section, context.filters, context.microsoft_tenant_id)
    if not vanished:
        return None
    present_values: Counter[str] = Counter()
    for part in batches(left):
        rows = session.scalars(
            select(COLUMNS[section][1]).where(
                DirectoryUser.microsoft_tenant_id == context.microsoft_tenant_id,
                DirectoryUser.object_id.in_(part),
            )
        )
        present_values.update(rows)
    names = ", ".join(f"“{value}”" for value in vanished)
    gone = f"Nobody in Microsoft has the {SECTION_LABELS[section]} {names} any more"
    if not present_values:
        return f"{gone}."
    value, number = present_values.most_common(1)[0]
    return f"{gone}; {number:,} of those who left have “{value or '(none)'}” now."


def _vanished(session: Session, section: str, spec: FilterSpec, tenant_id: str) -> list[str]:
    chosen = getattr(spec, section)
    values = [] if chosen.all else [value for value in chosen.values if value]
    if not values:
        return []
    column = COLUMNS[section][0]
    present = {
        value_key(section, value)
        for value in session.scalars(
            select(column)
            .where(
                DirectoryUser.microsoft_tenant_id == tenant_id,
                DirectoryUser.presence == "present",
                func.length(column) > 0,
            )
            .distinct()
        )
    }
    return [value for value in values if value_key(section, value) not in present]
