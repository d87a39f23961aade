"""The one dialog and deed of bulk actions on Organizations, from their own list and from that of Microsoft Tenants."""

from __future__ import annotations

from collections.abc import Sequence

from flask import request
from werkzeug.wrappers import Response

from portal.errors import Invalid, NotFound
from portal.extensions import db
from portal.http import responses
from portal.http.formatting import plural
from portal.http.responses import safe_next
from portal.organizations import bulk, tags, views
from portal.runtime import runtime


def answer(
    ids: Sequence[str], *, address: str, back: str, back_label: str, place: str, notes: Sequence[str] = ()
) -> Response:
    """Show the effects of the form's ``action`` on these Organizations; with ``confirmed``, do it.

    notes: what else is to be said in the dialog. Raises NotFound for an action that there is not.
    """
    action = request.form.get("action", "")
    if action not in views.BULK_TITLES:
        raise NotFound("There is no such action.")
    back = safe_next(request.form.get("back"), back)
    problem = ""
    if request.form.get("confirmed"):
        try:
            outcome = _done(action, ids)
        except Invalid as error:
            db.session.rollback()
            problem = " ".join(text for texts in error.errors.values() for text in texts)
        else:
            runtime().wake()
            return responses.respond(redirect=back, toast=outcome.words)
    rows = bulk.load(ids)
    plan = bulk.plan(action, rows)
    view = views.BulkView(
        action=action,
        address=address,
        title=f"{views.BULK_TITLES[action]}: {plural(len(rows), 'Organization')}",
        ids=[row.id for row in plan.fit],
        lines=[*notes, *views.bulk_lines(action, len(plan.fit))],
        left_out=bulk.left_out(plan.others),
        button=views.bulk_button(action, len(plan.fit)),
        back=back,
        back_label=back_label,
        place=place,
        known_tags=[tag.name for tag in tags.all_tags()] if action == "tag" else (),
        present_tags=bulk.common_tags(rows) if action == "tag" else (),
        add=request.form.get("add", ""),
        remove=request.form.getlist("remove"),
        problem=problem,
    )
    return responses.render(
        "organizations/bulk.html", blocks={"dialog": "dialog"}, status=422 if problem else 200, view=view
    )


def _done(action: str, ids: Sequence[str]) -> bulk.Outcome:
    rows = bulk.load(ids)
    if action == "tag":
        add = tags.split(request.form.get("add", ""))
        return bulk.tag(rows, add=add, remove=request.form.getlist("remove"))
    return bulk.sync_now(rows) if action == "sync" else bulk.disable(rows)
