"""The customers of a connected partner tenant, found by Microsoft's own list (C3)."""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import parse_qsl

from flask import request, url_for
from werkzeug.wrappers import Response

from portal.clock import utcnow
from portal.errors import SourceError
from portal.extensions import db
from portal.http import responses
from portal.http.access import load, reads_first, requires
from portal.http.listing import Listing, parse
from portal.microsoft import discover, discover_view
from portal.microsoft.routes.blueprint import bp
from portal.models import MicrosoftTenant, Role
from portal.rollouts import beginnings
from portal.rollouts import service as rollouts
from portal.rollouts import views as rollout_views
from portal.runtime import runtime
from portal.transactions import begin_write


@bp.route("/microsoft-tenants/discover", methods=["GET", "POST"])
@requires(Role.ADMINISTRATOR)
@reads_first
def discover_customers() -> Response:
    """Partner (C3): list the customers of a connected partner tenant; POST begins to connect those that were chosen."""
    partner_id = request.values.get("partner", "")
    if request.method == "GET":
        return _discover_page(partner_id)
    partner = load(MicrosoftTenant, partner_id, "Microsoft tenant")
    filtered = (
        _customers_query(request.form.get("filtered", "")) if request.form.get("all_filtered") else None
    )
    chosen = discover.chosen(partner, request.form.getlist("id"), filtered=filtered)
    if not chosen:
        return _discover_page(partner_id, problem="Choose at least one customer.")
    begin_write(db.session())
    rollout_id = beginnings.begin_customers(partner, chosen).id
    db.session.commit()
    runtime().wake()
    return responses.respond(redirect=url_for("rollouts.detail", rollout_id=rollout_id))


def _discover_page(partner_id: str, *, problem: str = "") -> Response:
    """The last list of customers; Microsoft is asked again on request. A refusal is shown at the choice: it may be no partner."""
    status, query = 422 if problem else 200, _customers_query(request.query_string.decode("utf-8", "replace"))
    customers = seen_at = None
    if partner_id:
        partner = load(MicrosoftTenant, partner_id, "Microsoft tenant")
        seen_at = discover.seen_at(partner)
        if request.method == "GET" and (seen_at is None or request.args.get("look")):
            try:
                discover.refresh(partner)
                db.session.commit()
                seen_at = utcnow()
            except SourceError as error:
                db.session.rollback()
                problem, status = error.advice, 502
        if seen_at is not None:
            query = replace(query, filters={**query.filters, "partner": partner_id})
            customers = discover_view.customers_list(
                url_for(".discover_customers"),
                url_for(".connect"),
                discover.listing(partner, query),
                discover.counts(partner),
            )
    return responses.render(
        "microsoft/discover.html",
        blocks={"customers_table": "customers_table"},
        status=status,
        view=discover_view.discover_view(
            discover.partners(),
            partner_id,
            problem=problem,
            is_refused=status == 502,
            seen_at=seen_at,
            customers=customers,
        ),
        unfinished=rollout_views.unfinished(rollouts.unfinished()),
    )


def _customers_query(query: str) -> Listing:
    """The search, filter and order of the table, as its address says it."""
    args = dict(parse_qsl(query.removeprefix("?"), keep_blank_values=True)[:20])
    return parse(args, discover.SPEC, strict=False, extra=discover.PARAMETERS)
