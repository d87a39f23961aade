"""Exceptions (P14)."""

from __future__ import annotations

from typing import Literal

from portal.api.documents.base import OBJECT_ID_EXAMPLE, TIME_EXAMPLE, UUID_EXAMPLE, Document, Time, described


class SyncException(Document):
    """A person who is never synced, or a field of an End User that the sync leaves alone."""

    id: str = described("Its id.", UUID_EXAMPLE)
    organization_id: str = described("The Organization it applies to.", UUID_EXAMPLE)
    kind: Literal["never_sync", "pin"] = described("never_sync: a person; pin: a field.", "never_sync")
    object_id: str | None = described("With never_sync: Microsoft's id of the person.", OBJECT_ID_EXAMPLE)
    end_user_id: str | None = described("With pin: the End User.", None)
    field: str | None = described("With pin: the field.", None)
    reason: str = described("The reason, for others to read.", "Shared mailbox of the front desk")
    author: str = described("Who added it.", "ada@msp.example")
    created_at: Time = described("When it was added.", TIME_EXAMPLE)
    expires_at: Time | None = described("When it expires; null for never.", None)
