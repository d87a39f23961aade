"""Disabling a User Sync, syncing now, and the progress of a run (U6, U8, L5, T5)."""

from __future__ import annotations

from flask import request, url_for

from portal.clock import utcnow
from portal.end_users import service as end_users
from portal.errors import NotFound
from portal.extensions import db
from portal.http import access, responses
from portal.microsoft import service as microsoft
from portal.models import Organization, Role
from portal.runs import views as run_views
from portal.runtime import runtime
from portal.user_sync import service
from portal.user_sync.routes.blueprint import DIALOG, Answer, bp, find_organization, is_enabled
from portal.user_sync.status_view import StatusView, status_view
from portal.worker import queue


@bp.route("/disable", methods=["GET", "POST"])
@access.requires(Role.TECHNICIAN)
def disable(organization_id: str) -> Answer:
    """Ask, then stop automatic updates at once; End Users, Links and marks stay (U8, L5)."""
    organization = find_organization(organization_id)
    back = f"/tenants/{organization.tenant_id}"
    if request.method == "POST":
        service.disable(organization)
        db.session.commit()
        runtime().wake()
        return responses.respond(
            redirect=back,
            events={"user-sync-disabled": {"id": organization.id}, "close-dialog": {}},
            toast=f"The sync of {organization.name} is off. Nobody was deleted.",
        )
    if not is_enabled(organization):
        raise NotFound(f"{organization.name} has no Microsoft User Sync that is enabled.")
    return responses.render(
        "user_sync/disable.html",
        blocks=DIALOG,
        organization=organization,
        people=end_users.count(organization),
        microsoft_tenant=microsoft.mapped_to(organization),
        back=back,
    )


@bp.get("/status")
@access.requires(Role.READ_ONLY)
def status(organization_id: str) -> Answer:
    """The progress of the newest run (U6): a page, the pop-up's body, or the fragment that polls while it runs."""
    organization = find_organization(organization_id)
    return responses.render(
        "user_sync/status.html",
        blocks={"dialog": "dialog", "sync_status": "sync_status"},
        view=_status_view(organization),
    )


@bp.post("/runs")
@access.requires(Role.TECHNICIAN)
def sync_now(organization_id: str) -> Answer:
    """Sync Now: start a run, or show the one that is there (T5)."""
    organization = find_organization(organization_id)
    run = service.request_run(organization)
    db.session.commit()
    runtime().wake()
    return responses.respond(
        redirect=url_for("runs.detail", run_id=run.id),
        events={"sync-run-requested": {"id": organization.id}},
        toast=f"The sync of {organization.name} is starting.",
    )


def show_progress(organization: Organization) -> Answer:
    """U6: the progress, in the dialog or as a page."""
    if responses.is_partial():
        return responses.render("user_sync/status.html", blocks=DIALOG, view=_status_view(organization))
    return responses.respond(redirect=url_for(".status", organization_id=organization.id))


def _status_view(organization: Organization) -> StatusView:
    row = service.find(organization)
    run = service.active_run(organization) or service.last_run(organization)
    progress = next_step = None
    if run is not None:
        waits = queue.throttled_until(db.session(), [run], utcnow()).get(run.id)
        progress = run_views.progress(run, utcnow(), waits)
    if run is not None and run.status in {"cancelled", "failed", "partial"}:
        next_step = run_views.next_step(
            run,
            organization.tenant_id,
            is_enabled=row is not None and row.enabled,
            at=service.next_run_at(row, microsoft.mapped_to(organization)),
        )
    return status_view(
        organization,
        run,
        progress,
        next_step,
        in_dialog=responses.is_partial() and request.args.get("in", "dialog") == "dialog",
        is_told_where="in" in request.args,
    )
