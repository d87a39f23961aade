"""The slow pass (T7): last sign-in, MFA and devices, after the people and in its own time; it never holds a run up.

Each part is stored as it comes, with its own age; a part that Microsoft does not give (license, permission) is remembered
and shown (D3). Devices then assign Assets (D2, W5).
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, insert, select

from portal.engine import account_activity, schedule
from portal.engine.asset_owners import assign_assets
from portal.engine.batches import BATCH, batches
from portal.engine.bulk import update_rows
from portal.engine.devices import normalize_mac
from portal.engine.mirror.context import lacking_state, remember_capability
from portal.engine.normalize import clean, parse_time
from portal.engine.pace import Pace
from portal.engine.ports import DirectorySource, RawObject, SourceFactory
from portal.errors import (
    LeaseLost,
    SourceAuthError,
    SourceError,
    SourceLicenseMissing,
    SourcePermissionMissing,
    SourceRejected,
    Stopped,
)
from portal.models import ManagedDevice, MicrosoftTenant, Organization, Tenant
from portal.transactions import SessionFactory
from portal.worker import leases
from portal.worker.leases import Lease

log = logging.getLogger(__name__)

ETHERNET_EVERY = timedelta(days=7)
RETRY_AFTER = timedelta(minutes=30)


@dataclass
class SlowPass:
    """Reads the slow parts of one Microsoft Tenant at a time."""

    sessions: SessionFactory
    source_factory: SourceFactory
    now: Callable[[], datetime]
    should_stop: Callable[[], bool] = lambda: False

    def run(self, tenant_id: str, owner: str) -> bool:
        """Run one pass. Returns False if another process runs it. Raises Stopped if the process ends; what was read stays."""
        lease = leases.acquire(self.sessions, tenant_id, owner, self.now, part="slow")
        if lease is None:
            return False
        slow_pass = _Pass(self, lease, self.now())
        try:
            slow_pass.work()
        except Stopped:
            raise
        except Exception as error:
            if leases.is_removed(self.sessions, tenant_id):
                log.info("action=tenant_removed part=slow microsoft_tenant=%s", tenant_id)
            elif isinstance(error, LeaseLost):
                log.warning("action=lease_lost part=slow microsoft_tenant=%s", tenant_id)
            else:
                raise
        finally:
            slow_pass.clear()
            lease.release()
        return True


@dataclass
class _Pass:
    """One pass over one tenant."""

    owner_pass: SlowPass
    lease: Lease
    began: datetime
    problems: list[dict[str, str]] = field(default_factory=list)

    @property
    def sessions(self) -> SessionFactory:
        return self.owner_pass.sessions

    @property
    def tenant_id(self) -> str:
        return self.lease.tenant_id

    def work(self) -> None:
        """Sign-ins, MFA, devices, Assets; each part by itself, so that a missing one does not stop the others."""
        try:
            source = self.owner_pass.source_factory(self.lease)
        except SourceError as error:
            self._end(error)
            return
        failed: SourceError | None = None
        parts: list[tuple[str, Callable[[DirectorySource], dict[str, datetime]]]] = [
            ("mfa", self._mfa),
            ("devices", self._devices),
        ]
        if self._sign_ins_due():
            parts.insert(0, ("sign_ins", self._sign_ins))
        for part, read in parts:
            try:
                self._done(part, read(source))
            except (SourceLicenseMissing, SourcePermissionMissing, SourceRejected) as error:
                self._missing(part, error)
            except SourceError as error:
                failed = error
                until = {} if error.retry_at is None else {"retry_at": error.retry_at.isoformat()}
                self.problems.append({"part": part, "state": "error", "detail": error.advice, **until})
                if isinstance(error, SourceAuthError):
                    break
        with self.lease.transaction() as session:
            account_activity.catch_up(session, self.tenant_id)
        self._assign_assets()
        self._end(failed)

    def _sign_ins_due(self) -> bool:
        with self.sessions() as session:
            tenants = session.scalar(select(func.count()).select_from(MicrosoftTenant)) or 0
            last = session.get_one(MicrosoftTenant, self.tenant_id).sign_ins_at
        return schedule.sign_ins_due(last, tenants, self.began)

    # -- parts: each gives the columns that say how old its figures are ---------------------------------------------------------------------------------------------------

    def _sign_ins(self, source: DirectorySource) -> dict[str, datetime]:
        """Everybody once and then weekly; between, who signed in since the last pass."""
        began = self.owner_pass.now()
        with self.sessions() as session:
            tenant = session.get_one(MicrosoftTenant, self.tenant_id)
            since = schedule.sign_ins_since(tenant.sign_ins_at, tenant.sign_ins_full_at, began)
        try:
            self._read_sign_ins(source, since)
        except SourceRejected as error:
            if since is None or error.status != 400:
                raise
            since = None  # this tenant does not answer that question
            self._read_sign_ins(source, since)
        return {"sign_ins_at": began, **({"sign_ins_full_at": began} if since is None else {})}

    def _read_sign_ins(self, source: DirectorySource, since: datetime | None) -> None:
        """Last activity: the latest of the three dates Microsoft tells; absent means unknown, not inactive."""
        done = 0
        for page in source.sign_ins(since):
            self._check()
            values = {
                str(item["id"]).lower(): {"last_sign_in_at": last_activity(item)}
                for item in page
                if item.get("id")
            }
            self._store({i: v for i, v in values.items() if v["last_sign_in_at"] is not None})
            done += len(page)
            self._progress("Last sign-in", done)

    def _mfa(self, source: DirectorySource) -> dict[str, datetime]:
        """MFA registration; disabled people are not in the report, so a missing row keeps what was known."""
        done = 0
        for page in source.registration_details():
            self._check()
            values = {}
            for item in page:
                registered = item.get("isMfaRegistered")
                if item.get("id") and isinstance(registered, bool):
                    methods = item.get("methodsRegistered")
                    names = [clean(str(m))[:60] for m in methods] if isinstance(methods, list) else []
                    values[str(item["id"]).lower()] = {"mfa_registered": registered, "mfa_methods": names}
            self._store(values)
            done += len(page)
            self._progress("MFA", done)
        return {"mfa_at": self.owner_pass.now()}

    def _devices(self, source: DirectorySource) -> dict[str, datetime]:
        """Intune devices; the Ethernet address costs a call each, so it is kept and read again weekly."""
        devices: dict[str, dict[str, Any]] = {}
        for page in source.managed_devices():
            self._check()
            for item in page:
                if item.get("id"):
                    devices[str(item["id"])] = _device(item)
            self._progress("Devices", len(devices))
        now = self.owner_pass.now()
        with self.lease.transaction() as session:
            rows = {
                row.device_id: row
                for row in session.scalars(
                    select(ManagedDevice).where(ManagedDevice.microsoft_tenant_id == self.tenant_id)
                )
            }
            for device_id in rows.keys() - devices.keys():
                session.delete(rows[device_id])
            new_rows = []
            for device_id, values in devices.items():
                row = rows.get(device_id)
                if row is None:
                    new_rows.append({"microsoft_tenant_id": self.tenant_id, "device_id": device_id, **values})
                else:
                    for name, value in values.items():
                        if getattr(row, name) != value:
                            setattr(row, name, value)
            for added in batches(new_rows):
                session.execute(insert(ManagedDevice), added)
        self._ethernet(source, devices, rows, now)
        return {"devices_at": now}

    def _ethernet(
        self,
        source: DirectorySource,
        device_ids: Iterable[str],
        rows: Mapping[str, ManagedDevice],
        now: datetime,
    ) -> None:
        stale = [
            i
            for i in device_ids
            if (row := rows.get(i)) is None
            or row.ethernet_read_at is None
            or now - row.ethernet_read_at > ETHERNET_EVERY
        ]
        done = 0
        for part in batches(stale, 100):
            self._check()
            macs = source.ethernet_macs(part)
            updates = [
                {
                    "microsoft_tenant_id": self.tenant_id,
                    "device_id": device_id,
                    "ethernet_mac": normalize_mac(macs.get(device_id)),
                    "ethernet_read_at": now,
                }
                for device_id in part
            ]
            with self.lease.transaction() as session:
                update_rows(session, ManagedDevice, updates, keys=("microsoft_tenant_id", "device_id"))
            done += len(part)
            self._progress("Devices", done)

    # -- Assets --------------------------------------------------------------------------------------------------

    def _assign_assets(self) -> None:
        """D2, W5: one Organization at a time."""
        with self.sessions() as session:
            organizations = session.scalars(
                select(Organization.id)
                .join(Tenant, Tenant.id == Organization.tenant_id)
                .where(Tenant.microsoft_tenant_id == self.tenant_id)
            ).all()
        for organization_id in organizations:
            with self.lease.transaction() as session:
                assign_assets(session, self.tenant_id, organization_id, self.owner_pass.now())

    # -- storing -------------------------------------------------------------------------------------------------

    def _store(self, values: Mapping[str, Mapping[str, Any]]) -> None:
        ids, at, pace = list(values), 0, Pace(BATCH)
        while at < len(ids):
            part = ids[at : at + min(pace.size, BATCH)]
            at += len(part)
            with pace.over(self.lease.transaction()) as session:
                account_activity.store(session, self.tenant_id, {i: values[i] for i in part})

    def _done(self, part: str, ages: Mapping[str, datetime]) -> None:
        with self.lease.transaction() as session:
            tenant = session.get_one(MicrosoftTenant, self.tenant_id)
            for name, at in ages.items():
                setattr(tenant, name, at)
            remember_capability(tenant, part, None, self.owner_pass.now())

    def _missing(self, part: str, error: SourceError) -> None:
        self.problems.append({"part": part, "state": lacking_state(error), "detail": error.advice})
        with self.lease.transaction() as session:
            remember_capability(
                session.get_one(MicrosoftTenant, self.tenant_id), part, error, self.owner_pass.now()
            )

    def _end(self, failed: SourceError | None) -> None:
        now = self.owner_pass.now()
        with self.lease.transaction() as session:
            tenant = session.get_one(MicrosoftTenant, self.tenant_id)
            tenant.slow_problems = self.problems
            read_since = tenant.slow_due_at is not None and tenant.slow_due_at > self.began
            if failed is not None and failed.retry_at is not None:
                tenant.slow_due_at = max(failed.retry_at, now + timedelta(minutes=1))
            elif not read_since:  # else a run has read people while this went on, and wants a pass of its own
                tenant.slow_due_at = now + (schedule.SLOW_PASS_EVERY if failed is None else RETRY_AFTER)
        log.info("action=slow_pass microsoft_tenant=%s problems=%d", self.tenant_id, len(self.problems))

    def _progress(self, phase: str, done: int) -> None:
        self._show({"phase": phase, "done": done})

    def _show(self, progress: Mapping[str, Any]) -> None:
        with self.lease.transaction() as session:
            session.get_one(MicrosoftTenant, self.tenant_id).slow_progress = dict(progress)

    def clear(self) -> None:
        """Clear the progress at the end of the pass, unless another worker has leased the tenant."""
        with contextlib.suppress(LeaseLost):
            self._show({})

    def _check(self) -> None:
        if self.owner_pass.should_stop():
            raise Stopped


def last_activity(item: RawObject) -> datetime | None:
    """The latest of the three sign-in dates; None when Microsoft tells none."""
    activity = item.get("signInActivity")
    if not isinstance(activity, dict):
        return None
    names = ("lastSignInDateTime", "lastNonInteractiveSignInDateTime", "lastSuccessfulSignInDateTime")
    dates = [moment for name in names if (moment := parse_time(activity.get(name))) is not None]
    return max(dates, default=None)


def _device(item: RawObject) -> dict[str, Any]:
    return {
        "name": clean(str(item.get("deviceName") or ""))[:256],
        "user_object_id": str(item.get("userId") or "").lower()[:64],
        "wifi_mac": normalize_mac(
            item.get("wiFiMacAddress") if isinstance(item.get("wiFiMacAddress"), str) else ""
        ),
        "last_sync_at": parse_time(item.get("lastSyncDateTime")),
    }
