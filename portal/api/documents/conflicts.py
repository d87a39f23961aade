"""Conflicts (M7)."""

from __future__ import annotations

from typing import Literal

from portal.api.documents.base import (
    OBJECT_ID_EXAMPLE,
    TIME_EXAMPLE,
    UUID_EXAMPLE,
    Document,
    License,
    Time,
    described,
)


class ConflictSide(Document):
    """One side: a Microsoft user with the End User linked to it here, or an End User who is not linked."""

    object_id: str | None = described("Microsoft's id of the user.", OBJECT_ID_EXAMPLE)
    user_principal_name: str = described("The UPN; blank for none.", "finn.greco@fabrikam.example")
    display_name: str = described("The name.", "Finn Greco")
    enabled: bool | None = described("Whether they may sign in; null when that is not known.", True)
    created_at: Time | None = described("When the account was created in Microsoft.", TIME_EXAMPLE)
    last_sign_in_at: Time | None = described("The last sign-in.", TIME_EXAMPLE)
    licenses: list[License] = described("Their license products.", [])
    end_user_id: str | None = described("The End User on this side.", UUID_EXAMPLE)


class Conflict(Document):
    """What the sync could not decide. Nothing is changed until somebody settles it."""

    id: str = described("Its id.", UUID_EXAMPLE)
    organization_id: str = described("The Organization it is in.", UUID_EXAMPLE)
    kind: str = described(
        "email_linked_to_other, duplicate_remote_email or email_clash.", "duplicate_remote_email"
    )
    reason: str = described("What the conflict is, in words.", "Two Microsoft users have this email.")
    object_id: str = described("The Microsoft user it is about.", OBJECT_ID_EXAMPLE)
    display_name: str = described("The name of that user.", "Finn Greco")
    email: str = described("The email address of that user.", "finn.greco@fabrikam.example")
    end_user_id: str | None = described("The End User who may match.", UUID_EXAMPLE)
    other_object_id: str | None = described("The other Microsoft user.", None)
    run_id: str | None = described("The Sync Run that found it.", UUID_EXAMPLE)
    created_at: Time = described("When it was found.", TIME_EXAMPLE)
    resolution: Literal["link", "ignore", "gone"] | None = described(
        "How it was settled; gone: it resolved itself; null: it is open.", None
    )
    resolved_end_user_id: str | None = described("With link: the End User who was chosen.", None)
    resolved_at: Time | None = described("When it was settled.", None)
    resolved_by: str = described("Who settled it; blank for nobody.", "")
    sides: list[ConflictSide] = described("Both sides, with the facts needed to decide.", [])
