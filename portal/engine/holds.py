"""What G1 held back: applied or dismissed, all of it or some, by name. Everything is decided again, since days may have passed."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from portal.clock import iso
from portal.engine import people_version
from portal.engine.apply.chunks import Work, chunks, prepare, work_of, write_chunk
from portal.engine.organization_context import load_context
from portal.engine.plan import hold_key, hold_kind, plan
from portal.engine.plan.counts import WRITTEN
from portal.engine.records import Action, Assignment, HoldRule
from portal.errors import Invalid, Refused
from portal.models import Change, SyncRun, UserSync

GONE = "Not applied: the person or Microsoft has changed since. The next run decides again."
REPLACED = "A later run replaced it."
_NEVER = HoldRule(percent=100, minimum=1 << 60, create_minimum=1 << 60)


@dataclass(frozen=True)
class Ready:
    """The part of a hold that can be applied: decided again, not yet written."""

    work: Work
    object_ids: frozenset[str]


def prepare_held(
    session: Session, run: SyncRun, now: datetime, object_ids: Collection[str] | None = None
) -> Ready:
    """Decide again on those held, or on some of them. Writes nothing.

    Raises Refused when nothing is held or the sync is not enabled any more, Invalid for somebody who is not held.
    """
    _waiting(session, run)
    rows = _rows(session, run, object_ids)
    held_keys = {row.hold_key for row in rows}
    context = load_context(session, run.organization_id, now=now)
    shot = context.snapshot(session)
    unguarded = plan(shot, is_initial=context.is_initial, rule=_NEVER, dismissed=frozenset())
    chosen = [a for a in unguarded.assignments if hold_kind(a) and hold_key(a) in held_keys]
    work = work_of(session, run.id, context, shot, _without_foreign_addresses(chosen, shot.end_users))
    return Ready(work, frozenset(row.object_id for row in rows))


@dataclass(frozen=True)
class Applied:
    """How many were applied, and how many had changed meanwhile and were left out."""

    people: int
    left_out: int


def apply_held(session: Session, run: SyncRun, ready: Ready, actor: str, now: datetime) -> Applied:
    """Apply the prepared part; who changed meanwhile is dismissed with the reason. The caller commits.

    Raises Stale when somebody else changed people since, Refused when it was decided meanwhile.
    """
    sync = _waiting(session, run)
    rows = {row.object_id: row for row in _rows(session, run, ready.object_ids)}
    done = {a.object_id for a in ready.work.assignments}
    for row in rows.values():
        if row.object_id in done:
            session.delete(row)  # the record of what is applied takes its place
        else:
            row.state, row.note, row.at = "dismissed", GONE, now
    session.flush()
    counts = dict(run.counts)
    for chunk in chunks(ready.work):
        outcome = write_chunk(
            session, chunk, ready.work, prepare(session, chunk, ready.work, now), frozenset(), now
        )
        written = outcome.tally()
        for name in WRITTEN:
            counts[name] = counts.get(name, 0) + written[name]
        counts["conflicts"] = counts.get("conflicts", 0) + sum(
            1 for d in outcome.decisions if d.action is Action.CONFLICT and d.is_in_scope
        )
    people_version.touch(session, [run.organization_id])  # a run in progress must not hold them again
    left_out = [row for object_id, row in rows.items() if object_id not in done]
    _dismiss_counts(counts, left_out)
    counts["held"] = counts.get("held", 0) - sum(map(_is_counted, rows.values()))
    _balance(counts)
    run.held = {
        **(run.held or {}),
        "applied": _number(run, "applied") + len(done),
        "left_out": _number(run, "left_out") + len(left_out),
    }
    _settle(session, run, sync, counts, actor, now)
    return Applied(len(done), len(left_out))


def dismiss_held(
    session: Session, run: SyncRun, actor: str, now: datetime, object_ids: Collection[str] | None = None
) -> int:
    """Leave those held as they are, or some of them; they are not held again until they change. The caller commits.

    Raises Refused when nothing is held, Invalid for somebody who is not held.
    """
    sync = _waiting(session, run)
    rows = _rows(session, run, object_ids)
    for row in rows:
        row.state = "dismissed"
    sync.dismissed = sorted({*sync.dismissed, *(row.hold_key for row in rows)})
    counts = dict(run.counts)
    _dismiss_counts(counts, rows)
    counts["held"] = counts.get("held", 0) - sum(map(_is_counted, rows))
    _balance(counts)
    run.held = {**(run.held or {}), "dismissed": _number(run, "dismissed") + len(rows)}
    _settle(session, run, sync, counts, actor, now)
    return len(rows)


def replace_older(session: Session, organization_id: str, run_id: str) -> None:
    """End the holds of older runs: a later run decided again."""
    for older in session.scalars(
        select(SyncRun)
        .where(SyncRun.organization_id == organization_id, SyncRun.status == "held", SyncRun.id != run_id)
        .with_for_update(key_share=True)  # somebody may decide about it in this moment
    ):
        if older.held and older.held.get("state") == "waiting":
            older.held = {**older.held, "state": "dismissed", "replaced_by": run_id}
            older.status = "succeeded"
            session.execute(
                update(Change)
                .where(Change.run_id == older.id, Change.state == "held")
                .values(state="dismissed", note=REPLACED)
            )


def decided(held: Mapping[str, Any], actor: str, now: datetime) -> dict[str, Any]:
    """A hold with who decided it and when, as the run's page shows it."""
    return {**held, "decided_by": actor, "decided_at": iso(now)}


def _without_foreign_addresses(chosen: Sequence[Assignment], end_users: Sequence[Any]) -> list[Assignment]:
    """Keep the old address where the new one still belongs to somebody who is not applied now; the next run retries."""
    ids = {a.end_user_id for a in chosen if a.end_user_id}
    foreign = {row.email_key for row in end_users if row.email_key and row.id not in ids}
    return [
        replace(a, keeps_email=True) if a.end_user_id and a.email_key in foreign else a
        for a in chosen
        if a.end_user_id or a.email_key not in foreign
    ]


def _waiting(session: Session, run: SyncRun) -> UserSync:
    sync = session.scalar(select(UserSync).where(UserSync.organization_id == run.organization_id))
    if run.held is None or run.held.get("state") != "waiting":
        raise Refused("Nothing in this run is held back.")
    if sync is None or not sync.enabled:
        raise Refused("The User Sync is no longer enabled, so nothing can be applied.")
    return sync


def _rows(session: Session, run: SyncRun, object_ids: Collection[str] | None) -> list[Change]:
    rows = list(session.scalars(select(Change).where(Change.run_id == run.id, Change.state == "held")))
    if object_ids is None:
        return rows
    requested_ids = {object_id.lower() for object_id in object_ids}
    unknown = requested_ids - {row.object_id for row in rows}
    if unknown or not requested_ids:
        named = ", ".join(sorted(unknown)[:3])
        raise Invalid(
            {"object_ids": [f"Not held back by this run: {named}." if named else "Name at least one person."]}
        )
    return [row for row in rows if row.object_id in requested_ids]


def _is_counted(row: Change) -> bool:
    """Whether somebody held is one of those in scope: whoever is gone or outside the filters is in no sum (G8)."""
    return bool(row.undo.get("in_scope", True))


def _dismiss_counts(counts: dict[str, int], rows: Sequence[Change]) -> None:
    """A creation that is not applied is a skip; others are left alone."""
    creations = sum(1 for row in rows if row.decision == Action.CREATE.value)
    counts["skipped"] = counts.get("skipped", 0) + creations
    counts["in_scope"] = counts.get("in_scope", 0) - creations


def _balance(counts: dict[str, int]) -> None:
    """Everybody in scope who was not written, held or in conflict is unchanged (G8)."""
    others = (*(name for name in WRITTEN if name != "gone"), "conflicts", "held")
    counts["unchanged"] = counts.get("in_scope", 0) - sum(counts.get(name, 0) for name in others)


def _number(run: SyncRun, name: str) -> int:
    return int((run.held or {}).get(name, 0))


def _settle(
    session: Session, run: SyncRun, sync: UserSync, counts: dict[str, int], actor: str, now: datetime
) -> None:
    """End the hold once nobody is held: the run succeeded, and the sync continues."""
    session.flush()
    waiting = session.scalars(
        select(Change.object_id).where(Change.run_id == run.id, Change.state == "held")
    ).all()
    held = decided(run.held or {}, actor, now)
    if waiting:
        run.held, run.counts = {**held, "count": len(waiting)}, counts
        sync.updated_at = now
        return
    total = sum(int(held.get(name, 0)) for name in ("applied", "dismissed", "left_out"))
    run.held = {**held, "count": total, "state": "applied" if held.get("applied") else "dismissed"}
    run.status, run.counts = "succeeded", counts
    if sync.hold_run_id == run.id:
        sync.hold_run_id = None
    sync.updated_at = now
    session.flush()
