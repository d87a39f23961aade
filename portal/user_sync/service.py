"""The per-Organization switch: enable, edit, disable and run now (U, L5, T5, U12).

Nothing here reads from Microsoft: requests only queue (T6).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select, update

from portal import audit
from portal.clock import utcnow
from portal.engine import holds, schedule
from portal.engine.scope import spec_to_json
from portal.errors import NotFound, Refused
from portal.extensions import db
from portal.locks import lock
from portal.microsoft import service as microsoft
from portal.models import (
    ACTIVE,
    Change,
    DirectoryGroup,
    DirectoryUser,
    EndUser,
    MicrosoftTenant,
    Organization,
    SyncRun,
    Tenant,
    UserSync,
)
from portal.runtime import runtime
from portal.user_sync import documents, plans
from portal.user_sync.documents import SyncRequest, saved_request
from portal.worker import queue


@dataclass(frozen=True)
class Enabled:
    """What ``put`` did. run: the initial run it queued, None when it only edited (U7)."""

    sync: UserSync
    run: SyncRun | None


def find(organization: Organization) -> UserSync | None:
    """The User Sync of an Organization, None when it was never set up."""
    return db.session.scalar(select(UserSync).where(UserSync.organization_id == organization.id))


def document(organization: Organization) -> dict[str, Any]:
    """The User Sync as the API shows it, ``not_set_up`` included."""
    row = find(organization)
    microsoft_tenant = microsoft.mapped_to(organization)
    last = last_run(organization)
    return documents.to_document(
        row,
        microsoft_tenant,
        None if last is None else documents.run_document(last),
        next_run_at(row, microsoft_tenant),
    )


def next_run_at(row: UserSync | None, microsoft_tenant: MicrosoftTenant | None) -> datetime | None:
    """When the schedule runs it next (T1, G2); None while it is off, or no timer runs."""
    settings = runtime().settings
    if row is None or not row.enabled or microsoft_tenant is None or settings.scheduler == "off":
        return None
    return queue.next_turn(db.session(), row, microsoft_tenant, settings.sync_interval_minutes)


def last_run(organization: Organization) -> SyncRun | None:
    """The newest run of an Organization, queued ones included; those for one person aside."""
    return db.session.scalar(
        select(SyncRun)
        .where(SyncRun.organization_id == organization.id, SyncRun.only_object_id.is_(None))
        .order_by(SyncRun.created_at.desc(), SyncRun.id)
        .limit(1)
    )


def active_run(organization: Organization, only_object_id: str | None = None) -> SyncRun | None:
    """The run that is running or queued (T5), the running one first; of all, or for one Microsoft user."""
    return db.session.scalar(
        select(SyncRun)
        .where(
            SyncRun.organization_id == organization.id,
            SyncRun.status.in_(ACTIVE),
            SyncRun.only_object_id.is_(None)
            if only_object_id is None
            else SyncRun.only_object_id == only_object_id,
        )
        .order_by(SyncRun.status.desc(), SyncRun.created_at)
        .limit(1)
    )


def put(organization: Organization, body: Mapping[str, Any], fingerprint: str | None = None) -> Enabled:
    """Enable with the initial run queued, or edit what is enabled, which starts nothing (U7). The caller commits and wakes.

    fingerprint: of the plan that it is enabled with exactly (``approved``, U12). Raises Invalid per section, Refused when the
    Tenant is not mapped, RetryLater when group ids cannot be judged before the first read.
    """
    request = documents.parse(body)
    lock(db.session(), Organization, organization.id)
    lock(db.session(), Tenant, organization.tenant_id)  # its mapping stays while the sync is switched on (R2)
    microsoft_tenant = mapped(organization)
    row = find(organization)
    check_groups(request, microsoft_tenant, row)
    is_new = row is None or not row.enabled
    now = utcnow()
    if row is None:
        row = UserSync(organization_id=organization.id, filters={}, updated_at=now)
        db.session.add(row)
    row.filters = spec_to_json(request.filters)
    row.add_disabled_accounts = request.filters.add_disabled_accounts
    row.only_licensed = request.filters.only_licensed
    row.include_agents = request.filters.include_agents
    row.hold_percent, row.hold_minimum = request.hold.percent, request.hold.minimum
    row.updated_at = row.edited_at = now
    run = _enable(row, microsoft_tenant, fingerprint) if is_new else None
    if not is_new and microsoft_tenant.state == microsoft.CONNECTED:
        row.attention, row.attention_code = None, ""
    _record("user_sync_enabled" if is_new else "user_sync_edited", organization)
    db.session.flush()
    return Enabled(row, run)


def disable(organization: Organization) -> None:
    """Stop automatic updates at once (L5): queued runs are cancelled, a running one stops at its next chunk.

    Raises NotFound when no sync is enabled. End Users, Links and marks stay. The caller commits.
    """
    lock(db.session(), Organization, organization.id)
    row = find(organization)
    if row is None or not row.enabled:
        raise NotFound(f"{organization.name} has no Microsoft User Sync that is enabled.")
    now = utcnow()
    row.enabled = False
    row.generation = (row.generation or 0) + 1
    row.attention, row.attention_code = None, ""
    row.failures_in_row = 0
    row.updated_at = now
    queued = SyncRun.organization_id == organization.id, SyncRun.status == "queued", SyncRun.kind == "sync"
    db.session.execute(
        update(SyncRun)
        .where(*queued)
        .values(status="cancelled", finished_at=now, error="The sync was disabled before this run began.")
    )
    _drop_hold(row)
    _record("user_sync_disabled", organization)
    db.session.flush()


def _enabled(organization: Organization) -> UserSync:
    row = find(organization)
    if row is None or not row.enabled:
        raise Refused(
            f"{organization.name} has no Microsoft User Sync that is enabled. Set it up first.",
            link=f"/tenants/{organization.tenant_id}",
        )
    return row


def request_run(organization: Organization, fingerprint: str | None = None) -> SyncRun:
    """Sync now (T5): queue a manual run, or give the one that is running or queued. The caller commits and wakes.

    fingerprint: of the plan that is to be applied exactly (``approved``, U12). Raises Refused when the sync is not enabled, the
    Tenant is not mapped, or a run is in the way of the plan.
    """
    lock(db.session(), Organization, organization.id)
    microsoft_tenant = mapped(organization)
    row = _enabled(organization)
    present = active_run(organization)
    if present is not None and fingerprint is not None:
        raise Refused("A sync is running, so Microsoft's data is about to change. Try again when it is done.")
    if present is not None:
        return present
    run = _queue(row, microsoft_tenant, "manual", fingerprint)
    _record("sync_run_requested", organization)
    db.session.flush()
    return run


def request_person(organization: Organization, person: EndUser) -> SyncRun:
    """Sync one End User now: by a run for them alone, or the active run of all. The caller commits and wakes.

    Raises Refused when the sync is not enabled or its first run not over, or when Microsoft has nobody for them.
    """
    lock(db.session(), Organization, organization.id)
    microsoft_tenant = mapped(organization)
    row = _enabled(organization)
    present = active_run(organization)
    if present is not None:
        return present
    if row.initial_done_at is None:
        raise Refused(
            f"The first sync of {organization.name} has not finished yet. Press Sync Now to try it again.",
            link=f"/organizations/{organization.id}",
        )
    object_id = _object_of(person, microsoft_tenant)
    present = active_run(organization, object_id)
    if present is not None:
        return present
    run = queue.new_run(
        row,
        microsoft_tenant.id,
        trigger="manual",
        now=utcnow(),
        by=audit.current_actor().name,
        only_object_id=object_id,
    )
    db.session.add(run)
    _record("sync_run_requested", organization)
    db.session.flush()
    return run


def _object_of(person: EndUser, microsoft_tenant: MicrosoftTenant) -> str:
    """Who an End User is in the mapped tenant: by the Link, else the only one of that e-mail address. Raises Refused."""
    if person.object_id is not None and person.microsoft_tenant_id == microsoft_tenant.id:
        return person.object_id
    object_ids = db.session.scalars(
        select(DirectoryUser.object_id).where(
            DirectoryUser.microsoft_tenant_id == microsoft_tenant.id,
            DirectoryUser.presence == "present",
            DirectoryUser.email_key == person.email_key,
        )
    ).all()
    if len(object_ids) != 1:
        raise Refused(
            f"{person.display_name} is not linked, and {microsoft_tenant.name} has {'several people' if object_ids else 'nobody'} "
            "with this email address.",
            link=f"/end-users/{person.id}/why",
        )
    return str(object_ids[0])


def _enable(row: UserSync, microsoft_tenant: MicrosoftTenant, fingerprint: str | None) -> SyncRun:
    now = utcnow()
    row.enabled = True
    row.generation = (row.generation or 0) + 1
    row.enabled_at, row.enabled_by = now, audit.current_actor().name
    row.initial_done_at = None
    row.hold_run_id, row.attention, row.failures_in_row = None, None, 0
    row.attention_code, row.settled_state = "", None
    row.dismissed = []
    if microsoft_tenant.next_run_at is None:
        settings = runtime().settings
        microsoft_tenant.next_run_at = schedule.next_run(
            now, microsoft_tenant.id, settings.sync_interval_minutes, microsoft_tenant.failures_in_row
        )
    return _queue(row, microsoft_tenant, "initial", fingerprint)


def _queue(
    row: UserSync, microsoft_tenant: MicrosoftTenant, trigger: str, fingerprint: str | None
) -> SyncRun:
    by = audit.current_actor().name
    run = queue.new_run(
        row, microsoft_tenant.id, trigger=trigger, now=utcnow(), by=by, fingerprint=fingerprint
    )
    db.session.add(run)
    return run


def _drop_hold(row: UserSync) -> None:
    """A hold of a sync that is switched off can never be applied: it is dismissed with it."""
    held = None if row.hold_run_id is None else db.session.get(SyncRun, row.hold_run_id)
    row.hold_run_id = None
    if held is None or held.held is None:
        return
    ended = {**held.held, "state": "dismissed", "is_disabled": True}
    held.held = holds.decided(ended, audit.current_actor().name, utcnow())
    held.status = "succeeded"
    db.session.execute(
        update(Change).where(Change.run_id == held.id, Change.state == "held").values(state="dismissed")
    )


def mapped(organization: Organization) -> MicrosoftTenant:
    """The Microsoft tenant that an Organization's people come from. Raises Refused when its Tenant is not mapped."""
    tenant = microsoft.mapped_to(organization)
    if tenant is None:
        raise Refused(
            f"The Tenant {organization.tenant.name} is not mapped to a Microsoft tenant yet. Map it first.",
            link=f"/tenants/{organization.tenant_id}",
        )
    return tenant


def check_groups(request: SyncRequest, microsoft_tenant: MicrosoftTenant, row: UserSync | None) -> None:
    """Raises Invalid for groups that neither the tenant nor the saved filter has, RetryLater before the first read."""
    if request.filters.group.all:
        return
    microsoft.require_read(microsoft_tenant)
    group_ids = set(
        db.session.scalars(
            select(DirectoryGroup.object_id).where(DirectoryGroup.microsoft_tenant_id == microsoft_tenant.id)
        )
    )
    if row is not None:
        group_ids.update(
            row.filters.get("group", {}).get("values", ())
        )  # S7: what is gone stays in the filter
    documents.check_groups(request, group_ids)


def approved(
    organization: Organization, plan_id: str | None, body: Mapping[str, Any] | None = None
) -> str | None:
    """The fingerprint of an approved plan, when it is still what ``body``, or the sync as it is saved, would do (U12).

    None without a plan. Raises Refused for one that has moved or a sync that is not enabled, Invalid and RetryLater as ``put``
    does. Everybody is planned for: call it before the transaction that writes. What moves after it the run itself finds.
    """
    if plan_id is None:
        return None
    request = documents.parse(saved_request(_enabled(organization)) if body is None else body)
    return plans.approved(organization, request, plan_id)


def _record(event: str, organization: Organization) -> None:
    audit.record(db.session(), event, organization, organization=organization.name)
