"""What the parts of one read share: where it writes, how it reports progress, and the delta links it continues from."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

from sqlalchemy import Row, bindparam, select, update
from sqlalchemy.orm import Session

from portal.engine.normalize import SELECT
from portal.engine.ports import DirectorySource, Lease
from portal.errors import SourceError, SourceLicenseMissing, SourcePermissionMissing, SourceRejected
from portal.models import DeltaCursor, DirectoryGroup, DirectoryUser, MicrosoftTenant, SubscribedSku

# Built once: in an hour in which nothing changed, building them took longer than all that they read.
_TENANT = select(MicrosoftTenant.__table__).where(MicrosoftTenant.id == bindparam("tenant"))
_LINKS = select(DeltaCursor.resource, DeltaCursor.link).where(
    DeltaCursor.microsoft_tenant_id == bindparam("tenant"), DeltaCursor.fingerprint == bindparam("print")
)
_AGENTS = select(DirectoryUser.object_id).where(
    DirectoryUser.microsoft_tenant_id == bindparam("tenant"), DirectoryUser.is_agent.is_(True)
)
_GROUPS = select(
    DirectoryGroup.object_id,
    DirectoryGroup.is_deleted,
    DirectoryGroup.members_read_at,
    DirectoryGroup.members_stale,
    DirectoryGroup.hides_members,
).where(
    DirectoryGroup.microsoft_tenant_id == bindparam("tenant"),
    DirectoryGroup.object_id.in_(bindparam("group_ids", expanding=True))
    | DirectoryGroup.members_wanted_at.is_not(None),
)
_PRODUCTS = select(SubscribedSku.__table__).where(SubscribedSku.microsoft_tenant_id == bindparam("tenant"))
_KEEP_LINK = (
    update(DeltaCursor.__table__)  # type: ignore[arg-type]
    .where(
        DeltaCursor.microsoft_tenant_id == bindparam("of_tenant"),
        DeltaCursor.resource == bindparam("of_resource"),
    )
    .values({DeltaCursor.link: bindparam("new"), DeltaCursor.obtained_at: bindparam("now")})
)


@dataclass
class RefreshResult:
    """The result of a read. is_complete: absence may be concluded (L2). is_full: everybody was read.

    changed: something that decides of people is not what it was: a row of theirs, members of a group, a group that is gone.
    groups: lower-case ids of those whose members were asked for. group_error: syncs with a Group filter must not run.
    group_errors: by lower-case id, groups whose members are unknown: syncs that name one must not run (S6).
    """

    is_complete: bool = False
    is_full: bool = False
    changed: bool = False
    groups: frozenset[str] = frozenset()
    people: int = 0
    warnings: list[str] = field(default_factory=list)
    group_error: SourceError | None = None
    group_errors: dict[str, SourceError] = field(default_factory=dict)


@dataclass(frozen=True)
class RefreshContext:
    """One read of one leased Microsoft Tenant. progress: called with (phase, done, total or None); it may raise to end the read.

    What was stored when the read began: the tenant's row; links, the delta link of each resource that was made by the same
    questions; agents, who is known as one (S8); products, by id; groups, the ``requested_groups`` by lower-case id, and
    those that an open pop-up asks for. Only what nobody but a read writes is looked at, and one read goes on at a time.
    quiet_links: links to keep of answers that told nothing, see ``keep_quiet_links``.
    """

    lease: Lease
    source: DirectorySource
    now: Callable[[], datetime]
    progress: Callable[[str, int, int | None], None]
    tenant: Row[Any]
    links: Mapping[str, str]
    requested_groups: frozenset[str]
    agents: frozenset[str]
    groups: Sequence[Row[str, bool, datetime | None, bool, bool]]
    products: Mapping[str, Mapping[str, Any]]
    quiet_links: dict[str, str] = field(default_factory=dict)

    @classmethod
    def begin(
        cls,
        session: Session,
        lease: Lease,
        source: DirectorySource,
        now: Callable[[], datetime],
        progress: Callable[[str, int, int | None], None],
        requested_groups: frozenset[str],
    ) -> Self:
        """Begin a read. ``session``: loads what is stored."""
        connection, of = session.connection(), {"tenant": lease.tenant_id}
        tenant = connection.execute(_TENANT, of).one()
        links = connection.execute(_LINKS, {**of, "print": _fingerprint(source)})
        return cls(
            lease,
            source,
            now,
            progress,
            tenant,
            {resource: link for resource, link in links if link},
            requested_groups,
            frozenset(connection.scalars(_AGENTS, of)),
            stored_groups(session, lease.tenant_id, requested_groups),
            {row["sku_id"]: dict(row) for row in connection.execute(_PRODUCTS, of).mappings()},
        )

    @property
    def tenant_id(self) -> str:
        """Our id of the Microsoft Tenant."""
        return self.lease.tenant_id

    @property
    def version(self) -> int:
        """The version of the rows that this read changes."""
        return int(self.tenant.mirror_version) + 1

    def mark_changed(self, session: Session) -> None:
        """Record, in the transaction that changes it, that the mirror differs from what earlier runs decided on."""
        session.execute(
            update(MicrosoftTenant)
            .where(MicrosoftTenant.id == self.tenant_id)
            .values(mirror_version=self.version)
            .execution_options(synchronize_session=False)
        )

    def mark_members_old(self, session: Session) -> None:
        """Mark the stored members of groups as stale: they are read again on demand (S6)."""
        session.execute(
            update(DirectoryGroup)
            .where(
                DirectoryGroup.microsoft_tenant_id == self.tenant_id,
                DirectoryGroup.members_read_at.is_not(None),
                DirectoryGroup.members_stale.is_(False),
            )
            .values(members_stale=True)
            .execution_options(synchronize_session=False)
        )

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
        cursor.link, cursor.fingerprint, cursor.obtained_at = link, _fingerprint(self.source), self.now()

    def keep_quiet_links(self, session: Session) -> None:
        """Store the links of empty answers in the transaction that ends the read: they cover no rows (G3)."""
        rows = [
            {"of_tenant": self.tenant_id, "of_resource": resource, "new": link, "now": self.now()}
            for resource, link in self.quiet_links.items()
        ]
        if rows:
            session.connection().execute(_KEEP_LINK, rows)

    def remember(self, part: str, error: SourceError | None) -> None:
        """D3: a part that Microsoft does not provide is stored and shown, never an error of the run. Writes only a change."""
        if self.tenant.capabilities == _capabilities(self.tenant, part, error, self.now()):
            return
        with self.lease.transaction() as session:
            remember_capability(session.get_one(MicrosoftTenant, self.tenant_id), part, error, self.now())


def stored_groups(
    session: Session, tenant_id: str, group_ids: Collection[str]
) -> Sequence[Row[str, bool, datetime | None, bool, bool]]:
    """The stored state of the requested groups, deleted ones included."""
    parameters = {"tenant": tenant_id, "group_ids": sorted(group_ids)}
    return session.connection().execute(_GROUPS, parameters).all()


def _fingerprint(source: DirectorySource) -> str:
    """Binds stored links to select list, cloud and app (docs/microsoft-graph.md, 3): after a change the read starts anew."""
    return hashlib.sha256("\n".join((*SELECT, source.registration)).encode()).hexdigest()[:40]


def remember_capability(tenant: MicrosoftTenant, part: str, error: SourceError | None, now: datetime) -> None:
    """Note in ``tenant.capabilities`` why a part is missing, or that it works."""
    capabilities = _capabilities(tenant, part, error, now)
    if capabilities != tenant.capabilities:
        tenant.capabilities = capabilities


def _capabilities(
    tenant: MicrosoftTenant | Row[Any], part: str, error: SourceError | None, now: datetime
) -> dict[str, object]:
    capabilities = dict(tenant.capabilities)
    if error is None:
        capabilities.pop(part, None)
    elif capabilities.get(part, {}).get("detail") != error.advice:
        capabilities[part] = {"state": lacking_state(error), "detail": error.advice, "at": now.isoformat()}
    return capabilities


def lacking_state(error: SourceError) -> str:
    """The word of a check's result (C4) for what a tenant lacks."""
    if isinstance(error, SourceLicenseMissing):
        return "missing_license"
    return "missing_permission" if isinstance(error, SourcePermissionMissing) else "error"


def is_lacking(error: SourceError) -> bool:
    """True for a permission, license or endpoint that this tenant lacks until somebody changes it; not a fault that passes."""
    return isinstance(error, (SourcePermissionMissing, SourceLicenseMissing, SourceRejected))
