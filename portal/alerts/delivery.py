"""Alerts by e-mail and webhook through Apprise (O2): counts only, never personal data.

Where they go holds secrets, so it is stored encrypted and never logged or shown again (``targets``).
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from portal.alerts import events, targets
from portal.alerts.targets import INCOMPLETE, Target
from portal.crypto import SecretBox
from portal.errors import Invalid
from portal.models import StoredSetting
from portal.models.base import new_id

log = logging.getLogger(__name__)

KEY = "notifications"
PURPOSE = "settings:notifications"
MOST = 20
NOT_ACCEPTED = "The message was not accepted. The log says more."
LOCAL = "This address is now inside your own network. If that is intended, remove it and add it again with “Inside our network” checked."


@dataclass(frozen=True)
class Notice:
    """One alert. kind: one of ``alerts.events``, or test. title and body: counts and names of Organizations only."""

    kind: str
    title: str
    body: str


def stored_targets(session: Session, box: SecretBox) -> dict[str, Target]:
    """The stored targets by their ids, opened, in the order in which they were added. For delivery: never show or log them."""
    row = session.get(StoredSetting, KEY)
    if row is None or not row.secret:
        return {}
    opened = {}
    for entry in json.loads(box.decrypt(row.secret, purpose=PURPOSE)):
        try:
            target = targets.parse(entry["url"], is_local=entry["is_local"])
            opened[entry["id"]] = replace(
                target, events=events.known_events(entry.get("events", events.DEFAULT))
            )
        except Invalid:  # stored by a version that offered more; it must not stop the others
            log.warning("action=notify target=%s error=NoLongerOffered", entry["id"])
    return opened


def add_target(session: Session, box: SecretBox, target: Target, *, now: datetime, by: str) -> None:
    """Store one more; one that is there takes on the new ``is_local`` and events.

    Raises Invalid on ``address`` when Apprise cannot use it, or when there are too many.
    """
    if _plugin(target) is None:
        raise Invalid({"address": [INCOMPLETE]})
    present = _locked(session, box)
    same = next((key for key, stored in present.items() if stored.url == target.url), None)
    if same is None and len(present) >= MOST:
        raise Invalid({"address": [f"There can be at most {MOST} targets. Remove one first."]})
    _store(session, box, {**present, same or new_id(): target}, now=now, by=by)


def choose_events(
    session: Session, box: SecretBox, target_id: str, chosen: Sequence[str], *, now: datetime, by: str
) -> Target | None:
    """Choose which events a target receives. Returns None when the target is gone.

    Raises Invalid on ``events`` for none, or one that is no event.
    """
    known_events = events.known_events(chosen)
    if not known_events or set(chosen) - set(known_events):
        raise Invalid(
            {"events": ["Choose at least one event." if not known_events else "Choose from these events."]}
        )
    present = _locked(session, box)
    if target_id not in present:
        return None
    present[target_id] = replace(present[target_id], events=known_events)
    _store(session, box, present, now=now, by=by)
    return present[target_id]


def remove_target(session: Session, box: SecretBox, target_id: str, *, now: datetime, by: str) -> str | None:
    """Forget one and give its name; None when it is gone already."""
    present = _locked(session, box)
    gone = present.pop(target_id, None)
    if gone is None:
        return None
    _store(session, box, present, now=now, by=by)
    return gone.name


def _locked(session: Session, box: SecretBox) -> dict[str, Target]:
    """The targets, locked for a change."""
    session.get(StoredSetting, KEY, with_for_update=True, populate_existing=True)
    return stored_targets(session, box)


def _store(
    session: Session, box: SecretBox, new_targets: Mapping[str, Target], *, now: datetime, by: str
) -> None:
    row = StoredSetting.obtain(session, KEY, now)
    stored = [
        {"id": target_id, "url": target.url, "is_local": target.is_local, "events": list(target.events)}
        for target_id, target in new_targets.items()
    ]
    row.value = {"kinds": [target.kind for target in new_targets.values()]}
    row.secret = box.encrypt(json.dumps(stored), purpose=PURPOSE) if stored else None
    row.updated_at, row.updated_by = now, by


@dataclass(frozen=True)
class Delivery:
    """The outcome of one message to one target. problem: why it was not accepted, in words without secrets; "" when it was."""

    target: str
    problem: str = ""


def deliver(targets: Sequence[Target], notice: Notice) -> list[Delivery]:
    """Send to every target; one Delivery each, in their order. A dead target never stops the others, nor the caller.

    Takes as long as the slowest of them: hold no transaction meanwhile.
    """
    deliveries = [Delivery(target.name, _send(target, notice)) for target in targets]
    accepted = sum(not delivery.problem for delivery in deliveries)
    if accepted < len(deliveries):
        log.warning("action=notify kind=%s delivered=%d of=%d", notice.kind, accepted, len(deliveries))
    return deliveries


def _send(target: Target, notice: Notice) -> str:
    sending = _Sending(target)
    token = _sending.set(sending)
    try:
        plugin = _plugin(target)
        if plugin is None:
            return INCOMPLETE
        if plugin.notify(title=notice.title, body=notice.body) and not sending.is_refused:
            return ""
    except Exception as error:  # plugins raise whatever their libraries raise
        log.warning(
            "action=notify kind=%s target=%s error=%s", notice.kind, target.kind, type(error).__name__
        )
    finally:
        _sending.reset(token)
    return LOCAL if sending.is_refused else NOT_ACCEPTED


@dataclass
class _Sending:
    """The delivery that this thread makes. is_refused: it wanted to connect to a place inside our network."""

    target: Target
    is_refused: bool = field(default=False)


_sending: ContextVar[_Sending | None] = ContextVar("sending", default=None)


class InsideOurNetwork(OSError):
    """A delivery that may only go out to the internet was about to connect elsewhere."""


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    """Judge the very address that a delivery connects to: a name may have meant another one when it was looked up before."""
    if event != "socket.connect" or (sending := _sending.get()) is None or sending.target.is_local:
        return
    address = arguments[1]
    if not (isinstance(address, tuple) and targets.is_public(str(address[0]))):
        sending.is_refused = True
        raise InsideOurNetwork("this target may not be inside our network")


sys.addaudithook(_watch)


class _Ear(logging.Handler):
    """Logs what Apprise reports of a delivery, without the secrets of its address."""

    def emit(self, record: logging.LogRecord) -> None:
        sending = _sending.get()
        if sending is None:
            return
        message = record.getMessage()
        for secret in sending.target.secrets():
            message = message.replace(secret, "…")
        log.warning("action=notify target=%s said=%r", sending.target.kind, message)


_ear = _Ear(level=logging.WARNING)


def _plugin(target: Target) -> Any:
    """Apprise's sender for ``target``, None when it can make none. It is handed one address: a list would be taken apart.

    Redirects are not followed. Its own log goes nowhere but to ``_ear``: it repeats whole addresses.
    """
    import apprise  # a second to load: only when somebody uses it

    logger = logging.getLogger("apprise")
    logger.propagate, logger.disabled = False, False
    logger.handlers = [_ear]
    logger.setLevel(logging.WARNING)
    return apprise.Apprise.instantiate(
        target.url, asset=apprise.AppriseAsset(async_mode=False, http_redirects=False)
    )
