"""``POST /api/v1/apply``: what ``rollcall apply`` does, as one call (F5)."""

from __future__ import annotations

from flask import Response, request

from portal.api.blueprint import bp
from portal.api.declaration import DRY_RUN, File, Parameter, Tag, documented_as
from portal.api.documents.apply import Applied
from portal.api.schema import answer, is_dry_run
from portal.declarations import execution, file, plan
from portal.declarations.file import Declaration
from portal.declarations.plan import Plan
from portal.errors import Invalid, Refused
from portal.extensions import db
from portal.http import request_body
from portal.http.access import reads_first, requires
from portal.models import Role

documented = documented_as(Tag("Apply", "A declaration of what there should be."))
TOML = File("text/plain", '[[organization]]\nname = "Fabrikam Joinery"\n')
PLAN = Parameter("plan_id", "Apply exactly this plan, or answer 409.", {"type": "string"})
"""Also sent as application/toml; or the same as JSON."""
MEDIA_TYPES = ("application/toml", "text/toml", "text/plain")


@bp.post("/apply")
@requires(Role.ADMINISTRATOR)
@reads_first
@documented(body=TOML, answer=Applied, parameters=[DRY_RUN, PLAN], refusals=[409])
def apply_declaration() -> Response:
    """Make Organizations, Microsoft tenants, filter templates and syncs match the TOML or JSON body; what it does not name stays.

    ``?dry_run=true`` only returns the plan; ``?plan_id=`` applies exactly that plan, or 409 when the plan would now be different.
    """
    is_dry, plan_id = is_dry_run(), request.args.get("plan_id") or None
    declaration = _declaration()
    proposal = plan.plan(declaration)
    db.session.rollback()
    if proposal.problems:
        raise Invalid(dict(proposal.problems), "Some entries cannot be applied. Nothing was changed.")
    if plan_id is not None and plan_id != proposal.plan_id:
        raise Refused(
            "Data has changed since this plan was made, so nothing was applied. Request a new plan."
        )
    if is_dry:
        return answer(_document(proposal, [step.document() for step in proposal.steps]))
    results = [result.document() for result in execution.execute(declaration, proposal)]
    return answer(_document(proposal, results))


def _document(proposal: Plan, changes: list[dict[str, str]] | list[dict[str, object]]) -> dict[str, object]:
    return {"plan_id": proposal.plan_id, "changes": changes, "notes": list(proposal.notes)}


def _declaration() -> Declaration:
    data = request.get_data(cache=True)
    if request.mimetype in MEDIA_TYPES:
        request_body.check_size(data)
        try:
            toml = file.load(data.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise Invalid({"file": ["This is not UTF-8."]}) from error
        request_body.check(toml)
        return file.parse(toml)
    document = request_body.parse_json(data)
    if not isinstance(document, dict):
        raise Invalid({"body": ["Must be an object."]}, "The body must be a JSON object.")
    return file.parse(document)
