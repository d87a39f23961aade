"""Sync Runs, what they changed, and undo (P8, G1, R5)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from portal.api.documents.base import (
    OBJECT_ID_EXAMPLE,
    TIME_EXAMPLE,
    UUID_EXAMPLE,
    Document,
    FieldChange,
    Time,
    described,
)

Decided = Literal["create", "link", "update", "mark_disabled", "mark_enabled", "leave", "skip", "conflict"]
"""The decision words, used everywhere."""


class Progress(Document):
    """How far something is."""

    done: int = described("How many are done.", 120)
    total: int | None = described("How many there are; null while that is not known.", 214)


class Counts(Document):
    """How many people a run decided on, each counted once.

    ``read`` = ``in_scope`` + ``out_of_scope`` + ``skipped``; ``in_scope`` is the sum of ``created`` to ``held``.
    """

    read: int = described("Every Microsoft user decided on.", 214)
    in_scope: int = described("Those who match the filters.", 180)
    out_of_scope: int = described("Those who do not match the filters.", 30)
    skipped: int = described("Those left out for another reason, such as no email address.", 4)
    created: int = described("New End Users.", 2)
    linked: int = described("End Users who were linked.", 1)
    updated: int = described("End Users whose details changed.", 5)
    unchanged: int = described("End Users who are up to date.", 170)
    disabled: int = described("End Users marked Disabled in Microsoft.", 1)
    enabled: int = described("End Users whose Disabled in Microsoft mark was removed.", 0)
    conflicts: int = described("Those in conflict, which someone must settle.", 1)
    held: int = described("Those who wait for an administrator.", 0)
    gone: int = described("Linked, and absent from Microsoft; outside the sums.", 0)


class HeldBack(Document):
    """What a run holds back until an administrator applies or dismisses it."""

    kind: Literal["disable", "create"] = described("What would be done.", "disable")
    count: int = described("How many people still wait; once nobody does, how many were held.", 40)
    state: Literal["waiting", "applied", "dismissed"] = described("Its state.", "waiting")
    applied: int = described("How many were applied.", 0, default=None)
    dismissed: int = described("How many were dismissed.", 0, default=None)
    left_out: int = described("How many had changed by then and were left out.", 0, default=None)
    decided_by: str = described("Who decided.", "ada@msp.example", default=None)
    decided_at: Time = described("When they decided.", TIME_EXAMPLE, default=None)
    replaced_by: str = described("The later run that decided again.", UUID_EXAMPLE, default=None)
    is_disabled: bool = described("It ended because the User Sync was disabled.", False, default=None)


class SyncRun(Document):
    """One run of a User Sync."""

    id: str = described("Its id.", UUID_EXAMPLE)
    organization_id: str = described("The Organization it is for.", UUID_EXAMPLE)
    kind: Literal["sync", "undo"] = described("undo: it undoes another run.", "sync")
    undoes_run_id: str | None = described("The run that it undoes.", None)
    trigger: Literal["initial", "hourly", "manual"] = described("What started it.", "hourly")
    only_object_id: str | None = described("The one Microsoft user it is for; null for all.", None)
    lane: Literal["hourly", "delayed"] = described("delayed: an initial run with a group filter.", "hourly")
    status: Literal["queued", "running", "succeeded", "partial", "failed", "held", "cancelled"] = described(
        "The phase it is in.", "succeeded"
    )
    phase: str = described("What it is doing.", "Done")
    progress: Progress
    counts: Counts
    held: HeldBack | None = Field(description="What waits for an administrator; null for nothing.")
    graph_requests: int = described("How many requests were sent to Microsoft.", 4)
    throttled_seconds: float = described("How long Microsoft made it wait.", 0.0)
    started_by: str = described("Who started it; blank for the schedule.", "")
    created_at: Time = described("When it was queued.", TIME_EXAMPLE)
    started_at: Time | None = described("When it began.", TIME_EXAMPLE)
    finished_at: Time | None = described("When it ended.", TIME_EXAMPLE)
    error: str | None = described("Why it failed, and what to do.", None)
    error_code: str | None = described("Microsoft's code for the problem.", None)
    warnings: list[str] = described("Warnings, in words.", [])


class Change(Document):
    """What a run did, or would not do, with one person."""

    end_user_id: str | None = described("The End User.", UUID_EXAMPLE)
    object_id: str = described("The Microsoft user.", OBJECT_ID_EXAMPLE)
    display_name: str = described("The name.", "Finn Greco")
    decision: Decided = described("What was decided.", "update")
    reason: str = described("Why, in words.", "Microsoft has different details.")
    reason_code: str = described("Why, as a stable code.", "fields_differ")
    state: Literal["applied", "held", "dismissed"] = described("Its state.", "applied")
    fields: list[FieldChange] = described(
        "What changed.", [{"field": "job_title", "old": "Nurse", "new": "Head Nurse"}]
    )
    at: Time = described("When it was decided.", TIME_EXAMPLE)


class RestoredPerson(Document):
    """Somebody whom the undo restores."""

    end_user_id: str = described("The End User.", UUID_EXAMPLE)
    display_name: str = described("The name.", "Finn Greco")
    what: str = described("What is done.", "details restored")
    fields: list[FieldChange] = described("The fields that are restored.", [])


class SparedPerson(Document):
    """Somebody whom the undo leaves as they are."""

    end_user_id: str | None = described("The End User.", UUID_EXAMPLE)
    display_name: str = described("The name.", "Finn Greco")
    reason: str = described("Why.", "edited since")
    fields: list[FieldChange] = described("What the run had changed.", [])


class UndoPlan(Document):
    """What an undo of a run would restore and what it would spare."""

    restored: list[RestoredPerson] = described("Who is restored.", [])
    spared: list[SparedPerson] = described("Who stays as they are.", [])
