"""Imports (O2, R5)."""

from __future__ import annotations

from typing import Literal

from portal.api.documents.base import TIME_EXAMPLE, UUID_EXAMPLE, Document, FieldChange, Time, described
from portal.api.documents.sync_runs import Progress


class RejectedRow(Document):
    """A row that was not imported."""

    line: int = described("The line of the file.", 14)
    reason: str = described("What is wrong with it.", "This is not an email address.")


class PlannedRow(Document):
    """A row that would be written."""

    line: int = described("The line of the file.", 2)
    action: Literal["create", "update"] = described("What would happen to it.", "update")
    name: str = described("Who or what it is.", "Finn Greco")
    fields: list[FieldChange] = described("What would change.", [])


class ImportResult(Document):
    """What an import did, or would do."""

    import_id: str | None = described("The import; null with ``dry_run``.", UUID_EXAMPLE)
    created: int = described("How many rows created something.", 12)
    updated: int = described("How many rows changed something.", 3)
    unchanged: int = described("How many rows changed nothing.", 85)
    rejected: list[RejectedRow] = described("The rows that were rejected.", [])
    rows: list[PlannedRow] = described(
        "With ``dry_run``: the first 200 rows to be written.", [], default=None
    )


class Import(ImportResult):
    """An import, and how far it is."""

    id: str = described("Its id.", UUID_EXAMPLE)
    organization_id: str = described("The Organization it is for.", UUID_EXAMPLE)
    kind: Literal["end_users", "assets"] = described("What is imported.", "end_users")
    status: Literal[
        "storing", "review", "queued", "running", "succeeded", "failed", "undoing", "undone", "discarded"
    ] = described("Its state. review: it waits for confirmation on its page.", "succeeded")
    file_name: str = described("The name of the file; blank over the API.", "people.csv")
    progress: Progress
    started_by: str = described("Who requested it.", "ada@msp.example")
    created_at: Time = described("When it was requested.", TIME_EXAMPLE)
    started_at: Time | None = described("When it began.", TIME_EXAMPLE)
    finished_at: Time | None = described("When it ended.", TIME_EXAMPLE)
    error: str | None = described("Why it failed.", None)
    undone_at: Time | None = described("When it was undone.", None)
    restored: int = described("How many rows the undo restored.", 0)
    spared: int = described("How many rows the undo left alone because they were edited since.", 0)


class RestoredRow(Document):
    """A row that the undo takes back."""

    id: str = described("The End User or Asset.", UUID_EXAMPLE)
    name: str = described("Its name.", "Finn Greco")
    line: int = described("The line of the file.", 2)
    what: str = described("What is done.", "details restored")
    fields: list[FieldChange] = described("The fields that are restored.", [])


class SparedRow(Document):
    """A row that the undo leaves as it is."""

    id: str | None = described("The End User or Asset.", UUID_EXAMPLE)
    name: str = described("Its name.", "Finn Greco")
    line: int = described("The line of the file.", 2)
    reason: str = described("Why.", "edited since")


class ImportUndoPlan(Document):
    """What an undo of an import would restore and what it would spare."""

    restored: list[RestoredRow] = described("What is restored.", [])
    spared: list[SparedRow] = described("What stays.", [])
