"""Accounts of the portal, their sessions, API tokens and invitations (P10, P11)."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship

from portal.models.base import Base, Id, new_id


class Role(StrEnum):
    """The three roles, lowest first; docs/guide/administrator.md says what each may do."""

    READ_ONLY = "read-only"
    TECHNICIAN = "technician"
    ADMINISTRATOR = "administrator"

    @property
    def rank(self) -> int:
        """0, 1 or 2; a higher role may do all a lower one may."""
        return list(Role).index(self)


class Account(Base):
    """A person who may sign in. ``email`` is stored as its key (``text.email_key``). Microsoft people are known by tid + oid only."""

    __tablename__ = "accounts"
    __table_args__ = (UniqueConstraint("email"), UniqueConstraint("microsoft_tid", "microsoft_oid"))

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    email: Mapped[str] = mapped_column(String(320))
    name: Mapped[str] = mapped_column(String(256), default="")
    role: Mapped[str] = mapped_column(String(20))
    password_hash: Mapped[str | None] = mapped_column(String(256))
    totp_secret: Mapped[str | None] = mapped_column(Text)  # encrypted (portal.crypto)
    totp_last_step: Mapped[int | None]
    microsoft_tid: Mapped[str | None] = mapped_column(String(36))
    microsoft_oid: Mapped[str | None] = mapped_column(String(36))
    is_active: Mapped[bool] = mapped_column(default=True)
    theme: Mapped[str] = mapped_column(String(10), default="system")
    timezone: Mapped[str] = mapped_column(String(64), default="")
    created_at: Mapped[datetime]
    last_sign_in_at: Mapped[datetime | None]


class AccountSession(Base):
    """One signed-in browser. The cookie holds a random token; only its SHA-256 is stored, so a stolen file opens nothing."""

    __tablename__ = "account_sessions"

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"), index=True)
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    created_at: Mapped[datetime]
    last_seen_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    ip: Mapped[str] = mapped_column(String(64), default="")
    user_agent: Mapped[str] = mapped_column(String(256), default="")

    account: Mapped[Account] = relationship()


class SignInAttempts(Base):
    """Failed sign-ins in a row, by what was typed into the address field, whether there is such an account or not.

    key: SHA-256 of the address, or of an account's id for the browsers it signed in with before (``auth.attempts``).
    """

    __tablename__ = "sign_in_attempts"

    key: Mapped[str] = mapped_column(String(64), primary_key=True)
    failures: Mapped[int]
    last_at: Mapped[datetime] = mapped_column(index=True)
    locked_until: Mapped[datetime | None]


class ApiToken(Base):
    """A bearer token with a role. Only its SHA-256 is stored; ``hint`` is its first characters, for the list.

    owner: who made it; None for those of the command line. It can never do more than its owner, and ends with them.
    expires_at: None for a token that does not expire.
    """

    __tablename__ = "api_tokens"

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(100), unique=True)
    role: Mapped[str] = mapped_column(String(20))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    hint: Mapped[str] = mapped_column(String(16), default="")
    owner_id: Mapped[str | None] = mapped_column(ForeignKey("accounts.id", ondelete="SET NULL"), index=True)
    created_by: Mapped[str] = mapped_column(String(320), default="")
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]

    owner: Mapped[Account | None] = relationship()


class Invitation(Base):
    """A one-time link that lets a person set up an account, or a new password for an existing one.

    invited_by_id: the administrator who made it, so that it ends with their role; None for the command line.
    """

    __tablename__ = "invitations"
    __table_args__ = (Index(None, "email"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    email: Mapped[str] = mapped_column(String(320))
    role: Mapped[str] = mapped_column(String(20))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    invited_by: Mapped[str] = mapped_column(String(320), default="")
    invited_by_id: Mapped[str | None] = mapped_column(
        ForeignKey("accounts.id", ondelete="SET NULL"), index=True
    )
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]


class SavedView(Base):
    """A saved state of a list: search, filters, sort and columns as the query string of its page.

    Everybody who has its address may open it; is_shared: it is listed above the list for everybody.
    """

    __tablename__ = "saved_views"
    __table_args__ = (UniqueConstraint("account_id", "page", "name_key"), Index(None, "page", "is_shared"))

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    account_id: Mapped[str] = mapped_column(ForeignKey("accounts.id", ondelete="CASCADE"))
    page: Mapped[str] = mapped_column(String(20), default="people")
    name: Mapped[str] = mapped_column(String(80))
    name_key: Mapped[str] = mapped_column(String(240))
    query: Mapped[str] = mapped_column(Text, default="")
    is_shared: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    account: Mapped[Account] = relationship()
