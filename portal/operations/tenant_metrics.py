"""Metrics of each Microsoft Tenant, by lane: whose sync is late, waits, is slowed down, or wants a decision (O3).

The label ``microsoft_tenant`` is the portal's id, as in the address of its page: no names.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from prometheus_client.core import GaugeMetricFamily, Metric
from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from portal.clock import utcnow
from portal.models import MicrosoftTenant, Organization, SyncRun, Tenant, UserSync
from portal.models.microsoft import IS_CONNECTED

LABEL = "microsoft_tenant"
OVER = ("succeeded", "partial", "held", "failed")


def collect(session: Session) -> Iterable[Metric]:
    """One gauge family per question; five queries, however many Microsoft Tenants there are."""
    yield _ages(session)
    by_lane = (SyncRun.microsoft_tenant_id, SyncRun.lane)
    of_tenants = SyncRun.microsoft_tenant_id.is_not(None)
    queued = select(*by_lane, func.count()).where(SyncRun.status == "queued", of_tenants).group_by(*by_lane)
    yield _family(session, "queued_runs", "Runs that wait", queued, "lane")
    requests = _gauge("graph_requests", "Requests to Microsoft Graph of the runs that are kept", ("lane",))
    throttled = _gauge("throttled_seconds", "Seconds that Microsoft made the kept runs wait", ("lane",))
    sums = select(*by_lane, func.sum(SyncRun.graph_requests), func.sum(SyncRun.throttled_seconds))
    over = sums.where(SyncRun.status.in_(OVER), of_tenants).group_by(*by_lane)
    for tenant_id, lane, request_count, waited in session.execute(over):
        requests.add_metric([str(tenant_id), lane], float(request_count or 0))
        throttled.add_metric([str(tenant_id), lane], float(waited or 0))
    yield requests
    yield throttled
    yield _durations(session)
    holds = (
        select(Tenant.microsoft_tenant_id, func.count())
        .join(Organization, Organization.tenant_id == Tenant.id)
        .join(UserSync, UserSync.organization_id == Organization.id)
        .where(UserSync.hold_run_id.is_not(None), Tenant.microsoft_tenant_id.is_not(None))
        .group_by(Tenant.microsoft_tenant_id)
    )
    yield _family(session, "holds_waiting", "Holds that wait for a decision", holds)


def _ages(session: Session) -> Metric:
    """Of a Microsoft Tenant that was never read, the time since it was connected."""
    now = utcnow()
    family = _gauge("last_success_age_seconds", "Seconds since people, groups and licenses were read", ())
    since = func.coalesce(
        MicrosoftTenant.last_synced_at, MicrosoftTenant.connected_at, type_=MicrosoftTenant.connected_at.type
    )
    for tenant_id, at in session.execute(select(MicrosoftTenant.id, since).where(IS_CONNECTED)):
        family.add_metric([tenant_id], (now - at).total_seconds())
    return family


def _durations(session: Session) -> Metric:
    """How long the last run of each lane took."""
    family = _gauge("run_seconds", "How long the last run took", ("lane",))
    key = (SyncRun.microsoft_tenant_id, SyncRun.lane)
    last = (
        select(*key, func.max(SyncRun.finished_at).label("at"))
        .where(
            SyncRun.status.in_(OVER),
            SyncRun.started_at.is_not(None),
            SyncRun.microsoft_tenant_id.is_not(None),
        )
        .group_by(*key)
        .subquery()
    )
    rows = session.execute(
        select(*key, SyncRun.started_at, SyncRun.finished_at)
        .join(
            last,
            (key[0] == last.c.microsoft_tenant_id)
            & (key[1] == last.c.lane)
            & (SyncRun.finished_at == last.c.at),
        )
        .where(SyncRun.started_at.is_not(None))
    )
    for tenant_id, lane, started_at, finished_at in rows:
        if started_at is not None and finished_at is not None:
            family.add_metric([str(tenant_id), lane], (finished_at - started_at).total_seconds())
    return family


def _family(
    session: Session, name: str, text: str, statement: Select[*tuple[Any, ...]], *labels: str
) -> Metric:
    family = _gauge(name, text, labels)
    for *values, number in session.execute(statement):
        family.add_metric([str(value) for value in values], float(number or 0))
    return family


def _gauge(name: str, text: str, labels: Sequence[str]) -> GaugeMetricFamily:
    return GaugeMetricFamily(f"rollcall_microsoft_tenant_{name}", text, labels=[LABEL, *labels])
