"""Sync Runs: list, changes, undo, conflicts, and who takes whom (P8, P13, R5, M7)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import Any

from sqlalchemy import case, func, or_, select

from portal import audit
from portal.clock import utcnow
from portal.end_users.documents import product_names
from portal.engine import explain, undo
from portal.engine.records import Action, Reason, Undone
from portal.engine.undo_run import finish
from portal.errors import NotFound, Refused
from portal.extensions import db
from portal.http import csv_cells
from portal.http.listing import Listing, ListSpec, contains_text, fetch
from portal.locks import lock
from portal.models import (
    ACTIVE,
    Change,
    Conflict,
    DirectoryUser,
    EndUser,
    MicrosoftTenant,
    Organization,
    SyncRun,
    UserSync,
)
from portal.runs import history
from portal.runs.views import shown_value
from portal.user_sync.documents import run_document

URGENT_ROWS = 30
CSV_ROWS = 100_000

CHANGES = ListSpec(
    sorts={"display_name": (Change.display_name,), "decision": (Change.decision,), "at": (Change.at,)},
    default_sort="display_name",
    filters={
        "decision": tuple(str(action) for action in Action if action is not Action.LEAVE),
        "state": ("applied", "held", "dismissed"),
        "reason": tuple(str(reason) for reason in Reason),
        "end_user_id": None,
        "object_id": None,
    },
)

to_document = run_document


def urgent_runs() -> list[SyncRun]:
    """What waits for a decision, runs, or waits for its turn, in this order; the first few."""
    waiting = select(UserSync.hold_run_id).where(UserSync.hold_run_id.is_not(None))
    rank = case((SyncRun.status == "held", 0), (SyncRun.status == "running", 1), else_=2)
    statement = (
        select(SyncRun)
        .where(or_(SyncRun.status.in_(("running", "queued")), SyncRun.id.in_(waiting)))
        .order_by(rank, SyncRun.created_at)
        .limit(URGENT_ROWS)
    )
    return list(db.session.scalars(statement))


def has_runs() -> bool:
    """Whether any run is kept."""
    return db.session.scalar(select(SyncRun.id).limit(1)) is not None


def running_number() -> int:
    """How many runs are under way."""
    return (
        db.session.scalar(select(func.count()).select_from(SyncRun).where(SyncRun.status == "running")) or 0
    )


def organization_names(rows: Iterable[SyncRun]) -> dict[str, str]:
    """Organization id -> name of these runs."""
    ids = {row.organization_id for row in rows}
    pairs = db.session.execute(select(Organization.id, Organization.name).where(Organization.id.in_(ids)))
    return {organization_id: name for organization_id, name in pairs}


def kinds(run: SyncRun) -> dict[tuple[str, str], int]:
    """(decision, state) -> number of people of a run."""
    rows = db.session.execute(
        select(Change.decision, Change.state, func.count())
        .where(Change.run_id == run.id, Change.state != "staged")
        .group_by(Change.decision, Change.state)
    )
    return {(decision, state): number for decision, state, number in rows}


def only_person(run: SyncRun) -> DirectoryUser | None:
    """The Microsoft user that a run for one person is for; None for a run of all, or when they are gone."""
    if run.only_object_id is None:
        return None
    return db.session.scalar(
        select(DirectoryUser).where(
            DirectoryUser.microsoft_tenant_id == run.microsoft_tenant_id,
            DirectoryUser.object_id == run.only_object_id,
        )
    )


def undone(run: SyncRun) -> dict[str, int]:
    """What an undo did (R5): how many End Users it deleted, and how many it put back."""
    is_deleted = Change.note == Undone.DELETED
    rows = db.session.execute(
        select(is_deleted, func.count()).where(Change.run_id == run.id).group_by(is_deleted)
    )
    numbers = {bool(deleted): number for deleted, number in rows}
    return {"deleted": numbers.get(True, 0), "restored": numbers.get(False, 0)}


def emails(rows: Iterable[Change]) -> dict[str, str]:
    """End User id -> e-mail, of those who still exist."""
    ids = {row.end_user_id for row in rows if row.end_user_id}
    pairs = db.session.execute(select(EndUser.id, EndUser.email).where(EndUser.id.in_(ids)))
    return {end_user_id: email for end_user_id, email in pairs}


CSV_COLUMNS = ("display_name", "decision", "state", "reason", "field", "old", "new", "object_id", "at")


def changes_csv(run: SyncRun, query: Listing) -> Iterator[str]:
    """The filtered changes, one line per changed field, as a spreadsheet takes them harmlessly (G7)."""
    listing = changes(run, replace(query, page=1, per_page=CSV_ROWS))
    return csv_cells.write(CSV_COLUMNS, _csv_rows(listing, product_names([run.microsoft_tenant_id or ""])))


def changes(run: SyncRun, query: Listing) -> Listing:
    """One page of what a run did per person; what is staged and not published yet is not shown (T3)."""
    statement = select(Change).where(Change.run_id == run.id, Change.state != "staged")
    for name in ("decision", "state", "reason", "end_user_id", "object_id"):
        if name in query.filters:
            statement = statement.where(getattr(Change, name) == query.filters[name])
    if query.q:
        by_email = select(DirectoryUser.object_id).where(
            DirectoryUser.microsoft_tenant_id == run.microsoft_tenant_id,
            contains_text(query.q, DirectoryUser.email_key),
        )
        named_so = contains_text(query.q, Change.display_name)
        statement = statement.where(or_(named_so, Change.object_id.in_(by_email)))
    return fetch(db.session(), statement, query, CHANGES, tiebreaker=Change.id)


def change_document(row: Change) -> dict[str, Any]:
    """One person's part of a run; ``reason`` is a sentence."""
    return {
        "end_user_id": row.end_user_id,
        "object_id": row.object_id,
        "display_name": row.display_name,
        "decision": row.decision,
        "reason": sentence_of(row),
        "reason_code": row.reason,
        "state": row.state,
        "fields": row.fields,
        "at": row.at,
    }


def sentence_of(row: Change) -> str:
    """The reason in words; for an undo's own changes, what was undone."""
    if row.reason == Reason.UNDONE:
        return f"Undone: {explain.note_words(row.reason, row.note)}."
    return explain.reason_sentence(row.reason, row.note)


def plan_undo(run: SyncRun) -> undo.UndoPlan:
    """What an undo of ``run`` would restore and what it would spare; changes nothing (R5). Raises Refused while it runs."""
    _undoable(run)
    return undo.plan_undo(db.session(), run.id)


def undo_document(plan: undo.UndoPlan) -> dict[str, Any]:
    """An undo's plan as the API tells it, ``what`` and ``reason`` in words."""
    return {
        "restored": [
            {
                "end_user_id": person.end_user_id,
                "display_name": person.display_name,
                "what": explain.undone_words(person.what),
                "fields": person.fields,
            }
            for person in plan.restored
        ],
        "spared": [
            {
                "end_user_id": person.end_user_id,
                "display_name": person.display_name,
                "reason": explain.spared_words(person.reason, person.field),
                "fields": person.fields,
            }
            for person in plan.spared
        ],
    }


def earlier_undo(run: SyncRun) -> str | None:
    """The latest undo of ``run``, for ``request_undo``; None for none. Raises Refused when it left nothing to take back.

    What was spared may be free by now, so it is looked at and not only remembered. That takes long: call it with nothing open.
    """
    done = _last_undo(run)
    if done is not None and not undo.plan_undo(db.session(), run.id).restored:
        raise _undone_already(done)
    return done


def request_undo(run: SyncRun, earlier: str | None) -> SyncRun:
    """Queue the undo of ``run``; it runs like a sync, one at a time per Organization. The caller commits and wakes.

    A tenant that was removed keeps its queue. Of one that is not in the database at all nothing waits: it is done at once.
    earlier: what ``earlier_undo`` found. Raises Refused for a run that is not over, or that was undone since.
    """
    lock_run(run)
    _undoable(run)
    present = db.session.scalar(
        select(SyncRun).where(SyncRun.undoes_run_id == run.id, SyncRun.status.in_(ACTIVE)).limit(1)
    )
    if present is not None:
        return present
    done = _last_undo(run)
    if done is not None and done != earlier:
        raise _undone_already(done)
    organization = organization_of(run)
    sync = db.session.scalar(select(UserSync).where(UserSync.organization_id == run.organization_id))
    row = SyncRun(
        organization_id=run.organization_id,
        microsoft_tenant_id=run.microsoft_tenant_id,
        generation=0 if sync is None else sync.generation,
        kind="undo",
        undoes_run_id=run.id,
        trigger="manual",
        started_by=audit.current_actor().name,
        created_at=utcnow(),
    )
    db.session.add(row)
    audit.record(db.session(), "run_undone", run, organization=organization.name, run_id=run.id)
    db.session.flush()
    if db.session.get(MicrosoftTenant, run.microsoft_tenant_id or "") is None:
        _undo_now(row, run)
    return row


def _last_undo(run: SyncRun) -> str | None:
    done = select(SyncRun.id).where(SyncRun.undoes_run_id == run.id, SyncRun.status == "succeeded")
    return db.session.scalar(done.order_by(SyncRun.created_at.desc()).limit(1))


def _undone_already(done: str) -> Refused:
    return Refused("This run has already been undone; nothing is left to restore.", link=f"/sync-runs/{done}")


def _undo_now(row: SyncRun, run: SyncRun) -> None:
    now = utcnow()
    done = undo.apply_undo(db.session(), row.id, run.id, row.organization_id, now)
    row.started_at = row.finished_at = now
    finish(row, len(done.restored), done.spared)
    db.session.flush()
    history.record_finished(db.session(), row)
    db.session.expire_all()


def _csv_rows(listing: Listing, names: Mapping[str, str]) -> Iterator[tuple[object, ...]]:
    for row in listing.items:
        head = (row.display_name, row.decision, row.state, sentence_of(row))
        for entry in row.fields or [{"field": "", "old": "", "new": ""}]:
            of = csv_cells.Phone if entry["field"] in csv_cells.PHONE_COLUMNS else str
            values = [entry["field"], of(entry["old"]), of(entry["new"])]
            if entry["field"] == "licenses":
                values[1:] = (shown_value("licenses", value, names) for value in values[1:])
            yield (*head, *values, row.object_id, f"{row.at:%Y-%m-%dT%H:%M:%SZ}")


def lock_run(row: SyncRun | Conflict) -> None:
    """Lock an Organization's decisions on runs and conflicts: they are made one after the other, also by a run that ends."""
    lock(db.session(), Organization, row.organization_id)
    switch = select(UserSync.id).where(UserSync.organization_id == row.organization_id)
    db.session.execute(switch.with_for_update(key_share=True))
    lock(db.session(), type(row), row.id)


def _undoable(run: SyncRun) -> None:
    if run.status in ACTIVE:
        raise Refused(
            "This run has not finished yet. Wait until it has, or disable the User Sync to stop it."
        )


def organization_of(run: SyncRun) -> Organization:
    """The Organization of a run. Raises NotFound when it was deleted."""
    organization = db.session.get(Organization, run.organization_id)
    if organization is None:
        raise NotFound("The Organization of this run was deleted.")
    return organization
