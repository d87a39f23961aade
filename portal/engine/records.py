"""The frozen records that travel between the stages of a sync. Pure: standard library and ``portal.text`` only.

The name says the stage: ``RemoteUser`` is what Microsoft has, ``EndUserState`` what we have, ``FilterSpec``
what the administrator wants, ``Decision`` what follows from the three (sync-rules, "Shape").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

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
"""The filter value that stands for "(none)" (S2, interfaces.md)."""


class Presence(StrEnum):
    """Where a Microsoft user object is, as far as the last complete read tells (L1)."""

    PRESENT = "present"
    SOFT_DELETED = "soft_deleted"
    GONE = "gone"


class Action(StrEnum):
    """The decision words, used everywhere (interfaces.md, "Decisions")."""

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
    BAD_RECORD = "bad_record"  # G8
    DISMISSED = "dismissed"  # G1: held back and dismissed; also why a mark is left alone
    # conflict
    EMAIL_LINKED_TO_OTHER = "email_linked_to_other"  # M5
    DUPLICATE_REMOTE_EMAIL = "duplicate_remote_email"  # M6
    EMAIL_CLASH = "email_clash"  # W4: the other fields are still updated
    UNDONE = "undone"  # R5: written by an undo, never by a sync
    CONFLICT_IGNORED = "conflict_ignored"  # M7: settled by "ignore", not raised again until a side changes


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
    ``aliases`` are the keys of the *other* SMTP addresses, without that of ``email``.
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


@dataclass(frozen=True, slots=True)
class LinkState:
    """The Link of an End User.

    ``written`` holds, per D1 field, the value the sync last wrote (W1); a field that is not in it was never
    written by the sync. ``is_foreign`` is true for a Link to another Microsoft Tenant than the mapped one (R4).
    """

    object_id: str
    microsoft_tenant_id: str
    is_disabled: bool = False
    is_in_scope: bool = True
    is_foreign: bool = False
    immutable_id: str = ""
    written: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class EndUserState:
    """One End User of the Organization as stored now. ``fields`` has every D1 field, blank as ``""``."""

    id: str
    fields: Mapping[str, str]
    link: LinkState | None = None
    pinned: frozenset[str] = frozenset()

    @property
    def email_key(self) -> str:
        """What the e-mail address is compared by (``text.email_key``); ``""`` when there is none (M1, M4)."""
        return email_key(self.fields.get("email", ""))


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
class Snapshot:
    """Everything ``decide.plan`` looks at for one Organization. Nothing else decides.

    users: every Directory User of the mapped Microsoft Tenant, any presence, any order.
    groups_of: object id -> lower-case ids of the filter's groups the user is in, direct or nested (S6).
    deleted_groups: filter groups that are gone from Microsoft (S6: accept nobody).
    is_complete: the read behind ``users`` was complete; otherwise absence concludes nothing (L2).
    never_sync: object ids on the never-sync list in force now (W6).
    ignored_conflicts: keys (``decide.conflict_key``) settled with "ignore" and unchanged since (M7).
    settled_links: object id -> end_user_id chosen by a person when settling a conflict (M7).
    """

    organization_id: str
    microsoft_tenant_id: str
    filters: FilterSpec
    users: tuple[RemoteUser, ...]
    end_users: tuple[EndUserState, ...]
    groups_of: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    deleted_groups: frozenset[str] = frozenset()
    is_complete: bool = True
    never_sync: frozenset[str] = frozenset()
    ignored_conflicts: frozenset[str] = frozenset()
    settled_links: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One D1 field of one End User: what it was and what it becomes (W3, W7)."""

    field: str
    old: str
    new: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What is to happen with one Microsoft user (or one Link whose object is gone).

    Counts (interfaces.md): ``is_in_scope`` and ``action`` place it. ``is_absent`` marks decisions about objects that
    are not present in Microsoft any more: they are outside the sums ("gone").
    end_user_id: the End User meant; None for create, and for skips and conflicts without one.
    match: how it was found; None for create.
    changes: field writes that go with it, also for link, mark_* and EMAIL_CLASH conflicts (W4: the other fields).
    moves_link_from: object id the Link moves away from (M5, M2 immutable id); None otherwise.
    sets_disabled / sets_in_scope: what the Link's marks become.
    other_object_id / other_end_user_id: the other side of a conflict.
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
    moves_link_from: str | None = None
    is_in_scope: bool = True
    is_absent: bool = False
    sets_disabled: bool = False
    sets_in_scope: bool = True
    other_object_id: str | None = None
    other_end_user_id: str | None = None
    conflict_key: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Counts:
    """A run's counts (interfaces.md, "Sync Run"). The equations of G8 hold at all times:

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


@dataclass(frozen=True, slots=True)
class Plan:
    """All decisions of one Organization, one per present user plus one per linked absent object, in a stable order."""

    decisions: tuple[Decision, ...]
    warnings: tuple[str, ...] = ()


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


@dataclass(frozen=True, slots=True)
class GuardedPlan:
    """A plan after G1: what may be applied now, and what waits for an administrator.

    waived: what was dismissed, as what it comes to now: left as it is, or skipped. over: hold keys that were dismissed
    and say nothing of anybody any more.
    """

    apply: tuple[Decision, ...]
    held: Mapping[HoldKind, tuple[Decision, ...]]
    counts: Counts
    waived: tuple[Decision, ...] = ()
    over: frozenset[str] = frozenset()
