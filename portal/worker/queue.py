"""The queue: runs are rows (decisions 001 and 009). What is due now, and the hourly runs the schedule adds (T1, T3, G2)."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Exists, Row, Select, and_, bindparam, exists, or_, select, update
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session, aliased

from portal.engine import failures, schedule
from portal.engine.batches import batches
from portal.engine.scope import spec_from_json
from portal.models import ACTIVE, MicrosoftTenant, Organization, SyncRun, Tenant, UserSync
from portal.models.microsoft import IS_CONNECTED
from portal.transactions import begin_write, roll_back, trouble, waiting_for_locks

log = logging.getLogger(__name__)

CHECK_EVERY = timedelta(hours=24)
SLOW_PATIENCE = timedelta(hours=1)
"""How long a slow pass lets hourly runs go first, so that it comes to its turn where runs never stop waiting."""
ROUND_PATIENCE = 0.5
"""Seconds that the schedule waits for what tenants' rows depend on; the next round comes soon."""
QUEUED_AT_ONCE = 25
"""Tenants whose runs are queued in one transaction: most of what it takes is the same for one."""

_TAKE_TURN = (
    update(MicrosoftTenant.__table__)  # type: ignore[arg-type]
    .where(MicrosoftTenant.id == bindparam("of_tenant"), MicrosoftTenant.next_run_at == bindparam("turn"))
    .values({MicrosoftTenant.next_run_at: bindparam("later")})
)


@dataclass(frozen=True)
class QueuedTask:
    """A Microsoft Tenant with something to do in one lane. ``version`` changes when new work comes in."""

    microsoft_tenant_id: str
    lane: str  # hourly | delayed | slow | check
    version: str = ""


def new_run(
    row: UserSync,
    microsoft_tenant_id: str,
    *,
    trigger: str,
    now: datetime,
    by: str,
    fingerprint: str | None = None,
    only_object_id: str | None = None,
) -> SyncRun:
    """A queued run. Until the initial sync is over, every run is one and takes its lane (T3)."""
    spec = spec_from_json(row.filters)
    return SyncRun(
        organization_id=row.organization_id,
        microsoft_tenant_id=microsoft_tenant_id,
        generation=row.generation,
        trigger=trigger,
        lane=str(schedule.lane(spec, is_initial=row.initial_done_at is None)),
        plan_fingerprint=fingerprint,
        only_object_id=only_object_id,
        started_by=by,
        created_at=now,
    )


def queue_due(session: Session, now: datetime, interval_minutes: int) -> int:
    """Queue the hourly runs that are due, once however many were missed (T1). Returns their number.

    Some tenants at a time, in transactions which this commits. One whose rows somebody holds, such as a worker that was stopped
    in a transaction, is passed over until the next round and keeps no other waiting.
    """
    turns = session.execute(
        due_tenants(now).with_only_columns(MicrosoftTenant.id, MicrosoftTenant.next_run_at)
    )
    due = [(tenant_id, turn) for tenant_id, turn in turns if turn is not None]
    queued = sum(_queue(session, dict(part), now, interval_minutes) for part in batches(due, QUEUED_AT_ONCE))
    if queued:
        log.info("action=queue trigger=hourly runs=%d", queued)
    return queued


def _queue(session: Session, turns: Mapping[str, datetime], now: datetime, interval_minutes: int) -> int:
    """Queue these tenants, by id with the due time. If a lock cannot be had, each is tried by itself."""
    try:
        with waiting_for_locks(ROUND_PATIENCE):
            begin_write(session)
            queued = _queue_tenants(session, turns, now, interval_minutes)
            session.commit()
    except OperationalError as error:
        if trouble(error) is None:
            raise
        roll_back(session)
        if len(turns) > 1:
            return sum(
                _queue(session, {tenant_id: turn}, now, interval_minutes) for tenant_id, turn in turns.items()
            )
        log.warning("action=queue_later microsoft_tenant=%s", *turns)
        return 0
    return queued


def _queue_tenants(
    session: Session, turns: Mapping[str, datetime], now: datetime, interval_minutes: int
) -> int:
    """Set the next time by a conditional UPDATE first, so that one of several processes queues."""
    held = _hold_rows(session, turns)
    due = [
        tenant_id
        for tenant_id, failures_in_row in held.items()
        if _take_turn(
            session,
            tenant_id,
            turns[tenant_id],
            schedule.next_run(now, tenant_id, interval_minutes, failures_in_row),
        )
    ]
    runs = [
        new_run(sync, tenant_id, trigger="hourly", now=now, by="schedule")
        for sync, tenant_id in _idle_syncs(session, due)
        # Where the tenant fails its own back-off holds.
        if held[tenant_id] or not failures.is_backing_off(session, sync, now, interval_minutes)
    ]
    session.add_all(runs)
    session.flush()
    return len(runs)


def _take_turn(session: Session, tenant_id: str, turn: datetime, later: datetime) -> bool:
    parameters = {"of_tenant": tenant_id, "turn": turn, "later": later}
    return session.connection().execute(_TAKE_TURN, parameters).rowcount == 1


def _hold_rows(session: Session, tenant_ids: Collection[str]) -> dict[str, int]:
    """Lock tenants and their Organizations against a concurrent Sync Now. Returns how often each failed in a row.

    Tenants of which another transaction has a row are left out.
    """
    below = (
        select(Organization.id, Tenant.microsoft_tenant_id)
        .join(Tenant, Tenant.id == Organization.tenant_id)
        .where(Tenant.microsoft_tenant_id.in_(tenant_ids))
        .order_by(Organization.id)
    )
    rows = session.execute(below).all()
    locked = below.with_for_update(of=Organization, key_share=True, skip_locked=True)
    held = {organization_id for organization_id, _ in session.execute(locked)}
    busy = {tenant_id for organization_id, tenant_id in rows if organization_id not in held}
    own = (
        select(MicrosoftTenant.id, MicrosoftTenant.failures_in_row)
        .where(MicrosoftTenant.id.in_([tenant_id for tenant_id in tenant_ids if tenant_id not in busy]))
        .order_by(MicrosoftTenant.id)
        .with_for_update(key_share=True, skip_locked=True)
    )
    session.expire_all()
    return {tenant_id: number for tenant_id, number in session.execute(own)}


def next_turn(
    session: Session, sync: UserSync, tenant: MicrosoftTenant, interval_minutes: int
) -> datetime | None:
    """When ``queue_due`` queues this sync next: the tenant's turn, or a later one while the sync backs off (G2)."""
    turn = tenant.next_run_at
    if turn is None or tenant.failures_in_row:
        return turn
    until = failures.backs_off_until(session, sync, interval_minutes)
    return turn if until is None else schedule.first_turn(turn, until, interval_minutes)


def due_tenants(now: datetime) -> Select[MicrosoftTenant]:
    """Tenants that are due."""
    return (
        select(MicrosoftTenant)
        .where(MicrosoftTenant.next_run_at <= now)
        .order_by(MicrosoftTenant.next_run_at)
    )


def _idle_syncs(session: Session, microsoft_tenant_ids: Collection[str]) -> Sequence[Row[UserSync, str]]:
    """The enabled User Syncs under some Microsoft Tenants that neither run nor wait to, each with the id of its own."""
    active = exists().where(
        SyncRun.organization_id == UserSync.organization_id,
        SyncRun.status.in_(ACTIVE),
        SyncRun.kind == "sync",
        SyncRun.only_object_id.is_(None),
    )
    return session.execute(
        select(UserSync, MicrosoftTenant.id)
        .join(Organization, Organization.id == UserSync.organization_id)
        .join(Tenant, Tenant.id == Organization.tenant_id)
        .join(MicrosoftTenant, MicrosoftTenant.id == Tenant.microsoft_tenant_id)
        .where(MicrosoftTenant.id.in_(microsoft_tenant_ids), UserSync.enabled.is_(True), ~active)
        .order_by(UserSync.enabled_at)
    ).all()


def waiting(session: Session, now: datetime, owner: str = "") -> list[QueuedTask]:
    """Tenants without a lease that have runs or a read to do: queued ones, and ``running`` ones of a process that died (G4).

    owner: the caller. Its own leases count too: it could not release one while the database was away.
    """
    free = or_(
        MicrosoftTenant.lease_owner.is_(None),
        MicrosoftTenant.lease_owner == owner,
        MicrosoftTenant.lease_expires_at <= now,
    )
    patient = _may_be_asked(MicrosoftTenant, now)
    tasks: list[QueuedTask] = []
    for lane in ("hourly", "delayed"):
        runs = (
            select(SyncRun.microsoft_tenant_id, SyncRun.id)
            .join(MicrosoftTenant, MicrosoftTenant.id == SyncRun.microsoft_tenant_id)
            .where(SyncRun.status.in_(ACTIVE), SyncRun.lane == lane, free, patient)
            .order_by(SyncRun.created_at)
        )
        versions: dict[str, str] = {}
        for tenant_id, run_id in session.execute(runs):
            versions[str(tenant_id)] = run_id
        tasks.extend(QueuedTask(tenant_id, lane, version) for tenant_id, version in versions.items())
    with_runs = {work.microsoft_tenant_id for work in tasks if work.lane == "hourly"}
    reads = select(MicrosoftTenant.id, MicrosoftTenant.read_requested_at).where(
        MicrosoftTenant.read_requested_at.is_not(None), free, patient
    )
    tasks.extend(
        QueuedTask(tenant_id, "hourly", str(asked_at))
        for tenant_id, asked_at in session.execute(reads)
        if tenant_id not in with_runs
    )
    return tasks


def throttled_until(session: Session, runs: Iterable[SyncRun], now: datetime) -> dict[str, datetime]:
    """Run id → end of the wait that Microsoft asks for, of the runs that are queued for that (G5, see ``waiting``).

    A tenant that was never read waits for its next try besides, which nobody asked for.
    """
    queued = {run.id: run.microsoft_tenant_id for run in runs if run.status == "queued"}
    if not queued:  # as nearly always when a page that is watched asks again
        return {}
    statement = select(MicrosoftTenant.id, MicrosoftTenant.throttled_until).where(
        MicrosoftTenant.id.in_(set(queued.values())),
        MicrosoftTenant.throttled_until > now,
        MicrosoftTenant.last_synced_at.is_not(None),
    )
    until = {tenant_id: at for tenant_id, at in session.execute(statement) if at is not None}
    return {run_id: until[tenant_id] for run_id, tenant_id in queued.items() if tenant_id in until}


def has_first_sync(session: Session) -> bool:
    """Whether somebody watches a first sync that waits or runs, so that unattended work should wait."""
    return bool(session.scalar(select(_first_sync())))


def _first_sync(*which: ColumnElement[bool]) -> Exists:
    return exists().where(
        *which,
        SyncRun.status.in_(ACTIVE),
        SyncRun.kind == "sync",
        UserSync.organization_id == SyncRun.organization_id,
        UserSync.enabled.is_(True),
        UserSync.initial_done_at.is_(None),
    )


def slow_waiting(session: Session, now: datetime, owner: str = "") -> list[QueuedTask]:
    """Tenants whose slow pass is due (T7), the longest waiting first. owner: as of ``waiting``.

    It does not begin while its tenant's first sync waits or runs: somebody watches that one, and both need the same processor.
    Nor, for an hour, while hourly runs of whichever tenant wait for their turn: people come before what is told of them.
    """
    statement = (
        select(MicrosoftTenant.id, MicrosoftTenant.slow_due_at)
        .where(
            MicrosoftTenant.slow_due_at <= now,
            or_(
                MicrosoftTenant.slow_lease_owner.is_(None),
                MicrosoftTenant.slow_lease_owner == owner,
                MicrosoftTenant.slow_lease_expires_at <= now,
            ),
            ~_first_sync(SyncRun.microsoft_tenant_id == MicrosoftTenant.id).correlate(MicrosoftTenant),
            or_(MicrosoftTenant.slow_due_at <= now - SLOW_PATIENCE, ~_is_behind(now)),
        )
        .order_by(MicrosoftTenant.slow_due_at)
    )
    return [QueuedTask(tenant_id, "slow", str(due_at)) for tenant_id, due_at in session.execute(statement)]


def _is_behind(now: datetime) -> Exists:
    """Whether runs of the hourly lane wait only for a worker."""
    tenant = aliased(MicrosoftTenant)
    return exists().where(
        SyncRun.status == "queued",
        SyncRun.lane == "hourly",
        tenant.id == SyncRun.microsoft_tenant_id,
        _may_be_asked(tenant, now),
    )


def _may_be_asked(tenant: type[MicrosoftTenant], now: datetime) -> ColumnElement[bool]:
    """Microsoft has not asked to wait, or the wait is over (G5)."""
    return or_(tenant.throttled_until.is_(None), tenant.throttled_until <= now)


def checks_waiting(session: Session, now: datetime) -> list[QueuedTask]:
    """Tenants whose connection was not checked for a day (C4)."""
    last = MicrosoftTenant.checked_at
    statement = select(MicrosoftTenant.id).where(
        IS_CONNECTED,
        or_(
            and_(last.is_(None), MicrosoftTenant.connected_at <= now - CHECK_EVERY), last <= now - CHECK_EVERY
        ),
    )
    return [QueuedTask(tenant_id, "check") for tenant_id in session.scalars(statement)]


def flag_overdue(session: Session, now: datetime) -> int:
    """T3's alert: an initial sync that is not over 12 hours after enabling needs attention. The caller commits."""
    waiting_long = session.scalars(
        select(UserSync)
        .where(
            UserSync.enabled.is_(True),
            UserSync.initial_done_at.is_(None),
            UserSync.attention.is_(None),
        )
        .with_for_update(key_share=True, skip_locked=True)
    ).all()
    late = [row for row in waiting_long if row.enabled_at and schedule.is_overdue(row.enabled_at, now)]
    for row in late:
        row.attention = "The initial sync has not finished within 12 hours. It continues; open its run to see what delays it."
        row.attention_code = "overdue"
    session.flush()
    return len(late)
