"""Coverage: every user of a Microsoft tenant, and which Organizations take them (P13)."""

from __future__ import annotations

from flask import Blueprint, request, url_for
from werkzeug.wrappers import Response

from portal.coverage import service, views
from portal.extensions import db
from portal.http import access, listing, responses
from portal.models import MicrosoftTenant, Organization, Role, Tenant

bp = Blueprint("coverage", __name__)


@bp.get("/microsoft-tenants/<microsoft_tenant_id>/coverage")
@access.requires(Role.READ_ONLY)
def index(microsoft_tenant_id: str) -> Response:
    """Every present user, taken by none, one or several Organizations."""
    row = access.load(MicrosoftTenant, microsoft_tenant_id, "Microsoft tenant")
    query = listing.parse(request.args, service.COVERAGE, strict=False)
    people = service.page(row, query)
    not_in = query.filters.get("not_in")
    return responses.render(
        "coverage/index.html",
        blocks={"coverage_table": "coverage_table"},
        view=views.coverage_view(
            url_for(".index", microsoft_tenant_id=row.id),
            row,
            db.session.scalar(db.select(Tenant).where(Tenant.microsoft_tenant_id == row.id)),
            people,
            service.documents(row, list(people.items)),
            service.counts(row),
            db.session.get(Organization, not_in) if not_in else None,
        ),
    )
