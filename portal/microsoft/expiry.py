"""The expiry radar (C5): what ends when, in one list: the portal's secrets and certificates, and partner relationships."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.config import Settings
from portal.graph.clouds import DEFAULT, REGISTRATIONS
from portal.http.formatting import plural
from portal.microsoft import credentials
from portal.models import MicrosoftTenant

WARN_DAYS = (7, 30, 60)
"""The most urgent first; each step is told once."""


@dataclass(frozen=True)
class End:
    """Something that expires. key: the app registration or our Microsoft Tenant's id. at: None if unknown.

    whose: the customer of a partner relationship, "" for what is the portal's own.
    """

    key: str
    what: str
    at: datetime | None
    advice: str
    link: str
    whose: str = ""

    def days_left(self, now: datetime) -> int | None:
        """Whole days, negative once it has expired; None if unknown."""
        return None if self.at is None else (self.at - now).days

    def step(self, now: datetime) -> int | None:
        """The warning in force: 7, 30 or 60; None when there is none yet."""
        left = self.days_left(now)
        return None if left is None else next((days for days in WARN_DAYS if left <= days), None)

    def sentence(self, now: datetime) -> str:
        """What ends when: "The portal's client secret expires in 6 days, on 1 Dec 2026". The day is in UTC."""
        if self.at is None:
            return f"{self.what} expires on an unknown date"
        return f"{self.what} {in_words(self.at, now)}"


def in_words(at: datetime, now: datetime) -> str:
    """When something ends: "expires in 6 days, on 1 Dec 2026". The day is in UTC."""
    day = f"on {at.day} {at:%b %Y}"
    if at <= now:
        return f"has expired {day}"
    left = (at - now).days
    return f"expires in {plural(left, 'day')}, {day}" if left else f"expires within a day, {day}"


def registration_label(overview: credentials.Overview, home: str) -> str:
    """The credential of a cloud's app registration as people call it."""
    what = "client secret" if overview.kind == "secret" else "certificate"
    return f"The portal's {what}" + ("" if home == DEFAULT else f" for {REGISTRATIONS[home]}")


def registration_link(home: str) -> str:
    """Where a cloud's app registration is entered."""
    return "/settings/microsoft" + ("" if home == DEFAULT else f"?cloud={home}")


def radar(session: Session, settings: Settings) -> list[End]:
    """Everything that expires, the soonest first, unknown ends last."""
    ends = [
        End(
            "app" if home == DEFAULT else f"app:{home}",
            registration_label(overview, home),
            overview.expires_at,
            f"After that no Microsoft tenant {'' if home == DEFAULT else 'of that cloud '}can be read. "
            "Create a new one and enter it in Settings.",
            registration_link(home),
        )
        for home, overview in credentials.overviews(session, settings).items()
        if overview.kind
    ]
    rows = session.scalars(
        select(MicrosoftTenant)
        .where(MicrosoftTenant.relationship_ends_at.is_not(None))
        .order_by(MicrosoftTenant.relationship_ends_at, MicrosoftTenant.name)
    )
    ends += [
        End(
            row.id,
            f"The partner relationship with {row.name}",
            row.relationship_ends_at,
            "Ask the customer to extend it in the Microsoft 365 admin center.",
            f"/microsoft-tenants/{row.id}",
            row.name,
        )
        for row in rows
    ]
    return sorted(ends, key=lambda end: (end.at is None, end.at.timestamp() if end.at else 0.0))
