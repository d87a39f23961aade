"""What G1 held back: apply it or dismiss it. Everything is checked again, since days may have passed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.clock import iso
from portal.engine import writer
from portal.engine.decide import plan
from portal.engine.guards import hold_key
from portal.engine.records import Action, Decision
from portal.engine.snapshot import load
from portal.engine.writer import Target
from portal.errors import Refused
from portal.models import Change, SyncRun, UserSync

GONE = "Not applied: the person or Microsoft has changed since. The next run decides anew."


def apply_held(session: Session, run: SyncRun, actor: str, now: datetime) -> None:
    """Apply the held decisions that still hold true; the others are marked dismissed with the reason. The caller commits.

    Raises Refused when nothing is held, or the sync is not enabled any more.
    """
    sync = _waiting(session, run)
    rows = _rows(session, run)
    loaded = load(session, run.organization_id, now=now)
    present = {hold_key(d): d for d in plan(loaded.snapshot).decisions}
    tenant_id = loaded.snapshot.microsoft_tenant_id
    target = Target(run.id, run.organization_id, tenant_id, writer.part_numbers(session, tenant_id))
    work = [present[row.hold_key] for row in rows if row.hold_key in present]
    for row in rows:
        session.delete(row)
    session.flush()
    for chunk in writer.chunks(work, max(1, len(work))):
        writer.apply(session, chunk, loaded, target, now)
    done = {decision.object_id for decision in work}
    for row in rows:
        if row.object_id not in done:
            session.add(_left_out(row, now))
    counts = dict(run.counts)
    for decision in work:
        _count(counts, decision)
    counts["unchanged"] = counts.get("unchanged", 0) + counts.get("held", 0)
    counts["held"] = 0
    run.held = {**(run.held or {}), "state": "applied", "left_out": len(rows) - len(done)}
    _settle(session, run, sync, counts, actor, now)


def dismiss_held(session: Session, run: SyncRun, actor: str, now: datetime) -> None:
    """Leave the held decisions undone; the same people are not held again until they change. The caller commits."""
    sync = _waiting(session, run)
    rows = _rows(session, run)
    for row in rows:
        row.state = "dismissed"
    sync.dismissed = sorted({*sync.dismissed, *(row.hold_key for row in rows)})
    counts = dict(run.counts)
    creations = sum(1 for row in rows if row.decision == Action.CREATE.value)
    others = counts.get("held", 0) - creations
    counts.update(
        held=0, unchanged=counts.get("unchanged", 0) + others, skipped=counts.get("skipped", 0) + creations
    )
    counts["in_scope"] = counts.get("in_scope", 0) - creations
    run.held = {**(run.held or {}), "state": "dismissed"}
    _settle(session, run, sync, counts, actor, now)


def _waiting(session: Session, run: SyncRun) -> UserSync:
    sync = session.scalar(select(UserSync).where(UserSync.organization_id == run.organization_id))
    if run.held is None or run.held.get("state") != "waiting":
        raise Refused("Nothing of this run is held back.")
    if sync is None or not sync.enabled:
        raise Refused("The User Sync is not enabled any more, so nothing can be applied.")
    return sync


def _rows(session: Session, run: SyncRun) -> list[Change]:
    return list(session.scalars(select(Change).where(Change.run_id == run.id, Change.state == "held")))


def _count(counts: dict[str, int], decision: Decision) -> None:
    """Move one decision from "held" to what it became; absent and out-of-scope people are outside those sums (G8)."""
    if decision.is_absent:
        counts["gone"] = counts.get("gone", 0) + 1
    elif decision.is_in_scope:
        name = "created" if decision.action is Action.CREATE else "disabled"
        counts[name] = counts.get(name, 0) + 1
        counts["held"] = counts.get("held", 0) - 1


def _left_out(row: Change, now: datetime) -> Change:
    return Change(
        run_id=row.run_id,
        organization_id=row.organization_id,
        end_user_id=row.end_user_id,
        object_id=row.object_id,
        display_name=row.display_name,
        decision=row.decision,
        reason=row.reason,
        note=GONE,
        state="dismissed",
        fields=row.fields,
        undo={},
        payload={},
        hold_key=row.hold_key,
        at=now,
    )


def decided(held: Mapping[str, Any], actor: str, now: datetime) -> dict[str, Any]:
    """A hold with who decided it, and when: what its run's page says from then on."""
    return {**held, "decided_by": actor, "decided_at": iso(now)}


def _settle(
    session: Session, run: SyncRun, sync: UserSync, counts: dict[str, int], actor: str, now: datetime
) -> None:
    run.held = decided(run.held or {}, actor, now)
    run.status, run.counts = "succeeded", counts
    if sync.hold_run_id == run.id:
        sync.hold_run_id = None
    sync.updated_at = now
    session.flush()
