"""Many Organizations at once: filter templates, who follows them, a partner's customers, and roll-outs (F2, F3)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, Id, new_id


class FilterTemplate(Base):
    """A named set of filters, add rules and hold settings for many Organizations (F2).

    filters: the five sections as a User Sync stores them, except that ``group`` holds ``name_patterns`` instead of ids, which
    differ per Microsoft tenant.
    """

    __tablename__ = "filter_templates"
    __table_args__ = (UniqueConstraint("name_key"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(256))
    name_key: Mapped[str] = mapped_column(String(768))
    filters: Mapped[dict[str, Any]]
    add_disabled_accounts: Mapped[bool] = mapped_column(default=False)
    only_licensed: Mapped[bool] = mapped_column(default=False)
    include_agents: Mapped[bool] = mapped_column(default=False)
    hold_percent: Mapped[int] = mapped_column(default=25)
    hold_minimum: Mapped[int] = mapped_column(default=10)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    updated_by: Mapped[str] = mapped_column(String(320), default="")


class TemplateFollower(Base):
    """An Organization that follows a template.

    applied: what was copied to its User Sync last, groups as ids. It departs where the User Sync differs.
    """

    __tablename__ = "template_followers"

    organization_id: Mapped[str] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True
    )
    template_id: Mapped[str] = mapped_column(
        ForeignKey("filter_templates.id", ondelete="CASCADE"), index=True
    )
    applied: Mapped[dict[str, Any]]
    applied_at: Mapped[datetime]
    applied_by: Mapped[str] = mapped_column(String(320), default="")


class PartnerCustomer(Base):
    """A customer of a partner tenant, as Microsoft listed it last (C3). ``has_ended``: the relationship is over (C5)."""

    __tablename__ = "partner_customers"
    __table_args__ = (Index(None, "partner_id", "name_key"),)

    partner_id: Mapped[str] = mapped_column(
        ForeignKey("microsoft_tenants.id", ondelete="CASCADE"), primary_key=True
    )
    directory_id: Mapped[str] = mapped_column(String(36), primary_key=True)
    name: Mapped[str] = mapped_column(String(256))
    name_key: Mapped[str] = mapped_column(String(768))
    domain: Mapped[str] = mapped_column(String(256), default="")
    ends_at: Mapped[datetime | None]
    has_ended: Mapped[bool] = mapped_column(default=False)
    seen_at: Mapped[datetime]


class Rollout(Base):
    """Something done to many Organizations, step by step, each step confirmed by a person and worked off by the scheduler (F3).

    kind: customers (connect, map, set up) | organizations (set up) | template (a changed template, for its followers).
    template_id: the template that is set up or changed, None for filters of its own. request: those filters, in the shape of a
    template, with ``name`` where the template is changed; {} before anything was chosen. source, ip: of whoever began it.
    """

    __tablename__ = "rollouts"
    __table_args__ = (Index(None, "created_at"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    kind: Mapped[str] = mapped_column(String(16))
    partner_id: Mapped[str | None] = mapped_column(String(36))
    cloud: Mapped[str] = mapped_column(String(20), default="global")
    template_id: Mapped[str | None] = mapped_column(String(36), index=True)
    request: Mapped[dict[str, Any]] = mapped_column(default=dict)
    created_at: Mapped[datetime]
    created_by: Mapped[str] = mapped_column(String(320), default="")
    source: Mapped[str] = mapped_column(String(10), default="page")
    ip: Mapped[str] = mapped_column(String(64), default="")
    closed_at: Mapped[datetime | None]


class RolloutRow(Base):
    """One customer or Organization of a roll-out.

    status: waiting | unconnected | connected | suggested | mapping | unmapped | mapped | previewing | blocked | previewed |
    enabling | refused | enabled | left_out. The scheduler works on waiting, connected, mapping, previewing and enabling; whoever
    does so claims the row up to ``claimed_until``.
    organization_name: of the Organization to be matched or created. matched_by: "" | id | domain | name | person.
    request: the filters as they would be saved, groups as ids. preview: ``rollouts.records.Preview`` as JSON. plan_id: of that preview.
    problem: what is in the way, in words; problem_code: Microsoft's or our code.
    """

    __tablename__ = "rollout_rows"
    __table_args__ = (Index(None, "rollout_id", "status"), Index(None, "status", "claimed_until"))

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    rollout_id: Mapped[str] = mapped_column(ForeignKey("rollouts.id", ondelete="CASCADE"))
    status: Mapped[str] = mapped_column(String(16))
    name: Mapped[str] = mapped_column(String(256), default="")
    directory_id: Mapped[str] = mapped_column(String(36), default="")
    ends_at: Mapped[datetime | None]
    microsoft_tenant_id: Mapped[str | None] = mapped_column(String(36))
    organization_id: Mapped[str | None] = mapped_column(String(36), index=True)
    organization_name: Mapped[str] = mapped_column(String(256), default="")
    matched_by: Mapped[str] = mapped_column(String(10), default="")
    is_chosen: Mapped[bool] = mapped_column(default=True)
    request: Mapped[dict[str, Any]] = mapped_column(default=dict)
    preview: Mapped[dict[str, Any]] = mapped_column(default=dict)
    plan_id: Mapped[str] = mapped_column(Text, default="")
    problem: Mapped[str] = mapped_column(Text, default="")
    problem_code: Mapped[str] = mapped_column(String(64), default="")
    claimed_until: Mapped[datetime | None]
