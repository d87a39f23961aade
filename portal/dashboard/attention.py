"""What needs a person (P9, O2): facts by kind, the most urgent first; views make the sentences.

Each kind is one query, however many Organizations there are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.config import Settings
from portal.microsoft import expiry
from portal.models import (
    Conflict,
    MicrosoftTenant,
    Organization,
    SyncRun,
    Tenant,
    UserSync,
)
from portal.models.microsoft import IS_CONNECTED

URGENT = (
    "connection",
    "hold",
    "failing",
    "overdue",
    "left",
    "expired",
    "expiring_soon",
    "conflicts",
    "expiring",
)
"""Kinds that need a person now, the most urgent first."""
UNFINISHED = ("not_set_up", "not_mapped", "unmapped")
"""Kinds that say what is not done yet: nothing is wrong there, but nothing is synced either."""
KINDS = (*URGENT, *UNFINISHED)

_CODES = {"": "failing", "failing": "failing", "group_gone": "failing", "overdue": "overdue", "left": "left"}
LATE = 2
"""So many intervals after a run was due it is overdue: one may fall into a restart."""
LATE_AT_LEAST = timedelta(minutes=15)


@dataclass(frozen=True)
class Cause:
    """One thing that needs a person: whom it is about, and where it is settled.

    kind: one of KINDS. cause: things of one kind and cause are told of together. number: people held back, or open conflicts.
    reported: what Microsoft or the sync said of it, as stored. until: when it ends, for what expires.
    is_ours: the portal's own credential.
    """

    kind: str
    name: str
    link: str
    cause: str = ""
    number: int = 0
    reported: str = ""
    code: str = ""
    since: datetime | None = None
    until: datetime | None = None
    held_kind: str = ""
    is_ours: bool = False


def causes(session: Session, settings: Settings, now: datetime) -> list[Cause]:
    """Everything that needs a person or is not done yet, in the order of KINDS."""
    everything = [
        *attention(session),
        *_overdue(session, timedelta(minutes=settings.sync_interval_minutes), now),
        *_expiring(session, settings, now),
        *_not_set_up(session),
        *_unmapped(session),
    ]
    return sorted(everything, key=lambda cause: KINDS.index(cause.kind))


def attention(session: Session) -> list[Cause]:
    """What alerts report: connections, holds, failing syncs and conflicts."""
    return [*_connections(session), *_holds(session), *_failing(session), *_conflicts(session)]


def _connections(session: Session) -> list[Cause]:
    rows = session.scalars(
        select(MicrosoftTenant)
        .where(MicrosoftTenant.state == "needs_attention")
        .order_by(MicrosoftTenant.problem_since, MicrosoftTenant.name)
    )
    return [
        Cause(
            "connection",
            row.name,
            f"/microsoft-tenants/{row.id}",
            cause=f"{row.problem_code or row.id} {row.problem or ''}",
            reported=row.problem or "",
            code=row.problem_code or "",
            since=row.problem_since,
        )
        for row in rows
    ]


def _holds(session: Session) -> list[Cause]:
    rows = session.execute(
        select(Organization.name, SyncRun)
        .join(UserSync, UserSync.organization_id == Organization.id)
        .join(SyncRun, SyncRun.id == UserSync.hold_run_id)
        .order_by(SyncRun.created_at)
    )
    waiting = []
    for name, run in rows:
        held = run.held or {}
        waiting.append(
            Cause(
                "hold",
                name,
                f"/sync-runs/{run.id}",
                number=int(held.get("count", 0)),
                held_kind=str(held.get("kind", "")),
                since=run.finished_at or run.created_at,
            )
        )
    return waiting


def _failing(session: Session) -> list[Cause]:
    """Syncs that fail for a reason of their own; a broken connection is reported once, above."""
    rows = session.execute(
        select(Organization.id, Organization.name, UserSync)
        .join(UserSync, UserSync.organization_id == Organization.id)
        .join(Tenant, Tenant.id == Organization.tenant_id)
        .outerjoin(MicrosoftTenant, MicrosoftTenant.id == Tenant.microsoft_tenant_id)
        .where(
            UserSync.enabled.is_(True),
            UserSync.attention.is_not(None),
            UserSync.hold_run_id.is_(None),
            (MicrosoftTenant.state.is_(None)) | (MicrosoftTenant.state != "needs_attention"),
        )
        .order_by(Organization.name)
    )
    return [
        Cause(
            _CODES.get(sync.attention_code, "failing"),
            name,
            f"/sync-runs?organization_id={organization_id}",
            cause=sync.attention or "",
            reported=sync.attention or "",
            since=sync.updated_at,
        )
        for organization_id, name, sync in rows
    ]


def _overdue(session: Session, interval: timedelta, now: datetime) -> list[Cause]:
    """Enabled syncs whose hourly run is long overdue and not running (T1): the scheduler is off, or cannot keep up."""
    rows = session.execute(
        select(Organization.id, Organization.name, MicrosoftTenant.next_run_at)
        .join(UserSync, UserSync.organization_id == Organization.id)
        .join(Tenant, Tenant.id == Organization.tenant_id)
        .join(MicrosoftTenant, MicrosoftTenant.id == Tenant.microsoft_tenant_id)
        .where(
            UserSync.enabled.is_(True),
            UserSync.attention.is_(None),
            UserSync.hold_run_id.is_(None),
            MicrosoftTenant.state == "connected",
            MicrosoftTenant.next_run_at < now - max(LATE * interval, LATE_AT_LEAST),
            (MicrosoftTenant.lease_expires_at.is_(None)) | (MicrosoftTenant.lease_expires_at < now),
        )
        .order_by(MicrosoftTenant.next_run_at, Organization.name)
    )
    return [
        Cause("overdue", name, f"/organizations/{organization_id}/history", since=due, cause="late")
        for organization_id, name, due in rows
    ]


def _expiring(session: Session, settings: Settings, now: datetime) -> list[Cause]:
    """C5: what has expired or expires soon; within 7 days it is urgent."""
    expiring = []
    for end in expiry.radar(session, settings):
        step = end.step(now)
        if step is None or end.at is None:
            continue
        is_ours = end.key.startswith("app")
        kind = (
            "expired" if end.at <= now else "expiring_soon" if step == min(expiry.WARN_DAYS) else "expiring"
        )
        expiring.append(
            Cause(
                kind,
                end.what if is_ours else end.whose,
                end.link,
                cause=end.key if is_ours else "relationship",
                reported=end.advice,
                until=end.at,
                is_ours=is_ours,
            )
        )
    return expiring


def _conflicts(session: Session) -> list[Cause]:
    number = func.count(Conflict.id)
    rows = session.execute(
        select(Organization.id, Organization.name, number, func.min(Conflict.created_at))
        .join(Conflict, Conflict.organization_id == Organization.id)
        .where(Conflict.resolved_at.is_(None))
        .group_by(Organization.id, Organization.name)
        .order_by(number.desc(), Organization.name)
    )
    return [
        Cause("conflicts", name, f"/organizations/{organization_id}/conflicts", number=count, since=since)
        for organization_id, name, count, since in rows
    ]


def _not_set_up(session: Session) -> list[Cause]:
    """Organizations without an enabled sync: those that are mapped only lack the sync, the others the mapping first."""
    enabled = select(UserSync.organization_id).where(UserSync.enabled.is_(True))
    rows = session.execute(
        select(Organization.name, Organization.tenant_id, Tenant.microsoft_tenant_id)
        .join(Tenant, Tenant.id == Organization.tenant_id)
        .where(Organization.id.not_in(enabled))
        .order_by(Organization.name_key)
    )
    return [
        Cause("not_set_up" if microsoft_id is not None else "not_mapped", name, f"/tenants/{tenant_id}")
        for name, tenant_id, microsoft_id in rows
    ]


def _unmapped(session: Session) -> Sequence[Cause]:
    mapped = select(Tenant.microsoft_tenant_id).where(Tenant.microsoft_tenant_id.is_not(None))
    rows = session.execute(
        select(MicrosoftTenant.id, MicrosoftTenant.name)
        .where(IS_CONNECTED, MicrosoftTenant.id.not_in(mapped))
        .order_by(MicrosoftTenant.name)
    )
    return [
        Cause("unmapped", name, f"/microsoft-tenants/{microsoft_tenant_id}")
        for microsoft_tenant_id, name in rows
    ]
