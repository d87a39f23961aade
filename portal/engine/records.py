"""The frozen records that travel between the stages of a sync. Pure: no I/O.

The name says the stage: ``RemoteUser`` is what Microsoft has, ``EndUserState`` what we have, ``FilterSpec`` what the
administrator wants. ``PersonKeys`` and ``EndUserKeys`` are what of the first two settles who goes with
whom; an ``Assignment`` says that, for everybody at once, and a ``Decision`` what is written, one person at a time.

Over 350 lines: what one stage promises the next is looked up here, side by side, and most of it is said in docstrings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType
from typing import NamedTuple

from portal.text import email_key

# The End User fields that follow Microsoft (D1), in the order pages and change records show them.
D1_FIELDS: tuple[str, ...] = (
    "display_name",
    "first_name",
    "last_name",
    "email",
    "phone",
    "mobile_phone",
    "street_address",
    "city",
    "state",
    "postal_code",
    "country",
    "job_title",
    "department",
    "office_location",
)

# The five filter sections (U2), in the order of the pop-up.
SECTIONS: tuple[str, ...] = ("user_type", "domain", "office_location", "department", "group")

NONE_VALUE = ""
"""The filter value that stands for "(none)" (S2)."""


class Presence(StrEnum):
    """Where a Microsoft user object is, as far as the last complete read tells (L1)."""

    PRESENT = "present"
    SOFT_DELETED = "soft_deleted"
    GONE = "gone"


class Action(StrEnum):
    """The decision words, used everywhere: pages, API, command line and history."""

    CREATE = "create"
    LINK = "link"
    UPDATE = "update"
    MARK_DISABLED = "mark_disabled"
    MARK_ENABLED = "mark_enabled"
    LEAVE = "leave"
    SKIP = "skip"
    CONFLICT = "conflict"


class Reason(StrEnum):
    """Why a decision was taken. ``explain.py`` has one sentence for each."""

    # create / link / update / leave
    NEW_IN_SCOPE = "new_in_scope"
    MATCHED_BY_EMAIL = "matched_by_email"
    MATCHED_BY_ALIAS = "matched_by_alias"
    MATCHED_BY_IMMUTABLE_ID = "matched_by_immutable_id"
    LINK_MOVED = "link_moved"  # M5: the old object is gone or of another Microsoft Tenant
    FIELDS_DIFFER = "fields_differ"
    UP_TO_DATE = "up_to_date"
    BACK_IN_SCOPE = "back_in_scope"
    OUT_OF_SCOPE = "out_of_scope"  # not linked, outside the filters
    NO_LONGER_IN_SCOPE = "no_longer_in_scope"  # L3: linked, outside the filters
    # life cycle
    ACCOUNT_DISABLED = "account_disabled"
    ACCOUNT_SOFT_DELETED = "account_soft_deleted"
    ACCOUNT_GONE = "account_gone"
    ACCOUNT_ENABLED = "account_enabled"
    ABSENT_BUT_READ_INCOMPLETE = "absent_but_read_incomplete"  # L2: nothing concluded
    DISABLED_BUT_READ_INCOMPLETE = "disabled_but_read_incomplete"  # L2: marked by the next complete read
    ALREADY_DISABLED = "already_disabled"
    # skip
    NO_EMAIL = "no_email"
    DISABLED_NOT_ADDED = "disabled_not_added"  # U9
    UNLICENSED_NOT_ADDED = "unlicensed_not_added"  # U9
    NEVER_SYNC = "never_sync"  # W6
    AGENT = "agent"  # S8
    BAD_RECORD = "bad_record"  # G8
    HELD = "held"  # G1: waits for an administrator
    DISMISSED = "dismissed"  # G1: held back and dismissed; also why a mark is left alone
    # conflict
    EMAIL_LINKED_TO_OTHER = "email_linked_to_other"  # M5
    DUPLICATE_REMOTE_EMAIL = "duplicate_remote_email"  # M6
    EMAIL_CLASH = "email_clash"  # W4: the other fields are still updated
    UNDONE = "undone"  # R5: written by an undo, never by a sync
    CONFLICT_IGNORED = "conflict_ignored"  # M7: settled by "ignore", not raised again until a side changes


class Undone(StrEnum):
    """What an undo did to somebody, one or several of these; kept with its change record in this order (R5)."""

    DELETED = "deleted"
    DETAILS = "details"
    UNLINKED = "unlinked"
    LINKED = "linked"
    MARK = "mark"


class Spared(StrEnum):
    """Why an undo leaves something as it is (R5)."""

    EDITED = "edited"
    DELETED = "deleted"
    HAS_NOTES = "has_notes"
    OWNS_ASSETS = "owns_assets"
    ADDRESS_TAKEN = "address_taken"
    ACCOUNT_TAKEN = "account_taken"
    LINKED_OTHERWISE = "linked_otherwise"


class Phase(StrEnum):
    """What a run is doing. The API answers these values, and they are kept with the run."""

    READING_PEOPLE = "Reading people"
    READING_GROUPS = "Reading groups"
    READING_LICENSES = "Reading licenses"
    DECIDING = "Deciding"
    APPLYING = "Applying"
    PUBLISHING = "Publishing"
    UNDOING = "Undoing"
    DONE = "Done"


class MatchedBy(StrEnum):
    """How an End User was found for a Microsoft user (M2)."""

    LINK = "link"
    EMAIL = "email"
    ALIAS = "alias"
    IMMUTABLE_ID = "immutable_id"


@dataclass(frozen=True, slots=True)
class RemoteUser:
    """One Microsoft user object as the mirror last saw it.

    Texts are NFC, trimmed, control characters kept out (G7); a blank is ``""``, never None.
    ``email`` is M1's choice in its original case, ``""`` when there is none.
    ``aliases`` are the keys of the *other* SMTP addresses, without ``email``.
    ``problem`` is set for a record that cannot be used (G8) and says why.
    """

    object_id: str
    user_principal_name: str = ""
    display_name: str = ""
    first_name: str = ""
    last_name: str = ""
    email: str = ""
    aliases: tuple[str, ...] = ()
    phone: str = ""
    mobile_phone: str = ""
    street_address: str = ""
    city: str = ""
    state: str = ""
    postal_code: str = ""
    country: str = ""
    job_title: str = ""
    department: str = ""
    office_location: str = ""
    user_type: str = "Member"
    account_enabled: bool | None = True
    created_at: datetime | None = None
    license_sku_ids: tuple[str, ...] = ()
    immutable_id: str = ""
    presence: Presence = Presence.PRESENT
    problem: str = ""
    is_agent: bool = False
    content_hash: str = ""

    @property
    def email_key(self) -> str:
        """The key of the e-mail address; ``""`` when there is none (M1)."""
        return email_key(self.email)


@dataclass(frozen=True, slots=True)
class LinkState:
    """The Link of an End User, whole.

    ``written`` holds, per D1 field, the value the sync last wrote (W1); a field that is not in it was never
    written by the sync. ``is_foreign`` is true for a Link to another Microsoft Tenant than the mapped one (R4).
    """

    object_id: str
    microsoft_tenant_id: str
    is_disabled: bool = False
    is_in_scope: bool = True
    is_foreign: bool = False
    user_principal_name: str = ""
    immutable_id: str = ""
    license_sku_ids: tuple[str, ...] = ()
    written: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    applied_hash: str = ""


@dataclass(frozen=True, slots=True)
class EndUserState:
    """One End User of the Organization as stored now. ``fields`` has every D1 field, blank as ``""``."""

    id: str
    fields: Mapping[str, str]
    link: LinkState | None = None
    pinned: frozenset[str] = frozenset()

    @property
    def email_key(self) -> str:
        """The key of the e-mail address; ``""`` when there is none (M1, M4)."""
        return email_key(self.fields.get("email", ""))


class PersonKeys(NamedTuple):
    """What of one Microsoft user settles who goes with whom: the keys, about 200 bytes.

    A tuple, since 100,000 are made for a whole plan. Order and names are those of the query in ``engine/snapshot``.
    email_key, aliases: keys (``portal.text.email_key``). account_enabled: None when Microsoft does not say.
    has_problem: the record cannot be used (G8). content_hash: of everything that could be written to an End User.
    """

    object_id: str
    presence: str  # a Presence
    email_key: str
    aliases: tuple[str, ...]
    domain: str
    user_type: str
    office_key: str
    department_key: str
    account_enabled: bool | None
    created_at: datetime | None
    immutable_id: str
    is_licensed: bool
    is_agent: bool
    has_problem: bool
    content_hash: str


class EndUserKeys(NamedTuple):
    """What of one End User settles who goes with whom. object_id: None when not linked.

    is_foreign: linked to another Microsoft Tenant than the mapped one (R4). pins: names of the pinned fields in force, sorted.
    """

    id: str
    email_key: str
    object_id: str | None
    is_foreign: bool
    is_disabled: bool
    is_in_scope: bool
    immutable_id: str
    applied_hash: str
    pins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SectionFilter:
    """One section of the set-up pop-up. ``values`` are raw as stored; S3 folding happens in ``scope``."""

    all: bool = True
    values: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FilterSpec:
    """All five sections and the add rules (U2, U9). Group values are group object ids, lower case."""

    user_type: SectionFilter = SectionFilter()
    domain: SectionFilter = SectionFilter()
    office_location: SectionFilter = SectionFilter()
    department: SectionFilter = SectionFilter()
    group: SectionFilter = SectionFilter()
    add_disabled_accounts: bool = False
    only_licensed: bool = False
    include_agents: bool = False

    @property
    def has_group_filter(self) -> bool:
        """True when the Group section is not All: the initial sync takes the delayed lane (T3)."""
        return not self.group.all


@dataclass(frozen=True, slots=True)
class SectionVerdict:
    """One section's answer for one user: accepted or not, and the value it judged."""

    accepted: bool
    value: str


@dataclass(frozen=True, slots=True)
class NeverSync:
    """The never-sync list in force (W6).

    object_ids: the objects themselves. immutable_ids, email_keys: of those of them that are gone from Microsoft, non-blank:
    who is made again with one of these is the same person.
    """

    object_ids: frozenset[str] = frozenset()
    immutable_ids: frozenset[str] = frozenset()
    email_keys: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything that ``plan.plan`` looks at for one Organization: keys only. Nothing else decides.

    people: every Directory User of the mapped Microsoft Tenant, any presence, any order; gone through once. What only tells who
    is linked, or could be, may be left out of them where there are no End Users and ``never_sync`` names no immutable ids.
    end_users: every End User of the Organization.
    resting, outside: how many present people were left out of ``people``, since nothing depends on them and nothing is to be told
    of them (``engine/in_question``): who is linked and has nothing new, together with their End Users; who is outside the
    filters and not linked.
    groups_of: object id -> lower-case ids of the filter's groups the user is in, direct or nested (S6).
    deleted_groups: filter groups that are gone from Microsoft (S6: accept nobody).
    is_complete: the read behind ``people`` was complete; otherwise absence concludes nothing (L2).
    ignored_conflicts: keys (``conflict_key``) settled with "ignore" and unchanged since (M7).
    settled_links: object id -> end_user_id chosen by a person when settling a conflict (M7).
    """

    organization_id: str
    microsoft_tenant_id: str
    filters: FilterSpec
    people: Iterable[PersonKeys]
    end_users: Sequence[EndUserKeys]
    groups_of: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    deleted_groups: frozenset[str] = frozenset()
    is_complete: bool = True
    never_sync: NeverSync = NeverSync()
    ignored_conflicts: frozenset[str] = frozenset()
    settled_links: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    resting: int = 0
    outside: int = 0


class Kind(StrEnum):
    """What an Assignment says of a Microsoft user."""

    CREATE = "create"  # a new End User
    LINK = "link"  # an End User that exists gets this Link, or its Link moves here
    LINKED = "linked"  # linked already
    OUT_OF_SCOPE = "out_of_scope"  # linked, outside the filters (L3)
    ABSENT = "absent"  # linked, and the object is not present
    SKIP = "skip"
    CONFLICT = "conflict"  # M5, M6: about a user who gets no End User


@dataclass(frozen=True, slots=True)
class Assignment:
    """Who one Microsoft user goes with, and which marks that brings: settled from keys, before any field is looked at.

    end_user_id, match: the End User meant and how it was found (M2); None for CREATE, and for skips and conflicts without one.
    moves_link_from: object id the Link moves away from (M5, M2 immutable id); None otherwise.
    was_disabled / sets_disabled, was_in_scope / sets_in_scope: the Link's marks before and after.
    keeps_email: the address stays as it is although Microsoft has another one (a clash, or settled as such: W4, M7).
    is_clash: W4: the address clashes and nobody settled it: a conflict, the other fields are still updated.
    other_object_id / other_end_user_id: the other side of a conflict or clash. conflict_key: stable while neither side changes (M7).
    is_changed: Microsoft's record or the pins differ from what was applied, so the fields must be looked at.
    is_held: G1 holds the person back, whole. is_waived: an administrator dismissed the mark or creation.
    """

    object_id: str
    kind: Kind
    reason: Reason
    email_key: str = ""
    end_user_id: str | None = None
    match: MatchedBy | None = None
    moves_link_from: str | None = None
    was_disabled: bool = False
    sets_disabled: bool = False
    was_in_scope: bool = True
    sets_in_scope: bool = True
    keeps_email: bool = False
    is_clash: bool = False
    other_object_id: str | None = None
    other_end_user_id: str | None = None
    conflict_key: str = ""
    is_changed: bool = False
    is_held: bool = False
    is_waived: bool = False

    @property
    def is_conflict(self) -> bool:
        """True for a conflict that nobody settled (M7)."""
        return self.is_clash or (self.kind is Kind.CONFLICT and self.reason is not Reason.CONFLICT_IGNORED)

    @property
    def is_in_scope(self) -> bool:
        """True for those that count as in scope (G8)."""
        return self.kind not in {Kind.OUT_OF_SCOPE, Kind.ABSENT, Kind.SKIP}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to happen in one Organization, by keys: everybody for whom something might be written or told.

    assignments: in the order of object ids; skips, conflicts and what is held among them. Who is linked, in scope, unmarked
    and has nothing new is only counted, in ``unchanged``; who is out of scope and not linked, in ``out_of_scope``.
    held: which kinds G1 holds back. over: hold keys that were dismissed and say nothing of anybody any more.
    linked: Links of the Organization to the mapped tenant (G1's base). leaving: how many linked stop matching the filters (G9).
    """

    assignments: tuple[Assignment, ...]
    unchanged: int = 0
    out_of_scope: int = 0
    linked: int = 0
    leaving: int = 0
    held: frozenset[HoldKind] = frozenset()
    over: frozenset[str] = frozenset()
    is_complete: bool = True
    has_deleted_groups: bool = False


LINK_FIELDS: tuple[str, ...] = ("user_principal_name", "licenses", "microsoft_status", "in_scope")
"""Fields of change records beside D1 (W3): licenses are sku ids, sorted and separated by blanks; in_scope is true | false."""


class FieldChange(NamedTuple):
    """One field of one End User, of ``D1_FIELDS`` or ``LINK_FIELDS``: what it was and what it becomes (W3, W7)."""

    field: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to happen with one Microsoft user (or one Link whose object is gone): everything that will be written.

    Counts: ``is_in_scope`` and ``action`` place it. ``is_absent`` marks decisions about objects that
    are not present in Microsoft any more: they are outside the sums ("gone").
    end_user_id: the End User meant; None for create, and for skips and conflicts without one. match: how it was found.
    changes: every field that changes, also of link, mark_* and of EMAIL_CLASH conflicts (W4: the other fields).
    makes_link: the Link is made or moved here: the End User's Link becomes exactly ``columns``.
    columns: the End User's columns (``models.EndUser``) that are written, by name, the D1 fields, Link columns, ``written`` and
    ``applied_hash`` among them; empty when nothing is. What is the database's own (ids, times, search, product names) is
    not among them.
    conflict_key: stable key of the conflict while neither side changes (M7); "" otherwise.
    note: detail for the reason's sentence, for instance G8's problem.
    """

    object_id: str
    action: Action
    reason: Reason
    user_principal_name: str = ""
    display_name: str = ""
    email: str = ""
    end_user_id: str | None = None
    match: MatchedBy | None = None
    changes: tuple[FieldChange, ...] = ()
    makes_link: bool = False
    moves_link_from: str | None = None
    columns: Mapping[str, object] = field(default_factory=lambda: MappingProxyType({}))
    is_in_scope: bool = True
    is_absent: bool = False
    other_object_id: str | None = None
    other_end_user_id: str | None = None
    conflict_key: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """A run's counts. The equations of G8 hold at all times:

    read = in_scope + out_of_scope + skipped
    in_scope = created + linked + updated + unchanged + disabled + enabled + conflicts + held
    """

    read: int = 0
    in_scope: int = 0
    out_of_scope: int = 0
    skipped: int = 0
    created: int = 0
    linked: int = 0
    updated: int = 0
    unchanged: int = 0
    disabled: int = 0
    enabled: int = 0
    conflicts: int = 0
    held: int = 0
    gone: int = 0


COUNTED = ("created", "linked", "updated", "unchanged", "disabled", "enabled", "conflicts", "held")
"""What came of those in scope, in the order in which it is told."""


class HoldKind(StrEnum):
    """What G1 holds back."""

    DISABLE = "disable"
    CREATE = "create"


@dataclass(frozen=True, slots=True)
class HoldRule:
    """G1's threshold: more than ``percent`` of the linked and at least the minimum."""

    percent: int = 25
    minimum: int = 10
    create_minimum: int = 25
