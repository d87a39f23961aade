"""``/api/v1/audit-events`` (O4)."""

from __future__ import annotations

from flask import Response

from portal.access import requires
from portal.api.blueprint import bp
from portal.api.schema import asked, page_of
from portal.models import Role
from portal.settings import audit_log


@bp.get("/audit-events")
@requires(Role.READ_ONLY)
def list_audit_events() -> Response:
    """Who did what, newest first."""
    found = audit_log.listing(asked(audit_log.SPEC))
    return page_of(found, audit_log.to_document)
