"""``/api/v1/sync-runs``: list, changes, holds, undo (P8, G1, R5)."""

from __future__ import annotations

from flask import Response

from portal.api.blueprint import bp
from portal.api.declaration import Tag, documented_as
from portal.api.documents import sync_runs as documents
from portal.api.documents.base import OBJECT_ID_EXAMPLE, Page, described
from portal.api.schema import Request, answer, body, list_query, page_of
from portal.extensions import begin_write, db
from portal.holds import service as holds
from portal.http.access import load, reads_first, requires
from portal.models import Role, SyncRun
from portal.runs import listing, service
from portal.runtime import runtime

documented = documented_as(Tag("Sync Runs", "What the syncs did, what they hold back, and undo."))


class Undo(Request):
    """With ``dry_run`` nothing is done: what would be restored and what spared is listed."""

    dry_run: bool = described("Write nothing; return what would be done.", False, default=False)


class Held(Request):
    """Some of those who wait, by object id as ``changes?state=held`` lists them; without it all of them. An empty list is refused."""

    object_ids: list[str] | None = described("Microsoft users.", [OBJECT_ID_EXAMPLE], default=None)


@bp.get("/sync-runs")
@requires(Role.READ_ONLY)
@documented(answer=Page[documents.SyncRun], query=listing.RUNS)
def list_sync_runs() -> Response:
    """List Sync Runs, newest first."""
    return page_of(listing.runs(list_query(listing.RUNS)), service.to_document)


@bp.get("/sync-runs/<run_id>")
@requires(Role.READ_ONLY)
@documented(answer=documents.SyncRun)
def get_sync_run(run_id: str) -> Response:
    """Get a Sync Run."""
    return answer(service.to_document(_run(run_id)))


@bp.get("/sync-runs/<run_id>/changes")
@requires(Role.READ_ONLY)
@documented(answer=Page[documents.Change], query=service.CHANGES)
def list_sync_run_changes(run_id: str) -> Response:
    """List what a run did per person, conflicts and skips included."""
    return page_of(service.changes(_run(run_id), list_query(service.CHANGES)), service.change_document)


@bp.post("/sync-runs/<run_id>/held/apply")
@requires(Role.ADMINISTRATOR)
@reads_first
@documented(body=Held, answer=documents.SyncRun)
def apply_held(run_id: str) -> Response:
    """Apply what was held back, or some of it, each person whole.

    People who are not named still wait, and the run stays held. ``held.count`` of the answer says how many still wait. People who have changed since are left out.
    """
    run = _run(run_id)
    holds.apply(run, body(Held).object_ids)
    db.session.commit()
    return answer(service.to_document(run))


@bp.post("/sync-runs/<run_id>/held/dismiss")
@requires(Role.ADMINISTRATOR)
@reads_first
@documented(body=Held, answer=documents.SyncRun)
def dismiss_held(run_id: str) -> Response:
    """Dismiss what was held back, or some of it.

    These people are not held again until they change. People who are not named still wait: the run stays held, and ``held.count`` of the answer says how many do.
    """
    run = _run(run_id)
    holds.dismiss(run, body(Held).object_ids)
    db.session.commit()
    return answer(service.to_document(run))


@bp.post("/sync-runs/<run_id>/undo")
@requires(Role.TECHNICIAN)
@reads_first
@documented(body=Undo, answer=documents.SyncRun, status=202, also={200: documents.UndoPlan})
def undo_sync_run(run_id: str) -> Response:
    """Undo a run; returns the run that does it.

    With ``dry_run``: 200, with what would be restored and what would not.
    """
    run = _run(run_id)
    if body(Undo).dry_run:
        plan = service.plan_undo(run)
        db.session.rollback()
        return answer(service.undo_document(plan), 200)
    earlier = service.earlier_undo(run)
    begin_write(db.session())
    row = service.request_undo(run, earlier)
    db.session.commit()
    runtime().wake()
    return answer(service.to_document(row))


def _run(run_id: str) -> SyncRun:
    return load(SyncRun, run_id, "Sync Run")
