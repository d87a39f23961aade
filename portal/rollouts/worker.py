"""Works on roll-outs: one row after the other, each in transactions of its own, so that nothing is half-done (G4).

A row is claimed for a while; a process that dies leaves it to the next one. Every step may be done twice: connecting, matching,
mapping, previewing and enabling find what is there already.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

from flask import Flask
from sqlalchemy import select, update
from sqlalchemy.exc import SQLAlchemyError

from portal import audit
from portal.clock import utcnow
from portal.errors import Invalid, PortalError, Refused, RetryLater
from portal.extensions import db, writing
from portal.filter_templates import copying
from portal.locks import is_lost_race, lock
from portal.microsoft import discover
from portal.models import FilterTemplate, MicrosoftTenant, Organization, Rollout, RolloutRow, Tenant
from portal.organizations import service as organizations
from portal.rollouts import suggestions
from portal.rollouts.claims import Claim, hold, take_rows
from portal.runtime import runtime
from portal.tenants import service as tenants
from portal.transactions import begin_write, trouble
from portal.user_sync import previews

log = logging.getLogger(__name__)

PAUSE = timedelta(seconds=2)
"""Before a row that waits for the first read of its tenant is looked at again."""
BROKEN = "Something went wrong inside Rollcall. Try again; the log says more."
MOVED = (
    "Microsoft or the filters have changed since this preview. Review the new numbers, then confirm again."
)


def work_off(app: Flask, should_stop: Callable[[], bool] = lambda: False) -> None:
    """Work on rows until none waits. Raises RetryLater when a lock or the database cannot be had."""
    with app.app_context():
        try:
            while not should_stop():
                claims = take_rows()
                if not claims:
                    return
                for claim in claims:
                    if should_stop():
                        hold(claim, utcnow())
                        continue
                    with audit.acting_as(claim.actor):
                        _do(claim)
        except SQLAlchemyError as error:
            later = trouble(error)
            if later is None:
                raise
            raise later from error
        finally:
            db.session.remove()
            writing.set(False)


def _do(claim: Claim) -> None:
    """Do one step of one row; a failure is stored in the row."""
    try:
        _STEPS[claim.status](claim)
    except RetryLater as later:
        _wait(claim, later)
    except copying.Blocked as error:
        _fail(claim, error.advice, error.code)
    except Invalid as error:
        _fail(claim, error.sentences())
    except PortalError as error:
        _fail(claim, error.advice)
    except SQLAlchemyError as error:
        db.session.rollback()
        if not is_lost_race(error):
            raise
        hold(claim, utcnow())
    except Exception:
        log.exception("action=failed lane=rollout row=%s", claim.row_id)
        _fail(claim, BROKEN)


# -- the steps ---------------------------------------------------------------------------------------------------------


def _connect(claim: Claim) -> None:
    """C2, C3: a token, the organization and its domains; the first read starts by itself."""
    row, rollout = _loaded(claim)
    cloud, directory_id, ends_at = rollout.cloud, row.directory_id, row.ends_at
    db.session.rollback()
    result = discover.connect_one(directory_id, cloud=cloud, ends_at=ends_at)
    if result.tenant is None:
        _fail(claim, result.problem, result.code)
        return
    tenant_id, name = result.tenant.id, result.tenant.name
    _save(claim, "connected", microsoft_tenant_id=tenant_id, name=name)
    runtime().wake()


def _suggest(claim: Claim) -> None:
    """Suggest Organizations for all that are connected, once nobody is still to be: then each gets its own."""
    session = begin_write(db.session())
    lock(session, Rollout, claim.rollout_id)
    rows = session.scalars(select(RolloutRow).where(RolloutRow.rollout_id == claim.rollout_id)).all()
    fresh = {row.microsoft_tenant_id: row for row in rows if row.status == "connected"}
    mapped = {
        tenant.microsoft_tenant_id: tenant
        for tenant in session.scalars(select(Tenant).where(Tenant.microsoft_tenant_id.in_(fresh)))
    }
    connected = session.scalars(select(MicrosoftTenant).where(MicrosoftTenant.id.in_(fresh))).all()
    assigned = {row.organization_id for row in rows if row.organization_id}
    suggested = suggestions.suggest([tenant for tenant in connected if tenant.id not in mapped], assigned)
    for tenant_id, row in fresh.items():
        row.claimed_until = None
        suggestion = suggested.get(str(tenant_id))
        if suggestion is not None:
            row.organization_id, row.organization_name = suggestion.organization_id, suggestion.name
            row.matched_by, row.status = suggestion.by, "suggested"
        elif tenant_id in mapped:
            _adopt(row, mapped[tenant_id])
        else:
            row.status, row.problem = "unconnected", "The connection has been removed. Try again."
    session.commit()


def _adopt(row: RolloutRow, tenant: Tenant) -> None:
    """A Microsoft tenant that is mapped already goes on with the Organization that it feeds."""
    below = list(tenant.organizations)
    if len(below) == 1:
        row.organization_id, row.organization_name = below[0].id, below[0].name
        row.matched_by, row.status = "id", "mapped"
        return
    row.status = "left_out"
    row.problem = (
        f"It is mapped to the Tenant {tenant.name}, which has {len(below):,} Organizations. "
        "Set them up from the list of Organizations."
    )


def _map(claim: Claim) -> None:
    """Create the Organization, or take the one that was confirmed, and map its Tenant (C6)."""
    session = begin_write(db.session())
    lock(session, RolloutRow, claim.row_id)
    row, _ = _loaded(claim)
    tenant = session.get(MicrosoftTenant, row.microsoft_tenant_id or "")
    if tenant is None or tenant.is_removed:
        raise Refused("The connection has been removed. Connect the Microsoft tenant again.")
    organization = session.get(Organization, row.organization_id) if row.organization_id else None
    if organization is None:
        organization = organizations.create(row.organization_name)
    tenants.map_only(organization.tenant, tenant)
    row = session.get_one(RolloutRow, claim.row_id)
    row.organization_id, row.organization_name = organization.id, organization.name
    row.status, row.claimed_until = "mapped", None
    session.commit()


def _preview(claim: Claim) -> None:
    """What the filters would do here, as the engine tells it; groups whose members nobody read are asked for."""
    row, rollout = _loaded(claim)
    organization, body = _organization(row), rollout.request
    keeps = rollout.kind == "template"
    try:
        result = copying.preview(organization, body, keeps_departures=keeps)
    except RetryLater:
        _have_counted(organization, body)
        raise
    db.session.rollback()
    _save(
        claim,
        "previewed",
        request=result.target.request,
        preview=result.document,
        plan_id=result.plan_id,
        is_chosen=(result.document["guard"] or {}).get("tone") != "none",
    )


def _have_counted(organization: Organization, body: dict[str, object]) -> None:
    tenant_id = organization.tenant.microsoft_tenant_id
    tenant = db.session.get(MicrosoftTenant, tenant_id or "")
    if tenant is None or tenant.last_synced_at is None:
        return
    ids = copying.uncounted_groups(organization, body)
    if ids:
        begin_write(db.session())
        previews.want_group_members(organization, ids)
        db.session.commit()
        runtime().wake()


def _enable(claim: Claim) -> None:
    """Enable or save just what was shown: when the preview has moved, it is shown again first (U12)."""
    row, rollout = _loaded(claim)
    organization = _organization(row)
    result = copying.preview(organization, rollout.request, keeps_departures=rollout.kind == "template")
    if result.plan_id != row.plan_id or result.target.request != row.request:
        db.session.rollback()
        _save(
            claim,
            "previewed",
            request=result.target.request,
            preview=result.document,
            plan_id=result.plan_id,
            problem=MOVED,
            problem_code=copying.MOVED,
        )
        return
    template_id = rollout.template_id
    session = begin_write(db.session())
    template = session.get(FilterTemplate, template_id) if template_id else None
    copying.apply(organization, result.target, template)
    row = session.get_one(RolloutRow, claim.row_id)
    row.status, row.problem, row.problem_code, row.claimed_until = "enabled", "", "", None
    session.commit()
    runtime().wake()


_STEPS: dict[str, Callable[[Claim], None]] = {
    "waiting": _connect,
    "connected": _suggest,
    "mapping": _map,
    "previewing": _preview,
    "enabling": _enable,
}
_FAILED = {
    "waiting": "unconnected",
    "connected": "unconnected",
    "mapping": "unmapped",
    "previewing": "blocked",
    "enabling": "refused",
}


# -- rows --------------------------------------------------------------------------------------------------------------


def _loaded(claim: Claim) -> tuple[RolloutRow, Rollout]:
    row = db.session.get_one(RolloutRow, claim.row_id)
    return row, db.session.get_one(Rollout, claim.rollout_id)


def _organization(row: RolloutRow) -> Organization:
    organization = db.session.get(Organization, row.organization_id or "")
    if organization is None:
        raise Refused("The Organization has been deleted.")
    return organization


def _save(claim: Claim, status: str, **values: object) -> None:
    """Store the progress of a row, unless another process moved it meanwhile."""
    begin_write(db.session())
    settled: dict[str, object] = {"problem": "", "problem_code": "", **values}
    db.session.execute(
        update(RolloutRow)
        .where(RolloutRow.id == claim.row_id, RolloutRow.status == claim.status)
        .values(status=status, claimed_until=None, **settled)
    )
    db.session.commit()


def _fail(claim: Claim, problem: str, code: str = "") -> None:
    db.session.rollback()
    _save(claim, _FAILED[claim.status], problem=problem, problem_code=code[:64])


def _wait(claim: Claim, later: RetryLater) -> None:
    """Try again soon; store why a tenant cannot be read."""
    db.session.rollback()
    row, _ = _loaded(claim)
    tenant = _tenant_of(row)
    if tenant is not None and tenant.problem is not None and tenant.last_synced_at is None:
        _fail(claim, later.advice)
    else:
        hold(claim, utcnow() + PAUSE)


def _tenant_of(row: RolloutRow) -> MicrosoftTenant | None:
    organization = db.session.get(Organization, row.organization_id or "")
    tenant_id = None if organization is None else organization.tenant.microsoft_tenant_id
    return None if tenant_id is None else db.session.get(MicrosoftTenant, tenant_id)
