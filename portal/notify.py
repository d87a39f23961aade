"""Alerts by e-mail and webhook through Apprise (O2): what needs a person, in counts, never with a person's data.

Targets are Apprise URLs. They hold secrets, so they are stored encrypted and never logged or shown again; which kinds may
be entered is a closed list, because the portal would otherwise call whatever an administrator's browser was made to enter.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
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
        return "This address is not complete. The Apprise documentation shows the form of each kind."
    return None


def kind_of(url: str) -> str:
    """``mailtos``, ``jsons``, …: what may be shown of a target."""
    return urlsplit(url.strip()).scheme.lower()


def deliver(urls: Sequence[str], notice: Notice) -> int:
    """Send to every target and give how many took it. A dead target never stops the others, nor the caller."""
    taken = 0
    for url in urls:
        sender = _sender()
        try:
            taken += bool(sender.add(url) and sender.notify(title=notice.title, body=notice.body))
        except Exception as error:  # plugins raise whatever their libraries raise
            log.warning(
                "action=notify kind=%s target=%s error=%s", notice.kind, kind_of(url), type(error).__name__
            )
    if taken < len(urls):
        log.warning("action=notify kind=%s delivered=%d of=%d", notice.kind, taken, len(urls))
    return taken


def _sender() -> Any:
    """A fresh Apprise. Its own log is silenced: it repeats whole addresses, with their passwords and tokens."""
    import apprise  # a second to load: only when somebody uses it

    logging.getLogger("apprise").disabled = True
    return apprise.Apprise()
