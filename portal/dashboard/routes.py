"""The dashboard: what needs attention first, then figures and charts (P9); and all of what needs attention, as a list."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from flask import Blueprint, g, request, url_for
from werkzeug.wrappers import Response

from portal.clock import utcnow
from portal.dashboard import attention, attention_view, cards, first_run, narrowing, service, todo
from portal.extensions import db
from portal.http import access, responses
from portal.http.formatting import plural, viewer_zone
from portal.http.listing import Listing, ListSpec, counted, parse
from portal.microsoft import service as microsoft_tenants
from portal.models import Role
from portal.organizations import tags
from portal.runtime import runtime

bp = Blueprint("dashboard", __name__)
ATTENTION = ListSpec(
    sorts={"urgency": ()}, default_sort="urgency", filters={"kind": attention.KINDS, "tag": None}
)


@bp.get("/")
@access.requires(Role.READ_ONLY)
def index() -> Response:
    """Everything that needs a person, most urgent first, each with its one next action; of the Organizations with a ``tag`` if one is given."""
    session, now, role = db.session(), utcnow(), g.principal.role
    steps = first_run.checklist(session, role, is_registered=bool(microsoft_tenants.usable_clouds()))
    tag_counts, query = tags.all_tags(), _list_query()
    tag = query.filters.get("tag", "")
    with narrowing.narrowed(session, tag):
        overview = todo.overview(_causes(tag), role, now)
        figures = service.figures(session)
        is_new = not tag and not (figures["microsoft_tenants"] or figures["organizations"])
        people = cards.people(service.people_per_organization(session))
        mfa = cards.mfa(service.lowest_mfa(session))
        context: dict[str, Any] = {
            "figures": cards.figures(
                figures,
                service.sync_states(session),
                service.last_day(session, now),
                figures["organizations"] - figures["syncing"],
            ),
            "charts": cards.charts(service.days(session, now, viewer_zone())),
            "mfa": mfa,
            "mfa_sentence": cards.mfa_sentence(len(mfa), service.mfa_total(session)),
            "products": cards.products(
                service.licenses(session), None if request.args.get("licenses") == "all" else cards.PRODUCTS
            ),
            "recent": cards.recent(service.recent_runs(session)),
        }
    return responses.render(
        "dashboard/index.html",
        **context,
        **_tagged(query, tag_counts),
        size=_size(figures),
        state="" if is_new else overview.fact(),
        todo=overview,
        checklist=None if tag else steps,
        is_new=is_new,
        syncing=figures["syncing"],
        people=people,
        people_sentence=cards.people_sentence(people, figures),
    )


@bp.get("/attention")
@access.requires(Role.READ_ONLY)
def all_attention() -> Response:
    """Everything that needs attention or is not done yet, row by row, filtered by ``kind`` and ``tag``."""
    query, tag_counts, now = _list_query(), tags.all_tags(), utcnow()
    with narrowing.narrowed(db.session(), query.filters.get("tag", "")):
        causes = _causes(query.filters.get("tag", ""))
    kind = query.filters.get("kind")
    fitting = [cause for cause in causes if kind in {None, cause.kind}]
    listing = counted(query, len(fitting))
    return responses.render(
        "dashboard/attention.html",
        view=attention_view.attention_list(
            url_for(".all_attention"),
            listing,
            todo.rows(fitting[listing.offset :][: listing.per_page], g.principal.role, now),
            Counter(cause.kind for cause in causes),
        ),
        **_tagged(query, tag_counts),
    )


def _list_query() -> Listing:
    return replace(parse(request.args, ATTENTION, strict=False), sort="")


def _causes(tag: str) -> list[attention.Cause]:
    """What is the portal's own concerns no tag."""
    causes = attention.causes(db.session(), runtime().settings, utcnow())
    return [cause for cause in causes if not (tag and cause.is_ours)]


def _tagged(query: Listing, tag_counts: Sequence[tags.TagCount]) -> dict[str, Any]:
    """What a page needs to choose a tag, and to lead on with it: ``to`` makes each link."""
    tag = query.filters.get("tag", "")
    return {
        "tag": tag or None,
        "tag_chips": narrowing.chips(query, tag_counts),
        "to": partial(narrowing.with_tag, tag=tag),
    }


def _size(figures: dict[str, int]) -> str:
    """How large the fleet is."""
    organizations = plural(figures["organizations"], "Organization")
    return f"{organizations}, {plural(figures['microsoft_tenants'], 'Microsoft tenant')}."
