"""What an Organization's tabs share, its own page among them: the head, the numbers and how it syncs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal.models import Organization
from portal.organizations.service import TabCounts
from portal.user_sync import service as user_sync

TABS: Mapping[str, str] = {
    "information": "Information",
    "end_users": "End Users",
    "assets": "Assets",
    "history": "Sync history",
    "exceptions": "Exceptions",
}


@dataclass(frozen=True)
class Frame:
    """The frame around a tab. sync: the document of the User Sync; tab: one of TABS."""

    organization: Organization
    counts: TabCounts
    sync: Mapping[str, Any]
    tab: str

    @property
    def about(self) -> str:
        """The tab in words."""
        return TABS[self.tab]

    @property
    def is_set_up(self) -> bool:
        """Its User Sync is enabled."""
        return bool(self.sync["status"] != "not_set_up")

    @property
    def manage(self) -> str:
        """What the way to the User Sync is called."""
        return "Manage" if self.is_set_up else "Set Up Microsoft Entra ID User Sync"

    @property
    def last_at(self) -> datetime | None:
        """When its last run ended, or was asked for; None when there is none."""
        run = self.sync["last_run"]
        at: datetime | None = run and (run["finished_at"] or run["created_at"])
        return at

    @property
    def last_run(self) -> str:
        """The outcome of the last run, "" while it is not over."""
        run = self.sync["last_run"]
        if not run or not run["finished_at"]:
            return ""
        return f"last run {run['status']}" if run["status"] in {"failed", "cancelled"} else "synced"


def frame(organization: Organization, tab: str, *, end_users: int | None = None) -> Frame:
    """The frame of one tab. end_users: how many it has, where the page has counted them anyway."""
    return Frame(organization, TabCounts(organization, end_users), user_sync.document(organization), tab)
