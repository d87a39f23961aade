"""Assets."""

from __future__ import annotations

from typing import Literal

from portal.api.documents.base import UUID_EXAMPLE, Document, described


class Asset(Document):
    """A device of an Organization."""

    id: str = described("Its id.", "8f14e45f-ceea-467f-9d3b-2a6c1d9b7e20")
    organization_id: str = described("The Organization it belongs to.", UUID_EXAMPLE)
    name: str = described("Its name.", "NB-0231")
    mac_addresses: list[str] = described("Its MAC addresses.", ["A8:7E:EA:BC:6A:C9"])
    end_user_id: str | None = described("The End User it is assigned to.", UUID_EXAMPLE)
    assigned_by: Literal["manual", "sync"] | None = described(
        "Whether a person or the sync assigned it; null when it is not assigned.", "sync"
    )
