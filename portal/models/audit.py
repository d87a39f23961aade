"""The audit log (O4)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, Id, new_id


class AuditEvent(Base):
    """Who did what, when, from where. Written by ``portal.audit.record`` only."""

    __tablename__ = "audit_events"
    __table_args__ = (Index(None, "at"), Index(None, "action"), Index(None, "object_type", "object_id"))

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(320))
    source: Mapped[str] = mapped_column(String(10))  # page | api | cli | sync
    action: Mapped[str] = mapped_column(String(60))
    object_type: Mapped[str] = mapped_column(String(40), default="")
    object_id: Mapped[str] = mapped_column(String(64), default="")
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    ip: Mapped[str] = mapped_column(String(64), default="")
