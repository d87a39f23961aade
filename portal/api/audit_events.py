"""``/api/v1/audit-events`` (O4)."""

from __future__ import annotations

from flask import Response

from portal.api.blueprint import bp
from portal.api.declaration import BOM, CSV, Tag, documented_as
from portal.api.documents import audit_events as documents
from portal.api.schema import list_query, page_of
from portal.http import csv_download
from portal.http.access import requires
from portal.models import Role
from portal.settings import audit_log

documented = documented_as(
    Tag("Audit events", "Who did what, in a chain that reveals changed or missing events.")
)


@bp.get("/audit-events")
@requires(Role.READ_ONLY)
@documented(answer=documents.AuditEventList, query=audit_log.SPEC)
def list_audit_events() -> Response:
    """List audit events, newest first."""
    events = audit_log.listing(list_query(audit_log.SPEC))
    return page_of(events, audit_log.to_document, chain=audit_log.chain_document())


@bp.get("/audit-events.csv")
@requires(Role.READ_ONLY)
@documented(answer=CSV, query=audit_log.SPEC, parameters=[BOM])
def export_audit_csv() -> Response:
    """Export the filtered events as CSV, in the order of the chain, with its head."""
    bom = csv_download.asks_for_bom()
    return audit_log.download(list_query(audit_log.SPEC), "csv", bom=bom)


@bp.get("/audit-events.json")
@requires(Role.READ_ONLY)
@documented(answer=documents.AuditExport, query=audit_log.SPEC)
def export_audit_json() -> Response:
    """Export the filtered events as JSON, in the order of the chain, with its head."""
    return audit_log.download(list_query(audit_log.SPEC), "json")
