"""What the parts of one read share: where it writes, how it tells its progress, and the links that it goes on from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy.orm import Session

from portal.engine.claims import Sessions, write_session
from portal.engine.normalize import SELECT
from portal.engine.ports import DirectorySource
from portal.errors import SourceError, SourceLicenseMissing, SourcePermissionMissing, SourceRejected
from portal.models import DeltaCursor, MicrosoftTenant

BATCH = 500
FINGERPRINT = hashlib.sha256(",".join(SELECT).encode()).hexdigest()[:40]
"""Binds stored links to the select list (graph-facts 3): another list means another read from the start."""


@dataclass
class ReadResult:
    """What a read found out. is_complete: absence may be concluded (L2). group_error: syncs with a Group filter must not run.

    group_errors: by lower-case id, groups whose members are unknown: syncs that name one must not run (S6).
    """

    is_complete: bool = False
    is_full: bool = False
    people: int = 0
    warnings: list[str] = field(default_factory=list)
    group_error: SourceError | None = None
    group_errors: dict[str, SourceError] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """One read of one Microsoft Tenant. progress: told (phase, done, total or None); it may raise to end the read.

    on_commit: told before and after each commit, for crash tests.
    """

    sessions: Sessions
    tenant_id: str
    source: DirectorySource
    now: Callable[[], datetime]
    progress: Callable[[str, int, int | None], None]
    on_commit: Callable[[str], None] = lambda _label: None

    def stored_link(self, resource: str) -> str | None:
        """The delta link of ``users`` or ``groups``; None when there is none for today's select list."""
        with self.sessions() as session:
            cursor = session.get(DeltaCursor, (self.tenant_id, resource))
            if cursor is None or cursor.fingerprint != FINGERPRINT:
                return None
            return cursor.link or None

    def keep_link(self, session: Session, resource: str, link: str) -> None:
        """Store a link in the transaction of the rows that it covers (G3); an empty one forgets the stored one."""
        cursor = session.get(DeltaCursor, (self.tenant_id, resource))
        if not link:
            if cursor is not None:
                session.delete(cursor)
            return
        if cursor is None:
            cursor = DeltaCursor(microsoft_tenant_id=self.tenant_id, resource=resource)
            session.add(cursor)
        cursor.link, cursor.fingerprint, cursor.obtained_at = link, FINGERPRINT, self.now()

    def remember(self, part: str, error: SourceError | None) -> None:
        """D3: a part that Microsoft does not give is remembered and shown, never an error of the run."""
        with write_session(self.sessions) as session:
            tenant = session.get_one(MicrosoftTenant, self.tenant_id)
            remember_capability(tenant, part, error, self.now())
            session.commit()


def remember_capability(tenant: MicrosoftTenant, part: str, error: SourceError | None, now: datetime) -> None:
    """Note in ``tenant.capabilities`` why a part is missing, or that it works."""
    found = dict(tenant.capabilities)
    if error is None:
        if part not in found:
            return
        del found[part]
    else:
        state = lacking_state(error)
        if found.get(part, {}).get("detail") == error.advice:
            return
        found[part] = {"state": state, "detail": error.advice, "at": now.isoformat()}
    tenant.capabilities = found


def lacking_state(error: SourceError) -> str:
    """The word of a check's result (C4) for what a tenant lacks."""
    if isinstance(error, SourceLicenseMissing):
        return "missing_license"
    return "missing_permission" if isinstance(error, SourcePermissionMissing) else "error"


def is_lacking(error: SourceError) -> bool:
    """True for a permission, license or endpoint that this tenant lacks until somebody changes it; not a fault that passes."""
    return isinstance(error, (SourcePermissionMissing, SourceLicenseMissing, SourceRejected))
