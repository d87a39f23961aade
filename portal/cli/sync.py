"""``rollcall sync run|preview|explain``: the same services as the pages."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import click
from flask import Flask
from sqlalchemy import select

from portal.cli.context import answer, json_option, portal_app
from portal.engine.records import COUNTED
from portal.errors import NotFound, PortalError
from portal.extensions import db, writing
from portal.models import Organization, SyncRun, UserSync
from portal.runs import service as runs
from portal.text import text_key
from portal.user_sync import documents, previews
from portal.user_sync import service as user_sync
from portal.worker import scheduler

POLL_SECONDS = 0.3
FINISHED = {"succeeded", "partial", "failed", "held", "cancelled"}
ORGANIZATION = click.argument("organization")


@click.group()
def sync() -> None:
    """Microsoft User Sync of one Organization, given by id or name."""


@sync.command("run")
@ORGANIZATION
@json_option
def run(organization: str, *, as_json: bool) -> None:
    """Sync now and follow it to its end. Exit code 1 when it fails."""
    with portal_app() as app:
        customer = find_organization(organization)
        row = user_sync.request_run(customer)
        db.session.commit()
        document = _follow(app, row.id, quiet=as_json)
    answer(document, _summary(document), as_json=as_json)
    if document["status"] in {"failed", "cancelled"}:
        raise PortalError(document["error"] or f"The run was {document['status']}.")


@sync.command("preview")
@ORGANIZATION
@json_option
def preview(organization: str, *, as_json: bool) -> None:
    """Say what the next run would do, from the mirror as it is. Writes nothing."""
    with portal_app(writes=False):
        row = find_organization(organization)
        document = previews.preview(row, _saved(row), per_page=200).document()
        db.session.rollback()
    answer(document, _preview_text(document), as_json=as_json)


@sync.command("explain")
@ORGANIZATION
@click.argument("user")
@json_option
def explain(organization: str, user: str, *, as_json: bool) -> None:
    """Say why USER (UPN, object id or e-mail) is or is not synced."""
    with portal_app(writes=False):
        document = previews.explain(find_organization(organization), user)
        db.session.rollback()
    answer(document, _explain_text(document), as_json=as_json)


def find_organization(text: str) -> Organization:
    """By id or name. Raises NotFound."""
    organization = db.session.get(Organization, text) or db.session.scalar(
        select(Organization).where(Organization.name_key == text_key(text))
    )
    if organization is None:
        raise NotFound(f"There is no Organization with the id or name {text!r}.")
    return organization


def _saved(organization: Organization) -> dict[str, Any]:
    row = db.session.scalar(select(UserSync).where(UserSync.organization_id == organization.id))
    if row is None:
        raise PortalError(f"{organization.name} has no Microsoft User Sync. Set it up first.")
    return documents.saved_request(row)


def _follow(app: Flask, run_id: str, *, quiet: bool) -> dict[str, Any]:
    """Work on the queue in this process too, until the run is over, and show how far it is."""
    writing.set(False)  # following only reads: the lock belongs to the threads that work
    done = threading.Event()
    helper = scheduler.Scheduler(app, timer=False)
    helper.start()
    try:
        with click.progressbar(length=1000, label="Queued", hidden=quiet) as bar:
            show = _shower(bar)
            while True:
                db.session.rollback()
                row = db.session.get(SyncRun, run_id, populate_existing=True)
                if row is None:
                    raise NotFound("The run no longer exists: its Organization was deleted.")
                show(row)
                if row.status in FINISHED:
                    document: dict[str, Any] = runs.to_document(row)
                    return document
                db.session.rollback()
                done.wait(POLL_SECONDS)
    finally:
        helper.stop()


def _shower(bar: Any) -> Callable[[SyncRun], None]:
    def show(row: SyncRun) -> None:
        bar.label = row.phase or row.status.capitalize()
        share = 1.0 if row.status in FINISHED else row.done / row.total if row.total else 0.0
        bar.update(int(share * 1000) - bar.pos)

    return show


def _summary(document: dict[str, Any]) -> str:
    counts = document["counts"]
    numbers = ", ".join(f"{counts.get(name, 0):,} {name}" for name in (*COUNTED, "skipped"))
    lines = [f"{document['status'].capitalize()}: {counts.get('read', 0):,} read, {numbers}."]
    return "\n".join([*lines, *document["warnings"]])


def _preview_text(document: dict[str, Any]) -> str:
    lines = [
        f"{d['decision']:<14}{d['email'] or d['user_principal_name']}  {d['reason']}"
        for d in document["decisions"]
    ]
    if document["total"] > len(lines):
        lines.append(f"… {document['total'] - len(lines):,} more")
    lines.append(_summary({"status": "preview", "counts": document["counts"], "warnings": []}))
    return "\n".join(lines)


def _explain_text(document: dict[str, Any]) -> str:
    lines = [f"{document['user_principal_name']} ({document['object_id']})"]
    for section, verdict in document["sections"].items():
        lines.append(
            f"  {'accepted' if verdict['accepted'] else 'refused ':<9} {section}: {verdict['value'] or '(none)'}"
        )
    return "\n".join([*lines, f"{document['decision']}: {document['reason']}"])
