"""What the sync itself did, in the audit log (O4)."""

from __future__ import annotations

from sqlalchemy.orm import Session

from portal import audit
from portal.engine.run_state import FinishedRun
from portal.models import Organization

CHANGES = ("created", "linked", "updated", "disabled", "enabled", "gone", "held")


def record_finished(session: Session, run: FinishedRun) -> None:
    """One event for a run that changed something, failed, or was requested; quiet hourly runs leave none.

    The caller commits it with the end of the run.
    """
    counts = {name: number for name, number in (run.counts or {}).items() if number}
    is_quiet = not any(counts.get(name) for name in CHANGES)
    if run.trigger == "hourly" and run.status == "succeeded" and is_quiet:
        return
    organization = session.get(Organization, run.organization_id)
    audit.record(
        session,
        "sync_run_finished",
        object_type="sync_run",
        object_id=run.id,
        organization="" if organization is None else organization.name,
        status=run.status,
        counts=counts,
    )
