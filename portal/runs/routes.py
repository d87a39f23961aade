"""Sync activity: all runs, one run, holds, undo, and conflicts (P8, G1, R5, M7)."""

from __future__ import annotations

from typing import Any

from flask import Blueprint, request, url_for
from werkzeug.wrappers import Response

from portal import access, csv_http, listing, web
from portal.clock import utcnow
from portal.end_users.service import product_names
from portal.engine.undo import DELETED
from portal.errors import Invalid
from portal.extensions import db
from portal.microsoft import service as microsoft
from portal.models import Conflict, MicrosoftTenant, Organization, Role, SyncRun
from portal.runs import presenters, service
from portal.runtime import runtime
from portal.user_sync import queue
from portal.user_sync import service as user_sync

bp = Blueprint("runs", __name__)
Answer = str | Response | tuple[str, int]


@bp.get("/sync-runs")
@access.requires(Role.READ_ONLY)
def index() -> Answer:
    """Every run, newest first, with what runs or waits for a decision above (P8)."""
    asked = listing.parse(request.args, service.RUNS, strict=False, extra=("view",))
    is_attention = request.args.get("view") == "attention"
    found = service.runs(asked, needing_attention=is_attention)
    now_there = service.urgent_runs()
    shown = [*found.items, *now_there]
    return web.render(
        "runs/index.html",
        blocks={"runs_now": "runs_now", "runs_table": "runs_table"},
        found=found,
        urgent=now_there,
        names=service.organization_names(shown),
        told_to_wait=queue.told_to_wait(db.session(), shown, utcnow()),
        is_attention=is_attention,
        organization=_named(Organization, asked.filters.get("organization_id")),
        microsoft_tenant=_named(MicrosoftTenant, asked.filters.get("microsoft_tenant_id")),
        presenters=presenters,
        statuses=service.STATUSES,
    )


@bp.get("/sync-runs/running")
@access.requires(Role.READ_ONLY)
def running() -> Answer:
    """How many runs are under way, for the top bar of every page."""
    return web.render("runs/running.html", number=service.running_number())


@bp.get("/sync-runs/<run_id>")
@access.requires(Role.READ_ONLY)
def detail(run_id: str) -> Answer:
    """One run: its phases, counts that add up, the hold, and each person's old and new values (P8, G1)."""
    run = _run(run_id)
    organization = access.load(Organization, run.organization_id, "Organization")
    asked = listing.parse(request.args, service.CHANGES, strict=False)
    found = service.changes(run, asked)
    kinds = service.kinds(run)
    sync = user_sync.find(organization)
    return web.render(
        "runs/detail.html",
        blocks={"run_live": "run_live", "people": "people"},
        run=run,
        organization=organization,
        microsoft_tenant=_named(MicrosoftTenant, run.microsoft_tenant_id),
        next_step=presenters.next_step(
            run,
            organization.tenant_id,
            is_enabled=sync is not None and sync.enabled,
            at=user_sync.next_run_at(sync, microsoft.mapped_to(organization)),
        ),
        progress=presenters.progress(run, utcnow()),
        waits_until=queue.told_to_wait(db.session(), [run], utcnow()).get(run.id),
        presenters=presenters,
        parts=presenters.parts(run),
        found=found,
        products=product_names([run.microsoft_tenant_id or ""]),
        rows=[service.change_document(row) for row in found.items],
        emails=service.emails(found.items),
        kinds=kinds,
        undone=service.undone(run) if run.kind == "undo" else None,
        total=sum(kinds.values()),
        hold=service.hold_facts(run),
        only=service.only_person(run),
    )


@bp.get("/sync-runs/<run_id>/changes.csv")
@access.requires(Role.READ_ONLY)
def changes_csv(run_id: str) -> Answer:
    """What the page's filter shows, one line per changed field."""
    run = _run(run_id)
    asked = listing.parse(request.args, service.CHANGES, strict=False)
    organization = access.load(Organization, run.organization_id, "Organization")
    return csv_http.download(
        service.changes_csv(run, asked),
        organization.name,
        "sync-run",
        what="sync_run_changes",
        object_type="sync_run",
        object_id=run.id,
    )


@bp.post("/sync-runs/<run_id>/held/apply")
@access.requires(Role.ADMINISTRATOR)
def apply_hold(run_id: str) -> Answer:
    """Apply what was held back (G1)."""
    run = _run(run_id)
    service.apply_hold(run)
    db.session.commit()
    runtime().wake()
    return web.respond(redirect=url_for(".detail", run_id=run.id), toast="Applied. The sync goes on.")


@bp.post("/sync-runs/<run_id>/held/dismiss")
@access.requires(Role.ADMINISTRATOR)
def dismiss_hold(run_id: str) -> Answer:
    """Leave what was held back undone, until the same people change (G1)."""
    run = _run(run_id)
    service.dismiss_hold(run)
    db.session.commit()
    runtime().wake()
    return web.respond(redirect=url_for(".detail", run_id=run.id), toast="Dismissed. The sync goes on.")


@bp.route("/sync-runs/<run_id>/undo", methods=["GET", "POST"])
@access.requires(Role.TECHNICIAN)
def undo(run_id: str) -> Answer:
    """List what an undo would restore and spare, then queue it (R5)."""
    run = _run(run_id)
    organization = access.load(Organization, run.organization_id, "Organization")
    if request.method == "POST":
        queued = service.request_undo(run)
        db.session.commit()
        runtime().wake()
        return web.respond(redirect=url_for(".detail", run_id=queued.id))
    plan = service.plan_undo(run)
    return web.render(
        "runs/undo.html",
        blocks={"dialog": "dialog"},
        run=run,
        organization=organization,
        plan=plan,
        products=product_names([run.microsoft_tenant_id or ""]),
        deleted=[row for row in plan["restored"] if row["what"] == DELETED],
        restored=[row for row in plan["restored"] if row["what"] != DELETED],
        spared=presenters.spared(plan["spared"]),
        presenters=presenters,
    )


@bp.get("/organizations/<organization_id>/conflicts")
@access.requires(Role.READ_ONLY)
def conflicts(organization_id: str) -> Answer:
    """An Organization's conflicts, the open ones first to be settled (M7)."""
    organization = access.load(Organization, organization_id, "Organization")
    return _conflicts_page(organization)


@bp.post("/conflicts/<conflict_id>/resolve")
@access.requires(Role.TECHNICIAN)
def resolve(conflict_id: str) -> Answer:
    """Settle one conflict: link to the End User who is meant, or ignore it until one side changes (M7)."""
    row = access.load(Conflict, conflict_id, "conflict")
    organization = access.load(Organization, row.organization_id, "Organization")
    action = request.form.get("action", "")
    try:
        service.resolve(row, action, request.form.get("end_user_id") or None if action == "link" else None)
    except Invalid as error:
        db.session.rollback()
        organization = access.load(Organization, organization.id, "Organization")
        return _conflicts_page(organization, problem=(conflict_id, error))
    db.session.commit()
    return web.respond(
        redirect=url_for(".conflicts", organization_id=organization.id),
        toast="Settled. The next run acts on it." if action == "link" else "Ignored until one side changes.",
    )


@bp.post("/conflicts/<conflict_id>/reopen")
@access.requires(Role.TECHNICIAN)
def reopen(conflict_id: str) -> Answer:
    """Open an ignored conflict again (M7)."""
    row = access.load(Conflict, conflict_id, "conflict")
    service.reopen(row)
    db.session.commit()
    return web.respond(
        redirect=url_for(".conflicts", organization_id=row.organization_id),
        toast="The conflict is open again.",
    )


def _run(run_id: str) -> SyncRun:
    return access.load(SyncRun, run_id, "Sync Run")


def _named(model: Any, object_id: str | None) -> Any:
    found = db.session.get(model, object_id) if object_id and len(object_id) <= 64 else None
    return None if getattr(found, "is_removed", False) else found


def _conflicts_page(organization: Organization, problem: tuple[str, Invalid] | None = None) -> Answer:
    asked = listing.parse(request.args, service.CONFLICTS, strict=False)
    found = service.conflicts(organization, asked)
    return web.render(
        "runs/conflicts.html",
        status=422 if problem else 200,
        organization=organization,
        found=found,
        questions=service.conflict_questions(organization, found.items),
        chosen=service.conflict_choices(found.items),
        problem_at=problem[0] if problem else "",
        problem=" ".join(s for sentences in problem[1].errors.values() for s in sentences) if problem else "",
    )
