"""One call that says what is to happen with everybody of one Organization. Pure.

The steps, in this order, for each user that is present in Microsoft:
bad record → scope → never-sync → own Link → e-mail → who came back as a new object (M2 ★) → who of several gets an
address (M6) → match (M2) → whose address stands after the run (W4) → add rules (U9);
then the Links whose object is absent (L1, L2).

Over 350 lines: the first engine, kept as it was to compare the present one with; nobody works on it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any

from portal.engine.records import Action, EndUserState, FieldChange, MatchedBy, Presence, Reason, RemoteUser
from portal.engine.scope import prepare
from portal.text import email_key
from tests.unit.engine.oracle.changes import field_changes, wanted
from tests.unit.engine.oracle.records import Decision, Plan, Snapshot

UNFINISHED = (
    "Microsoft's answer was not complete. People are added and updated; nobody is marked disabled or deleted."
)
GROUP_GONE = "A group in the filters is gone from Microsoft, so it accepts nobody. Edit the filters."

_LAST = datetime.max.replace(tzinfo=UTC)
_NOBODY: frozenset[str] = frozenset()


def plan(snapshot: Snapshot, staying: frozenset[str] = frozenset()) -> Plan:
    """Every decision, in the order of object ids: one per present user, one per Link whose object is absent.

    staying (G1): who is held back and keeps the address.
    """
    work = _Work(snapshot, staying)
    work.give_as_chosen()
    work.sort_out()
    work.recognize()
    work.leave_out_who_would_not_be_added()
    work.pick_winners()
    work.match()
    work.settle_addresses()
    decisions = [*work.decisions.values(), *work.absent()]
    said = {UNFINISHED: not snapshot.is_complete, GROUP_GONE: bool(snapshot.deleted_groups)}  # L2, S6
    return Plan(
        tuple(sorted(decisions, key=lambda d: d.object_id)), tuple(text for text in said if said[text])
    )


def conflict_key(decision: Decision) -> str:
    """Stable while neither side changes in what makes the conflict (M7).

    Of two Microsoft users with one email the winner becomes an End User by the very run that finds them (M6): that is no change.
    """
    is_remote = decision.reason is Reason.DUPLICATE_REMOTE_EMAIL
    parts = (
        decision.reason.value,
        decision.object_id,
        email_key(decision.email),
        "" if is_remote else decision.end_user_id or "",
        decision.other_object_id or "",
        decision.other_end_user_id or "",
    )
    return hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:40]


@dataclass
class _Claim:
    """A present user that may get or keep an End User."""

    user: RemoteUser
    end_user: EndUserState | None = None
    by: MatchedBy | None = None
    moves_from: str | None = None
    reason: Reason = Reason.NEW_IN_SCOPE
    email_clash: str | None = None  # the End User that keeps the address (W4)
    other_object_id: str | None = None
    keeps_address: bool = False  # linked by a person's choice while somebody else has the address (M7)

    @cached_property
    def key(self) -> str:
        return email_key(self.user.email)


@dataclass
class _Work:
    """The steps' shared state. Lives for one ``plan`` call."""

    snapshot: Snapshot
    staying: frozenset[str] = frozenset()
    decisions: dict[str, Decision] = field(default_factory=dict)
    claims: dict[str, _Claim] = field(default_factory=dict)
    moved: set[str] = field(default_factory=set)
    # Those linked who cannot leave their address: another stays with the new one.
    blocked: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        shot = self.snapshot
        self.scope = prepare(shot.filters, shot.deleted_groups)
        self.users = {user.object_id: user for user in shot.users}
        self.present = sorted(
            (u for u in self.users.values() if u.presence is Presence.PRESENT), key=lambda u: u.object_id
        )
        self.end_users = {row.id: row for row in shot.end_users}
        self.keys = {row.id: row.email_key for row in shot.end_users}
        self.by_email = {self.keys[row.id]: row for row in shot.end_users if self.keys[row.id]}
        self.by_link = {
            row.link.object_id: row
            for row in shot.end_users
            if row.link is not None and not row.link.is_foreign
        }

        self.settled: dict[str, str] = {}
        self.released: set[str] = set()

    # -- steps ---------------------------------------------------------------------------------------------------

    def give_as_chosen(self) -> None:
        """M7 (changed): "link" gives the End User to this user also when another one holds it now, who is settled with it.

        A choice that cannot be carried out is none: the End User is gone, or somebody it was given to as well has it.
        """
        asked = self.snapshot.settled_links
        rows = {user.object_id: self.end_users.get(asked.get(user.object_id, "")) for user in self.present}
        while more := [
            holder
            for user in self.present
            if (row := rows[user.object_id]) is not None
            and self._is_candidate(user)
            and (holder := self._holder(row)) in self.by_link
            and self._is_present(holder)
            and asked.get(holder) != row.id
        ]:
            for holder in set(more):
                self.released.add(holder)
                del self.by_link[holder]
        for user in self.present:
            row = rows[user.object_id]
            if row is None or row.id in self.settled.values() or not self._is_candidate(user):
                continue
            holder = self._holder(row)
            if holder is None or not self._is_present(holder) or holder in self.released:
                self.settled[user.object_id] = row.id

    def _holder(self, row: EndUserState) -> str | None:
        return row.link.object_id if row.link is not None and not row.link.is_foreign else None

    def _is_candidate(self, user: RemoteUser) -> bool:
        """In scope, not to be skipped, with an address, without a Link."""
        return (
            user.object_id not in self.by_link
            and not user.problem
            and not self._is_agent(user)
            and self.scope.accepts(user, self.snapshot.groups_of.get(user.object_id, _NOBODY))
            and not self._is_never_synced(user)
            and bool(user.email)
        )

    def _is_agent(self, user: RemoteUser) -> bool:
        """S8 (new)."""
        return user.is_agent and not self.snapshot.filters.include_agents

    def _is_never_synced(self, user: RemoteUser) -> bool:
        """W6 (changed): also a person made again, with the same immutable id or, before the first Link, the same e-mail."""
        never = self.snapshot.never_sync
        return (
            user.object_id in never.object_ids
            or bool(user.immutable_id and user.immutable_id in never.immutable_ids)
            or (
                user.object_id not in self.by_link
                and bool(user.email)
                and email_key(user.email) in never.email_keys
            )
        )

    def _is_present(self, object_id: str) -> bool:
        return object_id in self.users and self.users[object_id].presence is Presence.PRESENT

    def sort_out(self) -> None:
        """Bad records, scope, never-sync and missing addresses; everybody else becomes a claim."""
        for user in self.present:
            linked = self.by_link.get(user.object_id)
            if user.problem:
                self._say(user, Action.SKIP, Reason.BAD_RECORD, end_user=linked, note=user.problem)
            elif self._is_agent(user):
                self._say(user, Action.SKIP, Reason.AGENT, end_user=linked)
            elif not self.scope.accepts(user, self.snapshot.groups_of.get(user.object_id, _NOBODY)):
                self._out_of_scope(user, linked)
            elif self._is_never_synced(user):
                self._say(user, Action.SKIP, Reason.NEVER_SYNC, end_user=linked)
            elif linked is not None:
                self.claims[user.object_id] = _Claim(user, linked, MatchedBy.LINK, reason=Reason.UP_TO_DATE)
            elif not user.email:
                self._say(user, Action.SKIP, Reason.NO_EMAIL)
            else:
                self.claims[user.object_id] = _Claim(user)

    def recognize(self) -> None:
        """M2 ★: who came back as a new object is the same person, thus linked when an address is in question (M6)."""
        for (
            claim
        ) in self.claims.values():  # M7 (changed): who was chosen counts as linked from the first run on
            if claim.user.object_id in self.settled:
                row = self.end_users[self.settled[claim.user.object_id]]
                self._take(claim, row, MatchedBy.EMAIL, Reason.MATCHED_BY_EMAIL)
        gone: dict[str, list[EndUserState]] = {}
        for row in self.by_link.values():
            if row.link is not None and row.link.immutable_id and self._is_gone(row.link.object_id):
                gone.setdefault(row.link.immutable_id, []).append(row)
        chosen = set(self.settled.values())  # a person's choice goes first (M7)
        for claim in self.claims.values():
            if claim.end_user is None and claim.user.object_id not in self.settled:
                rows = [row for row in gone.get(claim.user.immutable_id, ()) if row.id not in chosen]
                if len(rows) == 1:
                    self._take(claim, rows[0], MatchedBy.IMMUTABLE_ID, Reason.MATCHED_BY_IMMUTABLE_ID)
                    chosen.add(rows[0].id)

    def leave_out_who_would_not_be_added(self) -> None:
        """M6 (changed): who would be skipped anyhow does not compete. Judged as if each were alone with those linked."""
        lone = _Work(self.snapshot, self.staying)
        lone.by_link, lone.settled, lone.released = self.by_link, self.settled, self.released
        lone.claims = {c.user.object_id: replace(c) for c in self.claims.values() if c.end_user is not None}
        lone.pick_winners()
        lone.blocked = frozenset(lone._clashes())
        taken = {c.end_user.id for c in lone.claims.values()} | set(self.settled.values())
        for claim in list(self.claims.values()):
            if claim.end_user is not None or claim.user.object_id in self.settled:
                continue
            row = self.by_email.get(claim.key)
            if row is not None and not lone._leaves_address(row, claim.key):
                continue
            if len(self._found_by_alias(claim, taken)) == 1:
                continue
            self._check_add_rules(claim)

    def pick_winners(self) -> None:
        """M6: of several users with one address the linked one wins, else the enabled, else the older."""
        groups: dict[str, list[_Claim]] = {}
        for claim in self.claims.values():
            if claim.key:
                groups.setdefault(claim.key, []).append(claim)
        for claims in groups.values():
            if len(claims) < 2:
                continue
            owner = self.by_email.get(claims[0].key)
            winner, *losers = sorted(claims, key=lambda c: _precedence(c, owner))
            # Of those that are linked only the address is in question (W4), unless it is pinned (W6).
            takers = [c for c in (winner, *losers) if c.end_user is not None and self._wants_address(c)]
            for taker in takers[1:]:
                self._keep_address(taker, takers[0].end_user, takers[0].user.object_id)
            for loser in losers:
                if loser.end_user is not None:
                    continue
                del self.claims[loser.user.object_id]
                self._conflict(
                    loser.user,
                    Reason.DUPLICATE_REMOTE_EMAIL,
                    end_user=winner.end_user or owner,
                    other=winner.user.object_id,
                )

    def match(self) -> None:
        """M2 for those without a Link: settled by a person, e-mail, alias, else create."""
        self.blocked = frozenset(self._clashes())
        taken = {claim.end_user.id for claim in self.claims.values() if claim.end_user is not None}
        open_claims = [claim for claim in self.claims.values() if claim.end_user is None]
        for rung in (self._by_email, self._by_alias):
            for claim in open_claims:
                if self._is_open(claim):
                    rung(claim, taken)
                    taken.update(row.id for row in [claim.end_user] if row is not None)

    def settle_addresses(self) -> None:
        """W4 on the state after the run: who wants an address that stays somebody else's keeps the old one."""
        for object_id, row in self._clashes().items():
            self._keep_address(self.claims[object_id], row)
        for claim in list(self.claims.values()):
            if claim.end_user is None and claim.email_clash is None:
                self._check_add_rules(claim)
        for claim in self.claims.values():
            self._finish(claim)

    def absent(self) -> Iterable[Decision]:
        """L1, L2: Links whose object is deleted or was not in the last complete read."""
        for object_id, row in sorted(self.by_link.items()):
            user = self.users.get(object_id)
            if object_id in self.moved or (user is not None and user.presence is Presence.PRESENT):
                continue
            yield self._absent_decision(object_id, user, row)

    # -- rungs of M2 ---------------------------------------------------------------------------------------------

    def _by_email(self, claim: _Claim, taken: set[str]) -> None:
        row = self.by_email.get(claim.key)
        if row is None or (row.id in taken and self._leaves_address(row, claim.key)):
            return
        if row.id not in taken and self._is_free(row):
            self._take(claim, row, MatchedBy.EMAIL, Reason.MATCHED_BY_EMAIL)
            return
        other = next((c.user.object_id for c in self.claims.values() if c.end_user is row), None)
        other = other or (row.link.object_id if row.link is not None else None)
        del self.claims[claim.user.object_id]
        self._conflict(claim.user, Reason.EMAIL_LINKED_TO_OTHER, end_user=row, other=other)

    def _by_alias(self, claim: _Claim, taken: set[str]) -> None:
        rows = self._found_by_alias(claim, taken)
        if len(rows) == 1:
            self._take(claim, rows[0], MatchedBy.ALIAS, Reason.MATCHED_BY_ALIAS)

    def _found_by_alias(self, claim: _Claim, taken: set[str]) -> list[EndUserState]:
        """M2 (changed): nobody whose object is gone, and no address that another unlinked user carries too."""
        return [
            row
            for alias in claim.user.aliases
            if (row := self.by_email.get(alias)) is not None
            and row.id not in taken
            and (row.link is None or row.link.is_foreign)
            and alias not in self._remote_addresses
            and not any(
                alias in user.aliases and user.object_id not in self.by_link and user is not claim.user
                for user in self.present
            )
        ]

    def _check_add_rules(self, claim: _Claim) -> None:
        """U9, for creation only (M8: an existing End User was linked above whatever the rules say)."""
        user, rules = claim.user, self.snapshot.filters
        if user.account_enabled is False and not rules.add_disabled_accounts:
            reason = Reason.DISABLED_NOT_ADDED
        elif rules.only_licensed and not user.license_sku_ids:
            reason = Reason.UNLICENSED_NOT_ADDED
        else:
            return
        del self.claims[user.object_id]
        self._say(user, Action.SKIP, reason)

    # -- facts ---------------------------------------------------------------------------------------------------

    @property
    def _remote_addresses(self) -> frozenset[str]:
        if not hasattr(self, "_addresses"):
            self._addresses = frozenset(email_key(user.email) for user in self.present if user.email)
        return self._addresses

    def _clashes(self) -> dict[str, EndUserState]:
        """Object id → the End User that keeps the address it is after, however long the chain of those who move (W4)."""
        found: dict[str, EndUserState] = {}
        keeps = {
            claim.user.object_id
            for claim in self.claims.values()
            if claim.email_clash is not None
            or claim.keeps_address
            or not self._wants_address(claim)
            or claim.user.object_id in self.staying
        }
        while True:
            movers = {
                c.end_user.id
                for c in self.claims.values()
                if c.end_user is not None and c.user.object_id not in keeps
            }
            stays = {
                self.keys[row.id]: row
                for row in self.end_users.values()
                if self.keys[row.id] and row.id not in movers
            }
            clashing = {
                claim.user.object_id: row
                for claim in self.claims.values()
                if claim.user.object_id not in keeps
                and (row := stays.get(claim.key)) is not None
                and (claim.end_user is None or row.id != claim.end_user.id)
            }
            if not clashing:
                return found
            found.update(clashing)
            keeps.update(clashing)

    def _keep_address(self, claim: _Claim, keeper: EndUserState | None, other: str | None = None) -> None:
        """W4: a conflict, unless a person linked the two and thereby settled whose address is whose (M7)."""
        settled = self.snapshot.settled_links.get(claim.user.object_id)
        if claim.end_user is not None and claim.end_user.id == settled:
            claim.keeps_address = True
        else:
            claim.email_clash = keeper.id if keeper is not None else ""
            claim.other_object_id = other

    def _is_open(self, claim: _Claim) -> bool:
        """Still without an End User, and not settled as a skip or conflict."""
        return claim.end_user is None and claim.user.object_id in self.claims

    def _is_gone(self, object_id: str) -> bool:
        """True when Microsoft no longer has the object, as far as a complete read tells (L2)."""
        user = self.users.get(object_id)
        return self.snapshot.is_complete if user is None else user.presence is not Presence.PRESENT

    def _shown_disabled(self, user: RemoteUser, was: bool) -> bool:
        """L1: what the End User's mark is to say; a read that was not complete adds and updates, but marks nobody (L2)."""
        if user.account_enabled is None or (not user.account_enabled and not self.snapshot.is_complete):
            return was
        return not user.account_enabled

    def _is_free(self, row: EndUserState) -> bool:
        """M5: not linked, or linked to an object that is gone or of another Microsoft Tenant."""
        return row.link is None or row.link.is_foreign or self._is_gone(row.link.object_id)

    def _leaves_address(self, row: EndUserState, key: str) -> bool:
        """True when the linked user of ``row`` has another address now, so that ``key`` becomes free (W4)."""
        claim = next((c for c in self.claims.values() if c.end_user is row), None)
        return (
            claim is not None
            and claim.email_clash is None
            and not claim.keeps_address
            and claim.user.object_id not in self.blocked
            and claim.user.object_id not in self.staying
            and self._wants_address(claim)
            and claim.key != key
        )

    def _wants_address(self, claim: _Claim) -> bool:
        pinned = claim.end_user is not None and "email" in claim.end_user.pinned
        return bool(claim.key) and not pinned

    # -- results -------------------------------------------------------------------------------------------------

    def _take(self, claim: _Claim, row: EndUserState, by: MatchedBy, reason: Reason) -> None:
        claim.end_user, claim.by, claim.reason = row, by, reason
        if row.link is not None:
            claim.moves_from = row.link.object_id
            if not row.link.is_foreign:
                self.moved.add(row.link.object_id)
            if reason is not Reason.MATCHED_BY_IMMUTABLE_ID:
                claim.reason = Reason.LINK_MOVED

    def _finish(self, claim: _Claim) -> None:
        """Over 50 lines: kept as it was, see the head of this file."""
        user, row = claim.user, claim.end_user
        if claim.email_clash is not None and claim.by is MatchedBy.ALIAS:
            row = None  # found by another address only, while the own one stays somebody else's: M5
            self.moved.discard(claim.moves_from or "")
        if row is None:
            if claim.email_clash is not None:
                # M7 (changed): both sides are told
                keeper = self.end_users[claim.email_clash]
                other = next((c.user.object_id for c in self.claims.values() if c.end_user is keeper), None)
                other = other or (keeper.link.object_id if keeper.link is not None else None)
                self._conflict(user, Reason.EMAIL_LINKED_TO_OTHER, end_user=keeper, other=other)
                return
            changes = tuple(FieldChange(name, "", value) for name, value in wanted(user).items() if value)
            self._say(
                user,
                Action.CREATE,
                Reason.NEW_IN_SCOPE,
                changes=changes,
                sets_disabled=user.account_enabled is False,
            )
            return
        changes = field_changes(user, row, keep_email=claim.keeps_address or claim.email_clash is not None)
        was_disabled = row.link is not None and claim.by is MatchedBy.LINK and row.link.is_disabled
        disabled = self._shown_disabled(user, was_disabled)
        details: dict[str, Any] = {
            "changes": changes,
            "end_user": row,
            "match": claim.by,
            "moves_link_from": claim.moves_from,
            "sets_disabled": disabled,
            "link_differs": claim.by is MatchedBy.LINK and _link_differs(user, row),
        }
        if claim.by is not MatchedBy.LINK:
            action, reason = Action.LINK, claim.reason
        elif disabled and not was_disabled:
            action, reason = Action.MARK_DISABLED, Reason.ACCOUNT_DISABLED
        elif was_disabled and not disabled:
            action, reason = Action.MARK_ENABLED, Reason.ACCOUNT_ENABLED
        elif changes or _link_differs(user, row):  # W3 (changed): everything counts
            action, reason = Action.UPDATE, Reason.FIELDS_DIFFER
        elif row.link is not None and not row.link.is_in_scope:
            action, reason = Action.UPDATE, Reason.BACK_IN_SCOPE
        elif user.account_enabled is False and not disabled:
            action, reason = Action.LEAVE, Reason.DISABLED_BUT_READ_INCOMPLETE
        else:
            action, reason = Action.LEAVE, Reason.UP_TO_DATE
        if claim.email_clash is None:
            self._say(user, action, reason, **details)
            return
        if action in {Action.UPDATE, Action.LEAVE}:
            reason = Reason.CONFLICT_IGNORED
        self._conflict(
            user,
            Reason.EMAIL_CLASH,
            other=claim.other_object_id,
            other_end_user_id=claim.email_clash or None,
            ignored=(action, reason),
            **details,
        )

    def _out_of_scope(self, user: RemoteUser, row: EndUserState | None) -> None:
        """L3: updates stop; being disabled or enabled in Microsoft is a fact and still marked."""
        if row is None or row.link is None:
            self._say(user, Action.LEAVE, Reason.OUT_OF_SCOPE, is_in_scope=False, sets_in_scope=False)
            return
        was = row.link.is_disabled
        now = self._shown_disabled(user, was)
        leaves = row.link.is_in_scope  # W3 (changed): everything counts
        action, reason = Action.UPDATE if leaves else Action.LEAVE, Reason.NO_LONGER_IN_SCOPE
        if now != was:
            action = Action.MARK_DISABLED if now else Action.MARK_ENABLED
            reason = Reason.ACCOUNT_DISABLED if now else Reason.ACCOUNT_ENABLED
        self._say(
            user,
            action,
            reason,
            end_user=row,
            match=MatchedBy.LINK,
            is_in_scope=False,
            sets_in_scope=False,
            sets_disabled=now,
        )

    def _absent_decision(self, object_id: str, user: RemoteUser | None, row: EndUserState) -> Decision:
        link = row.link
        is_marked = link is not None and link.is_disabled
        soft = user is not None and user.presence is Presence.SOFT_DELETED
        action, reason = Action.MARK_DISABLED, Reason.ACCOUNT_SOFT_DELETED if soft else Reason.ACCOUNT_GONE
        if is_marked:
            action, reason = Action.LEAVE, Reason.ALREADY_DISABLED
        elif not self.snapshot.is_complete:
            action, reason = Action.LEAVE, Reason.ABSENT_BUT_READ_INCOMPLETE
        return Decision(
            object_id=object_id,
            action=action,
            reason=reason,
            user_principal_name=user.user_principal_name if user else "",
            display_name=row.fields.get("display_name", ""),
            email=row.fields.get("email", ""),
            end_user_id=row.id,
            match=MatchedBy.LINK,
            is_absent=True,
            sets_disabled=is_marked or action is Action.MARK_DISABLED,
            sets_in_scope=link.is_in_scope if link else True,
        )

    def _conflict(
        self,
        user: RemoteUser,
        reason: Reason,
        *,
        other: str | None = None,
        other_end_user_id: str | None = None,
        end_user: EndUserState | None = None,
        ignored: tuple[Action, Reason] = (Action.LEAVE, Reason.CONFLICT_IGNORED),
        **details: Any,
    ) -> None:
        """``ignored``: what becomes of the user once a person has settled it with "ignore" (M7)."""
        self._say(user, Action.CONFLICT, reason, end_user=end_user, **details)
        decision = replace(
            self.decisions[user.object_id], other_object_id=other, other_end_user_id=other_end_user_id
        )
        key = conflict_key(decision)
        decision = replace(decision, conflict_key=key)
        is_settled_too = (
            user.object_id in self.released
            and other in self.settled
            and self._holder(self.end_users[self.settled[other]]) == user.object_id
            and reason is not Reason.EMAIL_CLASH
        )
        if key in self.snapshot.ignored_conflicts or is_settled_too:  # M7 (changed)
            action, reason = ignored
            decision = replace(decision, action=action, reason=reason)
        self.decisions[user.object_id] = decision

    def _say(
        self,
        user: RemoteUser,
        action: Action,
        reason: Reason,
        *,
        end_user: EndUserState | None = None,
        **details: Any,
    ) -> None:
        self.decisions[user.object_id] = Decision(
            object_id=user.object_id,
            action=action,
            reason=reason,
            user_principal_name=user.user_principal_name,
            display_name=user.display_name,
            email=user.email,
            end_user_id=end_user.id if end_user is not None else None,
            **details,
        )


def _precedence(claim: _Claim, owner: EndUserState | None) -> tuple[bool, bool, bool, datetime, str]:
    user = claim.user
    is_owner = claim.end_user is not None and owner is not None and claim.end_user.id == owner.id
    return (
        not is_owner,
        claim.end_user is None,
        user.account_enabled is False,
        user.created_at or _LAST,
        user.object_id,
    )


def _link_differs(user: RemoteUser, row: EndUserState) -> bool:
    link = row.link
    return link is not None and (
        link.user_principal_name != user.user_principal_name
        or set(link.license_sku_ids) != set(user.license_sku_ids)
    )
