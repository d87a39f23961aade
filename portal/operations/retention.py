"""Deletes skips and unchanged conflicts of old runs, old hourly runs that changed nothing, and expired rows.

The mirrors of removed Microsoft Tenants too, where a request that removed one did not come to its end. What a run changed is kept for good: it is the history of each person (P6) and what an undo goes by (W7, R5).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import String, cast, delete, exists, select
from sqlalchemy.orm import Session

from portal.engine.batches import batches
from portal.engine.mirror import removed
from portal.models import AccountSession, Change, ConsentRequest, Invitation, SyncRun

KEEP_SKIPS = timedelta(days=30)
KEEP_QUIET_RUNS = timedelta(days=90)
KEEP_ENDED = timedelta(days=90)
"""For sessions, one-time links and consents, from the day on which they run out by themselves."""
BATCH = 2000
"""Rows a call deletes at most, of each kind: the database is not held for long."""


def forget_old(session: Session, now: datetime) -> int:
    """Delete one batch of expired rows. Returns how many. The caller commits, and calls again later."""
    notes = (
        select(Change.id)
        .join(SyncRun, SyncRun.id == Change.run_id)
        .where(
            SyncRun.finished_at < now - KEEP_SKIPS,
            Change.decision.in_(("skip", "conflict")),
            cast(Change.fields, String) == "[]",
        )
        .limit(BATCH)
    )
    quiet = (
        select(SyncRun.id)
        .where(
            SyncRun.finished_at < now - KEEP_QUIET_RUNS,
            SyncRun.trigger == "hourly",
            SyncRun.status == "succeeded",
            ~exists().where(Change.run_id == SyncRun.id),
        )
        .limit(BATCH)
    )
    number = 0
    for model, outdated in ((Change, notes), (SyncRun, quiet)):
        ids = session.scalars(outdated).all()
        for part in batches(ids):
            session.execute(delete(model).where(model.id.in_(part)))
        number += len(ids)
    for key, end in (
        (AccountSession.id, AccountSession.expires_at),
        (Invitation.id, Invitation.expires_at),
        (ConsentRequest.state_hash, ConsentRequest.expires_at),
    ):
        over = session.scalars(select(key).where(end < now - KEEP_ENDED).limit(BATCH)).all()
        for part in batches(over):
            session.execute(delete(key.class_).where(key.in_(part)))
        number += len(over)
    return number + removed.forget_left(session, BATCH)
