"""The records between the stages of an import: rows of a sheet → candidates → planned rows → written rows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Protocol

from sqlalchemy.orm import Session

from portal.imports.sheet import Columns, Row
from portal.models import ImportRow


class Action(StrEnum):
    """The outcome of a row."""

    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"
    REJECT = "reject"


@dataclass(frozen=True, slots=True)
class Candidate:
    """A row that was checked by itself and against the rest of the file.

    values: what it says, by field, cleaned. target_id: what is here already and is meant, where that is found by the whole
    file; key: what it is looked up by otherwise. problem: why it is rejected; if_new: why it is where that is not here yet.
    """

    line: int
    name: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    key: str = ""
    target_id: str | None = None
    problem: str = ""
    if_new: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """The plan of one row. fields: ``[{"field","old","new"}]`` as in a run's changes; reason: why it is rejected.

    columns: what is written, by column of the table; before: what an undo needs besides the fields.
    """

    line: int
    action: Action
    name: str = ""
    object_id: str = ""
    fields: Sequence[Mapping[str, str]] = ()
    reason: str = ""
    columns: Mapping[str, Any] = field(default_factory=dict)
    before: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UndoStep:
    """What an undo does with one written row.

    delete: what the import created goes again. fields: those that go back, ``[{"field","old","new"}]``; columns: what is
    written for that. reasons: why something stays as it is.
    """

    line: int
    object_id: str
    name: str
    delete: bool = False
    fields: Sequence[Mapping[str, str]] = ()
    columns: Mapping[str, Any] = field(default_factory=dict)
    reasons: Sequence[str] = ()

    @property
    def does_something(self) -> bool:
        """False when nothing is left to take back."""
        return self.delete or bool(self.fields)


NOTHING: Mapping[int, str] = MappingProxyType({})


class Importer(Protocol):
    """One kind of file. Everything works on the session it is handed, and commits nothing."""

    columns: Columns

    def match(
        self,
        session: Session,
        organization_id: str,
        rows: Iterable[Row],
        written: Mapping[int, str] = NOTHING,
    ) -> Iterator[Candidate]:
        """All rows of a file checked by themselves and against each other, in their order. Reads only, and before it returns.

        written: line → id of what this import wrote for it already: it means that, and no other row does.
        """

    def plan(
        self, session: Session, organization_id: str, candidates: Sequence[Candidate], *, lock: bool = False
    ) -> list[Planned]:
        """Plan what some of them would change now.

        lock: they are about to be written in this transaction; the fields of what is new are not told then, as nobody keeps them.
        """

    def write(
        self, session: Session, organization_id: str, planned: Sequence[Planned], now: datetime
    ) -> None:
        """Write planned rows in this transaction."""

    def plan_undo(
        self, session: Session, organization_id: str, rows: Sequence[ImportRow], *, lock: bool = False
    ) -> list[UndoStep]:
        """What an undo of these rows would restore and what it would spare (R5), in their order."""

    def undo(self, session: Session, steps: Sequence[UndoStep], now: datetime) -> None:
        """Write the steps of ``plan_undo``."""


EDITED = "edited since"
GONE = "deleted since"


def changed(name: str, old: str, new: str) -> dict[str, str]:
    """One field of a change."""
    return {"field": name, "old": old, "new": new}


def rejected(candidate: Candidate, reason: str) -> Planned:
    """A row that is not taken."""
    return Planned(candidate.line, Action.REJECT, candidate.name, reason=reason)
