"""Wrong-tenant recovery (P12, R3): what a sync created may go, what it only linked is kept and unlinked.

Nothing that existed before the sync is ever deleted here.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session, selectinload

from portal import audit
from portal.clock import utcnow
from portal.errors import Invalid, Refused
from portal.models import Asset, Conflict, EndUser, Link, Organization, SyncRun, UserSync

CHUNK = 500


@dataclass(frozen=True)
class Candidate:
    """One End User the recovery page lists. ``warnings`` says why to look twice, in words."""

    end_user: EndUser
    warnings: tuple[str, ...]


@dataclass(frozen=True)
class Listing:
    """created: End Users that a sync created, still linked or not. linked: older people that a sync only linked."""

    created: Sequence[Candidate]
    linked: Sequence[Candidate]
    untouched: int


def candidates(session: Session, organization: Organization) -> Listing:
    """Who would go and who would stay, by name (R3)."""
    rows = session.scalars(
        select(EndUser)
        .where(EndUser.organization_id == organization.id)
        .options(selectinload(EndUser.link), selectinload(EndUser.assets))
        .order_by(EndUser.sort_name, EndUser.id)
    ).all()
    created = [Candidate(row, _warnings(row)) for row in rows if row.source == "sync"]
    linked = [Candidate(row, _warnings(row)) for row in rows if row.source != "sync" and row.link is not None]
    return Listing(created, linked, len(rows) - len(created) - len(linked))


def first_run(session: Session, organization: Organization) -> SyncRun | None:
    """The first run of the Organization: when the wrong people came, and who started it."""
    return session.scalar(
        select(SyncRun)
        .where(SyncRun.organization_id == organization.id, SyncRun.started_at.is_not(None))
        .order_by(SyncRun.created_at)
        .limit(1)
    )


def clean_up(
    session: Session, organization: Organization, *, delete_ids: Collection[str], unlink: bool
) -> tuple[int, int]:
    """Delete the confirmed End Users and unlink the others; gives (deleted, unlinked). The caller commits.

    Raises Refused while the User Sync is enabled (R1: disable first) and Invalid when an id is not one that a sync
    created: then nothing is done.
    """
    sync = session.scalar(select(UserSync).where(UserSync.organization_id == organization.id))
    if sync is not None and sync.enabled:
        raise Refused(
            f"{organization.name} still syncs. Disable its User Sync first, or the next run would bring everybody back.",
            link=f"/organizations/{organization.id}/user-sync/disable",
        )
    wanted = list(dict.fromkeys(delete_ids))
    allowed: set[str] = set()
    for start in range(0, len(wanted), CHUNK):
        part = wanted[start : start + CHUNK]
        statement = select(EndUser.id).where(
            EndUser.id.in_(part), EndUser.organization_id == organization.id, EndUser.source == "sync"
        )
        allowed.update(session.scalars(statement))
    if len(allowed) != len(wanted):
        raise Invalid(
            {
                "delete": [
                    "Some of these people were not created by a sync, or are gone already. Look at the list again."
                ]
            }
        )
    for start in range(0, len(wanted), CHUNK):
        _delete(session, wanted[start : start + CHUNK])
    unlinked = _unlink(session, organization) if unlink else 0
    session.execute(
        update(Conflict)
        .where(Conflict.organization_id == organization.id, Conflict.resolved_at.is_(None))
        .values(resolution="gone", resolved_at=utcnow())
    )
    audit.record(
        session,
        "recovery_done",
        object_type="organization",
        object_id=organization.id,
        organization=organization.name,
        deleted=len(wanted),
        unlinked=unlinked,
    )
    session.expire_all()
    return len(wanted), unlinked


def _warnings(row: EndUser) -> tuple[str, ...]:
    found = []
    if row.edited_at is not None:
        found.append("edited by hand")
    if row.notes:
        found.append("has notes")
    if row.assets:
        found.append("owns 1 Asset" if len(row.assets) == 1 else f"owns {len(row.assets)} Assets")
    return tuple(found)


def _delete(session: Session, ids: Sequence[str]) -> None:
    session.execute(
        update(Asset).where(Asset.end_user_id.in_(ids)).values(end_user_id=None, assigned_by=None)
    )
    session.execute(delete(Link).where(Link.end_user_id.in_(ids)))
    session.execute(delete(EndUser).where(EndUser.id.in_(ids)))


def _unlink(session: Session, organization: Organization) -> int:
    result = session.execute(delete(Link).where(Link.organization_id == organization.id))
    return int(result.rowcount)  # type: ignore[attr-defined]
