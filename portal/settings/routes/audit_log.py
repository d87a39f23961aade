"""Settings: the audit log, for how long it is kept, and its exports (O4)."""

from __future__ import annotations

from flask import request, url_for
from werkzeug.wrappers import Response

from portal.clock import utcnow
from portal.evidence import retention
from portal.extensions import db
from portal.http import responses
from portal.http.access import requires
from portal.http.forms import text
from portal.http.listing import parse
from portal.models import Role
from portal.settings import audit_log, views
from portal.settings.forms import RetentionForm
from portal.settings.routes.blueprint import bp


@bp.get("/audit")
@requires(Role.READ_ONLY)
def audit_events() -> Response:
    """The audit log (O4)."""
    return _audit_page(RetentionForm(formdata=None, days=str(retention.keep_days(db.session()))))


@bp.post("/audit/retention")
@requires(Role.ADMINISTRATOR)
def keep_audit_events() -> Response:
    """For how long events are kept."""
    form = RetentionForm()
    if not form.submitted():
        return _audit_page(form)
    retention.set_keep_days(db.session(), int(text(form.days)), now=utcnow())
    db.session.commit()
    return responses.respond(redirect=url_for(".audit_events"), toast="Saved.")


def _audit_page(form: RetentionForm) -> Response:
    listing = audit_log.listing(parse(request.args, audit_log.SPEC, strict=False))
    return responses.render(
        "settings/audit.html",
        blocks={"audit_table": "audit_table"},
        section="audit",
        form=form,
        view=views.events_list(
            url_for(".audit_events"), url_for(".export_audit") + listing.query_string(), listing
        ),
        chain=audit_log.chain_document(),
    )


@bp.get("/audit.csv")
@requires(Role.READ_ONLY)
def export_audit() -> Response:
    """CSV of what is filtered, with the chain and its head."""
    return audit_log.download(parse(request.args, audit_log.SPEC, strict=False), "csv", bom=True)


@bp.get("/audit.json")
@requires(Role.READ_ONLY)
def export_audit_json() -> Response:
    """The same as JSON."""
    return audit_log.download(parse(request.args, audit_log.SPEC, strict=False), "json")
