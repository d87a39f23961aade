"""One End User: the page, why somebody is here, delete, unlink, sync, pin (P6)."""

from __future__ import annotations

from flask import request, url_for
from werkzeug.wrappers import Response

from portal.end_users import documents, history, person_view, service, why_view
from portal.end_users.forms import EndUserForm, PinForm
from portal.end_users.routes.blueprint import bp
from portal.engine.explain import FIELD_LABELS
from portal.errors import Forbidden, Invalid, PortalError
from portal.exceptions import service as exceptions
from portal.extensions import db
from portal.http import responses
from portal.http.access import load, may, requires
from portal.http.forms import ShowingInvalid, text
from portal.models import EndUser, MicrosoftTenant, Organization, Role, SyncRun
from portal.runtime import runtime
from portal.user_sync import previews
from portal.user_sync import service as user_sync


@bp.route("/end-users/<end_user_id>", methods=["GET", "POST"])
@requires(Role.READ_ONLY)
def detail(end_user_id: str) -> Response:
    """One person: Microsoft's facts, editable details, Assets, history (P6); POST saves (technician)."""
    row = load(EndUser, end_user_id, "End User")
    form = EndUserForm(data={name: getattr(row, name) for name in service.EDITABLE})
    if request.method == "POST":
        _require_technician()
        form = EndUserForm()
        opened_on = request.form.get("opened_on", "")
        if form.submitted():
            row = load(EndUser, end_user_id, "End User", locked=True)
            with ShowingInvalid(form):
                service.change(row, service.own_changes(row, form.values(), opened_on))
                db.session.commit()
                return responses.respond(redirect=url_for(".detail", end_user_id=row.id), toast="Saved.")
        row = load(EndUser, end_user_id, "End User")
        for name in service.left_alone(form.values(), opened_on):
            form[name].data = getattr(row, name)
    return responses.render(
        "end_users/detail.html",
        form=form,
        opened_on=service.fingerprints(row),
        view=_person_view(row, form),
    )


def _person_view(row: EndUser, form: EndUserForm) -> person_view.PersonView:
    organization = load(Organization, row.organization_id, "Organization")
    tenant = db.session.get(MicrosoftTenant, row.microsoft_tenant_id) if row.microsoft_tenant_id else None
    pins, locked = service.pins(row), service.locked_fields(row)
    sync = user_sync.document(organization)
    microsoft = None
    if row.is_linked:
        microsoft = person_view.microsoft_facts(
            row,
            documents.to_documents([row])[0]["microsoft"],
            tenant,
            linked_by=_run(row.linked_by_run_id),
            latest_run_id=sync["last_run"]["id"] if sync["last_run"] else "",
        )
    return person_view.person_view(
        row,
        organization,
        microsoft=microsoft,
        is_synced=sync["status"] != "not_set_up",
        locked=locked,
        fields=person_view.field_views(form, locked, pins, service.microsoft_values(row, pins)),
        history=history.of(db.session(), row),
        products=documents.product_names([row.microsoft_tenant_id] if row.microsoft_tenant_id else []),
    )


@bp.get("/end-users/<end_user_id>/why")
@requires(Role.READ_ONLY)
def why(end_user_id: str) -> Response:
    """Why this person is, or is not, synced (P6): each section's verdict, the match, the decision."""
    row = load(EndUser, end_user_id, "End User")
    organization = load(Organization, row.organization_id, "Organization")
    user = request.args.get("user", "") or row.object_id or row.email
    return _why_page(organization, row, user, row.display_name)


@bp.get("/organizations/<organization_id>/end-users/why")
@requires(Role.READ_ONLY)
def why_not(organization_id: str) -> Response:
    """Why a Microsoft user, who may be no End User here, is or is not synced (P6, P13)."""
    organization = load(Organization, organization_id, "Organization")
    user = request.args.get("user", "")
    return _why_page(organization, None, user, request.args.get("name", "") or user)


def _why_page(organization: Organization, row: EndUser | None, user: str, name: str) -> Response:
    explanation, problem, any_group = None, "", False
    try:
        explanation = previews.explain(organization, user)
        any_group = user_sync.document(organization)["filters"]["group"]["all"]
    except PortalError as error:
        problem = error.advice
    return responses.render(
        "end_users/why.html",
        blocks={"dialog": "dialog"},
        view=why_view.why_view(organization, row, name, explanation, any_group=any_group, problem=problem),
    )


@bp.route("/end-users/<end_user_id>/delete", methods=["GET", "POST"])
@requires(Role.TECHNICIAN)
def delete(end_user_id: str) -> Response:
    """Ask, naming the effects, then delete (L4)."""
    row = load(EndUser, end_user_id, "End User")
    organization = load(Organization, row.organization_id, "Organization")
    if request.method == "POST":
        name = row.display_name
        if request.form.get("never_sync") and row.object_id is not None:
            exceptions.never_sync(organization, row.object_id, reason=f"{name} was deleted on purpose.")
        service.remove(row)
        db.session.commit()
        return responses.respond(
            redirect=url_for(".index", organization_id=organization.id), toast=f"{name} is deleted."
        )
    return responses.render(
        "end_users/delete.html",
        blocks={"dialog": "dialog"},
        person=row,
        effects=service.deletion_effects(organization, [row.id]),
    )


@bp.route("/end-users/<end_user_id>/unlink", methods=["GET", "POST"])
@requires(Role.TECHNICIAN)
def unlink(end_user_id: str) -> Response:
    """Ask, then take the Link away; the person stays."""
    row = load(EndUser, end_user_id, "End User")
    back = url_for(".detail", end_user_id=row.id)
    if request.method == "POST":
        service.unlink(row)
        db.session.commit()
        return responses.respond(redirect=back, toast="Unlinked.")
    return responses.render(
        "end_users/unlink.html",
        blocks={"dialog": "dialog"},
        person=row,
        back=back,
    )


@bp.post("/end-users/<end_user_id>/sync")
@requires(Role.TECHNICIAN)
def sync_person(end_user_id: str) -> Response:
    """Sync this user now: by a run for this person alone, or by the active run of all (T5)."""
    row = load(EndUser, end_user_id, "End User")
    run = user_sync.request_person(load(Organization, row.organization_id, "Organization"), row)
    db.session.commit()
    runtime().wake()
    message = f"The sync of {row.display_name} is starting."
    if run.only_object_id is None:
        message = f"A sync of everyone is running and includes {row.display_name}."
    return responses.respond(redirect=url_for("runs.detail", run_id=run.id), toast=message)


@bp.post("/end-users/<end_user_id>/never-sync")
@requires(Role.TECHNICIAN)
def never_sync(end_user_id: str) -> Response:
    """Put the Microsoft user behind this person on the never-sync list (P14)."""
    row = load(EndUser, end_user_id, "End User")
    if row.object_id is None:
        raise Invalid({"object_id": ["This End User is not linked to a Microsoft user."]})
    organization = load(Organization, row.organization_id, "Organization")
    exceptions.never_sync(organization, row.object_id, reason=request.form.get("reason", ""))
    db.session.commit()
    return responses.respond(redirect=url_for(".detail", end_user_id=row.id), toast="On the never-sync list.")


@bp.route("/end-users/<end_user_id>/pin/<field>", methods=["GET", "POST"])
@requires(Role.TECHNICIAN)
def pin(end_user_id: str, field: str) -> Response:
    """Pin a field to our own value, which is asked for at once, with the reason and the end (W6)."""
    row = load(EndUser, end_user_id, "End User")
    label = FIELD_LABELS.get(field, field)
    form = PinForm(data={"value": getattr(row, field, "") if field in FIELD_LABELS else ""})
    form.value.label.text = label
    if form.submitted():
        try:
            _pin(load(Organization, row.organization_id, "Organization"), row, field, form)
        except Invalid as error:
            db.session.rollback()
            form.show(
                Invalid(
                    {"value" if name == field else name: messages for name, messages in error.errors.items()}
                )
            )
            row = load(EndUser, end_user_id, "End User")
        else:
            db.session.commit()
            return responses.respond(
                redirect=url_for(".detail", end_user_id=row.id), toast=f"{label} is pinned to our value."
            )
    return responses.render(
        "end_users/pin.html",
        blocks={"dialog": "dialog"},
        person=row,
        field=field,
        label=label,
        form=form,
    )


def _pin(organization: Organization, row: EndUser, field: str, form: PinForm) -> None:
    """Pin the field, and give it the value that was entered; a form without one leaves it as it is."""
    until = form.expires_at.moment()
    exceptions.pin(organization, row.id, field, reason=text(form.reason), expires_at=until)
    if "value" in request.form:
        service.change(load(EndUser, row.id, "End User", locked=True), {field: text(form.value)})


def _run(run_id: str | None) -> SyncRun | None:
    return db.session.get(SyncRun, run_id) if run_id is not None else None


def _require_technician() -> None:
    if not may(Role.TECHNICIAN):
        raise Forbidden("Your role is Read-only. Ask a technician or an administrator.", needed="technician")
