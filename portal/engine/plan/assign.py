"""Who goes with whom (M2, M4 to M8), and whose address stands after the run (W4). Pure.

The steps, each from values to a value: whom an administrator chose (M7) and who came back as a new object (M2): they count as
linked → who of several linked people has an address (M6) → which addresses become free (W4) → which new people would not be
added anyhow (U9) → who of several new people has an address (M6) → whom they are matched with: by e-mail, by alias, or nobody.

Over 350 lines: the steps are one algorithm, and each is judged by what the one before it gives.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import NamedTuple

from portal.engine.plan.addresses import settle
from portal.engine.plan.classify import Classified, linked_assignment, says_something, shown_disabled
from portal.engine.plan.keys import conflict_key
from portal.engine.records import (
    Assignment,
    EndUserKeys,
    FilterSpec,
    Kind,
    MatchedBy,
    PersonKeys,
    Presence,
    Reason,
    Snapshot,
)

_LAST = datetime.max.replace(tzinfo=UTC)


class Candidate(NamedTuple):
    """A present user and the End User it is linked to or was found for."""

    person: PersonKeys
    row: EndUserKeys
    match: MatchedBy


class Keeper(NamedTuple):
    """Who keeps a requested address: the End User; its Microsoft user if that one has the address too."""

    end_user_id: str
    object_id: str | None


class Rival(NamedTuple):
    """Why a new user gets no End User: the conflict's reason, the End User meant, and the other Microsoft user."""

    reason: Reason
    end_user_id: str | None
    object_id: str | None


@dataclass(frozen=True, slots=True)
class Facts:
    """What matching looks at, once the linked End Users are settled.

    holders: which End User has which of the requested addresses. steady: those of them whose linked user is present,
    in scope, and has the same address in Microsoft. newly_linked: by End User, the Microsoft user who was chosen or recognized as theirs.
    displaced: by Microsoft user, the one whom a person gave their End User to (M7).
    """

    snapshot: Snapshot
    classified: Classified
    holders: Mapping[str, EndUserKeys]
    steady: Mapping[str, EndUserKeys]
    newly_linked: Mapping[str, str]
    displaced: Mapping[str, str]

    def is_gone(self, object_id: str) -> bool:
        """Tell whether Microsoft no longer has a linked object, as far as a complete read says (L2)."""
        return _is_gone(self.snapshot, self.classified, object_id)

    def is_free(self, row: EndUserKeys) -> bool:
        """M5: not linked, or linked to an object that is gone or of another Microsoft Tenant."""
        return row.id not in self.newly_linked and (
            row.object_id is None or row.is_foreign or self.is_gone(row.object_id)
        )


@dataclass(frozen=True, slots=True)
class Contest:
    """M6 among linked people. best: by address, who of them goes first. kept_off: by object id, who does not get it."""

    best: Mapping[str, Keeper]
    kept_off: Mapping[str, Keeper]


@dataclass(frozen=True, slots=True)
class Moves:
    """The addresses after the run (W4). email_keys: the one each End User is to get; clashes: who does not get it, and who keeps it."""

    email_keys: Mapping[str, str]
    clashes: Mapping[str, str]

    def frees(self, row: EndUserKeys) -> bool:
        """Tell whether the End User leaves the address it has."""
        return row.id not in self.clashes and self.email_keys.get(row.id, row.email_key) != row.email_key


def assign(
    snapshot: Snapshot, classified: Classified, *, always: Collection[str] = (), staying: Collection[str] = ()
) -> tuple[tuple[Assignment, ...], int]:
    """Return an Assignment of everybody whom ``classify`` left open, and how many of them have nothing new.

    always: object ids that get an Assignment in any case. staying: object ids that keep their End User's address whatever
    Microsoft has, because G1 holds them back.
    """
    chosen = _chosen(snapshot, classified)
    recognized = _recognized(snapshot, classified, chosen)
    linked = (*(Candidate(*pair, MatchedBy.LINK) for pair in classified.moving), *recognized, *chosen)
    matched = {c.person.object_id for c in (*recognized, *chosen)}
    new = [p for p in classified.unlinked if p.object_id not in matched]
    facts = _facts(snapshot, classified, linked, new, chosen)

    contest = _contest(linked, facts)
    moves = _moves(linked, contest, staying, facts)
    refused = _refused(new, moves, facts)
    entering = [p for p in new if p.object_id not in refused]
    rivals = _rivals(entering, contest, facts)

    assignments = [_skip(p, refused[p.object_id]) for p in new if p.object_id in refused]
    unchanged = 0
    for candidate in linked:
        object_id = candidate.person.object_id
        if object_id in staying:
            assignment = replace(_linked(candidate, None, snapshot), keeps_email=True)
        else:
            keeper = contest.kept_off.get(object_id) or _keeper(candidate, moves)
            assignment = _linked(candidate, keeper, snapshot)
        if "email" in candidate.row.pins and not says_something(assignment) and object_id not in always:
            unchanged += 1  # W6: all that Microsoft has otherwise is pinned
        else:
            assignments.append(assignment)
    spoken_for = set(facts.newly_linked)
    for person in entering:
        match = rivals.get(person.object_id) or _match(person, moves, facts)
        if isinstance(match, Candidate):
            spoken_for.add(match.row.id)
            assignments.append(_link(match, snapshot))
        elif isinstance(match, Rival):
            assignments.append(_conflict(person, match, facts))
        else:
            assignments.append(_creation(person))
    assignments.extend(_absent(snapshot, classified, spoken_for, always))
    return tuple(assignments), unchanged


# -- who is whose ------------------------------------------------------------------------------------------------------


def _chosen(snapshot: Snapshot, classified: Classified) -> tuple[Candidate, ...]:
    """M7: the End Users that a person gave to a user who has none yet, where nobody who is present keeps them."""
    if not snapshot.settled_links:
        return ()
    settled_ids = set(snapshot.settled_links.values())
    rows = {row.id: row for row in snapshot.end_users if row.id in settled_ids}
    candidates = []
    for person in classified.unlinked:
        row = rows.get(snapshot.settled_links.get(person.object_id, ""))
        if row is None:
            continue
        holder = row.object_id
        if holder is None or row.is_foreign or holder in classified.absent or holder in classified.released:
            candidates.append(Candidate(person, row, MatchedBy.EMAIL))
            del rows[row.id]
    return tuple(candidates)


def _recognized(
    snapshot: Snapshot, classified: Classified, chosen: Sequence[Candidate]
) -> tuple[Candidate, ...]:
    """M2: whose immutable id is that of a linked object which is gone is the same person."""
    gone: dict[str, list[EndUserKeys]] = {}
    settled_users = {c.person.object_id for c in chosen}
    settled_rows = {c.row.id for c in chosen}
    for object_id, (row, _) in classified.absent.items():
        if row.immutable_id and row.id not in settled_rows and _is_gone(snapshot, classified, object_id):
            gone.setdefault(row.immutable_id, []).append(row)
    candidates = []
    for person in classified.unlinked if gone else ():
        rows = gone.get(person.immutable_id)
        if rows is not None and len(rows) == 1 and person.object_id not in settled_users:
            candidates.append(Candidate(person, rows[0], MatchedBy.IMMUTABLE_ID))
            del gone[person.immutable_id]
    return tuple(candidates)


def _is_gone(snapshot: Snapshot, classified: Classified, object_id: str) -> bool:
    if object_id not in classified.absent:
        return False
    return classified.absent[object_id][1] is not None or snapshot.is_complete


def _facts(
    snapshot: Snapshot,
    classified: Classified,
    linked: Sequence[Candidate],
    new: Sequence[PersonKeys],
    chosen: Sequence[Candidate],
) -> Facts:
    holders = {}
    if snapshot.end_users:
        email_keys = {c.person.email_key for c in linked}
        email_keys.update(p.email_key for p in new)
        holders = {row.email_key: row for row in snapshot.end_users if row.email_key in email_keys}
    moving = {c.person.object_id for c in linked}
    steady = {
        key: row
        for key, row in holders.items()
        if row.object_id is not None
        and not row.is_foreign
        and row.object_id not in moving
        and row.object_id not in classified.aside
        and row.object_id not in classified.absent
        and row.object_id not in classified.released
    }
    newly_linked = {c.row.id: c.person.object_id for c in linked if c.match is not MatchedBy.LINK}
    displaced = {
        c.row.object_id: c.person.object_id for c in chosen if c.row.object_id in classified.released
    }
    return Facts(snapshot, classified, holders, steady, newly_linked, displaced)


# -- addresses ---------------------------------------------------------------------------------------------------------


def _contest(linked: Sequence[Candidate], facts: Facts) -> Contest:
    """M6, W4: of several linked people with one address the one who has it already goes first, else the enabled, else the older.

    A pinned address is not in question (W6): who has one competes with new people only.
    """
    groups: dict[str, list[Candidate]] = {}
    for candidate in linked:
        groups.setdefault(candidate.person.email_key, []).append(candidate)
    best = {key: Keeper(row.id, row.object_id) for key, row in facts.steady.items()}
    kept_off: dict[str, Keeper] = {}
    for key, group in groups.items():
        ordered = sorted(group, key=lambda c: (c.row.email_key != c.person.email_key, *precedence(c.person)))
        takers = [Keeper(c.row.id, c.person.object_id) for c in ordered if "email" not in c.row.pins]
        if (owner := facts.steady.get(key)) is not None and "email" not in owner.pins:
            takers.insert(0, Keeper(owner.id, owner.object_id))
        best.setdefault(key, Keeper(ordered[0].row.id, ordered[0].person.object_id))
        kept_off.update((str(taker.object_id), takers[0]) for taker in takers[1:])
    return Contest(best, kept_off)


def _moves(linked: Iterable[Candidate], contest: Contest, staying: Collection[str], facts: Facts) -> Moves:
    """W4 on the state after the run: who of the linked gets the address that Microsoft has."""
    email_keys = {
        c.row.id: c.person.email_key
        for c in linked
        if "email" not in c.row.pins
        and c.person.object_id not in contest.kept_off
        and c.person.object_id not in staying
    }
    return Moves(email_keys, settle(email_keys, {key: row.id for key, row in facts.holders.items()}))


def _keeper(candidate: Candidate, moves: Moves) -> Keeper | None:
    keeper = moves.clashes.get(candidate.row.id)
    return Keeper(keeper, None) if keeper is not None else None


def precedence(person: PersonKeys) -> tuple[bool, datetime, str]:
    """M6: the enabled, else the older."""
    return person.account_enabled is False, person.created_at or _LAST, person.object_id


# -- new people --------------------------------------------------------------------------------------------------------


def _refusal(person: PersonKeys, rules: FilterSpec) -> Reason | None:
    """U9, for creation only (M8: whose End User exists is linked whatever the rules say)."""
    if person.account_enabled is False and not rules.add_disabled_accounts:
        return Reason.DISABLED_NOT_ADDED
    if rules.only_licensed and not person.is_licensed:
        return Reason.UNLICENSED_NOT_ADDED
    return None


def _refused(new: Iterable[PersonKeys], moves: Moves, facts: Facts) -> dict[str, Reason]:
    """M6: who would not be added although alone does not compete for an address."""
    reasons = {}
    for person in new:
        reason = _refusal(person, facts.snapshot.filters)
        if reason is None:
            continue
        row = facts.holders.get(person.email_key)
        if (row is None or moves.frees(row)) and _by_alias(person, facts) is None:
            reasons[person.object_id] = reason
    return reasons


def _rivals(entering: Iterable[PersonKeys], contest: Contest, facts: Facts) -> dict[str, Rival]:
    """M6: new people whose address a linked one has in Microsoft, or another new one who is enabled or older."""
    groups: dict[str, list[PersonKeys]] = {}
    first: dict[str, PersonKeys] = {}
    rivals: dict[str, Rival] = {}
    for person in entering:
        key = person.email_key
        if (winner := contest.best.get(key)) is not None:
            rivals[person.object_id] = Rival(Reason.DUPLICATE_REMOTE_EMAIL, *winner)
        elif key in first:
            groups.setdefault(key, [first[key]]).append(person)
        else:
            first[key] = person
    for key, group in groups.items():
        best, *others = sorted(group, key=precedence)
        row = facts.holders.get(key)
        rival = Rival(Reason.DUPLICATE_REMOTE_EMAIL, row.id if row is not None else None, best.object_id)
        rivals.update((other.object_id, rival) for other in others)
    return rivals


def _match(person: PersonKeys, moves: Moves, facts: Facts) -> Candidate | Rival | None:
    """M2 for who has neither a Link nor a rival: e-mail, alias; None for a creation."""
    row = facts.holders.get(person.email_key)
    if row is None or moves.frees(row):
        by_alias = _by_alias(person, facts)
        return Candidate(person, by_alias, MatchedBy.ALIAS) if by_alias is not None else None
    if facts.is_free(row):
        return Candidate(person, row, MatchedBy.EMAIL)
    return Rival(Reason.EMAIL_LINKED_TO_OTHER, row.id, facts.newly_linked.get(row.id, row.object_id))


def _by_alias(person: PersonKeys, facts: Facts) -> EndUserKeys | None:
    """M2: the one End User, not linked to the mapped tenant, with another address of this user and of nobody else's."""
    classified = facts.classified
    rows = [
        row
        for alias in person.aliases
        if (row := classified.free.get(alias)) is not None
        and row.id not in facts.newly_linked
        and alias not in classified.primaries
        and classified.carriers[alias] == 1
    ]
    return rows[0] if len(rows) == 1 else None


# -- assignments -------------------------------------------------------------------------------------------------------


def _skip(person: PersonKeys, reason: Reason) -> Assignment:
    return Assignment(person.object_id, Kind.SKIP, reason, person.email_key)


def _creation(person: PersonKeys) -> Assignment:
    return Assignment(
        person.object_id,
        Kind.CREATE,
        Reason.NEW_IN_SCOPE,
        person.email_key,
        sets_disabled=person.account_enabled is False,
        is_changed=True,
    )


def _link(candidate: Candidate, snapshot: Snapshot) -> Assignment:
    """A Link that is made, or moves here from an object that is gone or of another Microsoft Tenant (M5)."""
    person, row, match = candidate
    if match is MatchedBy.IMMUTABLE_ID:
        reason = Reason.MATCHED_BY_IMMUTABLE_ID
    elif row.object_id is not None:
        reason = Reason.LINK_MOVED
    else:
        reason = Reason.MATCHED_BY_EMAIL if match is MatchedBy.EMAIL else Reason.MATCHED_BY_ALIAS
    return Assignment(
        person.object_id,
        Kind.LINK,
        reason,
        person.email_key,
        row.id,
        match,
        moves_link_from=row.object_id,
        was_disabled=row.is_disabled,
        sets_disabled=shown_disabled(person.account_enabled, was=False, is_complete=snapshot.is_complete),
        was_in_scope=row.is_in_scope,
        is_changed=True,
    )


def _linked(candidate: Candidate, keeper: Keeper | None, snapshot: Snapshot) -> Assignment:
    """Somebody who is linked, chosen or recognized. keeper: who keeps the address this one wants (W4); None when nobody does."""
    person, row, match = candidate
    if match is MatchedBy.LINK:
        assignment = linked_assignment(person, row, is_complete=snapshot.is_complete)
    else:
        assignment = _link(candidate, snapshot)
    if keeper is None:
        return assignment
    if (
        snapshot.settled_links.get(person.object_id) == row.id
    ):  # whose address is whose was settled with it (M7)
        return replace(assignment, keeps_email=True)
    key = conflict_key(
        Reason.EMAIL_CLASH, person.object_id, person.email_key, row.id, keeper.object_id, keeper.end_user_id
    )
    is_clash = key not in snapshot.ignored_conflicts
    reason = assignment.reason
    if is_clash:
        reason = Reason.EMAIL_CLASH
    elif assignment.kind is Kind.LINKED and assignment.sets_disabled == assignment.was_disabled:
        reason = Reason.CONFLICT_IGNORED
    return replace(
        assignment,
        reason=reason,
        keeps_email=True,
        is_clash=is_clash,
        other_object_id=keeper.object_id,
        other_end_user_id=keeper.end_user_id,
        conflict_key=key,
    )


def _conflict(person: PersonKeys, rival: Rival, facts: Facts) -> Assignment:
    """A new user who gets no End User. A conflict with the one who took theirs by a person's choice is settled with it (M7)."""
    key = conflict_key(rival.reason, person.object_id, person.email_key, rival.end_user_id, rival.object_id)
    taker = facts.displaced.get(person.object_id)
    is_settled = key in facts.snapshot.ignored_conflicts or (taker is not None and taker == rival.object_id)
    return Assignment(
        person.object_id,
        Kind.CONFLICT,
        Reason.CONFLICT_IGNORED if is_settled else rival.reason,
        person.email_key,
        rival.end_user_id,
        other_object_id=rival.object_id,
        conflict_key=key,
    )


def _absent(
    snapshot: Snapshot, classified: Classified, spoken_for: Collection[str], always: Collection[str]
) -> Iterator[Assignment]:
    """L1, L2: Links whose object is deleted, or was not in the last complete read, and which do not move."""
    for object_id, (row, presence) in classified.absent.items():
        if row.id in spoken_for:
            continue
        sets_disabled = True
        if row.is_disabled:
            reason = Reason.ALREADY_DISABLED
        elif not snapshot.is_complete:
            reason, sets_disabled = Reason.ABSENT_BUT_READ_INCOMPLETE, False
        else:
            is_soft = presence == Presence.SOFT_DELETED
            reason = Reason.ACCOUNT_SOFT_DELETED if is_soft else Reason.ACCOUNT_GONE
        if sets_disabled != row.is_disabled or object_id in always:
            yield Assignment(
                object_id,
                Kind.ABSENT,
                reason,
                end_user_id=row.id,
                match=MatchedBy.LINK,
                was_disabled=row.is_disabled,
                sets_disabled=sets_disabled,
                was_in_scope=row.is_in_scope,
                sets_in_scope=row.is_in_scope,
            )
