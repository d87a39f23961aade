"""Claims on rows: for a while, so that another process continues if one dies (G4)."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, exists, func, or_, select, update
from sqlalchemy.orm import aliased

from portal.audit import Actor
from portal.clock import utcnow
from portal.extensions import SessionFactory, db
from portal.models import Rollout, RolloutRow
from portal.rollouts.service import BUSY
from portal.transactions import begin_write

CLAIM = timedelta(minutes=5)
"""Whoever claimed a row for so long ago is taken for dead."""
AT_ONCE = 8
"""Rows that a thread claims together: a claim of its own for each would cost as much as the work."""


@dataclass(frozen=True)
class Claim:
    """A row that this thread works on, and who began its roll-out."""

    row_id: str
    rollout_id: str
    status: str
    actor: Actor


def waiting(sessions: SessionFactory) -> int:
    """How many rows wait to be claimed."""
    with sessions() as session:
        return session.scalar(select(func.count()).select_from(RolloutRow).where(_claimable(utcnow()))) or 0


def _claimable(now: datetime) -> ColumnElement[bool]:
    """Rows that may be claimed. Connected ones wait for the others: suggestions are made for all at once."""
    free = or_(RolloutRow.claimed_until.is_(None), RolloutRow.claimed_until < now)
    other = aliased(RolloutRow)
    others_wait = exists().where(other.rollout_id == RolloutRow.rollout_id, other.status == "waiting")
    return RolloutRow.status.in_(BUSY) & free & ((RolloutRow.status != "connected") | ~others_wait)


def take_rows() -> list[Claim]:
    """Take a few rows for this thread, none when none waits. Others may ask at once: the UPDATE decides."""
    session = db.session()
    session.rollback()
    now = utcnow()
    rows = session.execute(
        select(RolloutRow.id, RolloutRow.status, Rollout)
        .join(Rollout, Rollout.id == RolloutRow.rollout_id)
        .where(_claimable(now))
        .order_by(RolloutRow.claimed_until.is_not(None), Rollout.created_at, RolloutRow.id)
        .limit(AT_ONCE)
    ).all()
    candidates = [
        Claim(row_id, rollout.id, status, Actor(rollout.created_by, rollout.source, rollout.ip))
        for row_id, status, rollout in rows
    ]
    if not candidates:
        return []
    begin_write(session)
    until = (
        now + CLAIM + timedelta(microseconds=secrets.randbelow(1_000_000))
    )  # distinguishes our claims from those of other processes
    session.execute(
        update(RolloutRow)
        .where(RolloutRow.id.in_([candidate.row_id for candidate in candidates]), _claimable(now))
        .values(claimed_until=until)
    )
    session.commit()
    mine = set(
        session.scalars(
            select(RolloutRow.id).where(
                RolloutRow.id.in_([candidate.row_id for candidate in candidates]),
                RolloutRow.claimed_until == until,
            )
        )
    )
    return [candidate for candidate in candidates if candidate.row_id in mine]


def hold(claim: Claim, until: datetime) -> None:
    """Leave a row alone until then, unless another process moved it meanwhile."""
    begin_write(db.session())
    db.session.execute(
        update(RolloutRow)
        .where(RolloutRow.id == claim.row_id, RolloutRow.status == claim.status)
        .values(claimed_until=until)
    )
    db.session.commit()
