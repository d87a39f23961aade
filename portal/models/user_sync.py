"""User Sync: the switch, the runs, and everything a run leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from portal.models.base import Base, FieldChanges, Id, new_id

ACTIVE = ("queued", "running")
"""Statuses of a run that is not over."""
CHANGING = ("created", "linked", "updated", "disabled", "enabled", "gone", "held", "conflicts")
"""Counts of people that a run did something about."""


class UserSync(Base):
    """The per-Organization switch. A row exists from the first enabling on; ``enabled`` is the switch.

    filters: what ``engine.scope.spec_to_json`` gives. generation grows with every enable and disable: a run that was started
    under another generation stops at its next chunk (L5). initial_done_at: the initial sync of this enabling is over.
    hold_run_id: the run whose hold waits for a decision (status paused). attention: why it needs attention, in words; attention_code: failing (G2) | group_gone (S6) | left (G9) | overdue (T3).
    dismissed: hold keys dismissed by an administrator, not held again until they change.
    settled_state: a digest of all that the last complete run decided on; a run that finds the same has nothing to do and ends
    with settled_counts.
    """

    __tablename__ = "user_syncs"
    __table_args__ = (UniqueConstraint("organization_id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"))
    enabled: Mapped[bool] = mapped_column(default=False)
    generation: Mapped[int] = mapped_column(default=0)
    filters: Mapped[dict[str, Any]]
    add_disabled_accounts: Mapped[bool] = mapped_column(default=False)
    only_licensed: Mapped[bool] = mapped_column(default=False)
    include_agents: Mapped[bool] = mapped_column(default=False)
    hold_percent: Mapped[int] = mapped_column(default=25)
    hold_minimum: Mapped[int] = mapped_column(default=10)
    edited_at: Mapped[datetime | None]  # filters and rules were saved
    enabled_at: Mapped[datetime | None]
    enabled_by: Mapped[str] = mapped_column(String(320), default="")
    initial_done_at: Mapped[datetime | None]
    hold_run_id: Mapped[str | None] = mapped_column(String(36))
    failures_in_row: Mapped[int] = mapped_column(default=0)
    attention: Mapped[str | None] = mapped_column(Text)
    attention_code: Mapped[str] = mapped_column(String(20), default="")
    dismissed: Mapped[list[Any]] = mapped_column(default=list)
    settled_state: Mapped[str | None] = mapped_column(String(64))
    settled_counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    updated_at: Mapped[datetime]


def is_notable(trigger: str, kind: str | None, status: str | None, counts: Mapping[str, Any]) -> bool:
    """What ``SyncRun.is_notable`` says of a run; kind: None stands for a sync."""
    is_quiet = trigger == "hourly" and kind in {None, "sync"} and status == "succeeded"
    return not is_quiet or any(counts.get(kind) for kind in CHANGING)


class SyncRun(Base):
    """One execution for one Organization. Queued rows are the queue itself.

    microsoft_tenant_id: the tenant it reads; the lease is taken on that. generation: UserSync's when it was queued.
    kind: sync | undo. held: {"kind","count","state"} or None. plan_fingerprint: the approved plan, when it runs exactly that (U12).
    is_notable: it changed something, went wrong or is not over, or somebody asked for it; a quiet hourly run is not.
    only_object_id: the one Microsoft user that it is for, None for all; such a run decides nothing about the sync itself.
    """

    __tablename__ = "sync_runs"
    __table_args__ = (
        Index(None, "organization_id", "created_at"),
        Index(None, "microsoft_tenant_id", "status"),
        Index(None, "status", "created_at"),
        Index(None, "created_at"),
        Index(None, "is_notable", "created_at"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"))
    microsoft_tenant_id: Mapped[str | None] = mapped_column(String(36))
    generation: Mapped[int] = mapped_column(default=0)
    kind: Mapped[str] = mapped_column(String(10), default="sync")
    undoes_run_id: Mapped[str | None] = mapped_column(String(36))
    trigger: Mapped[str] = mapped_column(String(10))
    lane: Mapped[str] = mapped_column(String(10), default="hourly")
    status: Mapped[str] = mapped_column(String(10), default="queued")
    phase: Mapped[str] = mapped_column(String(40), default="")
    done: Mapped[int] = mapped_column(default=0)
    total: Mapped[int | None]
    counts: Mapped[dict[str, Any]] = mapped_column(default=dict)
    held: Mapped[dict[str, Any] | None]
    graph_requests: Mapped[int] = mapped_column(default=0)
    throttled_seconds: Mapped[float] = mapped_column(default=0.0)
    plan_fingerprint: Mapped[str | None] = mapped_column(String(64))
    only_object_id: Mapped[str | None] = mapped_column(String(64))
    started_by: Mapped[str] = mapped_column(String(320), default="")
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None]
    error: Mapped[str | None] = mapped_column(Text)
    error_code: Mapped[str | None] = mapped_column(String(64))
    warnings: Mapped[list[Any]] = mapped_column(default=list)
    is_notable: Mapped[bool] = mapped_column(default=True)

    @validates("status", "counts")
    def _note(self, name: str, value: Any) -> Any:
        counts = (value if name == "counts" else self.counts) or {}
        status = value if name == "status" else self.status
        self.is_notable = is_notable(self.trigger, self.kind, status, counts)
        return value


class Change(Base):
    """What a run did, or would not do, with one person (W3, W7, P8). ``leave`` decisions leave no row.

    fields: [{"field","old","new"}]. state: applied | held | dismissed.
    undo: what it takes to take it back: any of {"created": true, "link": the Link before | None,
    "updated_at": ISO time} (R5).
    hold_key: identifies a held decision while it does not change (G1).
    """

    __tablename__ = "sync_changes"
    __table_args__ = (
        UniqueConstraint("run_id", "object_id"),
        Index(None, "end_user_id", "at"),
        Index(None, "run_id", "decision"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    run_id: Mapped[str] = mapped_column(ForeignKey("sync_runs.id", ondelete="CASCADE"))
    organization_id: Mapped[str] = mapped_column(String(36))
    end_user_id: Mapped[str | None] = mapped_column(String(36))
    object_id: Mapped[str] = mapped_column(String(64))
    display_name: Mapped[str] = mapped_column(String(1024), default="")
    decision: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(String(40))
    note: Mapped[str] = mapped_column(Text, default="")
    state: Mapped[str] = mapped_column(String(10), default="applied")
    fields: Mapped[list[dict[str, str]]] = mapped_column(FieldChanges, default=list)
    undo: Mapped[dict[str, Any]] = mapped_column(default=dict)
    hold_key: Mapped[str] = mapped_column(String(64), default="")
    at: Mapped[datetime]


class Conflict(Base):
    """An open or settled conflict (M7). ``key`` stays the same while neither side changes.

    resolution: None (open) | link | ignore | gone (it went away by itself). before: what settling changed, to take it back:
    {"links": {end user id: the Link before | None}, "with": [ids of conflicts that were settled with it]}.
    """

    __tablename__ = "conflicts"
    __table_args__ = (
        UniqueConstraint("organization_id", "key"),
        Index(None, "organization_id", "resolved_at"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"))
    key: Mapped[str] = mapped_column(String(64))
    kind: Mapped[str] = mapped_column(String(40))
    reason: Mapped[str] = mapped_column(Text)
    object_id: Mapped[str] = mapped_column(String(64))
    display_name: Mapped[str] = mapped_column(String(1024), default="")
    email: Mapped[str] = mapped_column(String(1024), default="")
    end_user_id: Mapped[str | None] = mapped_column(String(36))
    other_object_id: Mapped[str | None] = mapped_column(String(64))
    run_id: Mapped[str | None] = mapped_column(String(36))
    created_at: Mapped[datetime]
    resolution: Mapped[str | None] = mapped_column(String(10))
    resolved_end_user_id: Mapped[str | None] = mapped_column(String(36))
    resolved_at: Mapped[datetime | None]
    resolved_by: Mapped[str] = mapped_column(String(320), default="")
    before: Mapped[dict[str, Any]] = mapped_column(default=dict)


class SyncException(Base):
    """P14: a person never to be synced, or a field pinned to our own value. Ends at ``expires_at``.

    immutable_id, email_key: of the object, so that a person who is deleted and made again is still known (W6).
    """

    __tablename__ = "sync_exceptions"
    __table_args__ = (Index(None, "organization_id", "kind"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(12))  # never_sync | pin
    object_id: Mapped[str | None] = mapped_column(String(64))
    immutable_id: Mapped[str] = mapped_column(String(256), default="")
    email_key: Mapped[str] = mapped_column(String(1024), default="")
    end_user_id: Mapped[str | None] = mapped_column(ForeignKey("end_users.id", ondelete="CASCADE"))
    field: Mapped[str | None] = mapped_column(String(40))
    reason: Mapped[str] = mapped_column(Text, default="")
    author: Mapped[str] = mapped_column(String(320), default="")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]


class AssetReport(Base):
    """What the device pass could not assign, and why (W5); replaced by each pass."""

    __tablename__ = "asset_reports"

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    organization_id: Mapped[str] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE"), index=True
    )
    asset_id: Mapped[str | None] = mapped_column(ForeignKey("assets.id", ondelete="CASCADE"))
    mac: Mapped[str] = mapped_column(String(12), default="")
    reason: Mapped[str] = mapped_column(Text)
    at: Mapped[datetime]

    asset: Mapped[Any] = relationship("Asset")
