"""Tells people of each thing that needs them (O2, G2, C5): once for all it has befallen, again while it grows, and when it is over.

What is told of is what the dashboard lists, and what is about to expire. Twelve customers whom the same thing befell are one
message that counts and names them. A message that a target did not take is kept, and tried again for a day.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.alerts import delivery
from portal.alerts.delivery import Notice
from portal.alerts.targets import Target
from portal.clock import utcnow
from portal.dashboard.attention import Cause, attention
from portal.dashboard.todo import detail, title, together
from portal.extensions import mark_write
from portal.microsoft import expiry
from portal.models import StoredSetting
from portal.runtime import Runtime

KEY, LEFT_KEY = "alerts_sent", "alerts_left"
SOON, LATER = timedelta(hours=1), timedelta(days=1)
"""When a cause that has grown is told again: the first time soon, as most of an outage comes within the hour; then daily."""
LASTING = frozenset({"connection", "failing", "overdue"})
"""Kinds that are told daily while they last, and once more when they are over. The others wait for somebody's decision."""
NAMED = 20
WAITS = [timedelta(minutes=m) for m in (1, 5, 15, 60, 240, 720)]
"""How long after each try a message that was not accepted is tried again; it is given up after the last."""
MOST_LEFT = 200

_STORED = select(StoredSetting).where(StoredSetting.key.in_((delivery.KEY, KEY, LEFT_KEY)))
"""All that is remembered, in one statement: each run that ends looks, and most often nothing is."""


@dataclass(frozen=True)
class Need:
    """One cause and all whom it befell. names: of Organizations or Microsoft tenants, in order."""

    notice: Notice
    names: tuple[str, ...] = ()


def announce(runtime: Runtime) -> int:
    """Deliver the notices that are due. Returns how many. What is settled is forgotten, so it may come again.

    Noted before it is delivered: a message is sent at most once to a target that takes it, also with several processes.
    """
    now = utcnow()
    with runtime.sessions() as session:
        stored = session.scalars(
            _STORED
        ).all()  # held by the session, so that each query below finds it there
        if not stored:
            return 0
        targets = delivery.stored_targets(session, runtime.box)
        present = {**needs(session), **expiring(session, runtime, now)} if targets else {}
        earlier = _value(session, KEY).get("causes", {})
        is_due = any(
            _is_over(message["at"], now) for message in _value(session, LEFT_KEY).get("messages", ())
        )
    # Usually nothing is new: then the write lock is not taken.
    is_news = _compare(earlier, present, now)[0] != earlier
    new = _note(runtime, present, now) if is_news else []
    failed: list[dict[str, Any]] = []
    for notice in new:
        subscribers = {key: target for key, target in targets.items() if notice.kind in target.events}
        for key, delivered in zip(
            subscribers, delivery.deliver(list(subscribers.values()), notice), strict=False
        ):
            if delivered.problem:
                failed.append({"target": key, "tries": 0, **asdict(notice)})
    if failed or is_due:
        _try_again(runtime, targets, failed, now)
    return len(new)


def needs(session: Session) -> dict[str, Need]:
    """Everything that needs a person now, by cause. The key changes with the cause, so that a new cause is announced.

    Each hourly run takes the place of the hold before it (G1): the same people held back are no news.
    """
    causes_by_key: dict[str, list[Cause]] = {}
    for cause in attention(session):
        about = cause.cause or (title(cause) if cause.kind == "hold" else cause.link)
        causes_by_key.setdefault(_key(cause.kind, about, cause.code), []).append(cause)
    return {key: _need(those) for key, those in causes_by_key.items()}


def expiring(session: Session, runtime: Runtime, now: datetime) -> dict[str, Need]:
    """Secrets, certificates and partner relationships that expire within 60, 30 or 7 days, each step announced once (C5)."""
    upcoming: dict[str, Need] = {}
    for deadline in expiry.radar(session, runtime.settings):
        step = deadline.step(now)
        if step is None or deadline.at is None:
            continue
        key = _key("expiring", deadline.key, f"{deadline.at:%Y%m%d}", str(step))
        upcoming[key] = Need(Notice("expiring", deadline.sentence(now), deadline.advice))
    return upcoming


def _key(*parts: str) -> str:
    return sha256("\x1f".join(parts).encode()).hexdigest()[:24]


def _need(causes: Sequence[Cause]) -> Need:
    first, names = causes[0], tuple(cause.name for cause in causes)
    who_decides = " An administrator decides." if first.kind == "hold" else ""
    if len(causes) == 1:
        return Need(Notice(first.kind, title(first), detail(first) + who_decides), names)
    words, advice = together(causes)
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return Need(Notice(first.kind, words, f"{', '.join(names[:NAMED])}{more}. {advice}{who_decides}"), names)


def _note(runtime: Runtime, present: Mapping[str, Need], now: datetime) -> list[Notice]:
    """Store the causes that were announced. Returns the notices to send."""
    with runtime.sessions() as session:
        # Of two processes that make the row, the second fails at its key and delivers nothing.
        row = _locked(session, KEY, now)
        causes, new = _compare(row.value.get("causes", {}), present, now)
        row.value, row.updated_at = {"causes": causes}, now
        session.commit()
    return new


def _compare(
    earlier: Mapping[str, dict[str, Any]], present: Mapping[str, Need], now: datetime
) -> tuple[dict[str, dict[str, Any]], list[Notice]]:
    """The causes to remember from now on, and the notices to send."""
    causes, new = dict[str, dict[str, Any]](), list[Notice]()
    for key, need in present.items():
        before = earlier.get(key)
        if before is None or _is_due(before, need, now):
            new.append(need.notice)
            times = 1 if before is None else before["times"] + 1
            causes[key] = _remembered(need, now, times)
        else:
            causes[key] = before
    for key, before in earlier.items():
        if key not in present and before["kind"] in LASTING:
            new.append(Notice(before["kind"], f"Resolved: {before['title']}", "No action is needed."))
    return causes, new


def _remembered(need: Need, now: datetime, times: int) -> dict[str, Any]:
    return {
        "kind": need.notice.kind,
        "title": need.notice.title,
        "names": list(need.names),
        "at": now.isoformat(),
        "times": times,
    }


def _is_due(before: Mapping[str, Any], need: Need, now: datetime) -> bool:
    """Whether a cause that was announced is due again."""
    age = now - datetime.fromisoformat(before["at"])
    has_grown = not set(need.names) <= set(before["names"])
    if has_grown:
        return age >= (SOON if before["times"] == 1 else LATER)
    return before["kind"] in LASTING and age >= LATER


def _try_again(
    runtime: Runtime,
    targets: Mapping[str, Target],
    failed: Iterable[Mapping[str, Any]],
    now: datetime,
) -> None:
    """Store what was not accepted just now, and send again what is due; one process sends each message."""
    with runtime.sessions() as session:
        row = _locked(session, LEFT_KEY, now)
        waiting = [message for message in row.value.get("messages", ()) if message["target"] in targets]
        due = [message for message in waiting if _is_over(message["at"], now)]
        again = [
            {**message, "tries": message["tries"] + 1, "at": (now + WAITS[message["tries"]]).isoformat()}
            for message in (*failed, *due)
            if message["tries"] < len(WAITS)
        ]
        messages = [*(message for message in waiting if message not in due), *again][-MOST_LEFT:]
        row.value, row.updated_at = {"messages": messages} if messages else {}, now
        session.commit()
    delivered = [
        _message(message)
        for message in due
        for attempt in delivery.deliver([targets[message["target"]]], _notice(message))
        if not attempt.problem
    ]
    if not delivered:
        return
    with runtime.sessions() as session:
        row = _locked(session, LEFT_KEY, now)
        messages = [
            message for message in row.value.get("messages", ()) if _message(message) not in delivered
        ]
        row.value, row.updated_at = {"messages": messages} if messages else {}, now
        session.commit()


def _locked(session: Session, key: str, now: datetime) -> StoredSetting:
    """The stored state, locked for this process."""
    mark_write(session)
    row = session.get(StoredSetting, key, with_for_update=True)
    return StoredSetting.obtain(session, key, now) if row is None else row


def _message(stored: Mapping[str, Any]) -> tuple[str, str, str]:
    return stored["target"], stored["title"], stored["body"]


def _is_over(at: str, now: datetime) -> bool:
    return datetime.fromisoformat(at) <= now


def _notice(stored: Mapping[str, Any]) -> Notice:
    return Notice(stored["kind"], stored["title"], stored["body"])


def _value(session: Session, key: str) -> dict[str, Any]:
    row = session.get(StoredSetting, key)
    return {} if row is None else row.value
