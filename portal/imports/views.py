"""What the pages of an import show: words, groups of rows, fields with old and new. No queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portal.engine.explain import FIELD_LABELS
from portal.http import undo_view as undo
from portal.http.formatting import number, plural
from portal.imports.records import Action, Planned, UndoStep
from portal.imports.service import SHOWN, Preview
from portal.models import UNDER_WAY, Import, ImportRow

CUT = 120  # characters of a value


@dataclass(frozen=True)
class Kind:
    """A kind of file. word: of one row; path: in addresses; endpoint: its list, detail: the page of one, "" for none."""

    word: str
    path: str
    endpoint: str
    detail: str
    matching: str
    columns: str


KINDS: Mapping[str, Kind] = {
    "end_users": Kind(
        "End User",
        "end-users",
        "end_users.index",
        "/end-users/",
        "People are found by their email address, which is required.",
        "display_name, first_name, last_name, email, phone, mobile_phone, street_address, city, state, postal_code, country, "
        "job_title, department, office_location, notes",
    ),
    "assets": Kind(
        "Asset",
        "assets",
        "assets.index",
        "/assets/",
        "Assets are found by id, then by MAC address, then by a name that only one has.",
        "id, name, mac_addresses (separated by spaces), end_user_email",
    ),
}
STATUSES: Mapping[str, str] = {
    "storing": "Being read",
    "review": "Not imported yet",
    "discarded": "Discarded",
    "queued": "Waits for its turn",
    "running": "Under way",
    "succeeded": "Imported",
    "failed": "Stopped",
    "undoing": "Being undone",
    "undone": "Undone",
}
LABELS: Mapping[str, str] = {
    **FIELD_LABELS,
    "notes": "Notes",
    "name": "Name",
    "mac_addresses": "MAC addresses",
    "end_user_email": "End User",
}


@dataclass(frozen=True)
class Line:
    """One row of a file. object_id: whose page it leads to, "" for none; text: why it was rejected or spared."""

    line: int
    name: str
    object_id: str
    fields: Sequence[tuple[str, str, str]]
    text: str = ""


@dataclass(frozen=True)
class Group:
    """Rows that share their fate. number: how many they are, of which ``lines`` are the first."""

    title: str
    lines: Sequence[Line]
    number: int

    @property
    def is_cut(self) -> bool:
        """Not all are listed."""
        return self.number > len(self.lines)


@dataclass(frozen=True)
class Review:
    """A preview: how many, and who."""

    created: int
    updated: int
    unchanged: int
    rejected: int
    groups: Sequence[Group]

    @property
    def changing(self) -> int:
        """How many rows would be written."""
        return self.created + self.updated


def preview(planned: Preview) -> Review:
    """The rows of a file, by their expected outcome."""
    of = {action: planned.rows(action) for action in Action}
    titles = {
        Action.REJECT: "Rejected",
        Action.CREATE: "New",
        Action.UPDATE: "Updated",
        Action.UNCHANGED: "Unchanged",
    }
    return Review(
        created=len(of[Action.CREATE]),
        updated=len(of[Action.UPDATE]),
        unchanged=len(of[Action.UNCHANGED]),
        rejected=len(of[Action.REJECT]),
        groups=[
            Group(title, [_planned_line(row) for row in of[action][:SHOWN]], len(of[action]))
            for action, title in titles.items()
        ],
    )


@dataclass(frozen=True)
class Part:
    """Rows of an import that was begun, by outcome and by whether an undo left them."""

    title: str
    number: int
    action: str = ""
    state: str = ""


def parts(row: Import) -> list[Part]:
    """The groups of rows to show of an import that was begun."""
    every_part = [
        Part("Rejected", row.rejected, action=Action.REJECT),
        Part("New", row.created, action=Action.CREATE),
        Part("Updated", row.updated, action=Action.UPDATE),
    ]
    return [Part("Not restored", row.spared, state="spared"), *every_part] if row.spared else every_part


@dataclass(frozen=True)
class ImportView:
    """An import that was begun. state: where it is; so_far: the progress in words, "" for none.

    done: rows of ``total``, None while that is not counted. groups: those with rows, once it is over.
    """

    state: str
    so_far: str
    is_active: bool
    done: int | None
    total: int
    can_undo: bool
    groups: Sequence[Group]


def import_view(row: Import, groups: Iterable[Group]) -> ImportView:
    """What an import has done so far."""
    is_active = row.status in UNDER_WAY
    return ImportView(
        state=STATUSES[row.status],
        so_far=_so_far(row),
        is_active=is_active,
        done=row.done if row.status in {"queued", "running"} else None,
        total=row.total or 1,
        can_undo=not is_active and row.status in {"succeeded", "failed"} and bool(row.created or row.updated),
        groups=[] if is_active else [group for group in groups if group.number],
    )


def _so_far(row: Import) -> str:
    if row.status == "running":
        return f": {number(row.done)} of {plural(row.total, 'row')}"
    if row.status == "undone":
        spared = f", {number(row.spared)} not, because they were edited since" if row.spared else ""
        return f": {plural(row.restored, 'row')} undone{spared}"
    return ""


def kept_group(part: Part, rows: Iterable[ImportRow]) -> Group:
    """The first rows of a part."""
    lines = [Line(row.line, row.name, row.object_id or "", _fields(row.fields), row.note) for row in rows]
    return Group(part.title, lines, part.number)


def undo_view(steps: Sequence[UndoStep], word: str, *, action: str, back: str) -> undo.UndoView:
    """What an undo of an import deletes, restores and spares. word: of one row."""
    spared = [undo.Line(step.name, details=[reason]) for step in steps for reason in step.reasons]
    deleted, restored = "Deleted, as this import created them", "Restored"
    edited_since = "Not restored: edited since"
    return undo.undo_view(
        "import",
        (word, word, None),
        (
            undo.Group(deleted, deleted, [undo.Line(step.name) for step in steps if step.delete], "None"),
            undo.Group(
                restored,
                restored,
                [
                    undo.Line(step.name, details=[_back(entry) for entry in step.fields])
                    for step in steps
                    if step.does_something and not step.delete
                ],
                "None",
            ),
            undo.Group(edited_since, edited_since, spared, "None"),
        ),
        action=action,
        back=back,
        nothing=": everything has changed since",
    )


def _back(entry: Mapping[str, str]) -> str:
    return f"{label(entry['field'])}: {entry['new'] or 'blank'}"


def label(name: str) -> str:
    """What a field is called on pages."""
    return LABELS.get(name, name)


def _planned_line(row: Planned) -> Line:
    is_new = row.action is Action.CREATE
    return Line(
        row.line,
        row.name,
        "" if is_new else row.object_id,
        _fields(row.fields),
        row.reason,
    )


def _fields(entries: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    return [(label(e["field"]), str(e["old"])[:CUT], str(e["new"])[:CUT]) for e in entries]
