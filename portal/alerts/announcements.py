"""Tells people once about each new thing that needs them (O2, G2, C5): what the dashboard lists, and what is about to expire."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy.orm import Session

from portal.alerts import delivery
from portal.alerts.delivery import Notice
from portal.clock import utcnow
from portal.dashboard.attention import attention
from portal.dashboard.todo import detail, title
from portal.extensions import mark_write
from portal.microsoft import expiry
from portal.models import StoredSetting
from portal.runtime import Runtime

KEY = "alerts_sent"


def announce(runtime: Runtime) -> int:
    """Deliver what is new since the last call and give its number. What is settled is forgotten, so it may come again.

    Noted before it is delivered: an alert is sent at most once, also with several processes.
    """
    now = utcnow()
    with runtime.sessions() as session:
        targets = list(delivery.stored_targets(session, runtime.box).values())
        present = {**needs(session), **expiring(session, runtime, now)} if targets else {}
        if not present and not _sent(session):
            return 0
    with runtime.sessions() as session:
        mark_write(session)
        row = session.get(StoredSetting, KEY, with_for_update=True)
        sent = _keys(row)
        new = [notice for key, notice in present.items() if key not in sent]
        if set(present) != sent:
            if (
                row is None
            ):  # of two processes that come to this, the second fails at its key and delivers nothing
                row = StoredSetting(key=KEY, updated_at=now)
                session.add(row)
            row.value, row.updated_at = {"keys": sorted(present)}, now
            session.commit()
    for notice in new:
        delivery.deliver([one for one in targets if notice.kind in one.events], notice)
    return len(new)


def needs(session: Session) -> dict[str, Notice]:
    """What needs a person now: key -> notice. The key changes with the cause, so that a new cause is told.

    Each hourly run takes the place of the hold before it (G1): the same people held back are no news.
    """
    found = {}
    for cause in attention(session):
        told = " An administrator decides." if cause.kind == "hold" else ""
        about = title(cause) if cause.kind == "hold" else cause.link
        found[f"{cause.kind}:{about}:{cause.code}"] = Notice(cause.kind, title(cause), detail(cause) + told)
    return found


def expiring(session: Session, runtime: Runtime, now: datetime) -> dict[str, Notice]:
    """Secrets, certificates and partner relationships that end within 60, 30 or 7 days, each step told once (C5)."""
    found: dict[str, Notice] = {}
    for one in expiry.radar(session, runtime.settings):
        step = one.step(now)
        if step is None or one.at is None:
            continue
        found[f"expiring:{one.key}:{one.at:%Y%m%d}:{step}"] = Notice(
            "expiring", one.sentence(now), one.advice
        )
    return found


def _sent(session: Session) -> set[str]:
    return _keys(session.get(StoredSetting, KEY))


def _keys(row: StoredSetting | None) -> set[str]:
    return set() if row is None else set(row.value.get("keys", ()))
