"""Turns Microsoft's pages into rows: prepared first, then written in a transaction that does nothing else."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from sqlalchemy.orm import Session

from portal.engine.batches import batches
from portal.engine.bulk import ReadyRows, insert_ready, read_rows, ready_tuples, update_rows
from portal.engine.mirror.columns import NAMES, as_json, row_of
from portal.engine.mirror.context import RefreshContext
from portal.engine.normalize import merge, remote_values
from portal.engine.pace import MOST_ROWS, Pace
from portal.engine.ports import RawObject
from portal.engine.records import Presence
from portal.models import DirectoryUser

_KEYS = ("microsoft_tenant_id", "object_id")
_ROW = ("microsoft_tenant_id", "raw", "row_hash", "version", "presence", "is_agent", *NAMES)
_NEW_ROW = (*_ROW, "mfa_methods")
_NO_METHODS: list[str] = []


class _Stored(NamedTuple):
    """What the mirror holds of one user. raw: only loaded for a delta's merge."""

    row_hash: str
    presence: str
    is_agent: bool
    raw: str = ""


@dataclass
class Round:
    """One round through Microsoft's pages: present_ids and removed, who was in it; changed, whether it wrote.

    is_new: nobody was in the mirror when it began, so that only who is met again can be there.
    """

    context: RefreshContext
    is_full: bool
    agents: Collection[str]
    is_new: bool = False
    present_ids: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    pace: Pace = field(default_factory=lambda: Pace(MOST_ROWS))
    without_id: int = 0
    changed: bool = False

    def stored(self, items: Iterable[str]) -> list[str]:
        """Which of a page's people the mirror may hold. Call it before the page is counted."""
        if not self.is_new:
            return list(items)
        return [i for i in items if i in self.present_ids or i in self.removed]


@dataclass(frozen=True, slots=True)
class Part:
    """What of a page is to be written. marked: object ids with their new presence. has_returned: somebody is present again."""

    new: ReadyRows
    changed: list[dict[str, Any]]
    marked: list[tuple[str, str]]
    has_returned: bool


def make_ready(reading: Round, items: Mapping[str, RawObject], stored_ids: Collection[str]) -> Part:
    """Prepare the rows that differ from the mirror. Needs no lock: only the lease holder writes these rows.

    stored_ids: which of a page's people the mirror may hold (``Round.stored``).
    """
    with reading.context.lease.sessions() as session:
        stored = _stored(reading, session, [i for i in stored_ids if i in items])
        new: list[tuple[Any, ...]] = []
        changed: list[dict[str, Any]] = []
        marked: list[tuple[str, str]] = []
        has_returned = False
        for object_id, item in items.items():
            old = stored.get(object_id)
            if "@removed" in item:
                presence = _removed_as(item)
                if old is not None and old.presence != presence:
                    marked.append((object_id, presence))
                continue
            row = _row(reading, old, object_id, item)
            if old is None:
                new.append((*row, _NO_METHODS))
            elif (old.row_hash, old.presence, old.is_agent) != (row[2], Presence.PRESENT, row[5]):
                changed.append(dict(zip(_ROW, row, strict=True)))
                has_returned = has_returned or old.presence != Presence.PRESENT
        return Part(ready_tuples(session, DirectoryUser, _NEW_ROW, new), changed, marked, has_returned)


def write(reading: Round, session: Session, part: Part) -> None:
    """Write a prepared part in the present transaction."""
    insert_ready(session, part.new)
    if part.changed:
        update_rows(session, DirectoryUser, part.changed, keys=_KEYS)
    _mark(reading, session, part.marked)
    if part.new.parameters or part.changed or part.marked:
        reading.changed = True
        reading.context.mark_changed(session)
    if part.has_returned:  # their groups come with no group delta: said in this very transaction (S6, G4)
        reading.context.mark_members_old(session)


def write_absent(reading: Round, session: Session, absent: Collection[str], soft: frozenset[str]) -> None:
    """Mark who was not in a full read. soft: who of them can still be restored."""
    if absent:
        _mark(reading, session, [(i, Presence.SOFT_DELETED if i in soft else Presence.GONE) for i in absent])
        reading.changed = True
        reading.context.mark_changed(session)


def _mark(reading: Round, session: Session, marks: Iterable[tuple[str, str]]) -> None:
    rows = [
        {
            "microsoft_tenant_id": reading.context.tenant_id,
            "object_id": object_id,
            "presence": str(presence),
            "version": reading.context.version,
        }
        for object_id, presence in marks
    ]
    update_rows(session, DirectoryUser, rows, keys=_KEYS)


def _removed_as(item: RawObject) -> str:
    removed = item["@removed"]
    reason = removed.get("reason") if isinstance(removed, dict) else None
    return Presence.SOFT_DELETED if reason == "changed" else Presence.GONE


def _row(reading: Round, old: _Stored | None, object_id: str, item: RawObject) -> tuple[Any, ...]:
    """The columns ``_ROW`` of somebody who is present."""
    before = orjson.loads(old.raw) if old is not None and old.raw else None
    raw = merge(before, item, full=reading.is_full)
    raw["id"] = object_id
    text = as_json(raw)
    return (
        reading.context.tenant_id,
        text,
        hashlib.blake2b(text.encode(), digest_size=16).hexdigest(),
        reading.context.version,
        Presence.PRESENT.value,
        object_id in reading.agents,
        *row_of(remote_values(raw)),
    )


def _stored(reading: Round, session: Session, object_ids: list[str]) -> dict[str, _Stored]:
    """What the mirror holds of these; the raw records only where a delta is merged into them."""
    names = ("object_id", *(name for name in _Stored._fields if name != "raw" or not reading.is_full))
    fixed = {"microsoft_tenant_id": reading.context.tenant_id}
    stored_rows: dict[str, _Stored] = {}
    for part in batches(object_ids):
        for object_id, *row in read_rows(session, DirectoryUser, names, fixed, "object_id", part):
            stored_rows[object_id] = _Stored(*row)
    return stored_rows
