"""``rollcall audit verify`` and ``rollcall audit export``: the audit log as evidence."""

from __future__ import annotations

import re
from dataclasses import asdict
from pathlib import Path

import click

from portal import audit as events
from portal.cli.context import answer, json_option, portal_app
from portal.errors import PortalError
from portal.evidence.chain import Mark
from portal.evidence.check import Verdict, verify_database
from portal.evidence.export import verify_file
from portal.extensions import db, mark_write
from portal.http.listing import Listing
from portal.operations import private_files, schema
from portal.settings import audit_log


@click.group()
def audit() -> None:
    """The audit log."""


@audit.command("verify")
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
@click.option(
    "--head", "noted", metavar="NUMBER:HASH", help="A head that was noted before; it must be in the chain."
)
@json_option
def verify(file: Path | None, noted: str | None, *, as_json: bool) -> None:
    """Check the chain of the database, or of an export (FILE). Names the first event that was changed or cut."""
    mark = None if noted is None else _mark(noted)
    if file is not None:
        verdict = verify_file(file, mark)
    else:
        with portal_app(writes=False, migrate=False):
            if (pending := schema.pending(db.engine)) is not None:
                raise PortalError(pending)
            verdict = verify_database(db.engine, mark)
    if verdict.problem is None or as_json:
        answer({"ok": verdict.problem is None, **asdict(verdict)}, _in_words(verdict), as_json=as_json)
    if verdict.problem is not None:
        raise PortalError(verdict.problem.text)


@audit.command("export")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
def export(file: Path, *, as_json: bool) -> None:
    """Write the whole log, with its chain, to FILE: JSON if its name ends in .json, else CSV."""
    with portal_app(writes=False):
        exported = audit_log.export(Listing())
        pieces = exported.json() if file.suffix.lower() == ".json" else exported.csv()
        try:
            with private_files.create(file) as out:
                out.writelines(piece.encode() for piece in pieces)
        except OSError as error:
            raise PortalError(f"Cannot write {file}: {error.strerror}.") from error
        session = db.session()
        session.rollback()
        mark_write(session)
        size = file.stat().st_size
        events.record(session, "exported", what="audit_log", rows=exported.rows, bytes=size)
        session.commit()
    answer(
        {"file": str(file), "events": exported.rows, "head": asdict(exported.head)},
        f"Wrote {exported.rows:,} events to {file}. The chain ends with {exported.head}",
        as_json=as_json,
    )


def _mark(text: str) -> Mark:
    match = re.fullmatch(r"(\d{1,18}):([0-9a-f]{64})", text.strip())
    if match is None:
        raise click.UsageError("--head looks like 1042:3f5a…, as a check prints it.")
    return Mark(int(match[1]), match[2])


def _in_words(verdict: Verdict) -> str:
    if not verdict.is_complete:
        return f"{verdict.events:,} events match what was exported. The file was filtered, so events left out are not checked."
    since = (
        f" Events up to {verdict.anchor.number:,} were deleted because of their age."
        if verdict.anchor.number
        else ""
    )
    return f"{verdict.events:,} events, none changed or cut.{since} The chain ends with {verdict.head}"
