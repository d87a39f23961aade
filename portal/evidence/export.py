"""Audit events in a file, as CSV or JSON, with the chain and its head: complete by itself, so that anybody can check it.

Always in the order of the chain. Behind the events stands what they should be: how many, a digest of their hashes, the
head and the anchor of the chain, and the filters that were used.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from portal.errors import PortalError
from portal.evidence.chain import Event, Mark
from portal.evidence.check import Problem, Verdict, verify
from portal.http import csv_cells

FORMAT, VERSION = "rollcall-audit-export", 1
TEXTS = (
    "at",
    "actor",
    "source",
    "action",
    "object_type",
    "object_id",
    "detail",
    "ip",
    "id",
    "previous_hash",
    "hash",
)
COLUMNS = ("number", *TEXTS)
END = "chain_head"
"""Stands as the action of the last line of a CSV."""


@dataclass
class Export:
    """What goes into a file. ``rows`` counts while the pieces are taken."""

    events: Iterable[Event]
    anchor: Mark
    head: Mark
    filters: Mapping[str, str]
    exported_at: str
    rows: int = 0
    _digest: Any = field(default_factory=hashlib.sha256)

    def csv(self) -> Iterator[str]:
        """The file, in pieces. The last line holds the head."""
        return csv_cells.write(COLUMNS, self._lines())

    def json(self) -> Iterator[str]:
        """The file, in pieces: one object."""
        start = {"format": FORMAT, "version": VERSION, "exported_at": self.exported_at}
        yield json.dumps(start)[:-1] + ', "events": ['
        for event in self._counted():
            yield (",\n" if self.rows > 1 else "\n") + json.dumps(asdict(event), ensure_ascii=False)
        yield "\n], " + json.dumps(self._end() | {"head": asdict(self.head)})[1:] + "\n"

    def _lines(self) -> Iterator[list[object]]:
        for event in self._counted():
            values = asdict(event) | {"detail": json.dumps(event.detail, ensure_ascii=False)}
            yield [values[name] for name in COLUMNS]
        end = {"number": self.head.number, "at": self.exported_at, "action": END, "hash": self.head.hash}
        yield [(end | {"detail": json.dumps(self._end())}).get(name, "") for name in COLUMNS]

    def _counted(self) -> Iterator[Event]:
        for event in self.events:
            self.rows += 1
            self._digest.update(event.hash.encode())
            yield event

    def _end(self) -> dict[str, Any]:
        return {
            "rows": self.rows,
            "digest": self._digest.hexdigest(),
            "anchor": asdict(self.anchor),
            "filters": dict(self.filters),
        }


def verify_file(path: Path, noted: Mark | None = None) -> Verdict:
    """Check an export. Raises PortalError for a file that is none. ``noted``: a head that was written down before."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise PortalError(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise _none(path) from error
    try:
        events, end = _read_json(text) if text.lstrip().startswith("{") else _read_csv(text)
        if end is None:
            last = events[-1].number if events else 0
            problem = Problem(
                "cut",
                last + 1,
                "The file is incomplete: its last line, with the head of the chain, is missing.",
            )
            return Verdict(len(events), Mark(0, ""), Mark(last, ""), problem)
        return _judged(events, end, noted)
    except (ValueError, TypeError, KeyError, AttributeError, csv.Error, RecursionError) as error:
        raise _none(path) from error


def _judged(events: list[Event], end: Mapping[str, Any], noted: Mark | None) -> Verdict:
    verdict = verify(
        events,
        anchor=Mark(**end["anchor"]),
        head=Mark(**end["head"]),
        noted=noted,
        is_complete=not end["filters"],
    )
    if verdict.problem is not None:
        return verdict
    problem = None
    digest = hashlib.sha256("".join(event.hash for event in events).encode()).hexdigest()
    if len(events) != end["rows"]:
        problem = Problem("cut", 0, f"The file holds {len(events)} events, and {end['rows']} were exported.")
    elif digest != end["digest"]:
        problem = Problem("changed", 0, "The events in the file are not those that were exported.")
    return Verdict(verdict.events, verdict.anchor, verdict.head, problem, verdict.is_complete)


def _read_json(text: str) -> tuple[list[Event], dict[str, Any] | None]:
    document = json.loads(text)
    if (document["format"], document["version"]) != (FORMAT, VERSION):
        raise ValueError(document["format"])
    return [Event(**event) for event in document["events"]], document


def _read_csv(text: str) -> tuple[list[Event], dict[str, Any] | None]:
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    if tuple(next(reader, ())) != COLUMNS:
        raise ValueError("other columns")
    events: list[Event] = []
    for cells in reader:
        values: dict[str, Any] = dict(zip(COLUMNS, map(csv_cells.unguard, cells), strict=True))
        values["number"] = int(values["number"])
        if values["action"] == END:
            head = {"number": values["number"], "hash": values["hash"]}
            return events, json.loads(values["detail"]) | {"head": head}
        values["detail"] = _detail(values["detail"])
        events.append(Event(**values))
    return events, None


def _detail(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text  # somebody wrote it: it does not fit the event's hash


def _none(path: Path) -> PortalError:
    return PortalError(
        f"{path} is not an audit export of Rollcall, or is incomplete. Export it again from Settings, Audit log."
    )
