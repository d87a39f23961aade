"""When a sync runs: the slot in the hour, back-off after failures, lanes and deadlines (T, G2). Pure: now is a parameter."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

from portal.engine.records import FilterSpec

DELAYED_LIMIT = timedelta(hours=12)
FULL_READ_EVERY = timedelta(days=6)
SLOW_PASS_EVERY = timedelta(hours=12)  # T7: of a tenant that no run reads
SIGN_INS_EVERY = timedelta(hours=12)  # as fine as Microsoft's figures are
SIGN_INS_PER_TENANT = timedelta(seconds=12)  # half of the 10 requests a minute that all tenants share
SIGN_INS_FULL_EVERY = timedelta(days=7)
SIGN_INS_LAG = timedelta(days=1)
ATTENTION_AFTER = 3
SLOWEST = timedelta(days=1)
_EPOCH = datetime(2020, 1, 1, tzinfo=UTC)


class Lane(StrEnum):
    """Hourly runs and everything quick; or the delayed lane of group-filtered initial syncs (T3)."""

    HOURLY = "hourly"
    DELAYED = "delayed"


def lane(filters: FilterSpec, *, is_initial: bool) -> Lane:
    """T3: an initial sync with a Group filter takes the delayed lane."""
    return Lane.DELAYED if is_initial and filters.has_group_filter else Lane.HOURLY


def slot(tenant_id: str, interval_minutes: int) -> timedelta:
    """Where in the interval this tenant's turn is (T1): a stable hash, so that hundreds do not start together."""
    digest = hashlib.sha256(tenant_id.encode()).digest()
    return timedelta(seconds=int.from_bytes(digest[:8], "big") % (interval_minutes * 60))


def next_run(after: datetime, tenant_id: str, interval_minutes: int, failures: int = 0) -> datetime:
    """The next turn strictly after ``after``; missed turns are not made up one by one (T1).

    From the third failure in a row on, the wait doubles each time, up to a day (G2).
    """
    interval = timedelta(minutes=interval_minutes)
    pause = back_off(interval_minutes, failures)
    if pause > interval:
        return after + pause
    turns = (after - _EPOCH - slot(tenant_id, interval_minutes)) // interval
    return _EPOCH + slot(tenant_id, interval_minutes) + (turns + 1) * interval


def back_off(interval_minutes: int, failures: int) -> timedelta:
    """The pause after ``failures`` failures in a row: the interval, then doubled, at most a day but never below the interval."""
    interval = timedelta(minutes=interval_minutes)
    if failures < ATTENTION_AFTER:
        return interval
    doublings = min(failures - ATTENTION_AFTER + 1, 12)
    return max(interval, min(SLOWEST, interval * (1 << doublings)))


def rests_until(last: datetime, interval_minutes: int, failures: int) -> datetime:
    """From when on a turn counts again after the ``last`` try: the one nearest to the end of the back-off (G2)."""
    return last + back_off(interval_minutes, failures) - timedelta(minutes=interval_minutes) / 2


def first_turn(turn: datetime, not_before: datetime, interval_minutes: int) -> datetime:
    """The first of the turns from ``turn`` on, one each interval, that is not before ``not_before``."""
    interval = timedelta(minutes=interval_minutes)
    return turn + max(0, -((turn - not_before) // interval)) * interval


def needs_attention(failures: int) -> bool:
    """G2: three failures in a row."""
    return failures >= ATTENTION_AFTER


def is_overdue(enabled_at: datetime, now: datetime) -> bool:
    """T3: the delayed initial sync has passed its promise."""
    return now - enabled_at > DELAYED_LIMIT


def full_read_due(last_full: datetime | None, now: datetime) -> bool:
    """Weekly full read, early enough that a delta token (7 days; docs/microsoft-graph.md, 3) never runs out first."""
    return last_full is None or now - last_full >= FULL_READ_EVERY


def is_complete(*, read_to_end: bool, counted: int, microsoft_count: int | None) -> bool:
    """L2 for a full read: every page, and the number agrees with Microsoft's own within 1 %, at least 5."""
    if not read_to_end:
        return False
    return microsoft_count is None or abs(counted - microsoft_count) <= max(5, microsoft_count // 100)


def slow_pass_after_read(now: datetime, problems: Sequence[Mapping[str, Any]]) -> datetime:
    """T7: the slow pass follows each read at once, but not before Microsoft asked to be left alone until then (G5)."""
    retry_times = [
        datetime.fromisoformat(problem["retry_at"]) for problem in problems if problem.get("retry_at")
    ]
    return max([now, *retry_times])


def sign_ins_due(last: datetime | None, tenants: int, now: datetime) -> bool:
    """Whether a pass reads last sign-ins too: the other parts have no such limit and come with each (T7).

    With few tenants they do nearly always; with thousands the tenants take turns, at most twelve hours apart.
    """
    return last is None or now - last >= min(SIGN_INS_EVERY, tenants * SIGN_INS_PER_TENANT)


def sign_ins_since(last: datetime | None, last_full: datetime | None, now: datetime) -> datetime | None:
    """Whose last sign-in to ask for: those who signed in since then, or everybody for None (T7).

    Microsoft's figure is up to a day behind (docs/microsoft-graph.md, 5.1), so the day before the ``last`` pass is asked
    for again. Sign-ins without the person, which cannot be asked for, come with the weekly pass over everybody.
    """
    if last is None or last_full is None or now - last_full >= SIGN_INS_FULL_EVERY:
        return None
    return last - SIGN_INS_LAG
