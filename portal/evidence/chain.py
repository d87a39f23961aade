"""The chain of audit events: each carries the hash of the one before it, so that a change or a cut shows.

Events wait in their session until it commits. Then, last of all, the session locks the one row of ``audit_chain``,
numbers and hashes what waits, inserts it and moves the head: docs/decisions/007-one-audit-chain.md says why so.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast
from weakref import WeakKeyDictionary

from sqlalchemy import Connection, Table, bindparam, event, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session, SessionTransaction

from portal.models import AuditChain, AuditEvent

FORMAT = "rollcall-audit-1"
"""Begins every text that is hashed; another encoding gets another name."""
START = "0" * 64
"""The previous hash of the very first event."""
HEAD = 1
PENDING, MARKS = "audit_pending", "audit_savepoints"
EVENTS, CHAIN = cast("Table", AuditEvent.__table__), cast("Table", AuditChain.__table__)


@dataclass(frozen=True)
class Mark:
    """A place in the chain: the number of an event and its hash."""

    number: int
    hash: str

    def __str__(self) -> str:
        return f"{self.number}:{self.hash}"


@dataclass(frozen=True)
class Event:
    """An event as it is hashed, exported and checked. ``at``: UTC, ISO 8601 to the microsecond, ending in Z."""

    number: int
    id: str
    at: str
    actor: str
    source: str
    action: str
    object_type: str
    object_id: str
    detail: Any
    ip: str
    previous_hash: str
    hash: str

    def fingerprint(self) -> str:
        """The hash that this event should have."""
        return fingerprint(
            self.number,
            self.previous_hash,
            (self.id, self.at, self.actor, self.source, self.action, self.object_type, self.object_id),
            self.detail,
            self.ip,
        )


def fingerprint(number: int, previous: str, texts: tuple[str, ...], detail: Any, ip: str) -> str:
    """SHA-256, as hex, of one JSON array in ASCII: no blanks, keys sorted. The same on both databases and in exports."""
    text = json.dumps(
        [FORMAT, number, previous, *texts, detail, ip],
        ensure_ascii=True,
        sort_keys=True,
        separators=(",", ":"),
    )
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def moment(when: datetime) -> str:
    """A time as it is hashed and exported."""
    return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")


def append(session: Session, values: Mapping[str, Any]) -> None:
    """Let an event wait for the commit of ``session``: it is written with it, and gone with its rollback."""
    if not session.in_transaction():
        session.begin()  # so that closing the session ends something, and the event with it
    session.info.setdefault(PENDING, []).append(dict(values))


@event.listens_for(Session, "before_commit")
def _seal(session: Session) -> None:
    if session.in_nested_transaction() or not session.info.get(PENDING):
        return
    session.flush()  # the rest first: the head is locked for as short as can be, and always last, so nobody deadlocks
    waiting: list[dict[str, Any]] = session.info.pop(PENDING)
    connection = session.connection()
    head = _lock_head(connection)
    for number, row in enumerate(waiting, start=head.number + 1):
        row["detail"] = json.loads(
            json.dumps(row["detail"])
        )  # as it is read back: lists for tuples, texts for keys
        texts = (row["id"], moment(row["at"]), row["actor"], row["source"], row["action"])
        row |= {"number": number, "previous_hash": head.hash}
        row["hash"] = fingerprint(
            number, head.hash, (*texts, row["object_type"], row["object_id"]), row["detail"], row["ip"]
        )
        head = Mark(number, row["hash"])
    connection.execute(_INSERT, waiting)
    connection.execute(_MOVE, {"to_number": head.number, "to_hash": head.hash})


# Made once: every write makes use of them while it holds the lock.
_INSERT = insert(EVENTS)
_LOCK = (  # a write, as SQLite waits for its lock only then
    update(CHAIN)
    .where(CHAIN.c.id == HEAD)
    .values(number=CHAIN.c.number)
    .returning(CHAIN.c.number, CHAIN.c.hash)
)
_MOVE = (
    update(CHAIN).where(CHAIN.c.id == HEAD).values(number=bindparam("to_number"), hash=bindparam("to_hash"))
)


def _lock_head(connection: Connection) -> Mark:
    """The end of the chain, locked until the commit."""
    head = connection.execute(_LOCK).first()
    if head is None:
        last = connection.execute(
            select(EVENTS.c.number, EVENTS.c.hash).order_by(EVENTS.c.number.desc()).limit(1)
        ).first()
        first = {"id": HEAD, "number": last.number if last else 0, "hash": last.hash if last else START}
        make = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
        connection.execute(
            make(CHAIN).values(**first, anchor_number=0, anchor_hash=START).on_conflict_do_nothing()
        )
        head = connection.execute(_LOCK).one()
    return Mark(head.number, head.hash)


@event.listens_for(Session, "after_transaction_create")
def _savepoint(session: Session, transaction: SessionTransaction) -> None:
    if transaction.nested:
        marks = session.info.setdefault(MARKS, WeakKeyDictionary())
        marks[transaction] = len(session.info.get(PENDING, ()))


@event.listens_for(Session, "after_soft_rollback")
def _rolled_back(session: Session, previous: SessionTransaction) -> None:
    if previous.nested and previous in session.info.get(MARKS, {}):
        del session.info.get(PENDING, [])[session.info[MARKS][previous] :]


@event.listens_for(Session, "after_transaction_end")
def _ended(session: Session, transaction: SessionTransaction) -> None:
    if transaction.parent is None:
        session.info.pop(PENDING, None)
        session.info.pop(MARKS, None)


def ends(connection: Connection | Session) -> tuple[Mark, Mark]:
    """(anchor, head): what came before the oldest event that is kept, and the newest event."""
    head = connection.execute(select(CHAIN).where(CHAIN.c.id == HEAD)).first()
    if head is None:
        return Mark(0, START), Mark(0, START)
    return Mark(head.anchor_number, head.anchor_hash), Mark(head.number, head.hash)


def stored(session: Session, statement: Any) -> Iterator[Event]:
    """The events of a select of AuditEvent, as they are exported."""
    for row in session.scalars(statement.execution_options(yield_per=1000)):
        yield of_row(row)


def of_row(row: AuditEvent) -> Event:
    """A stored event as it is exported and hashed."""
    return Event(
        number=row.number,
        id=row.id,
        at=moment(row.at),
        actor=row.actor,
        source=row.source,
        action=row.action,
        object_type=row.object_type,
        object_id=row.object_id,
        detail=row.detail,
        ip=row.ip,
        previous_hash=row.previous_hash,
        hash=row.hash,
    )
