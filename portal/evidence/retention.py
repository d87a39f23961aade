"""How long audit events are kept: for ever, unless Settings say otherwise. They are deleted from the beginning of the chain."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import cast

from sqlalchemy import CursorResult, delete, func, select, update
from sqlalchemy.orm import Session

from portal import audit
from portal.errors import Invalid
from portal.evidence.chain import CHAIN, EVENTS, HEAD
from portal.models import StoredSetting

KEY = "audit_retention"
FOR_GOOD = 0
CHOICES = {
    FOR_GOOD: "For good",
    90: "90 days",
    180: "180 days",
    365: "1 year",
    730: "2 years",
    1825: "5 years",
    3650: "10 years",
}
BATCH = 2000
"""Events that are deleted at once: the database is not held for long."""


def keep_days(session: Session) -> int:
    """For how many days events are kept; FOR_GOOD (0) for all of them."""
    row = session.get(StoredSetting, KEY)
    return FOR_GOOD if row is None else int(row.value.get("days", FOR_GOOD))


def set_keep_days(session: Session, days: int, *, now: datetime) -> None:
    """Store it, and record the change. Raises Invalid on ``days`` for what is not on offer."""
    if days not in CHOICES:
        raise Invalid({"days": ["Choose one of the times on offer."]})
    before = keep_days(session)
    if before == days:
        return
    row = StoredSetting.obtain(session, KEY, now)
    row.value, row.updated_at, row.updated_by = {"days": days}, now, audit.current_actor().name
    was = CHOICES.get(before, f"{before} days").lower()
    change = f"keep audit events: {CHOICES[days].lower()} (was: {was})"
    audit.record(session, "settings_changed", changes=change)


def forget_old(session: Session, now: datetime) -> int:
    """Delete one batch of expired events. Returns how many. The caller commits, and calls again later.

    Only what stands before the first event that is to be kept: the rest of the chain stays whole, and the last deleted
    event stays known as its anchor.
    """
    days = keep_days(session)
    if days == FOR_GOOD:
        return 0
    oldest_number = select(func.min(EVENTS.c.number)).where(EVENTS.c.at >= now - timedelta(days=days))
    first_kept = session.scalar(oldest_number)
    old = select(EVENTS.c.number, EVENTS.c.hash)
    if first_kept is not None:
        old = old.where(EVENTS.c.number < first_kept)
    batch = session.execute(old.order_by(EVENTS.c.number).limit(BATCH)).all()
    if not batch:
        return 0
    last = batch[-1]
    done = cast(
        "CursorResult[object]", session.execute(delete(EVENTS).where(EVENTS.c.number <= last.number))
    ).rowcount
    moved = update(CHAIN).where(CHAIN.c.id == HEAD, CHAIN.c.anchor_number < last.number)
    session.execute(moved.values(anchor_number=last.number, anchor_hash=last.hash))
    audit.record(session, "audit_log_pruned", count=done, through=last.number)
    return done
