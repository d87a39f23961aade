"""Imports over ``/api/v1``: CSV in, what it did, and taking it back (O2, R5). Doors of both kinds, End Users and Assets."""

from __future__ import annotations

from flask import Response, request
from sqlalchemy.exc import SQLAlchemyError

from portal.api.blueprint import bp
from portal.api.declaration import CSV, DRY_RUN, PREFER_LATER, Tag, documented_as
from portal.api.documents import imports as documents
from portal.api.documents.base import described
from portal.api.schema import Request, answer, body, is_dry_run
from portal.errors import RetryLater
from portal.extensions import begin_write, db
from portal.http.access import load, reads_first, requires
from portal.http.api_problems import problem
from portal.imports import runner, service
from portal.models import Import, Organization, Role
from portal.runtime import runtime
from portal.transactions import roll_back, trouble
from portal.worker import processes

documented = documented_as(Tag("Imports", "End Users and Assets from CSV files."))


class UndoImport(Request):
    """With ``dry_run`` nothing is done: what would be restored and what spared is listed."""

    dry_run: bool = described("Write nothing; return what would be done.", False, default=False)


@bp.post("/organizations/<organization_id>/end-users/import")
@requires(Role.TECHNICIAN)
@reads_first
@documented(
    body=CSV, answer=documents.ImportResult, also={202: documents.Import}, parameters=[DRY_RUN, PREFER_LATER]
)
def import_end_users(organization_id: str) -> Response:
    """Import End Users from CSV: they are created, or updated by their email address."""
    return _import(load(Organization, organization_id, "Organization"), "end_users")


@bp.post("/organizations/<organization_id>/assets/import")
@requires(Role.TECHNICIAN)
@reads_first
@documented(
    body=CSV, answer=documents.ImportResult, also={202: documents.Import}, parameters=[DRY_RUN, PREFER_LATER]
)
def import_assets(organization_id: str) -> Response:
    """Import Assets from CSV: they are created, or updated by id, MAC address, or a name that only one has."""
    return _import(load(Organization, organization_id, "Organization"), "assets")


@bp.get("/imports/<import_id>")
@requires(Role.READ_ONLY)
@documented(answer=documents.Import)
def get_import(import_id: str) -> Response:
    """Get an import and its progress."""
    return answer(service.progress_document(db.session(), load(Import, import_id, "import")))


@bp.post("/imports/<import_id>/undo")
@requires(Role.TECHNICIAN)
@reads_first
@documented(
    body=UndoImport,
    answer=documents.Import | documents.ImportUndoPlan,
    also={202: documents.Import},
    parameters=[PREFER_LATER],
)
def undo_import(import_id: str) -> Response:
    """Undo an import, except what was edited since."""
    row = load(Import, import_id, "import")
    if body(UndoImport).dry_run:
        document = service.undo_document(service.plan_undo(db.session(), row))
        db.session.rollback()
        return answer(document)
    owner = None if _is_later() else processes.own_name()
    begin_write(db.session())
    service.request_undo(db.session(), row, owner)
    db.session.commit()
    if owner is None:
        return _on_its_way(import_id)
    try:
        with runner.own_transactions():
            runner.undo(runtime().sessions, import_id, owner)
        return answer(_document(import_id))
    except (RetryLater, SQLAlchemyError) as error:
        return _goes_on(import_id, error)


def _import(organization: Organization, kind: str) -> Response:
    organization_id, is_dry, is_later = organization.id, is_dry_run(), _is_later()
    data = request.get_data(cache=False)
    db.session.rollback()  # nothing is open while this file is read
    sessions = runtime().sessions
    with runner.own_transactions():
        if is_dry:
            with sessions() as session:
                return answer(service.preview_file(session, organization_id, kind, data).document())
        owner = None if is_later else processes.own_name()
        import_id = runner.store(
            sessions,
            organization_id=organization_id,
            kind=kind,
            data=data,
            file_name="",
            status="queued",
            owner=owner,
        )
        if owner is None:
            return _on_its_way(import_id)
        try:
            runner.run(sessions, import_id, owner)
            return _result(import_id)
        except (RetryLater, SQLAlchemyError) as error:
            return _goes_on(import_id, error)


def _result(import_id: str) -> Response:
    row = service.load(db.session(), import_id)
    if row.status == "failed":
        return problem(
            500, row.error or "", members={"import_id": row.id, "done": row.done, "total": row.total}
        )
    return answer(service.document(db.session(), row))


def _goes_on(import_id: str, error: RetryLater | SQLAlchemyError) -> Response:
    """503 that names what goes on by itself once the database can be used again. Raises whatever else ``error`` is."""
    later = error if isinstance(error, RetryLater) else trouble(error)
    if later is None:
        raise error
    roll_back(db.session())
    runtime().wake()
    headers = {"Retry-After": str(later.seconds), "Location": f"/api/v1/imports/{import_id}"}
    return problem(503, runner.WAITS, headers=headers, members={"import_id": import_id})


def _on_its_way(import_id: str) -> Response:
    runtime().wake()
    headers = {"Location": f"/api/v1/imports/{import_id}", "Preference-Applied": "respond-async"}
    return answer(_document(import_id), 202, headers=headers)


def _document(import_id: str) -> dict[str, object]:
    return service.progress_document(db.session(), service.load(db.session(), import_id))


def _is_later() -> bool:
    """True when the caller prefers to be told later (RFC 7240)."""
    preferences = request.headers.get("Prefer", "").lower().replace(";", ",").split(",")
    return "respond-async" in {word.strip() for word in preferences}
