"""The mirror: what Microsoft last returned, per Microsoft Tenant."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, Id, InNaturalOrder, PersonFields, new_id

REMOVED = "removed"
COMPARED = ("content_hash", "email_key", "presence", "account_enabled", "is_agent", "problem")


class MicrosoftTenant(InNaturalOrder, Base):
    """A Microsoft Entra directory. ``directory_id`` is its tenant GUID, lower case.

    state: connected | needs_attention | removed; ``problem`` says why in words, ``problem_code`` is Microsoft's code.
    One that is removed is shown nowhere and has no mirror; its row stays, so that the Links to it mean something when the same
    directory is connected again (L7).
    domains: [{"name", "is_default", "is_initial"}], verified ones only.
    capabilities: what was found missing and when, e.g. {"sign_ins": {"state": "missing_license", "at": iso}} (D3).
    The lease columns are T1's "one run at a time": only ``worker.leases`` writes them. The slow pass has its own (T7).
    """

    __tablename__ = "microsoft_tenants"
    __table_args__ = (UniqueConstraint("directory_id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    directory_id: Mapped[str] = mapped_column(String(36))
    name: Mapped[str] = mapped_column(String(256))
    cloud: Mapped[str] = mapped_column(String(20), default="global")
    domains: Mapped[list[Any]] = mapped_column(default=list)
    state: Mapped[str] = mapped_column(String(20), default="connected")
    problem: Mapped[str | None] = mapped_column(Text)
    problem_code: Mapped[str | None] = mapped_column(String(64))
    problem_since: Mapped[datetime | None]
    connected_at: Mapped[datetime]
    checked_at: Mapped[datetime | None]
    checks: Mapped[list[Any]] = mapped_column(default=list)  # the last check's table (C4)
    capabilities: Mapped[dict[str, Any]] = mapped_column(default=dict)
    relationship_ends_at: Mapped[datetime | None]  # partner relationship (C5)

    # people, groups and licenses
    users_count: Mapped[int] = mapped_column(default=0)
    read_requested_at: Mapped[datetime | None]  # a read is wanted: after connecting, or for a group's members
    last_synced_at: Mapped[datetime | None]  # end of the last read of people, groups and licenses
    last_full_read_at: Mapped[datetime | None]
    is_complete: Mapped[bool] = mapped_column(default=False)  # L2, of the last read
    incomplete_reason: Mapped[str | None] = mapped_column(Text)
    failures_in_row: Mapped[int] = mapped_column(default=0)
    next_run_at: Mapped[datetime | None] = mapped_column(index=True)  # T1
    throttled_until: Mapped[datetime | None]  # G5

    lease_owner: Mapped[str | None] = mapped_column(String(64))
    lease_expires_at: Mapped[datetime | None]
    fence: Mapped[int] = mapped_column(default=0)  # grows with each taking of the lease
    mirror_version: Mapped[int] = mapped_column(default=0)  # grows with each read that changed something
    agents_known: Mapped[bool] = mapped_column(default=True)  # S8: Microsoft said which users are agents

    # the slow pass (T7)
    slow_lease_owner: Mapped[str | None] = mapped_column(String(64))
    slow_lease_expires_at: Mapped[datetime | None]
    slow_fence: Mapped[int] = mapped_column(default=0)
    slow_due_at: Mapped[datetime | None] = mapped_column(index=True)
    sign_ins_at: Mapped[
        datetime | None
    ]  # the figures are as of then; the next pass asks for what changed since
    sign_ins_full_at: Mapped[datetime | None]  # the last pass over everybody
    mfa_at: Mapped[datetime | None]
    devices_at: Mapped[datetime | None]
    assets_assigned: Mapped[int] = mapped_column(default=0)
    slow_progress: Mapped[dict[str, Any]] = mapped_column(default=dict)  # {"phase", "done", "total"}
    slow_problems: Mapped[list[Any]] = mapped_column(default=list)  # [{"part", "state", "detail"}]

    @property
    def is_removed(self) -> bool:
        """True when its connection was removed (L7)."""
        return self.state == REMOVED


IS_CONNECTED = MicrosoftTenant.state != REMOVED
"""The condition of every list of Microsoft Tenants: those that were removed are in none (L7)."""


class SignInTurns(Base):
    """The app-wide limit of sign-in activity (T7): one row, id 1, that only ``worker.rate_limiter`` reads and writes.

    turns: ISO times of the last turns handed out, those to come included. held_until: no turn before (429).
    """

    __tablename__ = "sign_in_turns"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    turns: Mapped[list[Any]] = mapped_column(default=list)
    held_until: Mapped[datetime | None]


class DeltaCursor(Base):
    """A delta link, saved in the same transaction as the rows it covers (G3).

    fingerprint binds it to select list, cloud and client id: on any change it is thrown away.
    """

    __tablename__ = "delta_cursors"

    microsoft_tenant_id: Mapped[str] = mapped_column(
        ForeignKey("microsoft_tenants.id", ondelete="CASCADE"), primary_key=True
    )
    resource: Mapped[str] = mapped_column(String(40), primary_key=True)  # users | groups
    fingerprint: Mapped[str] = mapped_column(String(64))
    link: Mapped[str] = mapped_column(Text)
    obtained_at: Mapped[datetime]


class DirectoryUser(PersonFields, Base):
    """Our mirror of one Microsoft user object.

    raw: the selected properties merged over deltas (absent is not null), as JSON; read for the next merge only.
    row_hash: of ``raw``: an object that is sent again as it was is not written again. Every other column is computed from
    ``raw`` once, by ``engine.mirror.normalize``, and never edited. content_hash: of all that a sync could ever write to an
    End User. version: ``MicrosoftTenant.mirror_version`` of the read that last changed the row.
    presence: present | soft_deleted | gone. problem: why the record cannot be used, "" when it can (G8).
    *_key: what filters and addresses compare (S3, ``portal.text``). is_agent: an AI agent, no person (S8).
    """

    __tablename__ = "directory_users"
    __table_args__ = (
        Index(None, "microsoft_tenant_id", "email_key"),
        Index(None, "search_row"),
        # All that says whether a linked person has something new, beside EndUser's of the same name (engine/in_question).
        Index("ix_directory_users_keys", "microsoft_tenant_id", "object_id", *COMPARED),
    )

    microsoft_tenant_id: Mapped[str] = mapped_column(
        ForeignKey("microsoft_tenants.id", ondelete="CASCADE"), primary_key=True
    )
    object_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    raw: Mapped[str] = mapped_column(Text, deferred=True)
    row_hash: Mapped[str] = mapped_column(String(40))
    content_hash: Mapped[str] = mapped_column(String(40))
    version: Mapped[int] = mapped_column(default=0)
    presence: Mapped[str] = mapped_column(String(20), default="present")
    problem: Mapped[str] = mapped_column(String(512), default="")
    is_agent: Mapped[bool] = mapped_column(default=False)

    email_key: Mapped[str] = mapped_column(String(1024), default="")
    domain: Mapped[str] = mapped_column(String(1024), default="")
    aliases: Mapped[tuple[str, ...]] = mapped_column(default=())  # keys of the other SMTP addresses (M2)
    department_key: Mapped[str] = mapped_column(String(768), default="")  # a letter may fold to three
    office_key: Mapped[str] = mapped_column(String(768), default="")
    user_type: Mapped[str] = mapped_column(String(64), default="Member")
    account_enabled: Mapped[bool | None]
    created_at: Mapped[datetime | None]  # when the object was made in Microsoft
    license_sku_ids: Mapped[tuple[str, ...]] = mapped_column(default=())

    search_row: Mapped[
        int | None
    ]  # as an End User's: None until its words are in the index (portal.search.index)

    # the slow pass (T7): survive re-reads, each with the tenant's age stamp
    last_sign_in_at: Mapped[datetime | None]
    mfa_registered: Mapped[bool | None]
    mfa_methods: Mapped[list[Any]] = mapped_column(default=list)


class DirectoryGroup(Base):
    """A group of a Microsoft Tenant. ``members_read_at`` is None until its members were read ("not counted yet")."""

    __tablename__ = "directory_groups"
    __table_args__ = (UniqueConstraint("microsoft_tenant_id", "object_id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    microsoft_tenant_id: Mapped[str] = mapped_column(ForeignKey("microsoft_tenants.id", ondelete="CASCADE"))
    object_id: Mapped[str] = mapped_column(String(64))
    display_name: Mapped[str] = mapped_column(String(1024), default="")
    mail: Mapped[str] = mapped_column(String(1024), default="")
    kind: Mapped[str] = mapped_column(String(40), default="")  # Security, Microsoft 365, …, in words
    hides_members: Mapped[bool] = mapped_column(default=False)
    is_deleted: Mapped[bool] = mapped_column(default=False)  # S6
    members_wanted_at: Mapped[datetime | None]  # somebody asked for its members (pop-up), filters aside
    members_read_at: Mapped[datetime | None]
    members_stale: Mapped[bool] = mapped_column(default=True)
    member_count: Mapped[int | None]


class GroupMembership(Base):
    """A user is in a group, directly or through nested ones (S6). Only groups somebody asked for are read."""

    __tablename__ = "group_memberships"
    __table_args__ = (Index(None, "microsoft_tenant_id", "user_object_id"),)

    microsoft_tenant_id: Mapped[str] = mapped_column(
        ForeignKey("microsoft_tenants.id", ondelete="CASCADE"), primary_key=True
    )
    group_object_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    user_object_id: Mapped[str] = mapped_column(String(64), primary_key=True)


class SubscribedSku(Base):
    """A license product of a Microsoft Tenant, named by ``engine.licenses``."""

    __tablename__ = "subscribed_skus"

    microsoft_tenant_id: Mapped[str] = mapped_column(
        ForeignKey("microsoft_tenants.id", ondelete="CASCADE"), primary_key=True
    )
    sku_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    part_number: Mapped[str] = mapped_column(String(200), default="")
    name: Mapped[str] = mapped_column(String(200), default="")
    status: Mapped[str] = mapped_column(String(20), default="")
    applies_to: Mapped[str] = mapped_column(String(20), default="User")
    bought: Mapped[int] = mapped_column(default=0)
    assigned: Mapped[int] = mapped_column(default=0)
    service_plan_ids: Mapped[list[Any]] = mapped_column(JSON, default=list)


class ManagedDevice(Base):
    """An Intune device (D2). MACs are normalised (W5) or blank; the Ethernet one costs a call and is kept."""

    __tablename__ = "managed_devices"

    microsoft_tenant_id: Mapped[str] = mapped_column(
        ForeignKey("microsoft_tenants.id", ondelete="CASCADE"), primary_key=True
    )
    device_id: Mapped[str] = mapped_column(String(64), primary_key=True)
    name: Mapped[str] = mapped_column(String(256), default="")
    user_object_id: Mapped[str] = mapped_column(String(64), default="")
    wifi_mac: Mapped[str] = mapped_column(String(12), default="")
    ethernet_mac: Mapped[str] = mapped_column(String(12), default="")
    ethernet_read_at: Mapped[datetime | None]
    last_sync_at: Mapped[datetime | None]
