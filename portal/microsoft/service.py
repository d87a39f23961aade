"""Microsoft Tenants: connect, check, read again, remove, and how they are shown (P1, C2-C4, R2)."""

from __future__ import annotations

import re
from collections.abc import Sequence

from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from portal import audit
from portal.clock import utcnow
from portal.engine import failures
from portal.errors import Invalid, NeedsAdmin, NotFound, Refused, RetryLater, SourceError
from portal.extensions import db
from portal.graph import discovery
from portal.graph.clouds import CLOUDS, DEFAULT, registered_in
from portal.locks import CHANGED, lock
from portal.microsoft import credentials, gateway
from portal.microsoft.credentials import AppRegistration
from portal.microsoft.gateway import Proof
from portal.models import (
    ConsentRequest,
    DeltaCursor,
    MicrosoftTenant,
    Organization,
    SyncRun,
    Tenant,
    UserSync,
)
from portal.models.microsoft import REMOVED
from portal.runtime import runtime
from portal.text import domain_key, is_guid
from portal.transactions import begin_write

WAIT_SECONDS = 3
FIRST_READ = "The first read of {name} is under way. Its users and groups appear in a moment."
CONNECTED, NEEDS_ATTENTION = "connected", "needs_attention"
_DOMAIN = re.compile(r"(?=.{4,253}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]")


def app_registration(cloud: str) -> AppRegistration:
    """The portal's app registration in ``cloud``. Raises NeedsAdmin when there is none."""
    return credentials.load(db.session(), runtime().settings, runtime().box, cloud)


def connect(directory_id: str, cloud: str = "global") -> MicrosoftTenant:
    """Connect a Microsoft Tenant by its GUID or a verified domain: a token, its organization, its domains.

    Asks Microsoft in between: requests use ``connect_releasing``. Raises Invalid on ``directory_id`` or ``cloud`` with
    Microsoft's refusal explained, Refused when it is connected already.
    """
    directory = checked_directory(directory_id, cloud)
    return add(_prove(directory, cloud), cloud)


def connect_releasing(directory_id: str, cloud: str = "global") -> MicrosoftTenant:
    """As ``connect``, but releases the database while Microsoft is asked (T6): nothing may be pending in the session."""
    directory = checked_directory(directory_id, cloud)
    registration = registration_or_invalid(cloud)
    db.session.rollback()
    proof = _prove(directory, cloud, registration)
    begin_write(db.session())
    return add(proof, cloud)


def checked_directory(directory_id: str, cloud: str) -> str:
    """The directory as it is asked for. Raises Invalid when it cannot be one, Refused when it is connected already."""
    directory = domain_key(directory_id)
    errors: dict[str, list[str]] = {}
    if not (is_guid(directory) or _DOMAIN.fullmatch(directory)):
        errors["directory_id"] = [
            "Enter the tenant ID, a GUID. The Microsoft Entra admin center shows it under Overview."
        ]
    if cloud not in gateway.CLOUDS:
        errors["cloud"] = ["Must be one of: " + ", ".join(gateway.CLOUDS) + "."]
    if errors:
        raise Invalid(errors)
    _refuse_known(directory)
    return directory


def directory_of(domain: str, cloud: str) -> str:
    """The tenant ID of a typed domain, from Microsoft. Raises Invalid and Refused as ``checked_directory`` does.

    Releases the database while Microsoft is asked (T6): nothing may be pending in the session.
    """
    db.session.rollback()
    try:
        directory_id = discovery.directory_of(gateway.cloud_of(runtime().settings, cloud), domain)
    except SourceError as error:
        raise Invalid({"directory_id": [error.advice]}, error.advice) from error
    _refuse_known(directory_id)
    return directory_id


def add(proof: Proof, cloud: str) -> MicrosoftTenant:
    """Keep a tenant that Microsoft has proven (C2), and ask for its first read. The caller commits and wakes.

    One that was removed before is the same again, so that the Links to it are found (L7).
    Raises Refused when it is connected already; the session is rolled back when that shows only now.
    """
    _refuse_known(proof.directory_id)
    now = utcnow()
    removed = _of_directory(proof.directory_id)
    if removed is not None:
        lock(db.session(), MicrosoftTenant, removed.id, "Microsoft tenant")
        _refuse_known(proof.directory_id)  # somebody else connected it while we waited for the row
    row = removed or MicrosoftTenant(directory_id=proof.directory_id)
    row.name, row.cloud, row.domains = proof.name, cloud, list(proof.domains)
    row.state, row.connected_at, row.read_requested_at = CONNECTED, now, now
    db.session.add(row)
    try:
        db.session.flush()
    except IntegrityError as error:  # somebody else connected it while Microsoft was asked
        db.session.rollback()
        _refuse_known(proof.directory_id)
        raise Refused(CHANGED) from error
    audit.record(
        db.session(), "microsoft_tenant_connected", row, name=row.name, directory_id=row.directory_id
    )
    return row


def reconnect(row: MicrosoftTenant, proof: Proof) -> None:
    """Take a connection up again after consent or a new secret. Raises Refused when another tenant answered (C2)."""
    if proof.directory_id != row.directory_id:
        raise Refused(
            f"The consent was given for another Microsoft tenant, {proof.name}. "
            f"Sign in as an administrator of {row.name} and try again."
        )
    row.name, row.domains = proof.name, list(proof.domains)
    mark_working(db.session(), row)
    request_read(row)
    audit.record(db.session(), "microsoft_tenant_reconnected", row, name=row.name)
    db.session.flush()


def request_read(row: MicrosoftTenant) -> None:
    """Ask for a read of people, groups and licenses; it starts by itself after the commit and ``wake()``.

    One that goes on already may have passed what is wanted: another follows it.
    """
    row.read_requested_at = utcnow()
    db.session.flush()


def mark_working(session: Session, row: MicrosoftTenant) -> None:
    """Mark the connection as working: syncs that waited for it run at once (G2)."""
    was_broken = row.state != CONNECTED
    was_resting = failures.reset_backoff(session, row.id)
    row.state, row.problem, row.problem_code, row.problem_since = CONNECTED, None, None, None
    if not was_broken and not row.failures_in_row and not was_resting:
        return
    row.failures_in_row = 0
    if row.next_run_at is not None or _enabled_below(session, row):
        row.next_run_at = utcnow()
    if row.last_synced_at is None:
        row.read_requested_at = row.read_requested_at or utcnow()


def try_again() -> None:
    """The app registration changed: every refused connection is tried at once, not at its next turn (G2)."""
    now = utcnow()
    for row in db.session.scalars(select(MicrosoftTenant).where(MicrosoftTenant.state == NEEDS_ATTENTION)):
        if row.next_run_at is not None:
            row.next_run_at = now
        request_read(row)


def mark_broken(row: MicrosoftTenant, error: SourceError) -> None:
    """Microsoft refuses the portal: say since when and why, once per tenant (G2)."""
    if row.state != NEEDS_ATTENTION:
        row.problem_since = utcnow()
    row.state, row.problem, row.problem_code = NEEDS_ATTENTION, error.advice, error.code or None


def remove(row: MicrosoftTenant) -> None:
    """Remove a Microsoft Tenant; End Users and their Links stay. Raises Refused while it is mapped.

    Its mirror is nobody's from here on: the caller, or the next round of upkeep, deletes it (``engine.mirror.removed``).
    Connected again, it finds these Links: nobody is doubled, and who left meanwhile is marked (L7). A read that is under way
    ends by itself at its next write: the lease is taken from it first, in this transaction. Raises NotFound when it is removed.
    """
    lock(db.session(), MicrosoftTenant, row.id, "Microsoft tenant")
    if row.is_removed:  # somebody else was first
        raise NotFound("There is no such Microsoft tenant.")
    tenant = db.session.scalar(select(Tenant).where(Tenant.microsoft_tenant_id == row.id))
    if tenant is not None:
        raise Refused(
            f"{row.name} is mapped to the Tenant {tenant.name}. Unmap it first.", link=f"/tenants/{tenant.id}"
        )
    now, session = utcnow(), db.session()
    _forget_reads(row)
    session.flush()
    session.execute(
        update(SyncRun)
        .where(SyncRun.microsoft_tenant_id == row.id, SyncRun.status.in_(("queued", "running")))
        .values(status="cancelled", finished_at=now, error="The Microsoft tenant was removed.")
    )
    session.execute(delete(DeltaCursor).where(DeltaCursor.microsoft_tenant_id == row.id))
    session.execute(delete(ConsentRequest).where(ConsentRequest.directory_id == row.directory_id))
    audit.record(session, "microsoft_tenant_removed", row, name=row.name, directory_id=row.directory_id)
    session.flush()
    session.expire_all()


def _forget_reads(row: MicrosoftTenant) -> None:
    """Reset to a tenant that was never read. Counters go on, so that no settled state matches again."""
    row.state = REMOVED
    row.problem = row.problem_code = row.problem_since = row.relationship_ends_at = None
    row.checked_at, row.checks, row.capabilities = None, [], {}
    row.users_count, row.failures_in_row, row.assets_assigned = 0, 0, 0
    row.read_requested_at = row.next_run_at = row.throttled_until = row.slow_due_at = None
    row.last_synced_at = row.last_full_read_at = row.incomplete_reason = None
    row.sign_ins_at = row.sign_ins_full_at = row.mfa_at = row.devices_at = None
    row.is_complete, row.agents_known = False, True
    row.slow_progress, row.slow_problems = {}, []
    row.lease_owner = row.lease_expires_at = row.slow_lease_owner = row.slow_lease_expires_at = None
    row.fence, row.slow_fence, row.mirror_version = row.fence + 1, row.slow_fence + 1, row.mirror_version + 1


def tenant_ids(rows: Sequence[MicrosoftTenant]) -> dict[str, str]:
    """Microsoft Tenant id -> id of the Tenant it is mapped to, for those that are."""
    ids = [row.id for row in rows]
    pairs = db.session.execute(
        select(Tenant.microsoft_tenant_id, Tenant.id).where(Tenant.microsoft_tenant_id.in_(ids))
    )
    return {microsoft_id: tenant_id for microsoft_id, tenant_id in pairs if microsoft_id is not None}


def mapped_to(organization: Organization) -> MicrosoftTenant | None:
    """The Microsoft Tenant that an Organization's Tenant is mapped to; None when it is not."""
    microsoft_tenant_id = organization.tenant.microsoft_tenant_id
    return None if microsoft_tenant_id is None else db.session.get(MicrosoftTenant, microsoft_tenant_id)


def _enabled_below(session: Session, row: MicrosoftTenant) -> bool:
    statement = (
        select(UserSync.id)
        .join(Organization, Organization.id == UserSync.organization_id)
        .join(Tenant, Tenant.id == Organization.tenant_id)
        .where(Tenant.microsoft_tenant_id == row.id, UserSync.enabled.is_(True))
    )
    return session.scalar(statement.limit(1)) is not None


def registration_or_invalid(cloud: str) -> AppRegistration:
    """The app registration for a form: Invalid with what to do when there is none, on ``cloud`` when that is chosen."""
    try:
        return app_registration(cloud)
    except NeedsAdmin as error:
        about = "directory_id" if cloud == DEFAULT else "cloud"
        raise Invalid({about: [error.advice]}, error.advice) from error


def _prove(directory: str, cloud: str, registration: AppRegistration | None = None) -> Proof:
    try:
        return gateway.prove(
            runtime().settings,
            registration or registration_or_invalid(cloud),
            directory_id=directory,
            cloud=cloud,
        )
    except SourceError as error:
        code = f" ({error.code})" if error.code and error.code not in error.advice else ""
        advice = error.advise("Ask for consent") + code
        raise Invalid({"directory_id": [advice]}, advice) from error


def connected(directory_id: str) -> MicrosoftTenant | None:
    """The Microsoft Tenant of a directory; None when it is not connected."""
    row = _of_directory(directory_id)
    return None if row is None or row.is_removed else row


def _refuse_known(directory_id: str) -> None:
    tenant = connected(directory_id)
    if tenant is not None:
        raise Refused(
            f"{tenant.name} is already connected, since {tenant.connected_at:%d %b %Y}.",
            link="/microsoft-tenants",
        )


def _of_directory(directory_id: str) -> MicrosoftTenant | None:
    return db.session.scalar(select(MicrosoftTenant).where(MicrosoftTenant.directory_id == directory_id))


def require_read(row: MicrosoftTenant) -> None:
    """Raise RetryLater before the first read of people, groups and licenses; it starts by itself on connecting."""
    if row.last_synced_at is not None:
        return
    if row.problem:
        raise RetryLater(f"{row.name} could not be read yet: {row.problem}", seconds=30)
    raise RetryLater(FIRST_READ.format(name=row.name), seconds=WAIT_SECONDS)


def gone() -> NotFound:
    """Somebody removed the Microsoft Tenant while Microsoft was asked."""
    return NotFound("There is no such Microsoft tenant. It may have been removed.")


def usable_clouds() -> list[str]:
    """The clouds that have an app registration, in the order of the table."""
    overviews = credentials.overviews(db.session(), runtime().settings)
    return [name for name in CLOUDS if overviews[registered_in(name)].client_id]
