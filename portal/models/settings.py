"""What Settings stores (P10): one row per key. Secrets are stored encrypted, in ``secret``."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Self

from sqlalchemy import String, Text
from sqlalchemy.orm import Mapped, Session, mapped_column

from portal.models.base import Base


class StoredSetting(Base):
    """A setting: plain ``value`` (JSON object) and/or an encrypted ``secret`` (portal.crypto)."""

    __tablename__ = "settings"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    value: Mapped[dict[str, Any]] = mapped_column(default=dict)
    secret: Mapped[str | None] = mapped_column(Text)
    updated_at: Mapped[datetime]
    updated_by: Mapped[str] = mapped_column(String(320), default="")

    @classmethod
    def obtain(cls, session: Session, key: str, now: datetime) -> Self:
        """The row of ``key``, added to ``session`` when there is none yet."""
        row = session.get(cls, key)
        if row is None:
            row = cls(key=key, value={}, updated_at=now)
            session.add(row)
        return row


class ConsentRequest(Base):
    """One admin-consent round trip (C2): state is random, single use, short-lived, bound to a browser."""

    __tablename__ = "consent_requests"

    state_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    session_id: Mapped[str] = mapped_column(String(64))
    account_id: Mapped[str] = mapped_column(String(36))
    directory_id: Mapped[str | None] = mapped_column(
        String(36)
    )  # where one was asked for, the answer must name it
    cloud: Mapped[str] = mapped_column(String(20), default="global")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
