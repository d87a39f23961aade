"""Audit events and their chain (O4)."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import WithJsonSchema

from portal.api.documents.base import UUID_EXAMPLE, Document, Page, described

ExactTime = Annotated[str, WithJsonSchema({"type": "string", "format": "date-time"})]
"""A moment as it is hashed: to the microsecond."""
EXACT_TIME_EXAMPLE = "2026-03-02T04:13:00.271828Z"
HASH_EXAMPLE = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"


class AuditEvent(Document):
    """Who did what, when and from where, exactly as it is hashed."""

    number: int = described("Its place in the chain: 1, 2, 3, …", 4812)
    id: str = described("Its id.", UUID_EXAMPLE)
    at: ExactTime = described("When it happened.", EXACT_TIME_EXAMPLE)
    actor: str = described("An address, a token, the command line, or the sync.", "ada@msp.example")
    source: Literal["page", "api", "cli", "sync"] = described(
        "Where it came from: a page, the API, the command line or a sync.", "page"
    )
    action: str = described("What was done.", "organization_created")
    object_type: str = described("The kind of object it was done to; blank for none.", "organization")
    object_id: str = described("The id of that object; blank for none.", UUID_EXAMPLE)
    detail: dict[str, Any] = described("Details, by action.", {"name": "Harborview Clinic"})
    ip: str = described("The address it came from; blank for none.", "192.0.2.7")
    previous_hash: str = described("The hash of the event before.", HASH_EXAMPLE)
    hash: str = described("SHA-256 of the event and ``previous_hash``.", HASH_EXAMPLE)


class ChainMark(Document):
    """A place in the chain."""

    number: int = described("The number of an event; 0 for the place before the first.", 4812)
    hash: str = described("The hash of that event.", HASH_EXAMPLE)


class Chain(Document):
    """The ends of the chain."""

    anchor: ChainMark = described("Just before the oldest event that is kept.", {"number": 0, "hash": ""})
    head: ChainMark = described("The newest event.", {"number": 4812, "hash": HASH_EXAMPLE})


class AuditEventList(Page[AuditEvent]):
    """One page of the audit log, with the ends of its chain."""

    chain: Chain = described(
        "The ends of the chain at this moment.",
        {"anchor": {"number": 0, "hash": ""}, "head": {"number": 4812, "hash": HASH_EXAMPLE}},
    )


class AuditExport(Document):
    """The filtered events in the order of the chain, complete by itself: ``rollcall audit verify`` checks it."""

    format: Literal["rollcall-audit-export"] = described("What this is.", "rollcall-audit-export")
    version: Literal[1] = described("The version of the format.", 1)
    exported_at: ExactTime = described("When it was exported.", EXACT_TIME_EXAMPLE)
    events: list[AuditEvent] = described("The events, oldest first.", [])
    rows: int = described("How many events there are.", 0)
    digest: str = described("SHA-256 of their hashes, joined in order.", HASH_EXAMPLE)
    anchor: ChainMark = described("Just before the oldest event that is kept.", {"number": 0, "hash": ""})
    head: ChainMark = described("The newest event of the log.", {"number": 4812, "hash": HASH_EXAMPLE})
    filters: dict[str, str] = described("The filters that were used.", {"action": "organization_created"})
