"""Decisions in words: one sentence for each Reason, the same on pages, in the API and on the command line. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from portal.engine.records import Decision, Reason, Spared, Undone

SECTION_LABELS = {
    "user_type": "User Type",
    "domain": "Domain",
    "office_location": "Office Location",
    "department": "Department",
    "group": "Group",
}

FIELD_LABELS: Mapping[str, str] = {
    "display_name": "Name",
    "first_name": "First name",
    "last_name": "Last name",
    "email": "Email",
    "phone": "Phone",
    "mobile_phone": "Mobile Phone",
    "street_address": "Street Address",
    "city": "City",
    "state": "State/Province",
    "postal_code": "Zip/Postal Code",
    "country": "Country",
    "job_title": "Job Title",
    "department": "Department",
    "office_location": "Office Location",
}
CHANGE_LABELS: Mapping[str, str] = {
    **FIELD_LABELS,
    "user_principal_name": "UPN",
    "licenses": "Microsoft License",
    "microsoft_status": "Microsoft Status",
    "in_scope": "Filters of the sync",
}

SENTENCES: dict[Reason, str] = {
    Reason.NEW_IN_SCOPE: "New: matches all five sections, and nobody here has this email.",
    Reason.MATCHED_BY_EMAIL: "Linked to the End User with the same email.",
    Reason.MATCHED_BY_ALIAS: "Linked to the End User whose email is one of this account's other addresses.",
    Reason.MATCHED_BY_IMMUTABLE_ID: "The same person under a new Microsoft account: the Link moved with them.",
    Reason.LINK_MOVED: "Linked again: the Microsoft account the End User was linked to is gone, or of another tenant.",
    Reason.FIELDS_DIFFER: "Microsoft has different details.",
    Reason.UP_TO_DATE: "Already up to date.",
    Reason.BACK_IN_SCOPE: "Matches the filters again: updates resume.",
    Reason.OUT_OF_SCOPE: "Outside the filters.",
    Reason.NO_LONGER_IN_SCOPE: "No longer matches the filters: kept, but no longer updated.",
    Reason.ACCOUNT_DISABLED: "Sign-in is blocked in Microsoft.",
    Reason.ACCOUNT_SOFT_DELETED: "Deleted in Microsoft; it can be restored there for 30 days.",
    Reason.ACCOUNT_GONE: "No longer in Microsoft.",
    Reason.ACCOUNT_ENABLED: "Enabled in Microsoft again.",
    Reason.ABSENT_BUT_READ_INCOMPLETE: "Not found in this read, but the read was not complete, so nothing was changed.",
    Reason.DISABLED_BUT_READ_INCOMPLETE: "Disabled in Microsoft, but the read was not complete. The next complete read marks it.",
    Reason.ALREADY_DISABLED: "Still disabled in or gone from Microsoft: marked already.",
    Reason.NO_EMAIL: "Skipped: no email address. Give the account a mail address in Microsoft, or put it on the never-sync list.",
    Reason.DISABLED_NOT_ADDED: "Skipped: disabled in Microsoft, and disabled accounts are not added.",
    Reason.UNLICENSED_NOT_ADDED: "Skipped: no Microsoft license, and only licensed people are added.",
    Reason.NEVER_SYNC: "Skipped: on the never-sync list.",
    Reason.AGENT: "Skipped: an AI agent, not a person.",
    Reason.HELD: "Not applied yet: waits until an administrator applies or dismisses it.",
    Reason.DISMISSED: "Held back before, and an administrator dismissed it: left as it is until it changes in Microsoft.",
    Reason.BAD_RECORD: "Skipped: Microsoft's record cannot be used.",
    Reason.EMAIL_LINKED_TO_OTHER: "The End User with this email is linked to another Microsoft account that still exists. Nothing was changed.",
    Reason.DUPLICATE_REMOTE_EMAIL: "Two Microsoft users have this email. Nothing was changed. Choose who is meant, or ignore this until one of them changes.",
    Reason.EMAIL_CLASH: "The new email belongs to another End User here. It was not changed; the other details were.",
    Reason.UNDONE: "Restored by undoing a run.",
    Reason.CONFLICT_IGNORED: "A conflict that was settled with Ignore, and neither side has changed since.",
}

UNDONE: dict[Undone, str] = {
    Undone.DELETED: "deleted again, as the run had created them",
    Undone.DETAILS: "details restored",
    Undone.UNLINKED: "unlinked",
    Undone.LINKED: "linked as before",
    Undone.MARK: "mark restored",
}
SPARED: dict[Spared, str] = {
    Spared.EDITED: "edited since",
    Spared.DELETED: "deleted since",
    Spared.HAS_NOTES: "has notes",
    Spared.OWNS_ASSETS: "owns Assets that were assigned by hand",
    Spared.ADDRESS_TAKEN: "another End User now has the previous email",
    Spared.ACCOUNT_TAKEN: "another End User is now linked to the previous Microsoft account",
    Spared.LINKED_OTHERWISE: "linked to another Microsoft account since",
}


def undone_words(what: Iterable[Undone]) -> str:
    """What an undo did to somebody, as words after a colon."""
    return ", ".join(UNDONE[code] for code in what)


def spared_words(reason: Spared, field: str = "") -> str:
    """Why an undo leaves somebody alone, or ``field`` of theirs: ``edited since``, ``city was edited since``."""
    return f"{field} was {SPARED[reason]}" if field else SPARED[reason]


def note_words(reason: str, note: str) -> str:
    """The note of a change record in words: what an undo did is stored as codes."""
    return undone_words(Undone(code) for code in note.split()) if reason == Reason.UNDONE else note


def reason_sentence(reason: Reason | str, note: str = "") -> str:
    """The sentence of a reason; an unknown word (from a newer version) is shown as it is."""
    try:
        text = SENTENCES[Reason(reason)]
    except ValueError:
        return str(reason)
    return f"{text} ({note})" if note else text


def why(decision: Decision) -> str:
    """The sentence of a decision, its detail included."""
    return reason_sentence(decision.reason, decision.note)
