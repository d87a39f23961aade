"""How many Microsoft users some filters match, fast enough for a live line (U5): columns of the mirror, no decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from portal.engine import scope
from portal.engine.records import FilterSpec, RemoteUser
from portal.engine.section_columns import COLUMNS
from portal.engine.snapshot import groups_by_user
from portal.models import DirectoryGroup, DirectoryUser, MicrosoftTenant

JUDGED: Mapping[str, InstrumentedAttribute[str]] = {
    # section: the column of the mirror that it judges
    **{section: column for section, (_, column) in COLUMNS.items()},
    "domain": DirectoryUser.email,
    "group": DirectoryUser.object_id,
}


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
    groups_of, deleted = groups_by_user(session, microsoft_tenant.id, spec)
    waiting = _uncounted(session, microsoft_tenant.id, spec)
    hidden = tuple(row.display_name for row in waiting if _is_hidden(row, microsoft_tenant))
    present = [
        DirectoryUser.microsoft_tenant_id == microsoft_tenant.id,
        DirectoryUser.presence == "present",
    ]
    if not spec.include_agents:
        present.append(DirectoryUser.is_agent.is_(False))  # no people: they count for nothing (S8)
    columns = [column for section, column in JUDGED.items() if not getattr(spec, section).all]
    rows = session.execute(
        select(func.count(), *columns).where(*present, DirectoryUser.problem == "").group_by(*columns)
    )
    users = ((_judged(columns, values), number) for number, *values in rows)
    matching, usable, sections = scope.count_matches(users, groups_of, spec, deleted)
    unusable = session.scalar(select(func.count()).where(*present, DirectoryUser.problem != "")) or 0
    return Match(matching, usable + unusable, sections, tuple(row.object_id for row in waiting), hidden)


def _judged(columns: Sequence[InstrumentedAttribute[str]], values: Sequence[str]) -> RemoteUser:
    """What the filters look at of a person; whatever they do not ask for is blank."""
    judged: dict[str, Any] = {"object_id": ""}
    judged.update((column.key, value) for column, value in zip(columns, values, strict=True))
    return RemoteUser(**judged)


def _uncounted(session: Session, microsoft_tenant_id: str, spec: FilterSpec) -> Sequence[DirectoryGroup]:
    """Which of the chosen groups were not read yet."""
    group_ids = [value for value in spec.group.values if value]
    if spec.group.all or not group_ids:
        return ()
    return session.scalars(
        select(DirectoryGroup).where(
            DirectoryGroup.microsoft_tenant_id == microsoft_tenant_id,
            DirectoryGroup.object_id.in_(group_ids),
            DirectoryGroup.is_deleted.is_(False),
            DirectoryGroup.members_read_at.is_(None),
        )
    ).all()


def _is_hidden(row: DirectoryGroup, microsoft_tenant: MicrosoftTenant) -> bool:
    """Whether a read that wanted the members of a group which hides them came back without."""
    read_at, wanted_at = microsoft_tenant.last_synced_at, row.members_wanted_at
    is_read = wanted_at is not None and read_at is not None and read_at > wanted_at
    return is_read and row.hides_members
