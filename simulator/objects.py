"""The directory objects of a tenant and the log of their changes, from which delta answers are made."""

from __future__ import annotations

import random
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

Props = dict[str, Any]

ARRAY_PROPERTIES = frozenset(
    {
        "assignedLicenses",
        "assignedPlans",
        "businessPhones",
        "groupTypes",
        "identities",
        "imAddresses",
        "licenseAssignmentStates",
        "onPremisesProvisioningErrors",
        "otherMails",
        "physicalIds",
        "provisionedPlans",
        "proxyAddresses",
        "resourceBehaviorOptions",
        "resourceProvisioningOptions",
    }
)


def new_id(rng: random.Random) -> str:
    """A GUID from the world's own chance, so that the same seed gives the same ids."""
    return str(uuid.UUID(int=rng.getrandbits(128), version=4))


@dataclass(slots=True)
class User:
    """One user object.

    props: what was ever set; a property never set is not in it, one cleared later is None (docs/microsoft-graph.md, 3).
    sign_in: the signInActivity document, None for somebody who never signed in.
    methods: MFA methods registered. purpose: userPurpose of the mailbox, "" without one. is_agent: an AI agent, no person.
    deleted_at: set while soft-deleted.
    """

    id: str
    props: Props
    sign_in: dict[str, str] | None = None
    methods: tuple[str, ...] = ()
    is_admin: bool = False
    is_agent: bool = False
    purpose: str = ""
    deleted_at: datetime | None = None


@dataclass(slots=True)
class Group:
    """One group object; ``members`` maps direct member id to its kind (user, group, device, ...)."""

    id: str
    props: Props
    members: dict[str, str] = field(default_factory=dict)

    @property
    def is_hidden(self) -> bool:
        """True when members show only with Member.Read.Hidden."""
        return self.props.get("visibility") == "HiddenMembership"


@dataclass(frozen=True, slots=True)
class ObjectChange:
    """An object changed at ``number``: these properties, or all of them (None: created, restored, gone)."""

    number: int
    id: str
    props: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class MemberChange:
    """Somebody joined or left a group at ``number``."""

    number: int
    group_id: str
    member_id: str
    kind: str
    is_added: bool


@dataclass(slots=True)
class ChangeLog:
    """Everything that changed since the world was made; a delta token is a number in this log."""

    number: int = 0
    users: list[ObjectChange] = field(default_factory=list)
    groups: list[ObjectChange] = field(default_factory=list)
    members: list[MemberChange] = field(default_factory=list)

    def user(self, user_id: str, props: Iterable[str] | None = None) -> None:
        """Note a change of a user."""
        self.number += 1
        self.users.append(ObjectChange(self.number, user_id, None if props is None else frozenset(props)))

    def group(self, group_id: str, props: Iterable[str] | None = None) -> None:
        """Note a change of a group."""
        self.number += 1
        self.groups.append(ObjectChange(self.number, group_id, None if props is None else frozenset(props)))

    def member(self, group_id: str, member_id: str, kind: str, is_added: bool) -> None:
        """Note that somebody joined or left a group."""
        self.number += 1
        self.members.append(MemberChange(self.number, group_id, member_id, kind, is_added))


@dataclass(slots=True)
class Directory:
    """All objects of one tenant. ``others`` are service principals and contacts, which only occur as members."""

    users: dict[str, User] = field(default_factory=dict)
    deleted: dict[str, User] = field(default_factory=dict)
    purged: set[str] = field(default_factory=set)
    groups: dict[str, Group] = field(default_factory=dict)
    deleted_groups: dict[str, Group] = field(default_factory=dict)
    purged_groups: set[str] = field(default_factory=set)
    others: dict[str, Props] = field(default_factory=dict)
    devices: dict[str, Props] = field(default_factory=dict)
    managed_devices: dict[str, Props] = field(default_factory=dict)
    log: ChangeLog = field(default_factory=ChangeLog)
