"""How the syncs of a roll-out are doing, all in one place, in a handful of queries."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import select

from portal.extensions import db
from portal.http.formatting import plural
from portal.models import ACTIVE, MicrosoftTenant, Organization, RolloutRow, SyncRun, Tenant
from portal.organizations import listing as organizations
from portal.rollouts.views import SyncLine
from portal.user_sync.documents import status_of


def sync_lines(rows: Sequence[RolloutRow]) -> dict[str, SyncLine]:
    """Organization id -> how its sync is doing, for the rows that are enabled."""
    ids = [row.organization_id for row in rows if row.status == "enabled" and row.organization_id]
    if not ids:
        return {}
    customers = list(db.session.scalars(select(Organization).where(Organization.id.in_(ids))))
    tenants = {
        organization_id: tenant
        for organization_id, tenant in db.session.execute(
            select(Organization.id, MicrosoftTenant)
            .join(Tenant, Tenant.id == Organization.tenant_id)
            .join(MicrosoftTenant, MicrosoftTenant.id == Tenant.microsoft_tenant_id)
            .where(Organization.id.in_(ids))
        )
    }
    lines = {}
    for row in organizations.rows(customers):
        run = row.last_run
        status = status_of(row.sync, tenants.get(row.organization.id))
        is_over = run is None or run.status not in ACTIVE
        lines[row.organization.id] = SyncLine(status, _words(run), None if run is None else run.id, is_over)
    return lines


def _words(run: SyncRun | None) -> str:
    if run is None:
        return ""
    if run.status == "queued":
        return "Waits for its turn"
    if run.status == "running":
        done = f": {run.done:,} of {run.total:,} people" if run.total else ""
        return f"{run.phase or 'Running'}{done}"
    counts = run.counts or {}
    number = sum(counts.get(name, 0) for name in ("created", "linked", "updated"))
    effect = f"{plural(number, 'End User')} added or updated" if number else "No changes"
    if counts.get("conflicts"):
        effect += f", {plural(counts['conflicts'], 'conflict')}"
    return effect if run.status == "succeeded" else f"The last run: {run.status}"
