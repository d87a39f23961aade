"""What each Microsoft user is, before anybody is matched: bad record → agent → scope → never-sync → own Link → e-mail. Pure.

Everybody is gone through once. Of most people only a number is kept: of those who are linked and have nothing new, and of
those who are outside the filters and not linked.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple

from portal.engine.plan.keys import applied_key
from portal.engine.plan.scope import KeyScope
from portal.engine.records import (
    Assignment,
    EndUserKeys,
    Kind,
    MatchedBy,
    PersonKeys,
    Presence,
    Reason,
    Snapshot,
)


class Linked(NamedTuple):
    """A present user and the End User it is linked to."""

    person: PersonKeys
    row: EndUserKeys


@dataclass(frozen=True, slots=True)
class Classified:
    """The classification of everybody before anybody is matched.

    decided: who needs no match: skips, who is outside the filters, and who is linked, keeps the address and has something new.
    unlinked: present, in scope, with an address, without an End User; in the order of object ids.
    moving: linked, in scope, and Microsoft has another address than the End User; in the order of object ids.
    aside: linked objects that are present and claim no address: out of scope, skipped, without an address.
    released: linked objects whose End User a person gave to another Microsoft user (M7): they count as unlinked.
    absent: linked objects that are not present, with the End User, and where the object is (None: Microsoft never told).
    free: by address, the End Users that aliases may find (M2): not linked, or linked to another Microsoft Tenant.
    primaries: which of the addresses in ``free`` are a present user's own. carriers: how many unlinked present users have
    them as an alias.
    linked: Links to the mapped tenant (G1). leaving: linked people who stop matching the filters (G9).
    """

    decided: tuple[Assignment, ...]
    unlinked: tuple[PersonKeys, ...]
    moving: tuple[Linked, ...]
    aside: frozenset[str]
    released: frozenset[str]
    absent: Mapping[str, tuple[EndUserKeys, str | None]]
    free: Mapping[str, EndUserKeys]
    primaries: frozenset[str]
    carriers: Mapping[str, int]
    unchanged: int
    out_of_scope: int
    linked: int
    leaving: int


def classify(snapshot: Snapshot, always: Collection[str] = ()) -> Classified:
    """Sort everybody out. ``always``: object ids that get an Assignment also when there is nothing to do or tell."""
    sorting = _Sorting(snapshot, frozenset(always))
    sorting.go_through(snapshot.people)
    sorting.go_through_contested()
    return sorting.result()


def shown_disabled(enabled: bool | None, was: bool, *, is_complete: bool) -> bool:
    """Return what the mark is to say (L1); a read that was not complete adds and updates, but marks nobody (L2)."""
    if enabled is None or (not enabled and not is_complete):
        return was
    return not enabled


def linked_assignment(person: PersonKeys, row: EndUserKeys, *, is_complete: bool) -> Assignment:
    """Return what is to happen with somebody who is linked and in scope; whose address it is, is not looked at here."""
    disabled = shown_disabled(person.account_enabled, row.is_disabled, is_complete=is_complete)
    if disabled != row.is_disabled:
        reason = Reason.ACCOUNT_DISABLED if disabled else Reason.ACCOUNT_ENABLED
    elif not row.is_in_scope:
        reason = Reason.BACK_IN_SCOPE
    elif person.account_enabled is False and not disabled:
        reason = Reason.DISABLED_BUT_READ_INCOMPLETE
    else:
        reason = Reason.UP_TO_DATE
    return Assignment(
        person.object_id,
        Kind.LINKED,
        reason,
        person.email_key,
        row.id,
        MatchedBy.LINK,
        was_disabled=row.is_disabled,
        sets_disabled=disabled,
        was_in_scope=row.is_in_scope,
        is_changed=is_changed(person, row),
    )


def is_changed(person: PersonKeys, row: EndUserKeys) -> bool:
    """Tell whether Microsoft's record or the pins differ from what was applied."""
    return applied_key(person.content_hash, row.pins) != row.applied_hash


class _Sorting:
    """The state of the one walk over everybody, private to ``classify``."""

    def __init__(self, snapshot: Snapshot, always: frozenset[str]) -> None:
        self.always = always
        self.never = snapshot.never_sync
        self.include_agents = snapshot.filters.include_agents
        self.is_complete = snapshot.is_complete
        self.settled = snapshot.settled_links
        self.scope = KeyScope(snapshot)
        self.rows: dict[str, EndUserKeys] = {}  # by linked object, until the object is met
        self.free: dict[str, EndUserKeys] = {}
        for row in snapshot.end_users:
            if row.object_id is not None and not row.is_foreign:
                self.rows[row.object_id] = row
            elif row.email_key:
                self.free[row.email_key] = row
        self.linked = len(self.rows) + snapshot.resting
        self.contested = _contested(self.rows, snapshot)
        self.waiting: dict[str, tuple[PersonKeys, EndUserKeys]] = {}
        self.presences: dict[str, str] = {}
        self.decided: list[Assignment] = []
        self.unlinked: list[PersonKeys] = []
        self.moving: list[Linked] = []
        self.aside: set[str] = set()
        self.released: set[str] = set()
        self.primaries: set[str] = set()
        self.carriers: dict[str, int] = {}
        self.unchanged, self.out_of_scope, self.leaving = snapshot.resting, snapshot.outside, 0

    def go_through(self, people: Iterable[PersonKeys]) -> None:
        """Classify everybody. Linked people without changes are the usual case, and cost least."""
        rows, sort = self.rows, self._sort
        accepts = None if self.scope.accepts_all else self.scope.accepts
        special = self.always | self.never.object_ids | self.contested.keys()
        same_persons = self.never.immutable_ids
        unchanged = 0
        for person in people:
            (object_id, presence, email_key, *_, immutable_id, _, is_agent, has_problem, content_hash) = (
                person
            )
            row = rows.get(object_id)
            if (
                row is not None
                and content_hash == row.applied_hash
                and email_key == row.email_key
                and person.account_enabled != row.is_disabled
                and row.is_in_scope
                and presence == Presence.PRESENT
                and not (has_problem or is_agent)
                and object_id not in special
                and immutable_id not in same_persons
                and (accepts is None or accepts(person))
            ):
                unchanged += 1
                del rows[object_id]
            else:
                sort(person, row)
        self.unchanged += unchanged

    def go_through_contested(self) -> None:
        """M7: an End User that a person gave to another Microsoft user leaves its present one, if that other one takes it."""
        if not self.waiting:
            return
        waiting = dict(self.waiting)
        holders: dict[str, list[str]] = {}
        for holder in waiting:
            for chooser in self.contested[holder]:
                holders.setdefault(chooser, []).append(holder)
        choosers = [person.object_id for person in self.unlinked]
        for chooser in choosers:  # grows: who is released may have been given another End User
            for holder in holders.get(chooser, ()):
                if holder in waiting:
                    person, _ = waiting.pop(holder)
                    self.released.add(holder)
                    self._meet(person, None)
                    if self.unlinked[-1] is person:
                        choosers.append(holder)
        for person, row in waiting.values():
            self._meet(person, row)

    def result(self) -> Classified:
        """Freeze the result; Links whose object was not met belong to absent people."""
        by_id = itemgetter(0)
        return Classified(
            decided=tuple(self.decided),
            unlinked=tuple(sorted(self.unlinked, key=by_id)),
            moving=tuple(sorted(self.moving, key=lambda linked: linked.person.object_id)),
            aside=frozenset(self.aside),
            released=frozenset(self.released),
            absent={i: (row, self.presences.get(i)) for i, row in sorted(self.rows.items(), key=by_id)},
            free=self.free,
            primaries=frozenset(self.primaries),
            carriers=self.carriers,
            unchanged=self.unchanged,
            out_of_scope=self.out_of_scope,
            linked=self.linked,
            leaving=self.leaving,
        )

    def _sort(self, person: PersonKeys, row: EndUserKeys | None) -> None:
        object_id = person.object_id
        if person.presence != Presence.PRESENT:
            if row is not None:
                self.presences[object_id] = person.presence
            return
        if row is not None:
            del self.rows[object_id]
            if object_id in self.contested:
                self.waiting[object_id] = (person, row)
                return
        self._meet(person, row)

    def _meet(self, person: PersonKeys, row: EndUserKeys | None) -> None:
        if self.free:
            self._note_addresses(person, row)
        self._place(person, row)

    def _note_addresses(self, person: PersonKeys, row: EndUserKeys | None) -> None:
        """Remember who has which of the addresses that aliases may find an End User by."""
        if person.email_key in self.free:
            self.primaries.add(person.email_key)
        if row is None:
            for alias in set(person.aliases):
                if alias in self.free:
                    self.carriers[alias] = self.carriers.get(alias, 0) + 1

    def _place(self, person: PersonKeys, row: EndUserKeys | None) -> None:
        if person.has_problem:
            self._skip(person, row, Reason.BAD_RECORD)
        elif person.is_agent and not self.include_agents:
            self._skip(person, row, Reason.AGENT)
        elif not (self.scope.accepts_all or self.scope.accepts(person)):
            self._leave_out(person, row)
        elif self._is_never_synced(person, row):
            self._skip(person, row, Reason.NEVER_SYNC)
        elif row is not None:
            self._keep(person, row)
        elif person.email_key:
            self.unlinked.append(person)
        else:
            self._skip(person, row, Reason.NO_EMAIL)

    def _is_never_synced(self, person: PersonKeys, row: EndUserKeys | None) -> bool:
        """W6. An address says who somebody is only before the first Link: people take over addresses of those who left."""
        never = self.never
        return (
            person.object_id in never.object_ids
            or (person.immutable_id != "" and person.immutable_id in never.immutable_ids)
            or (row is None and person.email_key != "" and person.email_key in never.email_keys)
        )

    def _skip(self, person: PersonKeys, row: EndUserKeys | None, reason: Reason) -> None:
        end_user_id = None
        if row is not None:
            self.aside.add(person.object_id)
            end_user_id = row.id
        self.decided.append(Assignment(person.object_id, Kind.SKIP, reason, person.email_key, end_user_id))

    def _leave_out(self, person: PersonKeys, row: EndUserKeys | None) -> None:
        """L3: updates stop; being disabled or enabled in Microsoft is a fact and still marked."""
        object_id = person.object_id
        if row is None:
            if object_id in self.always:
                self.decided.append(
                    Assignment(object_id, Kind.OUT_OF_SCOPE, Reason.OUT_OF_SCOPE, person.email_key)
                )
            else:
                self.out_of_scope += 1
            return
        self.aside.add(object_id)
        self.leaving += row.is_in_scope
        disabled = shown_disabled(person.account_enabled, row.is_disabled, is_complete=self.is_complete)
        if disabled == row.is_disabled and not row.is_in_scope and object_id not in self.always:
            self.out_of_scope += 1
            return
        reason = Reason.NO_LONGER_IN_SCOPE
        if disabled != row.is_disabled:
            reason = Reason.ACCOUNT_DISABLED if disabled else Reason.ACCOUNT_ENABLED
        self.decided.append(
            Assignment(
                object_id,
                Kind.OUT_OF_SCOPE,
                reason,
                person.email_key,
                row.id,
                MatchedBy.LINK,
                was_disabled=row.is_disabled,
                sets_disabled=disabled,
                was_in_scope=row.is_in_scope,
                sets_in_scope=False,
            )
        )

    def _keep(self, person: PersonKeys, row: EndUserKeys) -> None:
        """Settle a linked person in scope, unless their address changes: then the matching decides."""
        if not person.email_key:
            self.aside.add(person.object_id)  # W6: who loses every address keeps the old one, and claims none
        elif person.email_key != row.email_key:
            self.moving.append(Linked(person, row))
            return
        assignment = linked_assignment(person, row, is_complete=self.is_complete)
        if says_something(assignment) or person.object_id in self.always:
            self.decided.append(assignment)
        else:
            self.unchanged += 1


def says_something(assignment: Assignment) -> bool:
    """Tell whether something may be written for somebody who is linked, in scope, and keeps the address."""
    return (
        assignment.is_changed
        or assignment.was_disabled != assignment.sets_disabled
        or not assignment.was_in_scope
    )


def _contested(rows: Mapping[str, EndUserKeys], snapshot: Snapshot) -> dict[str, set[str]]:
    """Linked object → the Microsoft users that a person gave its End User to (M7), unless it was given to itself too."""
    settled = snapshot.settled_links
    if not settled:
        return {}
    chosen: dict[str, set[str]] = {}
    for object_id, end_user_id in sorted(settled.items()):
        chosen.setdefault(end_user_id, set()).add(object_id)
    return {
        object_id: chosen[row.id]
        for object_id, row in rows.items()
        if row.id in chosen and settled.get(object_id) != row.id
    }
