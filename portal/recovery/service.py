"""Wrong-tenant recovery (P12, R3): what a sync created may go; people it only linked are kept, restored and unlinked.

It is about the syncs with one Microsoft tenant, the wrong one. Nothing that existed before them is ever deleted here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import Select, and_, exists, or_, select, update
from sqlalchemy.orm import Session, selectinload

from portal import audit
from portal.clock import utcnow
from portal.end_users import service as end_users
from portal.engine.batches import batches, together
from portal.engine.restore import Restoration, apply_restore, plan_restore
from portal.engine.uniqueness import account_of
from portal.errors import Invalid, Refused
from portal.locks import lock
from portal.models import Conflict, EndUser, MicrosoftTenant, Organization, SyncRun, UserSync
from portal.models.customers import no_link
from portal.text import email_key


class Doubt(StrEnum):
    """Why to look twice before somebody is deleted."""

    UNLINKED = "unlinked"
    ELSEWHERE = "elsewhere"
    EDITED = "edited"
    NOTES = "notes"
    ASSETS = "assets"


@dataclass(frozen=True)
class SyncedTenant:
    """A Microsoft tenant of past syncs. is_removed: its connection was removed since."""

    id: str
    name: str
    is_removed: bool = False


@dataclass(frozen=True)
class Candidate:
    """One End User the recovery page lists."""

    end_user: EndUser
    doubts: tuple[Doubt, ...]


@dataclass(frozen=True)
class RecoveryPage:
    """created: End Users that these syncs created, still linked or not. linked: older people that they only linked.

    restorations: what goes back for each of the linked, in the same order. A Link of another tenant is none of these
    syncs' doing and stays.
    """

    microsoft_tenant_id: str
    created: Sequence[Candidate]
    linked: Sequence[Candidate]
    restorations: Sequence[Restoration]
    untouched: int

    def staying(self, delete_ids: Collection[str]) -> list[EndUser]:
        """Those of the created who stay when ``delete_ids`` go, as far as they are linked to this tenant still."""
        return [
            row
            for row in (
                candidate.end_user for candidate in self.created if candidate.end_user.id not in delete_ids
            )
            if row.microsoft_tenant_id == self.microsoft_tenant_id
        ]

    @property
    def is_settled(self) -> bool:
        """Nobody is linked to this tenant any more, and whoever it created and is here still was kept by choice."""
        return not self.linked and not any(candidate.end_user.is_linked for candidate in self.created)

    @property
    def restored(self) -> list[Restoration]:
        """Those of the linked to whom something comes back."""
        return [plan for plan in self.restorations if plan.fields]

    @property
    def spared(self) -> list[Restoration]:
        """Those of the linked with something that was edited since and therefore stays."""
        return [plan for plan in self.restorations if plan.spared]


@dataclass(frozen=True)
class RecoveryOutcome:
    """How many End Users were deleted, unlinked, and of these restored in at least one field."""

    deleted: int = 0
    unlinked: int = 0
    restored: int = 0

    def __add__(self, other: RecoveryOutcome) -> RecoveryOutcome:
        """Both, one after the other."""
        return RecoveryOutcome(
            self.deleted + other.deleted, self.unlinked + other.unlinked, self.restored + other.restored
        )


def synced_tenants(session: Session, organization: Organization) -> list[SyncedTenant]:
    """The Microsoft tenants this Organization was ever synced with, the latest first, removed ones too."""
    latest: dict[str, None] = {}
    rows = session.scalars(
        select(SyncRun.microsoft_tenant_id)
        .where(SyncRun.organization_id == organization.id, SyncRun.started_at.is_not(None))
        .order_by(SyncRun.created_at.desc())
    )
    latest.update((tenant_id, None) for tenant_id in rows if tenant_id is not None)
    linked = session.scalars(
        select(EndUser.microsoft_tenant_id)
        .where(EndUser.organization_id == organization.id, EndUser.microsoft_tenant_id.is_not(None))
        .distinct()
    )
    latest.update((tenant_id, None) for tenant_id in linked if tenant_id and tenant_id not in latest)
    tenants = {
        row.id: SyncedTenant(row.id, f"{row.name} (removed)" if row.is_removed else row.name, row.is_removed)
        for row in session.scalars(select(MicrosoftTenant).where(MicrosoftTenant.id.in_(latest)))
    }
    return [tenants[tenant_id] for tenant_id in latest if tenant_id in tenants]


def candidates(
    session: Session,
    organization: Organization,
    microsoft_tenant_id: str,
    only: Collection[str] | None = None,
) -> RecoveryPage:
    """Who would go and who would stay, by name, and what comes back (R3), of all or of ``only``. "" for no tenant: nobody."""
    statement = select(EndUser).where(EndUser.organization_id == organization.id)
    rows = session.scalars(
        (statement if only is None else statement.where(EndUser.id.in_(only)))
        .options(selectinload(EndUser.assets))
        .order_by(EndUser.sort_name, EndUser.id)
    ).all()
    theirs = set(session.scalars(_created_by(organization, microsoft_tenant_id)))
    created = [Candidate(row, _doubts(row, microsoft_tenant_id)) for row in rows if row.id in theirs]
    older = [row for row in rows if row.id not in theirs and row.microsoft_tenant_id == microsoft_tenant_id]
    plans = plan_restore(session, organization.id, microsoft_tenant_id, older)
    linked = [Candidate(row, _doubts(row, microsoft_tenant_id)) for row in older]
    return RecoveryPage(microsoft_tenant_id, created, linked, plans, len(rows) - len(created) - len(linked))


def _created_by(organization: Organization, microsoft_tenant_id: str) -> Select[str]:
    """Ids of End Users that a sync with this tenant created; those of a forgotten run go by their Link."""
    run = exists().where(
        SyncRun.id == EndUser.created_by_run_id, SyncRun.microsoft_tenant_id == microsoft_tenant_id
    )
    return select(EndUser.id).where(
        EndUser.organization_id == organization.id,
        EndUser.source == "sync",
        or_(
            run,
            and_(EndUser.created_by_run_id.is_(None), EndUser.microsoft_tenant_id == microsoft_tenant_id),
        ),
    )


def first_run(session: Session, organization: Organization) -> SyncRun | None:
    """The first run of the Organization: when the wrong people came, and who started it."""
    return session.scalar(
        select(SyncRun)
        .where(SyncRun.organization_id == organization.id, SyncRun.started_at.is_not(None))
        .order_by(SyncRun.created_at)
        .limit(1)
    )


def clean_up(
    session: Session,
    organization: Organization,
    microsoft_tenant_id: str,
    *,
    delete_ids: Collection[str],
    unlink: bool,
    only: Collection[str] | None = None,
) -> RecoveryOutcome:
    """Delete the confirmed End Users; restore and unlink those who were here before, all or ``only``. The caller commits.

    Raises Refused while the User Sync is enabled (R1: disable first) and Invalid when an id is not one that a sync with
    this tenant created: then nothing is done.
    """
    lock(session, Organization, organization.id)
    _refuse_while_syncing(session, organization)
    ids = list(dict.fromkeys(delete_ids))
    refuse_others(session, organization, microsoft_tenant_id, ids)
    end_users.delete_all(session, ids)
    unlinked, restored = 0, 0
    if unlink:
        people = candidates(session, organization, microsoft_tenant_id, only)
        unlinked = len(people.linked)
        apply_restore(session, people.restorations)
        staying = people.staying(())
        for row in staying:
            for name, value in no_link().items():
                setattr(row, name, value)
        unlinked, restored = unlinked + len(staying), len(people.restored)
    session.execute(
        update(Conflict)
        .where(Conflict.organization_id == organization.id, Conflict.resolved_at.is_(None))
        .values(resolution="gone", resolved_at=utcnow())
    )
    audit.record(
        session,
        "recovery_done",
        organization,
        organization=organization.name,
        deleted=len(ids),
        unlinked=unlinked,
        restored=restored,
    )
    session.flush()
    session.expire_all()
    return RecoveryOutcome(len(ids), unlinked, restored)


def _refuse_while_syncing(session: Session, organization: Organization) -> None:
    sync = session.scalar(select(UserSync).where(UserSync.organization_id == organization.id))
    if sync is not None and sync.enabled:
        raise Refused(
            f"{organization.name} still syncs. Disable its User Sync first, or the next run would add everyone again.",
            link=f"/organizations/{organization.id}/user-sync/disable",
        )


def refuse_others(
    session: Session, organization: Organization, microsoft_tenant_id: str, delete_ids: Collection[str]
) -> None:
    """Raise Invalid when one of ``delete_ids`` is not somebody that a sync with this tenant created."""
    allowed: set[str] = set()
    for part in batches(list(delete_ids)):
        allowed.update(
            session.scalars(_created_by(organization, microsoft_tenant_id).where(EndUser.id.in_(part)))
        )
    if not allowed.issuperset(delete_ids):
        sentence = "Some of these people were not created by a sync, or have already been deleted. Review the list again."
        raise Invalid({"delete": [sentence]})


def unlinking_parts(people: RecoveryPage, delete_ids: Collection[str]) -> list[list[str]]:
    """Whom ``clean_up`` unlinks, in groups that can be done one after the other; [[]] for nobody, as conflicts go all the same.

    Who gets back an address or an account that another one of them has now is in one group with them (M4, M5).
    """

    def keys(plan: Restoration) -> set[tuple[str, ...]]:
        row = plan.end_user
        held = {(row.microsoft_tenant_id or "", row.object_id or ""), ("address", row.email_key or row.id)}
        back = {("address", email_key(plan.fields["email"][1]))} if "email" in plan.fields else set()
        return held | back | ({account_of(plan.former_link)} if plan.former_link is not None else set())

    groups = together(people.restorations, keys)
    parts = [[plan.end_user.id for plan in group] for group in groups]
    return [*parts, *([row.id] for row in people.staying(delete_ids))] or [[]]


def _doubts(row: EndUser, microsoft_tenant_id: str) -> tuple[Doubt, ...]:
    doubts = {
        Doubt.UNLINKED: not row.is_linked,
        Doubt.ELSEWHERE: row.is_linked and row.microsoft_tenant_id != microsoft_tenant_id,
        Doubt.EDITED: row.edited_at is not None,
        Doubt.NOTES: bool(row.notes),
        Doubt.ASSETS: bool(row.assets),
    }
    return tuple(doubt for doubt, is_so in doubts.items() if is_so)
