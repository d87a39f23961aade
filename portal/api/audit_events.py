"""``/api/v1/audit-events`` (O4)."""

from __future__ import annotations

from flask import Response

from portal.api.blueprint import bp
from portal.api.schema import asked, page_of
from portal.http import csv_download
from portal.http.access import requires
from portal.models import Role
from portal.settings import audit_log


@bp.get("/audit-events")
@requires(Role.READ_ONLY)
def list_audit_events() -> Response:
    """Who did what, newest first."""
    found = audit_log.listing(asked(audit_log.SPEC))
    return page_of(found, audit_log.to_document, chain=audit_log.chain_document())


@bp.get("/audit-events.csv")
@requires(Role.READ_ONLY)
def export_audit_csv() -> Response:
    """What is filtered, in the order of the chain, with the chain and its head."""
    bom = csv_download.asks_for_bom()
    return audit_log.download(asked(audit_log.SPEC, extra=("bom",)), "csv", bom=bom)


@bp.get("/audit-events.json")
@requires(Role.READ_ONLY)
def audit_log_json() -> Response:
    """The same as JSON."""
    return audit_log.download(asked(audit_log.SPEC), "json")
