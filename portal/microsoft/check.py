"""Check connection (C4): what the sync needs, call by call, kept with the Microsoft Tenant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal import audit
from portal.clock import utcnow
from portal.config import Settings
from portal.errors import Invalid, NeedsAdmin, NotFound, SourceAuthError, SourceError
from portal.extensions import db
from portal.graph.explain import is_credential
from portal.graph.source import Checked
from portal.microsoft import credentials, gateway, service
from portal.microsoft.credentials import AppRegistration
from portal.models import MicrosoftTenant
from portal.models.microsoft import IS_CONNECTED
from portal.runtime import Runtime, runtime
from portal.transactions import begin_write

LOSSES = {
    "User.Read.All": "needed: without it nobody can be synced",
    "Organization.Read.All": "needed: tells whose tenant it is, and the licenses",
    "GroupMember.Read.All": "needed for Group filters; everything else works without it",
    "Domain.Read.All": "optional: the tenant's verified domains are known without it too",
    "AuditLog.Read.All": "optional: without it last sign-in and MFA stay empty",
    "DeviceManagementManagedDevices.Read.All": "optional: without it Assets are not assigned by MAC address",
}
"""Permission -> what is lost without it (D3; docs/microsoft-graph.md, 0.1)."""

CORE = frozenset({Checked.TOKEN, Checked.PEOPLE, Checked.CHANGES})
"""Lines of the table without which nothing can be synced at all."""

LOOKS = 3
"""Times that a check asks when what is known of the connection changes meanwhile."""


@dataclass(frozen=True)
class Report:
    """checks: ``{"name","state","detail"}`` in the order of the table. problem: why Microsoft refuses the portal, or None.

    ends: of a partner tenant, when the relationships with its customers end (C5), by directory id.
    """

    checks: tuple[dict[str, Any], ...]
    problem: SourceError | None = None
    ends: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def works(self) -> bool:
        """People can be read: nothing less puts a connection right (G2)."""
        return all(line["state"] == "ok" for line in self.checks if line["name"] in CORE)


def unregistered(error: NeedsAdmin) -> Report:
    """The report without an app registration: nothing was asked, so nothing is known to work."""
    line = {"name": "App registration", "state": "error", "detail": error.advice, "permission": ""}
    return Report((line,), SourceAuthError(error.advice, code="no_app_registration"))


def examine(settings: Settings, registration: AppRegistration, *, directory_id: str, cloud: str) -> Report:
    """Ask Microsoft, with a fresh token. Uses no database; never raises for what Microsoft answers."""
    try:
        checks = tuple(gateway.check(settings, registration, directory_id=directory_id, cloud=cloud))
        ends = gateway.relationship_ends(settings, registration, directory_id=directory_id, cloud=cloud)
        return Report(checks, ends=ends)
    except SourceError as error:
        failed = {"name": "Connection", "state": "error", "detail": error.advice, "permission": ""}
        return Report((failed,), error)


def save(session: Session, row: MicrosoftTenant, report: Report) -> None:
    """Store the table and the connection's new state. The caller commits, and wakes the scheduler if it works again."""
    row.checks = list(report.checks)
    row.checked_at = utcnow()
    problem = report.problem or _withdrawn(report)
    if problem is None and report.works:
        service.mark_working(session, row)
    elif isinstance(problem, SourceAuthError):
        service.mark_broken(row, problem)
    for customer in session.scalars(
        select(MicrosoftTenant).where(IS_CONNECTED, MicrosoftTenant.directory_id.in_(report.ends))
    ):
        customer.relationship_ends_at = report.ends[customer.directory_id]
    audit.record(session, "microsoft_tenant_checked", row, name=row.name, state=row.state)
    session.flush()


def _withdrawn(report: Report) -> SourceAuthError | None:
    """Consent for reading people was withdrawn, though Microsoft still issues tokens (docs/microsoft-graph.md, 1.3)."""
    for line in report.checks:
        if line["name"] in CORE and line["state"] == "missing_permission":
            return SourceAuthError(str(line["detail"]), code="User.Read.All")
    return None


def check_releasing(row: MicrosoftTenant) -> MicrosoftTenant:
    """Check one tenant for a request, releasing the database meanwhile (T6): nothing may be pending in the session."""
    return _check(db.session(), runtime(), row)


def check_daily(within: Runtime, microsoft_tenant_id: str) -> None:
    """The daily check of one connection; a fixed one brings its syncs back at once (G2)."""
    with within.sessions() as session:
        row = session.get(MicrosoftTenant, microsoft_tenant_id)
        if row is None or row.is_removed:
            return
        try:
            _check(session, within, row)
        except NotFound:  # removed meanwhile
            return
        session.commit()


def _check(session: Session, within: Runtime, row: MicrosoftTenant) -> MicrosoftTenant:
    """Ask Microsoft and store the answer. Ask again if something newer was stored meanwhile (G4).

    A process may be stopped for hours between asking and writing. The caller commits. Raises NotFound when it is gone.
    """
    for _ in range(LOOKS):
        tenant_id, marks = row.id, _state_marks(row)
        report = _report_releasing(session, within, row)
        tenant = begin_write(session).get(
            MicrosoftTenant, tenant_id, with_for_update={"key_share": True}, populate_existing=True
        )
        if tenant is None or tenant.is_removed:
            raise service.gone()
        if _state_marks(tenant) == marks:
            save(session, tenant, report)
            return tenant
        row = tenant
    return row


def _state_marks(row: MicrosoftTenant) -> tuple[Any, ...]:
    """The values that change with every finding about a connection: a check, a read that began, a reconnection."""
    return row.checked_at, row.fence, row.connected_at, row.state, row.problem_code, row.read_requested_at


def _report_releasing(session: Session, within: Runtime, row: MicrosoftTenant) -> Report:
    directory_id, cloud = row.directory_id, row.cloud
    try:
        registration = credentials.load(session, within.settings, within.box, cloud)
    except NeedsAdmin as error:
        return unregistered(error)
    finally:
        session.rollback()
    return examine(within.settings, registration, directory_id=directory_id, cloud=cloud)


def try_releasing(registration: AppRegistration, cloud: str) -> str:
    """Try a new app registration at Microsoft before it is stored (C1). Returns the sentence about the outcome.

    Microsoft answers for a tenant only (docs/microsoft-graph.md, 1.2): the first that works with the present one is asked. Rolls
    back, to give the database back meanwhile (T6). Raises Invalid when the secret or certificate is wrong.
    """
    served = credentials.served_by(db.session(), cloud)
    tenant = next(
        (row for row in served if row.state != service.NEEDS_ATTENTION), served[0] if served else None
    )
    if tenant is None:
        db.session.rollback()
        return "Saved. Microsoft checks it when the first Microsoft tenant is connected."
    name, directory_id, its_cloud = tenant.name, tenant.directory_id, tenant.cloud
    db.session.rollback()
    try:
        gateway.ask_for_token(runtime().settings, registration, directory_id=directory_id, cloud=its_cloud)
    except SourceError as error:
        if is_credential(error):
            field = "certificate" if registration.certificate else "secret"
            raise Invalid({field: [error.advice]}) from error
        if isinstance(error, SourceAuthError):
            return f"Saved, but {name} cannot be read with it: {error.advice}"
        return "Saved. Microsoft is not answering right now, so the next sync shows whether it accepts this."
    return "Saved. Microsoft accepts it."
