"""One person's change history (P6): what runs changed, and what people changed by hand, newest first. No writes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.explain import note_words
from portal.models import AuditEvent, Change, EndUser, Import, ImportRow, SyncException, SyncRun

LIMIT = 50
DOORS = {"api": "through the API", "cli": "at the command line"}
WORDS = {"end_user_changed": "Edited", "end_user_unlinked": "Unlinked"}


@dataclass(frozen=True)
class Entry:
    """One line. fields: ``{"field","old","new"}``; named: fields of which only the name is known.

    change and run are a sync's; word and who are a person's, door says how they came in.
    """

    at: datetime
    fields: Sequence[Mapping[str, str]] = ()
    named: Sequence[str] = ()
    note: str = ""
    change: Change | None = None
    run: SyncRun | None = None
    word: str = ""
    who: str = ""
    door: str = ""


def of(session: Session, row: EndUser, limit: int = LIMIT) -> list[Entry]:
    """The latest ``limit`` entries of this person."""
    entries = [
        *_by_runs(session, row, limit),
        *_by_hand(session, row, limit),
        *_by_imports(session, row, limit),
        *_pins(session, row),
    ]
    return sorted(entries, key=lambda entry: entry.at, reverse=True)[:limit]


def _by_runs(session: Session, row: EndUser, limit: int) -> list[Entry]:
    changes = session.scalars(
        select(Change)
        .where(Change.end_user_id == row.id, Change.state != "staged")
        .order_by(Change.at.desc())
        .limit(limit)
    ).all()
    run_ids = {change.run_id for change in changes}
    runs = {run.id: run for run in session.scalars(select(SyncRun).where(SyncRun.id.in_(run_ids)))}
    return [
        Entry(
            change.at,
            change.fields,
            note=note_words(change.reason, change.note),
            change=change,
            run=runs.get(change.run_id),
        )
        for change in changes
    ]


def _by_hand(session: Session, row: EndUser, limit: int) -> list[Entry]:
    events = session.scalars(
        select(AuditEvent)
        .where(
            AuditEvent.object_type == "end_user",
            AuditEvent.object_id == row.id,
            AuditEvent.action.in_(("end_user_created", *WORDS)),
        )
        .order_by(AuditEvent.at.desc())
        .limit(limit)
    )
    entries = []
    for event in events:
        fields = event.detail.get("fields", [])
        recorded = {field["field"] for field in fields}
        names = [
            name for name in event.detail.get("changes", "").split(", ") if name and name not in recorded
        ]
        word = WORDS.get(event.action, "Added")
        door = DOORS.get(event.source, "")
        entries.append(Entry(event.at, fields, names, word=word, who=event.actor, door=door))
    return entries


def _by_imports(session: Session, row: EndUser, limit: int) -> list[Entry]:
    rows = session.execute(
        select(ImportRow, Import)
        .join(Import, Import.id == ImportRow.import_id)
        .where(ImportRow.object_id == row.id)
        .order_by(ImportRow.at.desc())
        .limit(limit)
    )
    return [
        Entry(
            record.at,
            record.fields,
            note="Undone" if record.state == "undone" else "",
            word="Imported",
            who=file.actor,
            door=DOORS.get(file.source, ""),
        )
        for record, file in rows
    ]


def _pins(session: Session, row: EndUser) -> list[Entry]:
    pins = session.scalars(
        select(SyncException).where(SyncException.kind == "pin", SyncException.end_user_id == row.id)
    )
    return [
        Entry(pin.created_at, named=[pin.field or ""], note=pin.reason, word="Pinned", who=pin.author)
        for pin in pins
    ]
