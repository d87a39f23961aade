"""Which side of a conflict the next run takes, and why: read off a plan, so that it is what the run would do (M5, M6, M7). Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from portal.engine.plan import plan
from portal.engine.plan.assign import precedence
from portal.engine.records import Assignment, Kind, PersonKeys, Snapshot


class Why(StrEnum):
    """What decides: who is linked already, has the address already, is enabled, is older, or comes first by object id."""

    LINKED = "linked"
    HAS_ADDRESS = "has_address"
    ENABLED = "enabled"
    OLDER = "older"
    OBJECT_ID = "object_id"


_PARTS = (Why.ENABLED, Why.OLDER, Why.OBJECT_ID)
"""The parts of ``assign.precedence``, in its order."""


@dataclass(frozen=True)
class Preference:
    """What the next run does about a conflict. object_id: the Microsoft user it takes, None when an End User keeps the address.

    end_user_id: the End User who is taken along; None for one that is still to be made.
    """

    object_id: str | None
    end_user_id: str | None
    why: Why


def preferences(
    snapshot: Snapshot, object_ids: Collection[str], *, is_initial: bool
) -> dict[str, Preference]:
    """Object id → what the next run does, for those of ``object_ids`` that it would find in conflict."""
    noted: dict[str, PersonKeys] = {}
    decided = plan(
        replace(snapshot, people=_noting(snapshot.people, noted)),
        is_initial=is_initial,
        always=object_ids,
    )
    by_id = {assignment.object_id: assignment for assignment in decided.assignments}
    result = {}
    for object_id in object_ids:
        mine = by_id.get(object_id)
        if mine is not None and mine.conflict_key:
            result[object_id] = _preference(mine, by_id, noted, snapshot)
    return result


def _noting(people: Iterable[PersonKeys], noted: dict[str, PersonKeys]) -> Iterator[PersonKeys]:
    """Iterate over everybody once and remember who has an address, for comparing two of them."""
    for person in people:
        noted[person.object_id] = person
        yield person


def _preference(
    mine: Assignment, by_id: Mapping[str, Assignment], noted: Mapping[str, PersonKeys], snapshot: Snapshot
) -> Preference:
    rival_id = mine.other_object_id
    end_user_id = mine.other_end_user_id if mine.kind is not Kind.CONFLICT else mine.end_user_id
    rival = by_id.get(rival_id or "")
    if mine.kind is not Kind.CONFLICT:  # linked, and wants an address that another End User keeps (W4)
        keeper = next((row for row in snapshot.end_users if row.id == end_user_id), None)
        if rival_id is None or (keeper is not None and keeper.email_key == mine.email_key):
            return Preference(rival_id, end_user_id, Why.HAS_ADDRESS)
    elif rival is None or rival.kind not in {Kind.CREATE, Kind.LINK}:
        return Preference(rival_id, end_user_id, Why.LINKED)
    if rival_id is None or rival_id not in noted or mine.object_id not in noted:
        return Preference(rival_id, end_user_id, Why.LINKED)
    return Preference(rival_id, end_user_id, _why(noted[rival_id], noted[mine.object_id]))


def _why(first: PersonKeys, other: PersonKeys) -> Why:
    parts = zip(_PARTS, precedence(first), precedence(other), strict=True)
    return next((name for name, a, b in parts if a != b), Why.OBJECT_ID)
