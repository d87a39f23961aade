"""What one's own account page shows. No queries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from portal.http.formatting import browser
from portal.models import Account, AccountSession


@dataclass(frozen=True)
class SessionRow:
    """A browser that the account is signed in on. browser: in words, made from what it says of itself."""

    id: str
    browser: str
    user_agent: str
    ip: str
    last_seen_at: datetime
    is_own: bool


@dataclass(frozen=True)
class AccountView:
    """How somebody signs in, and where they are signed in."""

    has_password: bool
    has_authenticator: bool
    is_connected: bool
    sessions: Sequence[SessionRow]


def account_view(
    account: Account, sessions: Iterable[AccountSession], own_session_id: str | None
) -> AccountView:
    """The record of the page. own_session_id: of the browser that asks for it."""
    return AccountView(
        has_password=account.password_hash is not None,
        has_authenticator=account.totp_secret is not None,
        is_connected=account.microsoft_oid is not None,
        sessions=[
            SessionRow(
                row.id,
                browser(row.user_agent),
                row.user_agent,
                row.ip,
                row.last_seen_at,
                is_own=row.id == own_session_id,
            )
            for row in sessions
        ],
    )
