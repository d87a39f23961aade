"""Check the chain of audit events, of the database or of an export, for the first problem."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Engine, RowMapping, Text, cast, select

from portal.evidence.chain import EVENTS, Event, Mark, ends, moment


@dataclass(frozen=True)
class Problem:
    """The first thing that is wrong. number: the event's, where there is one.

    kind: changed | cut | inserted | reordered; unchecked where nothing is left to check a noted head against.
    """

    kind: str
    number: int
    text: str


@dataclass(frozen=True)
class Verdict:
    """The result of a check. events: how many were read. head: the last event, for noting it elsewhere."""

    events: int
    anchor: Mark
    head: Mark
    problem: Problem | None = None
    is_complete: bool = True


def verify_database(engine: Engine, noted: Mark | None = None) -> Verdict:
    """Check every event that the database holds, as of one moment. ``noted``: a head that was written down before."""
    with engine.connect() as connection:
        if engine.dialect.name == "postgresql":
            connection.execution_options(isolation_level="REPEATABLE READ")  # as SQLite gives by itself
        anchor, head = ends(connection)
        statement = select(
            *(column for column in EVENTS.c if column.name not in {"at", "detail"}),
            cast(EVENTS.c.at, Text).label("at"),
            cast(EVENTS.c.detail, Text).label("detail"),
        ).order_by(EVENTS.c.number, EVENTS.c.id)
        with connection.execute(statement.execution_options(yield_per=1000)) as rows:
            return verify((_read(row) for row in rows.mappings()), anchor=anchor, head=head, noted=noted)


def _read(row: RowMapping) -> Event:
    """A row of the table. Values made unreadable by hand are kept as they are, and do not match their hash."""
    at = _or_as_it_is(lambda: moment(datetime.fromisoformat(row["at"]).replace(tzinfo=UTC)), row["at"])
    detail = _or_as_it_is(lambda: json.loads(row["detail"]), row["detail"])
    return Event(**{**row, "at": at, "detail": detail})


def _or_as_it_is(read: Callable[[], Any], value: Any) -> Any:
    try:
        return read()
    except (ValueError, TypeError):
        return value


def verify(
    events: Iterable[Event],
    *,
    anchor: Mark,
    head: Mark,
    noted: Mark | None = None,
    is_complete: bool = True,
) -> Verdict:
    """Check ``events``, which should stand in the order of the chain and reach from ``anchor`` to ``head``.

    not is_complete: some of them only, as a filtered export holds. Then what is there is checked, not what is missing.
    """
    last, read = anchor, 0
    is_excused, is_met = anchor.number == 0 or not is_complete, False
    for event in events:
        read += 1
        is_excused = is_excused or _says_deleted(event, anchor.number)
        is_met = is_met or (noted is not None and event.number == noted.number)
        problem = _next(event, last, head, noted, is_complete=is_complete, is_first=read == 1)
        if problem is not None:
            return Verdict(read, anchor, last, problem, is_complete)
        last = Mark(event.number, event.hash)
    problem = _end(last, head, is_complete=is_complete)
    if problem is None and not is_excused:
        message = f"Events up to {anchor.number} are missing, and no event records that they were deleted because of their age."
        problem = Problem("cut", anchor.number, message)
    if problem is None and noted is not None and not is_met:
        problem = _not_met(noted, anchor, head)
    return Verdict(read, anchor, head if is_complete else last, problem, is_complete)


def _next(
    event: Event, last: Mark, head: Mark, noted: Mark | None, *, is_complete: bool, is_first: bool
) -> Problem | None:
    name = f"Event {event.number} ({event.action}, {event.at}, id {event.id})"
    if type(event.number) is not int:  # SQLite keeps what it is given
        return Problem("changed", 0, f"{name} was changed: its number is not valid.")
    if event.number == last.number and not is_first:
        return Problem(
            "inserted", event.number, f"Event {event.number} appears twice: one of them was inserted."
        )
    if event.number <= last.number:
        kind = "inserted" if is_first else "reordered"
        return Problem(
            kind, event.number, f"{name} stands after event {last.number}: it was inserted or moved."
        )
    if event.number > head.number:
        return Problem(
            "inserted", event.number, f"{name} was inserted: the chain ends with event {head.number}."
        )
    if event.number > last.number + 1 and is_complete:
        return Problem(
            "cut", last.number + 1, f"{_missing(last.number + 1, event.number - 1)} before {name}."
        )
    if event.fingerprint() != event.hash:
        return Problem("changed", event.number, f"{name} was changed: its hash does not match its content.")
    if event.number == last.number + 1 and event.previous_hash != last.hash and (is_complete or not is_first):
        if is_first:
            return Problem(
                "changed", event.number, f"{name} does not follow the event before it: it was changed."
            )
        return Problem(
            "changed", last.number, f"Event {last.number} was changed: the event after it has another hash."
        )
    if noted is not None and event.number == noted.number and event.hash != noted.hash:
        return Problem(
            "changed", event.number, f"{name} is not the one that was noted: the chain was rewritten."
        )
    return None


def _end(last: Mark, head: Mark, *, is_complete: bool) -> Problem | None:
    if not is_complete:
        return None
    if last.number < head.number:
        return Problem("cut", last.number + 1, f"{_missing(last.number + 1, head.number)} at the end.")
    if last.hash != head.hash:
        return Problem("changed", last.number, f"Event {last.number} was changed: the head has another hash.")
    return None


def _says_deleted(event: Event, through: int) -> bool:
    """Whether this is what retention records with each move of the anchor (``retention.forget_old``)."""
    return (
        event.action == "audit_log_pruned"
        and isinstance(event.detail, dict)
        and event.detail.get("through") == through
    )


def _not_met(noted: Mark, anchor: Mark, head: Mark) -> Problem | None:
    """The problem of a noted head that is none of the events; None if it is one of the chain's ends."""
    number = noted.number
    if number > head.number:
        return Problem("cut", head.number + 1, f"{_missing(head.number + 1, number)} up to the one noted.")
    if noted in {anchor, head}:
        return None
    if number == anchor.number:
        return Problem("changed", number, f"Event {number}, the last one deleted, is not the one noted.")
    if number == head.number:
        return Problem("changed", number, f"Event {number}, the newest one, is not the one noted.")
    why = "has been deleted" if number < anchor.number else "is not in this file"
    return Problem(
        "unchecked", number, f"Event {number}, the one noted, {why}: it cannot be checked. Use a newer head."
    )


def _missing(first: int, last: int) -> str:
    return f"Event {first} is missing" if first == last else f"Events {first} to {last} are missing"
