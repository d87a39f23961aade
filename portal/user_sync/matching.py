"""How many Microsoft users some filters match, fast enough for a live line (U5): columns of the mirror, no decisions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session, defer

from portal.engine import scope
from portal.engine.records import FilterSpec, RemoteUser
from portal.models import DirectoryGroup, DirectoryUser, GroupMembership, MicrosoftTenant

HIDDEN_MEMBERS = "hidden members"  # how the mirror ends the kind of such a group
NAMED = 200  # people who stay are named up to here; the list of End Users has the others


@dataclass(frozen=True)
class Match:
    """matching of total users fit all five sections; sections: how many each accepts by itself.

    uncounted: ids of chosen groups whose members were not read yet, so that the numbers are lower bounds.
    hidden: names of those of them that a read went by, since Microsoft hides their members from the portal.
    """

    matching: int
    total: int
    sections: Mapping[str, int]
    uncounted: tuple[str, ...] = ()
    hidden: tuple[str, ...] = ()


def count(session: Session, microsoft_tenant: MicrosoftTenant, spec: FilterSpec) -> Match:
    """Judge every present user of the mirror by ``spec`` (S1-S6). Records that cannot be used match nothing (G8)."""
    groups_of, deleted, waiting = _groups(session, microsoft_tenant.id, spec)
    hidden = tuple(row.display_name for row in waiting if _is_hidden(row, microsoft_tenant))
    columns = (
        DirectoryUser.object_id,
        DirectoryUser.email,
        DirectoryUser.user_type,
        DirectoryUser.office_location,
        DirectoryUser.department,
        DirectoryUser.problem,
    )
    rows = session.execute(
        select(*columns).where(
            DirectoryUser.microsoft_tenant_id == microsoft_tenant.id, DirectoryUser.presence == "present"
        )
    ).all()
    users = (
        RemoteUser(object_id, email=email, user_type=kind, office_location=office, department=department)
        for object_id, email, kind, office, department, problem in rows
        if not problem
    )
    matching, _, sections = scope.count_matches(users, groups_of, spec, deleted)
    return Match(matching, len(rows), sections, tuple(row.object_id for row in waiting), hidden)


def staying(
    session: Session, microsoft_tenant: MicrosoftTenant, before: FilterSpec, after: FilterSpec
) -> list[Mapping[str, str]]:
    """By name, the first ``NAMED`` of the people that both filters accept: who stays in an edit (U11)."""
    both = []
    for spec in (before, after):
        groups_of, deleted, _ = _groups(session, microsoft_tenant.id, spec)
        both.append((scope.prepare(spec, deleted), groups_of))
    rows = session.scalars(
        select(DirectoryUser)
        .options(defer(DirectoryUser.raw))
        .where(
            DirectoryUser.microsoft_tenant_id == microsoft_tenant.id,
            DirectoryUser.presence == "present",
            DirectoryUser.problem == "",
        )
        .order_by(func.lower(DirectoryUser.display_name), DirectoryUser.object_id)
        .execution_options(yield_per=500)
    )
    found: list[Mapping[str, str]] = []
    for row in rows:
        user = RemoteUser(
            row.object_id,
            email=row.email,
            user_type=row.user_type,
            office_location=row.office_location,
            department=row.department,
        )
        if all(one.accepts(user, groups.get(row.object_id, frozenset())) for one, groups in both):
            found.append({"display_name": row.display_name, "email": row.email, "object_id": row.object_id})
        if len(found) == NAMED:
            break
    return found


def _groups(
    session: Session, microsoft_tenant_id: str, spec: FilterSpec
) -> tuple[dict[str, frozenset[str]], frozenset[str], list[DirectoryGroup]]:
    """Groups by user, which of the chosen are gone, and which were not read yet."""
    wanted = [value for value in spec.group.values if value]
    if spec.group.all or not wanted:
        return {}, frozenset(), []
    of_user: dict[str, set[str]] = {}
    members = session.execute(
        select(GroupMembership.user_object_id, GroupMembership.group_object_id).where(
            GroupMembership.microsoft_tenant_id == microsoft_tenant_id,
            GroupMembership.group_object_id.in_(wanted),
        )
    )
    for user_id, group_id in members:
        of_user.setdefault(user_id, set()).add(group_id)
    known = {
        row.object_id: row
        for row in session.scalars(
            select(DirectoryGroup).where(
                DirectoryGroup.microsoft_tenant_id == microsoft_tenant_id,
                DirectoryGroup.object_id.in_(wanted),
                DirectoryGroup.is_deleted.is_(False),
            )
        )
    }
    return (
        {user: frozenset(groups) for user, groups in of_user.items()},
        frozenset(wanted) - set(known),
        [row for row in known.values() if row.members_read_at is None],
    )


def _is_hidden(row: DirectoryGroup, microsoft_tenant: MicrosoftTenant) -> bool:
    """Whether a read that wanted the members of a group which hides them came back without."""
    read_at, wanted_at = microsoft_tenant.last_synced_at, row.members_wanted_at
    is_read = wanted_at is not None and read_at is not None and read_at > wanted_at
    return is_read and row.kind.endswith(HIDDEN_MEMBERS)
