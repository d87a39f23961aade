"""What the pages of people, tokens and the audit log show. No queries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from portal import audit
from portal.http.list_view import Column, Filter, ListView, in_use, none_matches
from portal.http.listing import Listing
from portal.models import Account, ApiToken, MicrosoftTenant
from portal.settings import audit_log

NAMED = 5
"""So many Microsoft tenants that stand in the way are named."""
EVENT_COLUMNS = (
    Column("When", "at", descending_first=True),
    Column("Who", "actor"),
    Column("What", "action"),
    Column("Detail"),
    Column("From"),
)


@dataclass(frozen=True)
class AccountRow:
    """An account. about: its address, and what else is to be known; switch: the deed that turns it on or off, and its button."""

    id: str
    name: str
    email: str
    about: str
    role: str
    last_sign_in_at: datetime | None
    is_own: bool
    has_authenticator: bool
    switch: tuple[str, str]


def account_rows(rows: Iterable[Account], own_id: str) -> list[AccountRow]:
    """Everybody with an account; ``own_id``: whose page it is."""
    return [
        AccountRow(
            id=row.id,
            name=row.name,
            email=row.email,
            about=row.email
            + (" · you" if row.id == own_id else "")
            + ("" if row.is_active else " · deactivated"),
            role=row.role,
            last_sign_in_at=row.last_sign_in_at,
            is_own=row.id == own_id,
            has_authenticator=row.totp_secret is not None,
            switch=("off", "Deactivate") if row.is_active else ("on", "Activate"),
        )
        for row in rows
    ]


@dataclass(frozen=True)
class TokenRow:
    """An API token. owner: an address, or where it was made."""

    id: str
    name: str
    hint: str
    role: str
    owner: str
    created_at: datetime
    expires_at: datetime | None
    is_expired: bool
    last_used_at: datetime | None


def token_rows(rows: Iterable[ApiToken], now: datetime) -> list[TokenRow]:
    """The tokens that were not revoked."""
    return [
        TokenRow(
            id=row.id,
            name=row.name,
            hint=row.hint,
            role=row.role.capitalize(),
            owner=row.owner.email if row.owner else "Command line",
            created_at=row.created_at,
            expires_at=row.expires_at,
            is_expired=row.expires_at is not None and row.expires_at <= now,
            last_used_at=row.last_used_at,
        )
        for row in rows
    ]


@dataclass(frozen=True)
class InTheWay:
    """Microsoft tenants that need an app registration: the names of the first, and how many more."""

    names: Sequence[str]
    more: int


def in_the_way(rows: Sequence[MicrosoftTenant]) -> InTheWay:
    """What keeps an app registration from being removed."""
    return InTheWay([row.name for row in rows[:NAMED]], max(0, len(rows) - NAMED))


def events_list(address: str, export: str, listing: Listing) -> ListView:
    """The audit log. export: the address of its CSV."""
    chosen = listing.filters.get
    events = [(name, audit_log.words(name)) for name in sorted(audit.EVENTS)]
    words = {
        "action": "Event: " + audit_log.words(chosen("action", "")),
        "actor": "Who: " + chosen("actor", ""),
        "source": "From: " + audit_log.SOURCES.get(chosen("source", ""), ""),
        "object_type": "About: " + audit_log.words(chosen("object_type", "")),
        "object_id": "About one",
    }
    return ListView(
        block="audit_table",
        label="Audit log",
        address=address,
        noun="event",
        search="Who or what",
        listing=listing,
        rows=audit_log.event_rows(listing.items),
        columns=EVENT_COLUMNS,
        filters=[Filter("action", "Event", chosen("action", ""), events)],
        in_use=in_use(listing, words),
        export=export,
        empty=none_matches(address, listing, "No events match."),
    )
