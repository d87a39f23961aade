"""Imports as pages, API and commands use them: preview, result and undo (O2, R5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from portal import audit
from portal.clock import utcnow
from portal.engine.batches import batches
from portal.errors import NotFound, Refused
from portal.http import csv_cells
from portal.imports import runner, sheet
from portal.imports.kinds import IMPORTERS
from portal.imports.records import Action, Candidate, Planned, UndoStep
from portal.models import Import, ImportRow
from portal.worker import dispatch

CHUNK = 1000
SHOWN = 200
EARLIER = 20


@dataclass(frozen=True)
class Preview:
    """The effects of an import now. planned: every row, in the order of the file."""

    planned: Sequence[Planned]

    def rows(self, action: str) -> list[Planned]:
        """Those to which ``action`` happens."""
        return [planned_row for planned_row in self.planned if planned_row.action == action]

    def document(self, import_id: str | None = None) -> dict[str, Any]:
        """An import as the API shows it; ``rows`` shows the first of what would be written, field by field."""
        changing = [row for row in self.planned if row.action in {Action.CREATE, Action.UPDATE}]
        return {
            "import_id": import_id,
            "created": len(self.rows(Action.CREATE)),
            "updated": len(self.rows(Action.UPDATE)),
            "unchanged": len(self.rows(Action.UNCHANGED)),
            "rejected": [{"line": row.line, "reason": row.reason} for row in self.rows(Action.REJECT)],
            "rows": [
                {
                    "line": row.line,
                    "action": row.action.value,
                    "name": row.name,
                    "fields": list(row.fields),
                }
                for row in changing[:SHOWN]
            ],
        }


def preview_file(session: Session, organization_id: str, kind: str, data: bytes) -> Preview:
    """Preview an import of this file. Reads only. Raises Invalid on ``file``."""
    importer = IMPORTERS[kind]
    rows = sheet.read(sheet.decode(data), importer.columns)
    return _preview(session, organization_id, kind, list(importer.match(session, organization_id, rows)))


def preview(session: Session, row: Import) -> Preview:
    """Preview the import of a stored file. Reads only."""
    return _preview(session, row.organization_id, row.kind, list(runner.candidates(session, row)))


def document(session: Session, row: Import) -> dict[str, Any]:
    """An import as the API shows it."""
    refused = (
        select(ImportRow.line, ImportRow.note)
        .where(ImportRow.import_id == row.id, ImportRow.action == Action.REJECT.value)
        .order_by(ImportRow.line)
    )
    return {
        "import_id": row.id,
        "created": row.created,
        "updated": row.updated,
        "unchanged": row.unchanged,
        "rejected": [{"line": line, "reason": note} for line, note in session.execute(refused)],
    }


def progress_document(session: Session, row: Import) -> dict[str, Any]:
    """An import and how far it is."""
    return {
        **document(session, row),
        "id": row.id,
        "organization_id": row.organization_id,
        "kind": row.kind,
        "status": row.status,
        "file_name": row.file_name,
        "progress": {"done": row.done, "total": row.total},
        "started_by": row.actor,
        "created_at": row.created_at,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        "error": row.error,
        "undone_at": row.undone_at,
        "restored": row.restored,
        "spared": row.spared,
    }


def request(session: Session, row: Import) -> None:
    """Queue a reviewed import. Repeating it changes nothing. Raises Refused when it is too late. The caller commits."""
    actor = audit.current_actor()
    moved = _moved(
        session,
        row,
        ("review",),
        {"status": "queued", "actor": actor.name[:320], "source": actor.source, "ip": actor.ip[:64]},
    )
    if not moved and row.status == "storing":
        raise Refused("This file is still being read. Wait a moment.")
    if moved:
        dispatch.enqueue(session, "import", row.id)


def discard(session: Session, row: Import) -> None:
    """Forget a file that was only looked at. Raises Refused when it is being imported already. The caller commits."""
    if not _moved(session, row, ("review", "storing"), {"status": "discarded"}):
        raise Refused("This file is already being imported. Undo the import instead.")


def plan_undo(session: Session, row: Import) -> list[UndoStep]:
    """What an undo would restore and what it would spare, row by row; changes nothing (R5). Raises Refused as it runs."""
    _undoable(row)
    importer = IMPORTERS[row.kind]
    return [
        step
        for part in batches(session.scalars(runner.written(row.id)).all(), CHUNK)
        for step in importer.plan_undo(session, row.organization_id, part)
    ]


def undo_document(steps: Iterable[UndoStep]) -> dict[str, Any]:
    """An undo's plan as the API and the command line show it."""
    restored, spared = [], []
    for step in steps:
        row = {"id": step.object_id, "name": step.name, "line": step.line}
        if step.does_something:
            what = "deleted again, as the import had created it" if step.delete else "details restored"
            restored.append({**row, "what": what, "fields": list(step.fields)})
        spared += [{**row, "reason": reason} for reason in step.reasons]
    return {"restored": restored, "spared": spared}


def request_undo(session: Session, row: Import, owner: str | None = None) -> None:
    """Queue the undo of an import, or claim it for ``owner``. The caller commits.

    Raises Refused if it is not over or was undone already: of several concurrent requests one succeeds.
    """
    _undoable(row)
    now = utcnow()
    values = {
        "status": "undoing",
        "owner": owner,
        "renewed_at": now if owner else None,
        "undone_by": audit.current_actor().name[:320],
        "restored": 0,
        "spared": 0,
        "error": None,
    }
    if not _moved(session, row, ("succeeded", "failed"), values):
        raise Refused("This import is already being undone.")
    if owner is None:
        dispatch.enqueue(session, "import", row.id)
    audit.record(
        session,
        "import_undone",
        object_type="organization",
        object_id=row.organization_id,
        kind=row.kind,
        import_id=row.id,
    )
    session.flush()


def kept_rows(session: Session, row: Import, *, action: str = "", state: str = "") -> Sequence[ImportRow]:
    """The first rows of an import of one kind, in the order of the file."""
    statement = select(ImportRow).where(ImportRow.import_id == row.id).order_by(ImportRow.line).limit(SHOWN)
    if action:
        statement = statement.where(ImportRow.action == action)
    if state:
        statement = statement.where(ImportRow.state == state)
    return session.scalars(statement).all()


def earlier(session: Session, organization_id: str, kind: str) -> Sequence[Import]:
    """The latest imports of one kind that were begun."""
    statement = (
        select(Import)
        .where(
            Import.organization_id == organization_id,
            Import.kind == kind,
            Import.status.not_in(("storing", "review", "discarded")),
        )
        .order_by(Import.created_at.desc())
        .limit(EARLIER)
    )
    return session.scalars(statement).all()


def template(kind: str) -> Iterator[str]:
    """A CSV of nothing but the header, to be filled in."""
    return csv_cells.write(IMPORTERS[kind].columns.fields, ())


def _preview(session: Session, organization_id: str, kind: str, candidates: Sequence[Candidate]) -> Preview:
    importer = IMPORTERS[kind]
    planned: list[Planned] = []
    for part in batches(candidates, CHUNK):
        planned += importer.plan(session, organization_id, part)
    return Preview(planned)


def _undoable(row: Import) -> None:
    if row.status == "undone":
        raise Refused("This import has already been undone.")
    if row.status not in {"succeeded", "failed"}:
        raise Refused("This import has not finished yet. Wait until it has.")


def _moved(session: Session, row: Import, statuses: Sequence[str], values: Mapping[str, Any]) -> bool:
    """Move an import on from one of ``statuses``; of several that try at once, one does."""
    result = session.execute(
        update(Import)
        .where(Import.id == row.id, Import.status.in_(statuses))
        .values(values)
        .execution_options(synchronize_session=False)
    )
    is_mine = getattr(result, "rowcount", 0) == 1
    session.refresh(row)
    return is_mine


def load(session: Session, import_id: str) -> Import:
    """One import. Raises NotFound."""
    is_possible = len(import_id) <= 64 and "\x00" not in import_id
    row = session.get(Import, import_id) if is_possible else None
    if row is None:
        raise NotFound("There is no such import. It may have been deleted with its Organization.")
    return row
