"""The audit log (O4) and the head of its chain."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Index, String
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, Id, new_id


class AuditEvent(Base):
    """Who did what, when, from where. Written by ``portal.audit.record`` only, and chained by ``portal.evidence.chain``.

    The index on ``number`` is not unique on purpose: a row that somebody puts in by hand is found by
    ``rollcall audit verify``, and must not stop everybody else from writing.
    """

    __tablename__ = "audit_events"
    __table_args__ = (
        Index(None, "at"),
        Index(None, "action"),
        Index(None, "object_type", "object_id"),
        Index(None, "number"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    number: Mapped[int] = mapped_column(BigInteger)  # 1, 2, 3, … in the order of the commits
    at: Mapped[datetime]
    actor: Mapped[str] = mapped_column(String(320))
    source: Mapped[str] = mapped_column(String(10))  # page | api | cli | sync
    action: Mapped[str] = mapped_column(String(60))
    object_type: Mapped[str] = mapped_column(String(40), default="")
    object_id: Mapped[str] = mapped_column(String(64), default="")
    detail: Mapped[dict[str, Any]] = mapped_column(default=dict)
    ip: Mapped[str] = mapped_column(String(64), default="")
    previous_hash: Mapped[str] = mapped_column(String(64))
    hash: Mapped[str] = mapped_column(String(64))  # SHA-256 of all of the above, as hex


class AuditChain(Base):
    """The one row that says where the chain ends (``number``, ``hash``) and what was before its oldest event.

    Every transaction that appends locks this row until its commit. ``anchor_*`` name the last event that
    retention deleted; number 0 while nothing was.
    """

    __tablename__ = "audit_chain"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    number: Mapped[int] = mapped_column(BigInteger)
    hash: Mapped[str] = mapped_column(String(64))
    anchor_number: Mapped[int] = mapped_column(BigInteger, default=0)
    anchor_hash: Mapped[str] = mapped_column(String(64))
