"""Wrong-tenant recovery: stop, take out, map the right tenant, set up again, on one page (P12, R1-R4)."""

from __future__ import annotations

from collections.abc import Sequence

from flask import Blueprint, request, url_for
from sqlalchemy import select
from werkzeug.wrappers import Response

from portal.errors import Invalid, NotFound
from portal.extensions import db
from portal.http import access, responses
from portal.http.parts import in_parts, one_by_one
from portal.microsoft import service as microsoft
from portal.models import MicrosoftTenant, Organization, Role, Tenant
from portal.models.microsoft import IS_CONNECTED
from portal.organizations import service as organizations
from portal.recovery import service, views
from portal.recovery.choice import RecoverySelection
from portal.tenants import service as tenants
from portal.user_sync import known_domains
from portal.user_sync import service as user_sync

bp = Blueprint("recovery", __name__, url_prefix="/organizations/<organization_id>/recovery")


@bp.get("")
@access.requires(Role.READ_ONLY)
def index(organization_id: str) -> Response:
    """The four steps, and who would go and who would stay (R3)."""
    return _page(_organization(organization_id))


@bp.post("")
@access.requires(Role.TECHNICIAN)
@access.reads_first
def clean_up(organization_id: str) -> Response:
    """Step 2: ask once more, then delete the checked people and unlink the others. Nobody older is ever deleted (R3).

    A search or a view posts this form too, as ``look``, so that it keeps what is checked; it does nothing else.
    ``confirmed`` is the number that was confirmed: when another number would go by now, nobody does.
    """
    confirmed = request.form.get("confirmed", "")
    organization = _organization(organization_id)
    _, wrong = _wrong(organization)
    wrong_id = "" if wrong is None else wrong.id
    if request.form.get("look"):
        return _page(organization)
    choice, unlink = RecoverySelection.of(request.form), bool(request.form.get("unlink"))
    people = service.candidates(db.session(), organization, wrong_id)
    delete_ids = choice.ids | {candidate.end_user.id for candidate in people.created if choice.has(candidate)}
    if not delete_ids and not unlink:
        return _page(organization, problem="Check at least one person, or the box that unlinks the others.")
    if confirmed and confirmed != str(len(delete_ids)):
        return _page(
            organization,
            problem=f"{len(delete_ids):,} would be deleted now, not {confirmed}. Review the list again.",
        )
    if not confirmed:
        return responses.render(
            "recovery/confirm.html",
            blocks={"dialog": "dialog"},
            view=views.confirm(organization, wrong, people, choice, unlink=unlink),
        )
    try:
        done = _clean_up(organization, wrong_id, sorted(delete_ids), unlink=unlink)
    except Invalid as error:
        db.session.rollback()
        sentence = " ".join(text for texts in error.errors.values() for text in texts)
        return _page(_organization(organization_id), problem=sentence)
    return responses.respond(
        redirect=url_for(".index", organization_id=organization_id),
        toast=f"{done.deleted:,} deleted, {done.unlinked:,} unlinked, {done.restored:,} restored. Microsoft was not touched.",
    )


def _clean_up(
    organization: Organization, wrong_id: str, delete_ids: list[str], *, unlink: bool
) -> service.RecoveryOutcome:
    """In short transactions, each with its event in the audit log; sent again after a break it does the rest."""
    session, done = db.session(), service.RecoveryOutcome()

    def delete(part: list[str]) -> None:
        nonlocal done
        done += service.clean_up(session, organization, wrong_id, delete_ids=part, unlink=False)

    def take_links(part: list[str]) -> None:
        nonlocal done
        done += service.clean_up(session, organization, wrong_id, delete_ids=(), unlink=True, only=part)

    service.refuse_others(session, organization, wrong_id, delete_ids)
    one_by_one(session, delete_ids, delete, "deleted")
    if unlink:
        people = service.candidates(session, organization, wrong_id)
        in_parts(session, service.unlinking_parts(people, ()), take_links, "unlinked")
    return done


@bp.post("/unmap")
@access.requires(Role.TECHNICIAN)
def unmap(organization_id: str) -> Response:
    """Step 3: take the wrong mapping away (R1). Refused while a sync under the Tenant is enabled (R2)."""
    organization = _organization(organization_id)
    tenants.unmap(organization.tenant, named=request.form.get("microsoft_tenant_id"))
    db.session.commit()
    return responses.respond(redirect=url_for(".index", organization_id=organization_id), toast="Unmapped.")


@bp.post("/remap")
@access.requires(Role.TECHNICIAN)
def remap(organization_id: str) -> Response:
    """Step 3: map the Tenant to another Microsoft tenant (R1, R4)."""
    organization = _organization(organization_id)
    row = access.load(MicrosoftTenant, request.form.get("microsoft_tenant_id", ""), "Microsoft tenant")
    tenants.map_microsoft_tenant(organization.tenant, row)
    db.session.commit()
    return responses.respond(
        redirect=url_for(".index", organization_id=organization_id), toast=f"Mapped to {row.name}."
    )


@bp.post("/move")
@access.requires(Role.TECHNICIAN)
def move(organization_id: str) -> Response:
    """Step 3: assign the Organization to another Tenant (R1)."""
    organization = _organization(organization_id)
    row = access.load(Tenant, request.form.get("tenant_id", ""), "Tenant")
    organizations.move(organization, row)
    db.session.commit()
    return responses.respond(
        redirect=url_for(".index", organization_id=organization_id), toast=f"Moved to {row.name}."
    )


def _organization(organization_id: str) -> Organization:
    return access.load(Organization, organization_id, "Organization")


def _wrong(
    organization: Organization,
) -> tuple[list[service.SyncedTenant], service.SyncedTenant | None]:
    """The Microsoft tenants of past syncs, and the one this is about: ``from`` in the address, else the latest."""
    synced = service.synced_tenants(db.session(), organization)
    tenant_id = request.values.get("from")
    if not tenant_id:
        return synced, synced[0] if synced else None
    wrong = next((row for row in synced if row.id == tenant_id), None)
    if wrong is None:
        raise NotFound("This Organization was never synced with that Microsoft tenant.")
    return synced, wrong


def _free() -> Sequence[MicrosoftTenant]:
    """The connected Microsoft tenants that no Tenant is mapped to."""
    mapped = select(Tenant.microsoft_tenant_id).where(Tenant.microsoft_tenant_id.is_not(None))
    return db.session.scalars(
        select(MicrosoftTenant)
        .where(IS_CONNECTED, MicrosoftTenant.id.not_in(mapped))
        .order_by(MicrosoftTenant.name)
    ).all()


def _page(organization: Organization, problem: str = "") -> Response:
    session = db.session()
    synced, wrong = _wrong(organization)
    people = service.candidates(session, organization, "" if wrong is None else wrong.id)
    sync = user_sync.find(organization)
    is_on = sync is not None and sync.enabled
    present = microsoft.mapped_to(organization)
    is_right = present is not None and wrong is not None and present.id != wrong.id
    is_posted = request.method == "POST"
    skipped = request.args.get("step") == "3"
    siblings, more_siblings = views.first_siblings(organization)
    view = views.RecoveryView(
        step=1 if is_on else 2 if not people.is_settled and not skipped else 4 if is_right else 3,
        problem=problem,
        organization=organization,
        mapped=present,
        sync=sync,
        is_on=is_on,
        synced=synced,
        wrong=wrong,
        created=views.created(
            people,
            RecoverySelection.of(request.form) if is_posted else RecoverySelection(),
            request.values.get("look", ""),
            request.values.get("q", "").strip()[:200],
        ),
        linked=views.linked(people),
        untouched=people.untouched,
        unlink=not is_posted or bool(request.form.get("unlink")),
        siblings=siblings,
        more_siblings=more_siblings,
        free=views.microsoft_options(_free()),
        others=views.options(
            session.scalars(
                select(Tenant)
                .where(Tenant.id != organization.tenant_id, Tenant.microsoft_tenant_id.is_not(None))
                .order_by(Tenant.name)
            )
        ),
        fit=views.fit(known_domains.domain_overlap(organization)),
        first_run=service.first_run(session, organization),
    )
    return responses.render("recovery/index.html", status=422 if problem else 200, view=view)
