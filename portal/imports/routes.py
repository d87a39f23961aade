"""Pages of an import: choose a file, look at what it would do, follow it, undo it (O2, R5)."""

from __future__ import annotations

from flask import Blueprint, request, url_for
from flask_wtf.file import FileField, FileRequired
from werkzeug.wrappers import Response

from portal.errors import Invalid
from portal.extensions import db
from portal.http import csv_download, responses
from portal.http.access import load, may, reads_first, requires
from portal.http.forms import Form
from portal.imports import runner, service, views
from portal.models import Import, Organization, Role
from portal.runtime import runtime

bp = Blueprint("imports", __name__)
KINDS = {"end-users": "end_users", "assets": "assets"}
PATH = '/organizations/<organization_id>/<any("end-users", "assets"):what>'


class ImportForm(Form):
    """A CSV file."""

    file = FileField("CSV file", validators=[FileRequired("Choose a file.")])


@bp.route(f"{PATH}/import", methods=["GET", "POST"])
@requires(Role.TECHNICIAN)
@reads_first
def upload(organization_id: str, what: str) -> Response:
    """Choose a CSV; nothing is written before its effects were reviewed."""
    organization = load(Organization, organization_id, "Organization")
    form = ImportForm()
    if form.submitted():
        data, name = form.file.data.read(), form.file.data.filename or ""
        db.session.rollback()  # nothing is open while this file is read
        try:
            with runner.own_transactions():
                import_id = runner.store(
                    runtime().sessions,
                    organization_id=organization_id,
                    kind=KINDS[what],
                    data=data,
                    file_name=name,
                    status="review",
                )
        except Invalid as error:
            form.show(error)
            organization = load(Organization, organization_id, "Organization")
        else:
            return responses.respond(redirect=url_for(".detail", import_id=import_id))
    return responses.render(
        "imports/new.html",
        organization=organization,
        form=form,
        what=what,
        kind=views.KINDS[KINDS[what]],
        earlier=service.earlier(db.session(), organization_id, KINDS[what]),
        statuses=views.STATUSES,
    )


@bp.get(f"{PATH}/template.csv")
@requires(Role.READ_ONLY)
def template(organization_id: str, what: str) -> Response:
    """A CSV with the columns and nothing below them."""
    load(Organization, organization_id, "Organization")
    return csv_download.as_file("".join(service.template(KINDS[what])), what, "template")


@bp.get("/imports/<import_id>")
@requires(Role.READ_ONLY)
def detail(import_id: str) -> Response:
    """The effects of a file by name, then its progress, then its result."""
    row = load(Import, import_id, "import")
    organization = load(Organization, row.organization_id, "Organization")
    session = db.session()
    if row.status == "review":
        return responses.render(
            "imports/review.html",
            row=row,
            organization=organization,
            preview=views.preview(service.preview(session, row)),
            kind=views.KINDS[row.kind],
            can_import=may(Role.TECHNICIAN),
        )
    return responses.render(
        "imports/detail.html",
        blocks={"import_live": "import_live"},
        row=row,
        organization=organization,
        kind=views.KINDS[row.kind],
        view=views.import_view(
            row,
            (
                views.kept_group(part, service.kept_rows(session, row, action=part.action, state=part.state))
                for part in views.parts(row)
            ),
        ),
    )


@bp.post("/imports/<import_id>/apply")
@requires(Role.TECHNICIAN)
def apply(import_id: str) -> Response:
    """Import a reviewed file."""
    service.request(db.session(), load(Import, import_id, "import"))
    db.session.commit()
    runtime().wake()
    return responses.respond(redirect=url_for(".detail", import_id=import_id))


@bp.post("/imports/<import_id>/discard")
@requires(Role.TECHNICIAN)
def discard(import_id: str) -> Response:
    """Forget a file that was looked at."""
    row = load(Import, import_id, "import")
    back = url_for(".upload", organization_id=row.organization_id, what=views.KINDS[row.kind].path)
    service.discard(db.session(), row)
    db.session.commit()
    return responses.respond(redirect=back, toast="Nothing was imported.")


@bp.route("/imports/<import_id>/undo", methods=["GET", "POST"])
@requires(Role.TECHNICIAN)
def undo(import_id: str) -> Response:
    """List what an undo would restore and spare; POST begins it (R5)."""
    row = load(Import, import_id, "import")
    if request.method == "POST":
        service.request_undo(db.session(), row)
        db.session.commit()
        runtime().wake()
        return responses.respond(redirect=url_for(".detail", import_id=import_id))
    kind = views.KINDS[row.kind]
    return responses.render(
        "imports/undo.html",
        blocks={"dialog": "dialog"},
        organization=load(Organization, row.organization_id, "Organization"),
        kind=kind,
        view=views.undo_view(
            service.plan_undo(db.session(), row),
            kind.word,
            action=url_for(".undo", import_id=import_id),
            back=url_for(".detail", import_id=import_id),
        ),
    )
