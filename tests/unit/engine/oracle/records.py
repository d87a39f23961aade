"""The records of the first engine that have changed since."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from portal.engine.records import (
    Action,
    EndUserState,
    FieldChange,
    FilterSpec,
    MatchedBy,
    NeverSync,
    Reason,
    RemoteUser,
)


@dataclass(frozen=True, slots=True)
class Snapshot:
    organization_id: str
    microsoft_tenant_id: str
    filters: FilterSpec
    users: tuple[RemoteUser, ...]
    end_users: tuple[EndUserState, ...]
    groups_of: Mapping[str, frozenset[str]] = field(default_factory=lambda: MappingProxyType({}))
    deleted_groups: frozenset[str] = frozenset()
    is_complete: bool = True
    never_sync: NeverSync = NeverSync()
    ignored_conflicts: frozenset[str] = frozenset()
    settled_links: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))


@dataclass(frozen=True, slots=True)
class Decision:
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
    link_differs: bool = False


@dataclass(frozen=True, slots=True)
class Plan:
    decisions: tuple[Decision, ...]
    warnings: tuple[str, ...] = ()
