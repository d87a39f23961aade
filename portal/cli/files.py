"""``rollcall import`` and ``rollcall export``: CSV of End Users and Assets, the same as the pages do (O2)."""

from __future__ import annotations

import csv
import io
import sys
from pathlib import Path
from typing import Any

import click

from portal.assets import service as assets
from portal.cli.context import answer, json_option, portal_app
from portal.cli.sync import find_organization
from portal.end_users import listing as end_user_list
from portal.errors import PortalError
from portal.extensions import db
from portal.http import csv_download, listing
from portal.http.csv_cells import BOM
from portal.http.formatting import plural
from portal.imports import runner, service
from portal.models import Organization
from portal.runtime import runtime
from portal.transactions import write_session
from portal.worker import processes

KIND = click.argument("kind", type=click.Choice(["end-users", "assets"]))
ORGANIZATION = click.argument("organization")


@click.command("import")
@KIND
@ORGANIZATION
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--dry-run", is_flag=True, help="Only show what would happen.")
@json_option
def import_file(kind: str, organization: str, file: Path, *, dry_run: bool, as_json: bool) -> None:
    """Import a CSV FILE into ORGANIZATION, given by id or exact name. Exit code 1 when it stops early."""
    name = kind.replace("-", "_")
    try:
        data = file.read_bytes()
    except OSError as error:
        raise PortalError(f"Cannot read {file}: {error.strerror}.") from error
    with portal_app(writes=False):
        row = find_organization(organization)
        sessions = runtime().sessions
        if dry_run:
            with sessions() as session:
                document = service.preview_file(session, row.id, name, data).document()
        else:
            document = _import(row, name, data, file.name)
    answer(document, _summary(document), as_json=as_json)
    if document.get("error"):
        raise PortalError(str(document["error"]))


@click.command("undo-import")
@click.argument("import_id")
@click.option("--dry-run", is_flag=True, help="Only list what would be restored and what would not.")
@json_option
def undo_import(import_id: str, *, dry_run: bool, as_json: bool) -> None:
    """Undo what an import did, except what was edited since."""
    with portal_app(writes=False):
        row = service.load(db.session(), import_id)
        if dry_run:
            plan = service.undo_document(service.plan_undo(db.session(), row))
            lines = [f"{person['name']}: {person['what']}" for person in plan["restored"]]
            lines += [f"{person['name']}: not restored, {person['reason']}" for person in plan["spared"]]
            answer(plan, "\n".join(lines) or "There is nothing to undo.", as_json=as_json)
            return
        owner = processes.own_name()
        db.session.rollback()
        with write_session(runtime().sessions) as session:
            service.request_undo(session, service.load(session, import_id), owner)
        runner.undo(runtime().sessions, import_id, owner)
        document = _document(import_id)
    text = f"{plural(document['restored'], 'row')} undone, {document['spared']:,} not, edited since."
    answer(document, text, as_json=as_json)
    if document["error"]:
        raise PortalError(str(document["error"]))


@click.command("export")
@KIND
@ORGANIZATION
@click.option("--bom", is_flag=True, help="Begin with a byte order mark, for Excel.")
def export_file(kind: str, organization: str, *, bom: bool) -> None:
    """Write a CSV of ORGANIZATION to stdout."""
    with portal_app(writes=False):
        row = find_organization(organization)
        spec = end_user_list.SPEC if kind == "end-users" else assets.SPEC
        export = end_user_list.export if kind == "end-users" else assets.export
        organization_id = row.id
        text = "".join(export(row, listing.parse({}, spec, strict=True)))
        data = ((BOM if bom else "") + text).encode()
        rows = max(0, sum(1 for _ in csv.reader(io.StringIO(text, newline=""))) - 1)
        csv_download.record_export(
            kind.replace("-", "_"), rows, len(data), object_type="organization", object_id=organization_id
        )
    sys.stdout.buffer.write(data)


def _import(organization: Organization, kind: str, data: bytes, file_name: str) -> dict[str, Any]:
    sessions, owner = runtime().sessions, processes.own_name()
    organization_id = organization.id
    db.session.rollback()
    import_id = runner.store(
        sessions,
        organization_id=organization_id,
        kind=kind,
        data=data,
        file_name=file_name,
        status="queued",
        owner=owner,
    )
    runner.run(sessions, import_id, owner)
    return _document(import_id)


def _document(import_id: str) -> dict[str, Any]:
    db.session.rollback()
    return service.progress_document(db.session(), service.load(db.session(), import_id))


def _summary(document: dict[str, Any]) -> str:
    counts = ", ".join(f"{document[name]:,} {name}" for name in ("created", "updated", "unchanged"))
    lines = [f"{counts}, {len(document['rejected']):,} rejected."]
    lines += [f"Line {line['line']}: {line['reason']}" for line in document["rejected"]]
    return "\n".join(lines)
