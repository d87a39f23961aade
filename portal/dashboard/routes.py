"""The dashboard: what needs attention first, then figures and charts (P9); and all of what needs attention, as a list."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

from flask import Blueprint, g, request, url_for
from werkzeug.wrappers import Response

from portal.clock import utcnow
from portal.dashboard import attention, attention_view, cards, first_run, service, todo
from portal.extensions import db
from portal.http import access, responses
from portal.http.formatting import plural, viewer_zone
from portal.http.listing import ListSpec, parse
from portal.microsoft import service as microsoft_tenants
from portal.models import Role
from portal.runtime import runtime

bp = Blueprint("dashboard", __name__)
ATTENTION = ListSpec(sorts={"urgency": ()}, default_sort="urgency", filters={"kind": attention.KINDS})


@bp.get("/")
@access.requires(Role.READ_ONLY)
def index() -> Response:
    """Everything that needs a person, most urgent first, each with its one next action."""
    session, now, role = db.session(), utcnow(), g.principal.role
    found = todo.overview(attention.causes(session, runtime().settings, now), role, now)
    figures = service.figures(session)
    steps = first_run.checklist(session, role, is_registered=bool(microsoft_tenants.usable_clouds()))
    is_new = not (figures["microsoft_tenants"] or figures["organizations"])
    people = cards.people(service.people_per_organization(session))
    mfa = cards.mfa(service.lowest_mfa(session))
    return responses.render(
        "dashboard/index.html",
        size=_size(figures),
        state="" if is_new else found.fact(),
        todo=found,
        checklist=steps,
        is_new=is_new,
        syncing=figures["syncing"],
        figures=cards.figures(
            figures,
            service.sync_states(session),
            service.last_day(session, now),
            figures["organizations"] - figures["syncing"],
        ),
        charts=cards.charts(service.days(session, now, viewer_zone())),
        mfa=mfa,
        mfa_sentence=cards.mfa_sentence(len(mfa), service.mfa_total(session)),
        products=cards.products(
            service.licenses(session), None if request.args.get("licenses") == "all" else cards.PRODUCTS
        ),
        people=people,
        people_sentence=cards.people_sentence(people, figures),
        recent=cards.recent(service.recent_runs(session)),
    )


@bp.get("/attention")
@access.requires(Role.READ_ONLY)
def all_attention() -> Response:
    """All that needs attention or is not done yet, one by one, of one kind when ``kind`` says so."""
    now = utcnow()
    causes = attention.causes(db.session(), runtime().settings, now)
    asked = parse(request.args, ATTENTION, strict=False)
    kind = asked.filters.get("kind")
    fitting = [one for one in causes if kind in {None, one.kind}]
    found = replace(asked, total=len(fitting))
    found = replace(found, page=min(found.page, found.pages))
    start = (found.page - 1) * found.per_page
    return responses.render(
        "dashboard/attention.html",
        view=attention_view.attention_list(
            url_for(".all_attention"),
            found,
            todo.rows(fitting[start : start + found.per_page], g.principal.role, now),
            Counter(one.kind for one in causes),
        ),
    )


def _size(figures: dict[str, int]) -> str:
    """How large the fleet is."""
    organizations = plural(figures["organizations"], "Organization")
    return f"{organizations}, {plural(figures['microsoft_tenants'], 'Microsoft tenant')}."
