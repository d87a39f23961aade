"""Sync activity: all runs, one run, holds, undo, and conflicts (P8, G1, R5, M7)."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from flask import Blueprint, request, url_for
from werkzeug.wrappers import Response

from portal.clock import utcnow
from portal.end_users.documents import product_names
from portal.errors import Invalid
from portal.extensions import db
from portal.holds.views import card
from portal.http import access, csv_download, responses
from portal.http.formatting import clock_text, viewer_zone
from portal.http.listing import Listing, parse
from portal.microsoft import service as microsoft
from portal.models import MicrosoftTenant, Organization, Role, SyncRun
from portal.organizations import tags
from portal.runs import list_views, listing, run_view, service, views
from portal.runtime import runtime
from portal.transactions import begin_write
from portal.user_sync import service as user_sync
from portal.worker import queue

bp = Blueprint("runs", __name__)
Answer = str | Response | tuple[str, int]


@bp.get("/sync-runs")
@access.requires(Role.READ_ONLY)
def index() -> Answer:
    """Every run, newest first, with what runs or waits for a decision above (P8)."""
    query, is_attention = _list_query()
    page = listing.runs(query, needing_attention=is_attention, zone=viewer_zone())
    now_there = service.urgent_runs()
    rows = [*page.items, *now_there]
    names = service.organization_names(rows)
    waits = queue.throttled_until(db.session(), rows, utcnow())
    organization = _named(Organization, query.filters.get("organization_id"))
    microsoft_tenant = _named(MicrosoftTenant, query.filters.get("microsoft_tenant_id"))
    return responses.render(
        "runs/index.html",
        blocks={"runs_now": "runs_now", "runs_table": "runs_table"},
        view=list_views.runs_list(
            url_for(".index"),
            page,
            names,
            waits,
            tags.all_tags(),
            about={"organization_id": organization, "microsoft_tenant_id": microsoft_tenant},
            has_runs=bool(page.items) or service.has_runs(),
        ),
        urgent=list_views.urgent_rows(now_there, names, waits),
        organization=organization,
        microsoft_tenant=microsoft_tenant,
    )


@bp.get("/sync-runs.csv")
@access.requires(Role.READ_ONLY)
def export() -> Answer:
    """CSV of the runs that are filtered."""
    query, is_attention = _list_query()
    text = listing.export(query, needing_attention=is_attention, zone=viewer_zone())
    return csv_download.download(text, csv_download.customer(query), "sync-activity", what="sync_runs")


@bp.get("/sync-runs/running")
@access.requires(Role.READ_ONLY)
def running() -> Answer:
    """How many runs are under way, for the top bar of every page."""
    return responses.render("runs/running.html", number=service.running_number())


@bp.get("/sync-runs/<run_id>")
@access.requires(Role.READ_ONLY)
def detail(run_id: str) -> Answer:
    """One run: its phases, counts that add up, the hold, and each person's old and new values (P8, G1)."""
    run = _run(run_id)
    organization = access.load(Organization, run.organization_id, "Organization")
    query = parse(request.args, service.CHANGES, strict=False)
    people = service.changes(run, query)
    kinds = service.kinds(run)
    sync = user_sync.find(organization)
    progress = views.progress(run, utcnow(), queue.throttled_until(db.session(), [run], utcnow()).get(run.id))
    only = service.only_person(run)
    view = run_view.run_view(
        run,
        title=views.title(run, organization.name, _undone_at(run)),
        organization=organization,
        microsoft_tenant=_named(MicrosoftTenant, run.microsoft_tenant_id),
        progress=progress,
        next_step=views.next_step(
            run,
            organization.tenant_id,
            is_enabled=sync is not None and sync.enabled,
            at=user_sync.next_run_at(sync, microsoft.mapped_to(organization)),
        ),
        kinds=kinds,
        undone=service.undone(run) if run.kind == "undo" else {},
        only="" if only is None else only.display_name,
        people=run_view.run_people(
            run,
            people,
            [service.change_document(row) for row in people.items],
            kinds=kinds,
            emails=service.emails(people.items),
            products=product_names([run.microsoft_tenant_id or ""]),
            is_active=progress.is_active,
        ),
    )
    return responses.render(
        "runs/detail.html",
        blocks={"run_live": "run_live", "people": "people"},
        run=run,
        view=view,
        card=card(run),
    )


@bp.get("/sync-runs/<run_id>/changes.csv")
@access.requires(Role.READ_ONLY)
def changes_csv(run_id: str) -> Answer:
    """What the page's filter shows, one line per changed field."""
    run = _run(run_id)
    query = parse(request.args, service.CHANGES, strict=False)
    organization = access.load(Organization, run.organization_id, "Organization")
    return csv_download.download(
        service.changes_csv(run, query),
        organization.name,
        "sync-run",
        what="sync_run_changes",
        object_type="sync_run",
        object_id=run.id,
    )


@bp.route("/sync-runs/<run_id>/undo", methods=["GET", "POST"])
@access.requires(Role.TECHNICIAN)
@access.reads_first
def undo(run_id: str) -> Answer:
    """List what an undo would restore and spare, then queue it (R5)."""
    run = _run(run_id)
    organization = access.load(Organization, run.organization_id, "Organization")
    if request.method == "POST":
        earlier = service.earlier_undo(run)
        begin_write(db.session())
        queued = service.request_undo(run, earlier)
        db.session.commit()
        runtime().wake()
        return responses.respond(redirect=url_for(".detail", run_id=queued.id))
    view = views.undo_view(
        service.plan_undo(run),
        product_names([run.microsoft_tenant_id or ""]),
        action=url_for(".undo", run_id=run_id),
        back=url_for(".detail", run_id=run_id),
    )
    name = views.title(run, organization.name)
    return responses.render("runs/undo.html", blocks={"dialog": "dialog"}, run=run, name=name, view=view)


def _undone_at(run: SyncRun) -> str:
    """When the run began that this one undoes, for its title; "" when it undoes none, or none that is kept."""
    undone = db.session.get(SyncRun, run.undoes_run_id) if run.undoes_run_id else None
    return (
        "" if undone is None else clock_text(undone.started_at or undone.created_at, utcnow(), viewer_zone())
    )


def _list_query() -> tuple[Listing, bool]:
    """What the list is asked for: what changed something or went wrong unless it says otherwise; and whether that is trouble alone."""
    query = parse(request.args, listing.RUNS, strict=False, extra=("view",))
    is_attention = request.args.get("view") == "attention"
    filters = dict(query.filters)
    for name in ("since", "until"):
        try:
            listing.moment(name, filters.get(name) or "2026-01-31")
        except Invalid:  # pages leave out what cannot be used
            del filters[name]
    if not is_attention and not {"show", "status"} & set(filters):
        filters["show"] = listing.NOTABLE
    return replace(query, filters=filters, extra={"view": "attention"} if is_attention else {}), is_attention


def _run(run_id: str) -> SyncRun:
    return access.load(SyncRun, run_id, "Sync Run")


def _named(model: Any, object_id: str | None) -> Any:
    row = db.session.get(model, object_id) if object_id and len(object_id) <= 64 else None
    return None if getattr(row, "is_removed", False) else row
