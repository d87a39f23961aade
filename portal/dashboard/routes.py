"""The dashboard: what needs attention first, then figures and charts (P9)."""

from __future__ import annotations

from flask import Blueprint
from werkzeug.wrappers import Response

from portal.clock import utcnow
from portal.dashboard import service, views
from portal.extensions import db
from portal.http import access, responses
from portal.http.formatting import viewer_zone
from portal.microsoft import service as microsoft_tenants
from portal.models import Role
from portal.runs import views as run_views
from portal.runtime import runtime

bp = Blueprint("dashboard", __name__)


@bp.get("/")
@access.requires(Role.READ_ONLY)
def index() -> Response:
    """Everything that needs a person, most urgent first, each with its one next action."""
    session, now = db.session(), utcnow()
    days = service.days(session, now, viewer_zone())
    kinds = {"Updated": "updated", "New": "created or linked", "Marked": "disabled or enabled"}
    return responses.render(
        "dashboard/index.html",
        attention=service.all_attention(session, runtime().settings, now),
        tones=views.TONES,
        figures=service.figures(session),
        is_registered=bool(microsoft_tenants.usable_clouds()),
        states=service.sync_states(session),
        day=service.last_day(session, now),
        days=days,
        is_drawn=any(day.runs or any(day.changes.values()) for day in days),
        changes=views.columns(
            days,
            {words: [day.changes[kind] for day in days] for kind, words in kinds.items()},
            ("b", "a", "c"),
        ),
        changes_sentence=views.changes_sentence(days),
        runs=views.columns(days, {"runs": [day.runs for day in days]}, ("b",)),
        runs_sentence=views.runs_sentence(days),
        trouble=views.columns(
            days,
            {
                "failed": [day.failures for day in days],
                "partial": [day.partial for day in days],
                "held": [day.held for day in days],
            },
            ("d", "e", "c"),
        ),
        trouble_sentence=views.trouble_sentence(days),
        mfa=service.lowest_mfa(session),
        mfa_all=service.mfa_total(session),
        licenses=service.licenses(session),
        people=service.people_per_organization(session),
        recent=service.recent_runs(session),
        run_views=run_views,
    )
