"""Works on imports: stores the file, then writes its rows in short transactions, so that nobody waits for it.

After each transaction the table says how far it came. A process that dies leaves the rest to the next one: planning anew what
was written already finds it unchanged, so nothing is written twice.

Over 350 lines: import and undo share one claim, its fence and its retries; who may write is read in one place.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import Result, Update, and_, bindparam, delete, insert, or_, select, update
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.orm import Session

from portal import audit
from portal.clock import utcnow
from portal.engine.bulk import insert_rows, update_rows
from portal.engine.pace import Pace
from portal.errors import PortalError, RetryLater, Stopped
from portal.extensions import SessionFactory, mark_write, writing
from portal.imports import sheet
from portal.imports.kinds import EVENTS, IMPORTERS
from portal.imports.records import Action, Candidate, Planned, UndoStep
from portal.models import UNDER_WAY, Import, ImportPart, ImportRow, new_id
from portal.transactions import note, trouble, write_session
from portal.worker import dispatch

log = logging.getLogger(__name__)

PART = 256 * 1024  # characters of a file in one row, written in one transaction
STALE = timedelta(minutes=2)
"""Whoever has not said for so long that it works on an import is taken for dead."""
KEEP_LOOKED_AT = timedelta(days=1)
OVER = ("succeeded", "failed", "undoing", "undone")
"""Whoever is there needs no file any more."""
ATTEMPTS = 3  # of one transaction that met somebody else's
BROKEN = "Something went wrong inside Rollcall after {done:,} of {total:,} rows; what was written stays. Import the file again."
WAITS = "The database was briefly unavailable. This continues by itself; do not start it again."
UNDO_BROKEN = "Something went wrong inside Rollcall before everything was undone. Undo it again for the rest."


class Lost(Exception):
    """Another process works on this import, or it was deleted."""


def _never() -> bool:
    return False


@contextmanager
def own_transactions() -> Iterator[None]:
    """Within the block only marked sessions begin a writing transaction, also in a writing request."""
    token = writing.set(False)
    try:
        yield
    finally:
        writing.reset(token)


def store(
    sessions: SessionFactory,
    *,
    organization_id: str,
    kind: str,
    data: bytes,
    file_name: str,
    status: str,
    owner: str | None = None,
) -> str:
    """Store a file to import. Returns the import's id. Raises Invalid on ``file``; then nothing is stored.

    status: review (somebody looks first) | queued; owner: who is about to work on it, none for whoever comes first.
    """
    text = sheet.decode(data)
    total = sum(1 for _ in sheet.read(text, IMPORTERS[kind].columns))
    actor, now, import_id = audit.current_actor(), utcnow(), new_id()
    values = {
        "id": import_id,
        "organization_id": organization_id,
        "kind": kind,
        "status": "storing",
        "file_name": file_name[-255:],
        "total": total,
        "actor": actor.name[:320],
        "source": actor.source,
        "ip": actor.ip[:64],
        "created_at": now,
    }
    _write(sessions, insert(Import).values(values))
    for number, start in enumerate(range(0, len(text), PART)):
        part = {"import_id": import_id, "number": number, "text": text[start : start + PART]}
        _write(sessions, insert(ImportPart).values(part))
    ready = {"status": status, "owner": owner, "renewed_at": now if owner else None}
    with write_session(sessions) as session:
        session.execute(update(Import).where(Import.id == import_id).values(ready))
        if status == "queued" and owner is None:
            dispatch.enqueue(session, "import", import_id)
    return import_id


def candidates(session: Session, row: Import) -> Iterator[Candidate]:
    """The matched rows of a stored file; ``session`` is no longer used when this returns."""
    parts = select(ImportPart.text).where(ImportPart.import_id == row.id).order_by(ImportPart.number)
    importer = IMPORTERS[row.kind]
    rows = sheet.read("".join(session.scalars(parts)), importer.columns)
    return importer.match(session, row.organization_id, rows, _written_ids(session, row) if row.done else {})


def _written_ids(session: Session, row: Import) -> dict[int, str]:
    """Line → id of what an unfinished import has created or changed so far."""
    lines = select(ImportRow.line, ImportRow.object_id).where(
        ImportRow.import_id == row.id, ImportRow.object_id.is_not(None)
    )
    return {line: object_id for line, object_id in session.execute(lines) if object_id}


def run(
    sessions: SessionFactory, import_id: str, owner: str, should_stop: Callable[[], bool] = _never
) -> bool:
    """Import a stored file, or continue where another process stopped. Returns False if another process works on it.

    Raises Stopped when ``should_stop`` says so, after a whole transaction, and RetryLater when a lock or the database cannot be
    had: the rest waits in the queue. Whatever else goes wrong is in the import's ``error``.
    """

    def work() -> bool:
        if not _claim(sessions, import_id, owner, ("queued", "running"), "running"):
            return False
        _import(sessions, import_id, owner, should_stop)
        return True

    return _guarded(sessions, import_id, owner, BROKEN, work)


def undo(
    sessions: SessionFactory, import_id: str, owner: str, should_stop: Callable[[], bool] = _never
) -> bool:
    """Undo an import, as ``run`` works; its status must be ``undoing`` (R5)."""

    def work() -> bool:
        if not _claim(sessions, import_id, owner, ("undoing",), "undoing"):
            return False
        _undo(sessions, import_id, owner, should_stop)
        return True

    return _guarded(sessions, import_id, owner, UNDO_BROKEN, work)


def work_off(sessions: SessionFactory, owner: str, should_stop: Callable[[], bool] = _never) -> None:
    """Work on all queued imports, one after the other. Raises Stopped, and RetryLater at the end if some still wait."""
    later: RetryLater | None = None
    for import_id, status in waiting(sessions):
        try:
            _work_on(sessions, import_id, status, owner, should_stop)
        except RetryLater as error:  # the next one may need another lock
            later = error
    if later is not None:
        raise later


def work_on(
    sessions: SessionFactory, import_id: str, owner: str, should_stop: Callable[[], bool] = _never
) -> None:
    """Work on one import, if it still waits. Raises as ``work_off``."""
    for waiting_id, status in waiting(sessions):
        if waiting_id == import_id:
            _work_on(sessions, import_id, status, owner, should_stop)


def _work_on(
    sessions: SessionFactory, import_id: str, status: str, owner: str, should_stop: Callable[[], bool]
) -> None:
    work = undo if status == "undoing" else run
    work(sessions, import_id, owner, should_stop)


def waiting(sessions: SessionFactory) -> list[tuple[str, str]]:
    """(id, status) of the imports nobody works on, the oldest first."""
    statement = (
        select(Import.id, Import.status)
        .where(Import.status.in_(UNDER_WAY), _is_free(utcnow()))
        .order_by(Import.created_at)
    )
    with sessions() as session:
        return [(import_id, status) for import_id, status in session.execute(statement)]


def release_dead(sessions: SessionFactory, is_dead: Callable[[str], bool]) -> None:
    """Release the imports of ended processes of this machine, at a start."""
    held = select(Import.owner).where(Import.status.in_(UNDER_WAY), Import.owner.is_not(None)).distinct()
    with sessions() as session:
        dead = [owner for owner in session.scalars(held) if owner and is_dead(owner)]
    if dead:
        _write(sessions, update(Import).where(Import.owner.in_(dead)).values(owner=None))


def _import(sessions: SessionFactory, import_id: str, owner: str, should_stop: Callable[[], bool]) -> None:
    with sessions() as session:
        row = session.get_one(Import, import_id)
        remaining = islice(candidates(session, row), row.done, None)
    pace = Pace()
    while chunk := list(islice(remaining, pace.size)):  # checked here, before the write lock is taken
        if should_stop():
            raise Stopped
        _retried(lambda part=chunk: _write_chunk(sessions, row, part, owner, pace))  # type: ignore[misc]
    with sessions() as session:
        over = _own(session, import_id, owner)
        over.status, over.finished_at, over.owner = "succeeded", utcnow(), None
        with audit.acting_as(audit.Actor(over.actor, over.source, over.ip)):
            audit.record(
                session,
                EVENTS[over.kind],
                object_type="organization",
                object_id=over.organization_id,
                created=over.created,
                updated=over.updated,
                rejected=over.rejected,
                import_id=over.id,
            )
        session.commit()
    _tidy(sessions, import_id)


def _write_chunk(
    sessions: SessionFactory, row: Import, chunk: Sequence[Candidate], owner: str, pace: Pace
) -> None:
    importer, now = IMPORTERS[row.kind], utcnow()
    with pace.over(write_session(sessions)) as session:
        planned = importer.plan(session, row.organization_id, chunk, lock=True)
        importer.write(session, row.organization_id, planned, now)
        records = [
            _record(row.id, planned_row, now)
            for planned_row in planned
            if planned_row.action is not Action.UNCHANGED
        ]
        insert_rows(session, ImportRow, records)
        counted = {
            "done": len(chunk),
            "created": _number(planned, Action.CREATE),
            "updated": _number(planned, Action.UPDATE),
            "unchanged": _number(planned, Action.UNCHANGED),
            "rejected": _number(planned, Action.REJECT),
        }
        _advance(session, row.id, owner, counted, now)


def _undo(sessions: SessionFactory, import_id: str, owner: str, should_stop: Callable[[], bool]) -> None:
    with sessions() as session:
        row = session.get_one(Import, import_id)
    pace, line = Pace(), 0
    while line >= 0:
        if should_stop():
            raise Stopped
        line = _retried(lambda at=line: _undo_chunk(sessions, row, at, owner, pace))  # type: ignore[misc]
    with sessions() as session:
        over = _own(session, import_id, owner)
        over.status, over.undone_at, over.owner = "undone", utcnow(), None
        session.commit()


def _undo_chunk(sessions: SessionFactory, row: Import, after: int, owner: str, pace: Pace) -> int:
    """Undo the next rows after the line ``after``. Returns the last row's line, -1 if there is none."""
    importer, now = IMPORTERS[row.kind], utcnow()
    with pace.over(write_session(sessions)) as session:
        records = session.scalars(written(row.id).where(ImportRow.line > after).limit(pace.size)).all()
        if not records:
            return -1
        last: int = records[-1].line
        steps = importer.plan_undo(session, row.organization_id, records, lock=True)
        marks = [_mark(row.id, step) for step in steps]
        importer.undo(session, steps, now)
        update_rows(session, ImportRow, marks, keys=("import_id", "line"))
        counted = {
            "restored": sum(step.does_something for step in steps),
            "spared": sum(bool(step.reasons) for step in steps),
        }
        _advance(session, row.id, owner, counted, now)
        return last


def written(import_id: str) -> Any:
    """Select what an import wrote and nobody has undone yet, in the order of the file."""
    return (
        select(ImportRow)
        .where(
            ImportRow.import_id == import_id,
            ImportRow.state == "applied",
            ImportRow.action.in_((Action.CREATE.value, Action.UPDATE.value)),
        )
        .order_by(ImportRow.line)
    )


def forget_file(sessions: SessionFactory, import_id: str) -> None:
    """Delete a file that is no longer needed, piece by piece."""
    with sessions() as session:
        numbers = session.scalars(select(ImportPart.number).where(ImportPart.import_id == import_id)).all()
    for number in numbers:
        _write(
            sessions,
            delete(ImportPart).where(ImportPart.import_id == import_id, ImportPart.number == number),
        )


def _tidy(sessions: SessionFactory, import_id: str) -> None:
    """Delete the file of an import that is over; where that cannot be done now, ``forget_abandoned`` does it later."""
    try:
        forget_file(sessions, import_id)
    except SQLAlchemyError as error:
        if trouble(error) is None:
            raise
        log.warning("action=import_file_stays import=%s", import_id)


def forget_abandoned(sessions: SessionFactory, now: datetime) -> None:
    """Delete imports that were discarded or only reviewed, a day ago or earlier, and left-over files."""
    looked_at = Import.status.in_(("storing", "review")), Import.created_at < now - KEEP_LOOKED_AT
    with sessions() as session:
        abandoned = select(Import.id).where(or_(Import.status == "discarded", and_(*looked_at)))
        ids = session.scalars(abandoned).all()
        over = select(Import.id).where(
            Import.status.in_(OVER), Import.id.in_(select(ImportPart.import_id).distinct())
        )
        left_behind = session.scalars(over).all()
    for import_id in left_behind:
        forget_file(sessions, import_id)
    for import_id in ids:
        forget_file(sessions, import_id)
        _write(sessions, delete(Import).where(Import.id == import_id))


def _claim(
    sessions: SessionFactory, import_id: str, owner: str, statuses: Sequence[str], status: str
) -> bool:
    now = utcnow()
    free = or_(Import.owner == owner, _is_free(now))
    values: dict[str, Any] = {"owner": owner, "renewed_at": now, "status": status}
    with write_session(sessions) as session:
        result = session.execute(
            update(Import).where(Import.id == import_id, Import.status.in_(statuses), free).values(values)
        )
        session.execute(
            update(Import).where(Import.id == import_id, Import.started_at.is_(None)).values(started_at=now)
        )
        return _rows(result) == 1


def _is_free(now: datetime) -> Any:
    return or_(Import.owner.is_(None), Import.renewed_at < now - STALE)


_COUNTS = ("done", "created", "updated", "unchanged", "rejected", "restored", "spared")
_ADVANCE = (  # made once, as there are hundreds of transactions
    update(Import)
    .where(Import.id == bindparam("import_id"), Import.owner == bindparam("mine"))
    .values({name: getattr(Import, name) + bindparam(f"more_{name}") for name in _COUNTS})
    .values(renewed_at=bindparam("now"))
)


def _advance(session: Session, import_id: str, owner: str, more: dict[str, int], now: datetime) -> None:
    """Store the progress. Raises Lost if another process took the import over, so that this transaction is rolled back."""
    values = {f"more_{name}": more.get(name, 0) for name in _COUNTS}
    result = session.connection().execute(
        _ADVANCE, {"import_id": import_id, "mine": owner, "now": now, **values}
    )
    if _rows(result) != 1:
        raise Lost


def _own(session: Session, import_id: str, owner: str) -> Import:
    """Begin the transaction that ends the work on an import. Raises Lost if another process took it over."""
    mark_write(session)
    row = session.get_one(Import, import_id, with_for_update=True)
    if row.owner != owner:
        raise Lost
    return row


def _guarded(
    sessions: SessionFactory, import_id: str, owner: str, broken: str, work: Callable[[], bool]
) -> bool:
    """Call it and store a failure in the import. After a stop, a lock or an absent database the next process continues."""
    mine = update(Import).where(Import.id == import_id, Import.owner == owner)
    try:
        return work()
    except Lost:
        log.info("action=import_lost import=%s", import_id)
        return False
    except Stopped:
        _write(sessions, mine.values(owner=None))
        raise
    except Exception as error:
        later = trouble(error)
        if later is not None:
            log.warning("action=import_waits import=%s seconds=%d", import_id, later.seconds)
            note(
                sessions, mine.values(owner=None)
            )  # in vain where nothing can be written: it is free when STALE
            raise RetryLater(WAITS, seconds=later.seconds) from error
        log.exception("action=import_failed import=%s", import_id)
        _fail(sessions, import_id, mine, error, broken)
    return True


def _fail(sessions: SessionFactory, import_id: str, mine: Update, error: Exception, broken: str) -> None:
    with sessions() as session:
        row = session.get(Import, import_id)
        message = "" if row is None else broken.format(done=row.done, total=row.total)
    advice = error.advice if isinstance(error, PortalError) else message
    values = {"status": "failed", "error": advice, "owner": None, "finished_at": utcnow()}
    if _write(sessions, mine.values(values)):
        _tidy(sessions, import_id)


def _retried(work: Callable[[], Any]) -> Any:
    """Retry work that met another transaction (the same address at the same time, a deadlock): plan and write again."""
    for _ in range(ATTEMPTS - 1):
        try:
            return work()
        except DBAPIError as error:
            if trouble(error) is not None:  # let other waiting work go first
                raise
            log.info("action=import_retry error=%s", type(error).__name__)
    return work()


def _record(import_id: str, row: Planned, now: datetime) -> dict[str, Any]:
    return {
        "import_id": import_id,
        "line": row.line,
        "action": row.action.value,
        "object_id": row.object_id or None,
        "name": row.name[:1024],
        "fields": list(row.fields) if row.action is Action.UPDATE else [],
        "before": dict(row.before),
        "state": "applied",
        "note": row.reason,
        "at": now,
    }


def _mark(import_id: str, step: UndoStep) -> dict[str, Any]:
    state = "undone" if step.does_something and not step.reasons else "spared"
    return {"import_id": import_id, "line": step.line, "state": state, "note": "; ".join(step.reasons)}


def _number(planned: Sequence[Planned], action: Action) -> int:
    return sum(planned_row.action is action for planned_row in planned)


def _rows(result: Result[Any]) -> int:
    return int(getattr(result, "rowcount", 0))


def _write(sessions: SessionFactory, statement: Any) -> int:
    """Run one statement in its own transaction. Returns the number of rows."""
    with write_session(sessions) as session:
        result = session.execute(statement)
        return _rows(result)
