"""The set-up pop-up: choose filters, preview, enable, edit (P7, U1-U7, U10-U12)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from flask import render_template, request

from portal.clock import utcnow
from portal.end_users import service as end_users
from portal.engine.records import SECTIONS, FilterSpec
from portal.errors import Invalid, NotFound, PortalError, Refused, RetryLater
from portal.extensions import db
from portal.http import access, responses
from portal.http.formatting import clock_text, viewer_zone
from portal.microsoft import service as microsoft
from portal.models import Organization, Role
from portal.runtime import runtime
from portal.transactions import begin_write
from portal.user_sync import documents, edits, known_domains, previews, service, views
from portal.user_sync.forms import SetupForm
from portal.user_sync.plans import PlanMoved
from portal.user_sync.preview_view import preview_view
from portal.user_sync.routes.blueprint import DIALOG, Answer, bp, find_organization, is_enabled
from portal.user_sync.routes.switch import show_progress
from portal.user_sync.setup_view import setup_view

TENANT_ASKED = "This may be the wrong Microsoft tenant. Confirm that it is the right one"


@bp.get("")
@access.requires(Role.READ_ONLY)
def setup(organization_id: str) -> Answer:
    """Show the five sections as they are saved, or everything on All for a new sync (U1, U2, U7)."""
    organization = find_organization(organization_id)
    return _form_page(organization, SetupForm.of(_saved(organization)))


@bp.post("")
@access.requires(Role.ADMINISTRATOR)
@access.reads_first
def save(organization_id: str) -> Answer:
    """Enable with the first run queued, or save edited filters for coming runs (U6, U7, U12)."""
    organization, form = find_organization(organization_id), SetupForm()
    plan_id = str(form.plan_id.data or "") or None
    fingerprint, refused = _approved(organization, plan_id, form.body(_saved(organization)))
    asks = not (form.tenant_confirmed.data or is_enabled(organization)) and _guard_asks(organization)
    begin_write(db.session())
    organization = access.load(Organization, organization_id, "Organization", locked=True)
    body = form.body(_saved(organization))
    is_new = not is_enabled(organization)
    opened_on = str(form.opened_on.data or "")
    problems = _problems(organization, form, body, opened_on)
    if not problems and opened_on.partition(" ")[2].startswith("off") and not is_new:
        return show_progress(organization)  # the same form once more, as by a double click
    if not problems and is_new and asks:
        problems["tenant"] = [TENANT_ASKED]
    if problems:
        db.session.rollback()
        return _form_page(find_organization(organization_id), form, problems=problems)
    try:
        if refused is not None:
            raise refused
        done = service.put(organization, body, fingerprint)
    except Invalid as error:
        db.session.rollback()
        return _form_page(find_organization(organization_id), form, problems=_by_section(error))
    except Refused as error:
        if plan_id is None:
            raise
        db.session.rollback()
        return _preview_page(find_organization(organization_id), form, refused=error)
    except RetryLater as error:
        db.session.rollback()
        return _waiting_page(find_organization(organization_id), error)
    db.session.commit()
    if done.run is None:
        return _saved_filters(organization)
    runtime().wake()
    return show_progress(organization)


@bp.post("/recount")
@access.requires(Role.READ_ONLY)
@access.reads_first
def recount(organization_id: str) -> Answer:
    """Count again what the posted choice matches (U5); without script also search a section."""
    organization = find_organization(organization_id)
    form = SetupForm()
    body = form.body(_saved(organization))
    groups = body["filters"]["group"]
    if groups["values"] and not groups["all"] and access.may(Role.ADMINISTRATOR):
        _have_counted(organization, groups["values"])
    opened = [name for name in SECTIONS if form.query(name) or request.form.get("open") == name]
    return _form_page(
        find_organization(organization_id),
        form,
        problems=form.contradictions(),
        opened=opened,
        blocks={"match": "match_update", "sums": "sums", **DIALOG},
    )


@bp.route("/values/<section>", methods=["GET", "POST"])
@access.requires(Role.READ_ONLY)
@access.reads_first
def values(organization_id: str, section: str) -> Answer:
    """One section's values that fit a search, with all that are checked (U2): checked ones never vanish.

    The pop-up posts, for thousands of checked values fit no address; the same search can be asked for with ``?q=``.
    """
    organization = find_organization(organization_id)
    if section not in SECTIONS:
        raise NotFound("There is no such section.")
    if request.method == "POST":
        form = SetupForm()
        body, query = form.body(_saved(organization)), form.query(section)
    else:
        body, query = _saved(organization), request.args.get("q", "").strip()[:200]
    try:
        offered = previews.options(organization, [section])
    except RetryLater as error:
        return _waiting_page(organization, error)
    chosen = getattr(documents.draft(body).filters, section)
    section_view = views.section(
        section, offered.get(section, ()), chosen, accepted=0, query=query, is_open=True
    )
    return render_template("user_sync/values.html", section=section_view, organization=organization)


@bp.post("/preview")
@access.requires(Role.READ_ONLY)
@access.reads_first
def preview(organization_id: str) -> Answer:
    """Who would be created, linked, skipped and in conflict, by name and with the reason; writes nothing (U5, U12)."""
    form = SetupForm()
    if problems := form.contradictions():
        return _form_page(find_organization(organization_id), form, problems=problems)
    return _preview_page(find_organization(organization_id), form)


def _opened_on(organization: Organization, form: SetupForm, *, anew: bool = False) -> str:
    """What the form was opened on, which goes along from page to page until somebody was told that it has moved."""
    return (not anew and str(form.opened_on.data or "")) or edits.edit_version(organization)


def _saved(organization: Organization) -> dict[str, Any]:
    row = service.find(organization)
    return documents.default_request() if row is None else documents.saved_request(row)


def _by_section(error: Invalid) -> dict[str, list[str]]:
    """The service's sentences by section; a threshold's belong to "hold"."""
    by_section: dict[str, list[str]] = {}
    for key, sentences in error.errors.items():
        name = key.removeprefix("filters.").partition(".")[0]
        by_section.setdefault(name, []).extend(sentences)
    return by_section


def _problems(
    organization: Organization, form: SetupForm, body: dict[str, Any], opened_on: str
) -> dict[str, list[str]]:
    """Per section what is wrong with what was entered; "moved" when somebody else saved since the form was opened."""
    problems = (
        {}
        if form.validate()
        else {"hold": ["Whole numbers only: a percentage up to 100, and a number of people."]}
    )
    problems.update(form.contradictions())
    try:
        documents.parse(body)
    except Invalid as error:
        problems.update(_by_section(error))
    if not problems and (moved := edits.conflicting_edit(organization, body, opened_on)):
        problems["moved"] = [moved]
    return problems


def _approved(
    organization: Organization, plan_id: str | None, body: Mapping[str, Any]
) -> tuple[str | None, PortalError | None]:
    """The fingerprint of the plan that the form approves, or why it is none; found out before the lock is taken."""
    try:
        return service.approved(organization, plan_id, body), None
    except (Invalid, Refused, RetryLater) as error:
        return None, error


def _guard_asks(organization: Organization) -> bool:
    """U10: one more click is needed."""
    guard = views.guard(known_domains.domain_overlap(organization), ())
    return guard is not None and guard.asks


def _have_counted(organization: Organization, group_ids: Sequence[str]) -> None:
    """Have the chosen groups' members read; this waits for nothing (T6)."""
    begin_write(db.session())
    try:
        previews.want_group_members(organization, list(group_ids))
    except (RetryLater, Refused):
        db.session.rollback()
        return
    db.session.commit()
    runtime().wake()


def _form_page(
    organization: Organization,
    form: SetupForm,
    *,
    problems: Mapping[str, Sequence[str]] | None = None,
    opened: Sequence[str] = (),
    blocks: Mapping[str, str] | None = None,
) -> Answer:
    """The pop-up with ``form``'s choice; 422 when there are problems, the waiting state before the first read."""
    problems = problems or {}
    request_now = documents.draft(form.body(_saved(organization)))
    try:
        limit = previews.OPENING_LIMIT if request.method == "GET" else previews.LIVE_LIMIT
        counted = previews.recount(
            organization, request_now, limit=None if request.args.get("sums") else limit
        )
        offered = previews.options(organization)
    except RetryLater as error:
        return _waiting_page(organization, error)
    is_edit = is_enabled(organization)
    spec = request_now.filters
    queries = {name: form.query(name) for name in SECTIONS}
    first_look = request.method == "GET" and not is_edit
    overlap = known_domains.domain_overlap(organization)
    view = setup_view(
        organization,
        service.mapped(organization),
        form,
        people=end_users.count(organization),
        is_edit=is_edit,
        opened_on=_opened_on(organization, form, anew="moved" in problems),
        sections=views.sections(
            offered,
            spec,
            counted.match,
            queries=queries,
            opened=[*opened, *(["user_type"] if first_look else [])],
            problems=problems,
        ),
        summary=_summary(counted, spec, is_edit=is_edit),
        guard=None if is_edit else views.guard(overlap, known_domains.known_endings(organization)),
        problems=problems,
    )
    return responses.render(
        "user_sync/setup.html", blocks=blocks or DIALOG, status=422 if problems else 200, view=view
    )


def _summary(counted: previews.Recount, spec: FilterSpec, *, is_edit: bool) -> views.Summary:
    previewed = counted.previewed
    return views.summary(
        counted.match,
        spec,
        counts=None if previewed is None else previewed.counts_document(),
        scope_change=previewed.scope_change if previewed is not None and is_edit else None,
        staying=() if previewed is None else previewed.staying,
        held=None if previewed is None else previewed.held,
    )


def _preview_page(organization: Organization, form: SetupForm, *, refused: Refused | None = None) -> Answer:
    """Names and reasons for the posted choice; the choice itself goes along in hidden fields."""
    body = form.body(_saved(organization))
    show, q = request.form.get("show", ""), request.form.get("q", "").strip()[:200]
    page = request.form.get("page", "1")
    try:
        result = previews.preview(
            organization,
            body,
            decision=show,
            q=q,
            page=int(page) if page.isascii() and page.isdigit() and len(page) < 7 else 1,
        )
    except Invalid as error:
        return _form_page(organization, form, problems=_by_section(error))
    except RetryLater as error:
        return _waiting_page(organization, error)
    context: dict[str, Any] = {
        "organization": organization,
        "microsoft_tenant": microsoft.mapped_to(organization),
        "form": form,
        "opened_on": _opened_on(organization, form),
        "is_edit": is_enabled(organization),
        "view": preview_view(result, show, q),
        "has_moved": refused is not None,
        "refused": "" if refused is None or isinstance(refused, PlanMoved) else refused.advice,
    }
    status = 200 if refused is None else 422
    return responses.render("user_sync/preview.html", blocks=DIALOG, status=status, **context)


def _waiting_page(organization: Organization, error: RetryLater) -> Answer:
    """Before the first read of the tenant there is nothing to choose from; the dialog looks again by itself."""
    is_dialog = responses.is_partial()
    answer = responses.render(
        "user_sync/waiting.html",
        blocks={**DIALOG, "waiting": "dialog"},
        status=200 if is_dialog else 503,
        organization=organization,
        microsoft_tenant=microsoft.mapped_to(organization),
        sentence=error.advice,
        seconds=max(2, error.seconds),
    )
    answer.headers["Retry-After"] = str(error.seconds)
    return answer


def _saved_filters(organization: Organization) -> Answer:
    """U7: an edit starts nothing; it says when it applies."""
    row, tenant = service.find(organization), microsoft.mapped_to(organization)
    next_run = service.next_run_at(row, tenant)
    when = f", {clock_text(next_run, utcnow(), viewer_zone())}" if next_run is not None else ""
    return responses.respond(
        redirect=f"/tenants/{organization.tenant_id}",
        events={"user-sync-saved": {"id": organization.id}, "close-dialog": {}},
        toast=f"Filters saved. They apply from the next run{when}.",
    )
