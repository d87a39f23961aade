"""Alerts by e-mail and webhook through Apprise (O2): what needs a person, in counts, never with a person's data.

Targets are Apprise URLs. They hold secrets, so they are stored encrypted and never logged or shown again; which kinds may
be entered is a closed list, because the portal would otherwise call whatever an administrator's browser was made to enter.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.orm import Session

from portal.crypto import SecretBox
from portal.errors import Invalid
from portal.models import StoredSetting

log = logging.getLogger(__name__)

KEY = "notifications"
PURPOSE = "settings:notifications"
SCHEMES = frozenset(
    {
        "mailto",
        "mailtos",
        "json",
        "jsons",
        "slack",
        "workflows",
        "msteams",
        "opsgenie",
        "discord",
        "gotify",
        "gotifys",
        "ntfy",
        "ntfys",
    }
)
# elsewhere a token or a topic stands in its place
WITH_HOST = frozenset({"mailto", "mailtos", "json", "jsons", "workflows", "gotify", "gotifys"})
INCOMPLETE = "This address is not complete. The Apprise documentation shows the form of each kind."


@dataclass(frozen=True)
class Notice:
    """One alert. kind: failing | hold | connection | expiring | test. title and body: counts and names of Organizations only."""

    kind: str
    title: str
    body: str


def targets(session: Session, box: SecretBox) -> list[str]:
    """The stored Apprise URLs, opened. For delivery only: never show or log them."""
    row = session.get(StoredSetting, KEY)
    if row is None or not row.secret:
        return []
    found: list[str] = json.loads(box.decrypt(row.secret, purpose=PURPOSE))
    return found


def save_targets(session: Session, box: SecretBox, urls: Sequence[str], *, now: datetime, by: str) -> None:
    """Replace the targets. Raises Invalid on ``targets`` for an unknown kind or an unusable URL."""
    wanted = [url.strip() for url in urls if url.strip()]
    for number, url in enumerate(wanted, start=1):
        problem = problem_with(url)
        if problem is not None:
            raise Invalid({"targets": [f"Line {number}: {problem}"]})
    row = session.get(StoredSetting, KEY)
    if row is None:
        row = StoredSetting(key=KEY, updated_at=now)
        session.add(row)
    row.value = {"kinds": [kind_of(url) for url in wanted]}
    row.secret = box.encrypt(json.dumps(wanted), purpose=PURPOSE) if wanted else None
    row.updated_at, row.updated_by = now, by


def problem_with(url: str) -> str | None:
    """Why a target cannot be used, without repeating it; None when it can."""
    if kind_of(url) not in SCHEMES:
        return "This kind is not offered. Use one of: " + ", ".join(sorted(SCHEMES)) + "."
    if not _sender().add(url):
        return INCOMPLETE
    return None


def kind_of(url: str) -> str:
    """``mailtos``, ``jsons``, …: what may be shown of a target."""
    return urlsplit(url.strip()).scheme.lower()


def name_of(url: str) -> str:
    """A target as pages may name it: its kind, and its host where that is one ("jsons at hooks.example"), nothing of its secrets."""
    kind = kind_of(url)
    try:
        host = urlsplit(url.strip()).hostname if kind in WITH_HOST else None
    except ValueError:
        host = None
    return f"{kind} at {host}" if host else kind


@dataclass(frozen=True)
class Delivery:
    """What became of one message to one target. problem: why it was not taken, in words without secrets; "" when it was."""

    target: str
    problem: str = ""


def deliver(urls: Sequence[str], notice: Notice) -> list[Delivery]:
    """Send to every target and say what became of it. A dead target never stops the others, nor the caller."""
    found = [Delivery(name_of(url), _send(url, notice)) for url in urls]
    taken = sum(not one.problem for one in found)
    if taken < len(found):
        log.warning("action=notify kind=%s delivered=%d of=%d", notice.kind, taken, len(found))
    return found


def _send(url: str, notice: Notice) -> str:
    heard: list[str] = []
    token = _heard.set(heard)
    try:
        sender = _sender()
        if not sender.add(url):
            return INCOMPLETE
        return "" if sender.notify(title=notice.title, body=notice.body) else _reason(heard)
    except Exception as error:  # plugins raise whatever their libraries raise
        log.warning(
            "action=notify kind=%s target=%s error=%s", notice.kind, kind_of(url), type(error).__name__
        )
        return f"It could not be sent ({type(error).__name__})."
    finally:
        _heard.reset(token)


# what Apprise says of a failed connection -> what it means; the first that fits
_FAULTS = (
    (r"failed to resolve|getaddrinfo|not known|no address|name resolution", "Its host cannot be found."),
    (r"connection refused", "Nothing answers at its host and port: the connection was refused."),
    (r"unreachable|no route", "Its network cannot be reached from this server."),
    (r"timed out", "It did not answer in time."),
    (r"certificate", "Its certificate cannot be verified."),
    (r"ssl|tls", "It does not speak TLS there: the kind or the port may be wrong."),
    (r"\(53[0-9],|authenticat", "The mail server does not accept the user or password."),
    (r"\([45]\d\d,", "The mail server does not take the message."),
)


def _reason(heard: Sequence[str]) -> str:
    """Why a target took nothing, from what Apprise said of it. None of that text leaves here: it repeats addresses."""
    for text in heard:
        if status := re.search(r"\berror=(\d{3})\b", text):
            return f"{_answered(int(status[1]))} (HTTP {status[1]})"
        if text.startswith("Socket Exception"):
            said = text.lower().rpartition("caused by")[2]  # before it stands the whole address
            return next((words for sign, words in _FAULTS if re.search(sign, said)), "The connection failed.")
    return "It did not take the message, and gave no reason."


def _answered(status: int) -> str:
    if status in {401, 403}:
        return "It does not accept the user, password or token in the address."
    if status in {404, 410}:
        return "It knows no such address: the webhook may have been removed."
    if status == 429:
        return "It takes no more messages for now."
    return "It has trouble of its own." if status >= 500 else "It does not accept the message."


_heard: ContextVar[list[str] | None] = ContextVar("heard", default=None)


class _Ear(logging.Handler):
    """Hears what Apprise says of the delivery that this thread makes."""

    def emit(self, record: logging.LogRecord) -> None:
        heard = _heard.get()
        if heard is not None and (record.levelno >= logging.WARNING or "Socket Exception" in str(record.msg)):
            heard.append(record.getMessage())


_ear = _Ear()


def _sender() -> Any:
    """A fresh Apprise. Its own log goes nowhere but to ``_ear``: it repeats whole addresses, with their passwords and tokens."""
    import apprise  # a second to load: only when somebody uses it

    told = logging.getLogger("apprise")
    told.propagate, told.disabled = False, False
    told.handlers = [_ear]
    told.setLevel(logging.DEBUG)
    return apprise.Apprise(asset=apprise.AppriseAsset(async_mode=False))
