"""What to do about an answer that is not good (G5; docs/microsoft-graph.md, 10.2). Pure: time and chance are handed in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from enum import StrEnum

MAX_TRIES = 6
BUDGET_SECONDS = 90.0  # all waiting for one request: with its answers it stays within 2 minutes
RETRIED = frozenset({429, 500, 502, 503, 504, 509})
FIRST_WAIT = 2.0
LONGEST_WAIT = 86_400.0
"""A day: what asks for more is no answer of Microsoft's, and a tenant is asked again at least daily (G2)."""


class RetryAction(StrEnum):
    """retry: the same request after waiting. give_up: the error stands. postpone: Microsoft asks for longer than a run waits."""

    RETRY = "retry"
    GIVE_UP = "give_up"
    POSTPONE = "postpone"


@dataclass(frozen=True)
class RetryDecision:
    """wait_seconds: before trying again, or until when it is postponed. new_connection: 503 asks for one."""

    next: RetryAction
    wait_seconds: float = 0.0
    new_connection: bool = False
    is_throttling: bool = False


def decide(
    *,
    attempt: int,
    status: int | None,
    headers: Mapping[str, str],
    now: datetime,
    waited: float,
    jitter: float = 0.0,
) -> RetryDecision:
    """After the ``attempt``-th try (from 1) ended with ``status`` (None: no answer at all).

    waited: seconds this request waited already. jitter: 0..1, spreads the waits that Microsoft does not name.
    """
    if status is not None and status not in RETRIED:
        return RetryDecision(RetryAction.GIVE_UP)
    retry_seconds = retry_after(headers, now)
    throttled = status == 429 or retry_seconds is not None
    fresh = status in {None, 503}
    wait = retry_seconds if retry_seconds is not None else FIRST_WAIT * 2 ** (attempt - 1) * (1 + jitter / 4)
    if throttled and retry_seconds is not None and waited + wait > BUDGET_SECONDS:
        return RetryDecision(RetryAction.POSTPONE, wait, is_throttling=True)
    if attempt >= MAX_TRIES or waited + wait > BUDGET_SECONDS:
        if status == 429:
            return RetryDecision(RetryAction.POSTPONE, max(wait, 60.0), is_throttling=True)
        return RetryDecision(RetryAction.GIVE_UP)
    return RetryDecision(RetryAction.RETRY, wait, new_connection=fresh, is_throttling=throttled)


def retry_after(headers: Mapping[str, str], now: datetime) -> float | None:
    """Seconds from ``Retry-After``: a number or an HTTP date; None when absent or unreadable. Never negative, at most a day."""
    by_name = {name.lower(): value.strip() for name, value in headers.items()}
    text = by_name.get("retry-after", "")
    if not text:
        return None
    try:
        seconds = (
            float(text) if text.replace(".", "", 1).isdigit() else _until(text, by_name.get("date", ""), now)
        )
    except (TypeError, ValueError, OverflowError):
        return None
    return min(max(0.0, seconds), LONGEST_WAIT)


def _until(text: str, sent: str, now: datetime) -> float:
    """Seconds until a date that Microsoft named, by its own clock where the answer says what time it is there.

    Dates in headers are whole seconds, cut off: one second more is never too early.
    """
    when = parsedate_to_datetime(text)
    try:
        since = parsedate_to_datetime(sent)
    except (TypeError, ValueError):
        since = now
    left = when.replace(tzinfo=when.tzinfo or UTC) - since.replace(tzinfo=since.tzinfo or UTC)
    return left.total_seconds() + 1 if left.total_seconds() > 0 else 0.0
