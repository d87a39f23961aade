"""What End Users are filtered by, in words: shared by an Organization's list and that of all people."""

from __future__ import annotations

from portal.end_users.listing import NOT_DISABLED

CHIPS = {
    "microsoft_status": {
        NOT_DISABLED: "Without: Disabled in Microsoft",
        "active": "Active in Microsoft",
        "disabled": "Only: Disabled in Microsoft",
        "none": "Not linked",
    },
    "licensed": {"true": "Has a Microsoft license", "false": "No Microsoft license"},
    "mfa": {"true": "MFA registered", "false": "MFA not registered"},
    "source": {"manual": "Entered by hand", "import": "Imported", "sync": "From Microsoft"},
    "in_scope": {"true": "Within the filters", "false": "Outside the filters"},
}
FIELDS = {
    "microsoft_status": "Status",
    "licensed": "License",
    "mfa": "MFA",
    "source": "Source",
    "in_scope": "Sync",
}
