"""Holds: the people held back, and the decision about them (G1)."""

from __future__ import annotations

from collections.abc import Mapping

from flask import Blueprint, request, url_for
from werkzeug.wrappers import Response

from portal.engine import holds
from portal.errors import Invalid
from portal.extensions import db
from portal.holds import service
from portal.holds import views as hold_views
from portal.http import access, listing, responses
from portal.http.formatting import plural
from portal.models import Organization, Role, SyncRun
from portal.runs import service as runs
from portal.runs import views
from portal.runtime import runtime

bp = Blueprint("holds", __name__)
Answer = str | Response | tuple[str, int]


@bp.get("/sync-runs/<run_id>/held")
@access.requires(Role.READ_ONLY)
def people(run_id: str) -> Answer:
    """The people held back, on a page of their own, paged and searched (G1)."""
    return _page(access.load(SyncRun, run_id, "Sync Run"), *_list_query(request.args))


@bp.post("/sync-runs/<run_id>/held")
@access.requires(Role.ADMINISTRATOR)
@access.reads_first
def select(run_id: str) -> Answer:
    """Search, page and check among the people held back: posted, so that checks are kept. Changes nothing (G1).

    Buttons: ``look`` searches, ``page`` turns the page, ``select`` checks all that fit the search (``fitting``) or nobody.
    """
    run = access.load(SyncRun, run_id, "Sync Run")
    selection = service.Selection.of(request.form)
    q, page = _list_query(request.form)
    if request.form.get("select") == "none":
        selection = service.Selection()
    elif request.form.get("select"):
        selection = selection.add(service.fitting(run, q)) if q else service.EVERYBODY
    return _page(run, q, page, selection)


@bp.post("/sync-runs/<run_id>/held/confirm")
@access.requires(Role.ADMINISTRATOR)
@access.reads_first
def confirm(run_id: str) -> Answer:
    """Ask once more, with how many and what it does (G1).

    ``decide``: apply or dismiss, ``-all`` for everybody who waits; both: apply the selected and dismiss the others.
    """
    run = access.load(SyncRun, run_id, "Sync Run")
    word, _, scope = request.form.get("decide", "").partition("-")
    if word not in {"apply", "dismiss", "both"}:
        raise Invalid({"decide": ["Apply or dismiss: use the page's own buttons."]})
    selection = service.EVERYBODY if scope == "all" else service.Selection.of(request.form)
    try:
        chosen = service.chosen(run, selection)
    except Invalid as error:
        if responses.is_partial():
            raise
        return _page(run, *_list_query(request.form), selection, problem=error.sentences())
    return _ask(run, word, selection, chosen)


@bp.post("/sync-runs/<run_id>/held/apply")
@access.requires(Role.ADMINISTRATOR)
@access.reads_first
def apply(run_id: str) -> Answer:
    """Apply the held changes of the confirmed people (G1)."""
    return _decide(access.load(SyncRun, run_id, "Sync Run"), "apply")


@bp.post("/sync-runs/<run_id>/held/dismiss")
@access.requires(Role.ADMINISTRATOR)
@access.reads_first
def dismiss(run_id: str) -> Answer:
    """Dismiss the held changes of the confirmed people, until they change again (G1)."""
    return _decide(access.load(SyncRun, run_id, "Sync Run"), "dismiss")


@bp.post("/sync-runs/<run_id>/held/both")
@access.requires(Role.ADMINISTRATOR)
@access.reads_first
def both(run_id: str) -> Answer:
    """Apply the confirmed people and dismiss all others at once (G1)."""
    return _decide(access.load(SyncRun, run_id, "Sync Run"), "both")


def _list_query(args: Mapping[str, str]) -> tuple[str, int]:
    """The search and the page among the people held back; unusable values mean the first page.

    page: a button that turns the page; at: the page that is shown, where another button than ``look`` was pressed.
    """
    page = args.get("page") or ("" if args.get("look") else args.get("at", ""))
    query = listing.parse({"q": args.get("q", ""), "page": page}, runs.CHANGES, strict=False)
    return query.q, query.page


def _page(
    run: SyncRun, q: str = "", page: int = 1, selection: service.Selection | None = None, problem: str = ""
) -> Answer:
    return responses.render(
        "holds/people.html",
        status=422 if problem else 200,
        blocks={"hold": "hold"},
        run=run,
        title=_title(run),
        problem=problem,
        card=hold_views.card(run, service.people(run, q, page, selection)),
    )


def _ask(
    run: SyncRun, word: str, selection: service.Selection, chosen: service.Chosen, problem: str = ""
) -> Answer:
    return responses.render(
        "holds/decide.html",
        status=422 if problem else 200,
        blocks={"dialog": "dialog"},
        run=run,
        title=_title(run),
        question=hold_views.question(word, chosen, selection),
        action=url_for(f".{word}", run_id=run.id),
        problem=problem,
    )


def _title(run: SyncRun) -> str:
    return views.title(run, access.load(Organization, run.organization_id, "Organization").name)


def _decide(run: SyncRun, word: str) -> Answer:
    """Do what was confirmed. If ``count`` no longer fits, ask again."""
    selection = service.Selection.of(request.form)
    chosen = service.chosen(run, selection)
    if request.form.get("count") != str(chosen.number):
        return _ask(run, word, selection, chosen, problem=service.CHANGED)
    try:
        toast = _DEEDS[word](run, chosen)
    except Invalid:  # somebody else decided about one of them in this moment
        db.session.rollback()
        return _ask(run, word, selection, service.chosen(run, selection), problem=service.CHANGED)
    db.session.commit()
    runtime().wake()
    return responses.respond(
        redirect=url_for("runs.detail", run_id=run.id, _anchor="hold"),
        toast=f"{toast} {service.still_waiting(run)}",
    )


def _apply(run: SyncRun, chosen: service.Chosen) -> str:
    return _applied(service.apply(run, chosen.object_ids))


def _applied(done: holds.Applied) -> str:
    sentence = f"Applied to {plural(done.people, 'person', 'people')}."
    if done.left_out:
        sentence += (
            f" {done.left_out:,} had changed since and {'was' if done.left_out == 1 else 'were'} left out."
        )
    return sentence


def _dismiss(run: SyncRun, chosen: service.Chosen) -> str:
    return f"Dismissed for {plural(service.dismiss(run, chosen.object_ids), 'person', 'people')}."


def _both(run: SyncRun, chosen: service.Chosen) -> str:
    done = service.apply_and_dismiss(run, chosen.object_ids)
    dismissed = f" Dismissed for {plural(done.dismissed, 'person', 'people')}." if done.dismissed else ""
    return f"{_applied(done.applied)}{dismissed}"


_DEEDS = {"apply": _apply, "dismiss": _dismiss, "both": _both}
