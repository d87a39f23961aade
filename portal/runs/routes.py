"""Sync activity: all runs, one run, holds, undo, and conflicts (P8, G1, R5, M7)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from flask import Blueprint, request, url_for
from werkzeug.wrappers import Response

from portal.clock import utcnow
from portal.end_users.service import product_names
from portal.engine.undo import DELETED
from portal.errors import Invalid
from portal.extensions import db
from portal.http import access, csv_download, listing, responses
from portal.http.formatting import plural
from portal.microsoft import service as microsoft
from portal.models import Conflict, MicrosoftTenant, Organization, Role, SyncRun
from portal.runs import held, presenters, service
from portal.runtime import runtime
from portal.user_sync import service as user_sync
from portal.worker import queue

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
    return responses.render(
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
    return responses.render("runs/running.html", number=service.running_number())


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
    return responses.render(
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
        **_hold(run),
        only=service.only_person(run),
    )


@bp.get("/sync-runs/<run_id>/changes.csv")
@access.requires(Role.READ_ONLY)
def changes_csv(run_id: str) -> Answer:
    """What the page's filter shows, one line per changed field."""
    run = _run(run_id)
    asked = listing.parse(request.args, service.CHANGES, strict=False)
    organization = access.load(Organization, run.organization_id, "Organization")
    return csv_download.download(
        service.changes_csv(run, asked),
        organization.name,
        "sync-run",
        what="sync_run_changes",
        object_type="sync_run",
        object_id=run.id,
    )


@bp.get("/sync-runs/<run_id>/held")
@access.requires(Role.READ_ONLY)
def held_people(run_id: str) -> Answer:
    """Who is held back, on a page of its own, at a page or a search of them (G1)."""
    return _held_page(_run(run_id), *_asked_held(request.args))


@bp.post("/sync-runs/<run_id>/held")
@access.requires(Role.ADMINISTRATOR)
@access.reads_first
def select_held(run_id: str) -> Answer:
    """Search, page and check among those held back: posted, so that what is checked is kept. It changes nothing (G1).

    Buttons: ``look`` searches, ``page`` turns the page, ``select`` checks all that fit the search (``fitting``) or nobody.
    """
    run = _run(run_id)
    selection = held.Selection.of(request.form)
    q, page = _asked_held(request.form)
    if request.form.get("select") == "none":
        selection = held.Selection()
    elif request.form.get("select"):
        selection = selection.add(held.fitting(run, q)) if q else held.EVERYBODY
    return _held_page(run, q, page, selection)


@bp.post("/sync-runs/<run_id>/held/confirm")
@access.requires(Role.ADMINISTRATOR)
@access.reads_first
def confirm_held(run_id: str) -> Answer:
    """Ask once more, with how many and what it does (G1). ``decide``: apply or dismiss, ``-all`` for everybody who waits."""
    run = _run(run_id)
    word, _, scope = request.form.get("decide", "").partition("-")
    if word not in {"apply", "dismiss"}:
        raise Invalid({"decide": ["Apply or dismiss: use the page's own buttons."]})
    selection = held.EVERYBODY if scope == "all" else held.Selection.of(request.form)
    try:
        chosen = held.chosen(run, selection)
    except Invalid as error:
        if responses.is_partial():
            raise
        return _held_page(run, *_asked_held(request.form), selection, problem=_words(error))
    return _ask(run, word, selection, chosen)


@bp.post("/sync-runs/<run_id>/held/apply")
@access.requires(Role.ADMINISTRATOR)
@access.reads_first
def apply_hold(run_id: str) -> Answer:
    """Apply what was held back of those who were confirmed (G1)."""
    return _decide(_run(run_id), "apply")


@bp.post("/sync-runs/<run_id>/held/dismiss")
@access.requires(Role.ADMINISTRATOR)
@access.reads_first
def dismiss_hold(run_id: str) -> Answer:
    """Leave those who were confirmed as they are, until they change (G1)."""
    return _decide(_run(run_id), "dismiss")


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
        return responses.respond(redirect=url_for(".detail", run_id=queued.id))
    plan = service.plan_undo(run)
    return responses.render(
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
    return responses.respond(
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
    return responses.respond(
        redirect=url_for(".conflicts", organization_id=row.organization_id),
        toast="The conflict is open again.",
    )


def _run(run_id: str) -> SyncRun:
    return access.load(SyncRun, run_id, "Sync Run")


def _asked_held(args: Mapping[str, str]) -> tuple[str, int]:
    """The search and the page among those held back; what makes no sense is the first page of all.

    page: a button that turns the page; at: the page that is shown, where another button than ``look`` was pressed.
    """
    page = args.get("page") or ("" if args.get("look") else args.get("at", ""))
    asked = listing.parse({"q": args.get("q", ""), "page": page}, service.CHANGES, strict=False)
    return asked.q, asked.page


def _hold(run: SyncRun, people: held.HeldPeople | None = None) -> dict[str, Any]:
    """What the card of a hold shows; nothing when nothing was held."""
    facts = held.facts(run)
    if facts is None or facts.state != "waiting":
        return {"hold": facts}
    people = people or held.people(run)
    rows = people.found.items
    return {
        "hold": facts,
        "held": people,
        "held_rows": [service.change_document(row) for row in rows],
        "held_emails": service.held_emails(run, rows),
    }


def _held_page(
    run: SyncRun, q: str = "", page: int = 1, selection: held.Selection | None = None, problem: str = ""
) -> Answer:
    return responses.render(
        "runs/held.html",
        status=422 if problem else 200,
        blocks={"hold": "hold"},
        run=run,
        organization=access.load(Organization, run.organization_id, "Organization"),
        presenters=presenters,
        problem=problem,
        products=product_names([run.microsoft_tenant_id or ""]),
        **_hold(run, held.people(run, q, page, selection)),
    )


def _ask(
    run: SyncRun, word: str, selection: held.Selection, chosen: held.Chosen, problem: str = ""
) -> Answer:
    return responses.render(
        "runs/decide.html",
        status=422 if problem else 200,
        blocks={"dialog": "dialog"},
        run=run,
        organization=access.load(Organization, run.organization_id, "Organization"),
        presenters=presenters,
        is_apply=word == "apply",
        selection=selection,
        chosen=chosen,
        problem=problem,
    )


def _decide(run: SyncRun, word: str) -> Answer:
    """Do what was confirmed. When by now others are left than ``count`` said, it is asked about anew."""
    selection = held.Selection.of(request.form)
    chosen = held.chosen(run, selection)
    if request.form.get("count") != str(chosen.number):
        return _ask(run, word, selection, chosen, problem=held.CHANGED)
    try:
        toast = _apply(run, chosen) if word == "apply" else _dismiss(run, chosen)
    except Invalid:  # somebody else decided about one of them in this moment
        db.session.rollback()
        return _ask(run, word, selection, held.chosen(run, selection), problem=held.CHANGED)
    db.session.commit()
    runtime().wake()
    return responses.respond(
        redirect=url_for(".detail", run_id=run.id, _anchor="hold"),
        toast=f"{toast} {held.still_waiting(run)}",
    )


def _apply(run: SyncRun, chosen: held.Chosen) -> str:
    done = held.apply(run, chosen.object_ids)
    sentence = f"Applied to {plural(done.people, 'person', 'people')}."
    if done.left_out:
        sentence += (
            f" {done.left_out:,} had changed since and {'was' if done.left_out == 1 else 'were'} left out."
        )
    return sentence


def _dismiss(run: SyncRun, chosen: held.Chosen) -> str:
    return f"Dismissed for {plural(held.dismiss(run, chosen.object_ids), 'person', 'people')}."


def _words(error: Invalid) -> str:
    return " ".join(text for texts in error.errors.values() for text in texts)


def _named(model: Any, object_id: str | None) -> Any:
    found = db.session.get(model, object_id) if object_id and len(object_id) <= 64 else None
    return None if getattr(found, "is_removed", False) else found


def _conflicts_page(organization: Organization, problem: tuple[str, Invalid] | None = None) -> Answer:
    asked = listing.parse(request.args, service.CONFLICTS, strict=False)
    found = service.conflicts(organization, asked)
    return responses.render(
        "runs/conflicts.html",
        status=422 if problem else 200,
        organization=organization,
        found=found,
        questions=service.conflict_questions(organization, found.items),
        chosen=service.conflict_choices(found.items),
        problem_at=problem[0] if problem else "",
        problem=_words(problem[1]) if problem else "",
    )
