"""Failing syncs: counted, reported, retried less and less often, and at once if the cause may be gone (G2)."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from portal.engine import schedule
from portal.models import Organization, SyncRun, Tenant, UserSync


def count(session: Session, organization_id: str, error: str, now: datetime) -> None:
    """One more run in a row that failed; the third needs attention. The caller commits."""
    sync = session.scalar(select(UserSync).where(UserSync.organization_id == organization_id))
    if sync is None:
        return
    sync.failures_in_row += 1
    sync.updated_at = now
    if schedule.needs_attention(sync.failures_in_row):
        sync.attention, sync.attention_code = error, "failing"


def is_backing_off(session: Session, sync: UserSync, now: datetime, interval_minutes: int) -> bool:
    """True while a sync that keeps failing, though the tenant can be read, waits longer than for its next hour."""
    until = backs_off_until(session, sync, interval_minutes)
    return until is not None and now < until


def backs_off_until(session: Session, sync: UserSync, interval_minutes: int) -> datetime | None:
    """When a sync that keeps failing runs again; None if it runs each hour (G2)."""
    if not schedule.needs_attention(sync.failures_in_row):
        return None
    last = session.scalar(
        select(func.max(SyncRun.finished_at)).where(
            SyncRun.organization_id == sync.organization_id,
            SyncRun.kind == "sync",
            SyncRun.only_object_id.is_(None),
        )
    )
    return None if last is None else schedule.rests_until(last, interval_minutes, sync.failures_in_row)


def reset_backoff(session: Session, microsoft_tenant_id: str) -> bool:
    """Make the syncs of a tenant due again, as the cause of their failures may be gone. Returns True if one was backing off."""
    organizations = (
        select(Organization.id)
        .join(Tenant, Tenant.id == Organization.tenant_id)
        .where(Tenant.microsoft_tenant_id == microsoft_tenant_id)
    )
    result = session.execute(
        update(UserSync)
        .where(
            UserSync.organization_id.in_(organizations),
            UserSync.enabled.is_(True),
            UserSync.failures_in_row >= schedule.ATTENTION_AFTER,
        )
        .values(failures_in_row=schedule.ATTENTION_AFTER - 1)
    )
    return bool(result.rowcount)  # type: ignore[attr-defined]
