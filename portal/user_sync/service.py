"""The per-Organization switch: enable, edit, disable, run now, preview and "why?" (U, L5, T5, U12).

Nothing here reads from Microsoft: requests only queue (T6), previews look at the mirror as it is.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

from itsdangerous import BadSignature, URLSafeSerializer
from sqlalchemy import func, or_, select, update

from portal import audit
from portal.clock import utcnow
from portal.engine import holds, schedule
from portal.engine import options as engine_options
from portal.engine import preview as engine_preview
from portal.engine.records import SECTIONS
from portal.errors import Invalid, NotFound, Refused
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
from portal.text import text_key
from portal.user_sync import documents, matching
from portal.user_sync.documents import SyncRequest, saved_request
from portal.worker import queue

__all__ = [
    "conflicting_edit",
    "default_request",
    "disable",
    "document",
    "edit_version",
    "explain",
    "find",
    "options",
    "preview",
    "preview_page",
    "put",
    "recount",
    "request_run",
    "saved_request",
    "want_group_members",
]

default_request = documents.default_request
ASK_AGAIN = timedelta(minutes=1)
PREVIEW_ROWS = 100
LIVE_LIMIT = 3_000  # users up to which every change in the pop-up is decided about at once; beyond, apart
OPENING_LIMIT = 300  # the same when it opens: it is there at once, and the decisions follow


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


def edit_version(organization: Organization) -> str:
    """What a form about a User Sync is opened on: the Microsoft tenant, whether it is enabled, and its filters."""
    row, microsoft_tenant = find(organization), microsoft.mapped_to(organization)
    choice = "" if row is None else json.dumps(saved_request(row), sort_keys=True)
    tenant_id = "" if microsoft_tenant is None else microsoft_tenant.id
    is_on = "on" if row is not None and row.enabled else "off"
    return f"{tenant_id} {is_on} {sha256(choice.encode()).hexdigest()[:16]}"


def conflicting_edit(organization: Organization, body: Mapping[str, Any], opened_on: str) -> str:
    """In words, what somebody else changed since a form was opened; "" when saving it does what it says.

    Sending the same once more is no change by somebody else.
    """
    microsoft_tenant = microsoft.mapped_to(organization)
    if not opened_on or opened_on == edit_version(organization) or microsoft_tenant is None:
        return ""
    row = find(organization)
    tenant_then, was_on, _ = f"{opened_on}  ".split(" ", 2)
    if tenant_then != microsoft_tenant.id:
        return f"Meanwhile the Tenant was mapped to another Microsoft tenant, {microsoft_tenant.name}. Choose again from its users."
    if row is None or not row.enabled:
        return (
            ""
            if was_on == "off"
            else "Meanwhile somebody disabled this sync. Enable Sync would switch it on again."
        )
    if documents.parse(saved_request(row)) == documents.parse(body):
        return ""
    done = "enabled this sync with other filters" if was_on == "off" else "saved other filters"
    return f"Meanwhile somebody {done}. Save would replace theirs by those below."


def put(organization: Organization, body: Mapping[str, Any], fingerprint: str | None = None) -> Enabled:
    """Enable with the initial run queued, or edit what is enabled, which starts nothing (U7). The caller commits and wakes.

    fingerprint: of the plan that it is enabled with exactly (``approved``, U12). Raises Invalid per section, Refused when the
    Tenant is not mapped, RetryLater when group ids cannot be judged before the first read.
    """
    request = documents.parse(body)
    lock(db.session(), Organization, organization.id)
    lock(db.session(), Tenant, organization.tenant_id)  # its mapping stays while the sync is switched on (R2)
    microsoft_tenant = _mapped(organization)
    row = find(organization)
    _check_groups(request, microsoft_tenant, row)
    is_new = row is None or not row.enabled
    now = utcnow()
    if row is None:
        row = UserSync(organization_id=organization.id, filters={}, updated_at=now)
        db.session.add(row)
    row.filters = documents.filters_json(request.filters)
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
    microsoft_tenant = _mapped(organization)
    row = _enabled(organization)
    present = active_run(organization)
    if present is not None and fingerprint is not None:
        raise Refused("A sync is running, so Microsoft's data is about to move. Try again when it is done.")
    if present is not None:
        return present
    run = _queue(row, microsoft_tenant, "manual", fingerprint)
    _record("sync_run_requested", organization)
    db.session.flush()
    return run


def request_person(organization: Organization, person: EndUser) -> SyncRun:
    """Sync one End User now: a run for them alone, or the run of all that goes on. The caller commits and wakes.

    Raises Refused when the sync is not enabled or its first run not over, or when Microsoft has nobody for them.
    """
    lock(db.session(), Organization, organization.id)
    microsoft_tenant = _mapped(organization)
    row = _enabled(organization)
    present = active_run(organization)
    if present is not None:
        return present
    if row.initial_done_at is None:
        raise Refused(
            f"The first sync of {organization.name} is not over yet. Press Sync Now to try it again.",
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
    found = db.session.scalars(
        select(DirectoryUser.object_id).where(
            DirectoryUser.microsoft_tenant_id == microsoft_tenant.id,
            DirectoryUser.presence == "present",
            DirectoryUser.email_key == person.email_key,
        )
    ).all()
    if len(found) != 1:
        raise Refused(
            f"{person.display_name} is not linked, and {microsoft_tenant.name} has {'several people' if found else 'nobody'} "
            "with this email address.",
            link=f"/end-users/{person.id}/why",
        )
    return str(found[0])


def options(
    organization: Organization, sections: Collection[str] = SECTIONS
) -> dict[str, list[dict[str, Any]]]:
    """Per section asked for what the pop-up offers (U2).

    Raises Refused when not mapped, RetryLater before the first read.
    """
    microsoft_tenant = _read(organization)
    row = find(organization)
    saved = None if row is None else documents.parse(saved_request(row)).filters
    found = engine_options.options(db.session(), microsoft_tenant.id, saved, sections)
    return {section: [dict(value) for value in values] for section, values in found.items()}


def want_group_members(organization: Organization, group_ids: list[str]) -> None:
    """Have the members of groups read that the pop-up shows as "not counted yet" or as of long ago. The caller commits and wakes."""
    microsoft_tenant = _read(organization)
    now = utcnow()
    changed = db.session.execute(
        update(DirectoryGroup)
        .where(
            DirectoryGroup.microsoft_tenant_id == microsoft_tenant.id,
            DirectoryGroup.object_id.in_(group_ids),
            DirectoryGroup.members_read_at.is_(None) | DirectoryGroup.members_stale.is_(True),
            # the pop-up asks every few seconds, also for a group that cannot be read
            DirectoryGroup.members_wanted_at.is_(None) | (DirectoryGroup.members_wanted_at < now - ASK_AGAIN),
        )
        .values(members_wanted_at=now)
    )
    if changed.rowcount:  # type: ignore[attr-defined]
        microsoft.request_read(microsoft_tenant)


def preview(
    organization: Organization, body: Mapping[str, Any], *, page: int, per_page: int
) -> dict[str, Any]:
    """What the next run would do with these filters, from the mirror as it is; writes nothing (U5, U10, U11, U12).

    Raises Invalid, Refused and RetryLater as ``put`` does.
    """
    microsoft_tenant = _read(organization)
    request = documents.parse(body)
    row = find(organization)
    _check_groups(request, microsoft_tenant, row)
    found = _previewed(organization, request)
    start = (page - 1) * per_page
    return {
        "plan_id": _plan_id(organization, found.fingerprint),
        "counts": found.counts_document(),
        "total": len(found.decisions),
        "page": page,
        "per_page": per_page,
        "decisions": [engine_preview.decision_document(d) for d in found.decisions[start : start + per_page]],
        "domain_overlap": found.domain_overlap,
        "scope_change": found.scope_change,
        "held": found.held,
        "warnings": list(found.warnings),
    }


@dataclass(frozen=True)
class PreviewPage:
    """Some decisions of a preview and how many there are per kind; what the pop-up's Preview shows (U5).

    total: decisions that fit what was asked. kinds: decision word -> number, of all of them. warnings: as the run would say.
    """

    plan_id: str
    counts: Mapping[str, int]
    kinds: Mapping[str, int]
    decisions: list[dict[str, Any]]
    total: int
    page: int
    pages: int
    held: Mapping[str, Any] | None
    warnings: Sequence[str]


def preview_page(
    organization: Organization, body: Mapping[str, Any], *, decision: str = "", q: str = "", page: int = 1
) -> PreviewPage:
    """One page of a preview, narrowed to one kind of decision or to names and addresses. Raises as ``preview`` does."""
    microsoft_tenant = _read(organization)
    request = documents.parse(body)
    _check_groups(request, microsoft_tenant, find(organization))
    found = _previewed(organization, request)
    needle = text_key(q)
    fitting = [
        one
        for one in found.decisions
        if (not decision or one.action.value == decision)
        and (not needle or needle in text_key(f"{one.display_name} {one.email} {one.user_principal_name}"))
    ]
    pages = max(1, -(-len(fitting) // PREVIEW_ROWS))
    page = min(max(page, 1), pages)
    window = fitting[(page - 1) * PREVIEW_ROWS : page * PREVIEW_ROWS]
    return PreviewPage(
        plan_id=_plan_id(organization, found.fingerprint),
        counts=found.counts_document(),
        kinds=Counter(one.action.value for one in found.decisions),
        decisions=[engine_preview.decision_document(one) for one in window],
        total=len(fitting),
        page=page,
        pages=pages,
        held=found.held,
        warnings=found.warnings,
    )


@dataclass(frozen=True)
class Recount:
    """What some filters match now. previewed: None when it was left out."""

    match: matching.Match
    previewed: engine_preview.PreviewResult | None


def recount(organization: Organization, request: SyncRequest, *, limit: int | None = None) -> Recount:
    """How many match, and what enabling or saving would do (U5, U11); writes nothing, refuses nothing but waiting.

    The second part is left out for tenants of more users than ``limit``.

    Raises Refused when not mapped, RetryLater before the first read.
    """
    microsoft_tenant = _read(organization)
    match = matching.count(db.session(), microsoft_tenant, request.filters)
    is_wanted = limit is None or match.total <= limit
    return Recount(match, _previewed(organization, request) if is_wanted else None)


def known_endings(organization: Organization, limit: int = 3) -> list[str]:
    """The commonest domains of the Organization's e-mail addresses, for U10's warning."""
    found = Counter(address.rpartition("@")[2] for address in _known_addresses(organization))
    return [domain for domain, _ in found.most_common(limit)]


def domain_overlap(organization: Organization) -> dict[str, int] | None:
    """U10: how many known e-mail addresses belong to the Microsoft tenant's domains; None when not mapped."""
    microsoft_tenant = microsoft.mapped_to(organization)
    if microsoft_tenant is None:
        return None
    return overlap_with(organization, microsoft_tenant)


def overlap_with(organization: Organization, microsoft_tenant: MicrosoftTenant) -> dict[str, int]:
    """The same for any Microsoft tenant, such as one that it may be mapped to."""
    return engine_preview.domain_overlap(microsoft_tenant, _known_addresses(organization))


def _known_addresses(organization: Organization) -> list[str]:
    """Whom the mapped Microsoft tenant itself brought says nothing about whether it is the right one, and is left out."""
    its_runs = select(SyncRun.id).where(
        SyncRun.organization_id == organization.id,
        SyncRun.microsoft_tenant_id == organization.tenant.microsoft_tenant_id,
    )
    brought = EndUser.created_by_run_id
    found = db.session.scalars(
        select(EndUser.email_key).where(
            EndUser.organization_id == organization.id,
            EndUser.email_key.is_not(None),
            or_(brought.is_(None), brought.not_in(its_runs)),
        )
    )
    return [str(address) for address in found]


def people(organization: Organization) -> int:
    """How many End Users the Organization has."""
    number = select(func.count()).select_from(EndUser).where(EndUser.organization_id == organization.id)
    return db.session.scalar(number) or 0


def explain(organization: Organization, user: str) -> dict[str, Any]:
    """Why one person is or is not synced. Raises NotFound for nobody such, Refused when no sync is set up."""
    if find(organization) is None:
        raise Refused(
            f"{organization.name} has no Microsoft User Sync. Set it up first.",
            link=f"/tenants/{organization.tenant_id}",
        )
    if not user.strip():
        raise Invalid({"user": ["Name a person by UPN, object ID or e-mail address."]})
    _read(organization)
    return engine_preview.explain(db.session(), organization.id, user.strip(), utcnow())


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


def _mapped(organization: Organization) -> MicrosoftTenant:
    found = microsoft.mapped_to(organization)
    if found is None:
        raise Refused(
            f"The Tenant {organization.tenant.name} is not mapped to a Microsoft tenant yet. Map it first.",
            link=f"/tenants/{organization.tenant_id}",
        )
    return found


def _read(organization: Organization) -> MicrosoftTenant:
    found = _mapped(organization)
    microsoft.require_read(found)
    return found


def _check_groups(request: SyncRequest, microsoft_tenant: MicrosoftTenant, row: UserSync | None) -> None:
    if request.filters.group.all:
        return
    microsoft.require_read(microsoft_tenant)
    known = set(
        db.session.scalars(
            select(DirectoryGroup.object_id).where(DirectoryGroup.microsoft_tenant_id == microsoft_tenant.id)
        )
    )
    if row is not None:
        known.update(row.filters.get("group", {}).get("values", ()))  # S7: what is gone stays in the filter
    documents.check_groups(request, known)


def _previewed(organization: Organization, request: SyncRequest) -> engine_preview.PreviewResult:
    return engine_preview.preview(db.session(), organization.id, request.filters, request.hold, utcnow())


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
    try:
        owner, fingerprint = _signer().loads(plan_id)
    except (BadSignature, TypeError, ValueError):
        raise Invalid({"plan_id": ["There is no such plan. Ask for a new preview."]}) from None
    if owner != organization.id:
        raise Invalid({"plan_id": ["This plan was made for another Organization."]})
    now = _previewed(organization, request)
    if now.fingerprint != fingerprint:
        raise Refused(
            "Microsoft or the filters have changed since this preview. Nothing was applied. Review the preview again."
        )
    return str(fingerprint)


def _plan_id(organization: Organization, fingerprint: str) -> str:
    """A plan is its fingerprint, signed: previews write nothing, and nobody makes one up (U12)."""
    return str(_signer().dumps([organization.id, fingerprint]))


def _signer() -> URLSafeSerializer:
    key = runtime().settings.secret_keys()[0]
    return URLSafeSerializer(key, salt="sync-plan", signer_kwargs={"digest_method": sha256})


def _record(event: str, organization: Organization) -> None:
    audit.record(
        db.session(),
        event,
        object_type="organization",
        object_id=organization.id,
        organization=organization.name,
    )
