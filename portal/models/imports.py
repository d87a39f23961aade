"""Imports of CSV files: the file while it is needed, how far an import came, and what it did row by row (O2, R5)."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text
from sqlalchemy.orm import Mapped, mapped_column

from portal.models.base import Base, Id, new_id

UNDER_WAY = ("queued", "running", "undoing")


class Import(Base):
    """One file for one Organization. kind: end_users | assets.

    status: storing (its file is being kept) | review (waits for somebody to say yes) | queued | running | succeeded | failed |
    undoing | undone. total and done: rows of the file, and how many of them were dealt with. owner, renewed_at: the process
    that works on it, and when it last said so. actor, source, ip: who asked, for the audit log.
    """

    __tablename__ = "imports"
    __table_args__ = (Index(None, "organization_id", "created_at"), Index(None, "status"))

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"))
    kind: Mapped[str] = mapped_column(String(10))
    status: Mapped[str] = mapped_column(String(10))
    file_name: Mapped[str] = mapped_column(String(255), default="")
    total: Mapped[int] = mapped_column(default=0)
    done: Mapped[int] = mapped_column(default=0)
    created: Mapped[int] = mapped_column(default=0)
    updated: Mapped[int] = mapped_column(default=0)
    unchanged: Mapped[int] = mapped_column(default=0)
    rejected: Mapped[int] = mapped_column(default=0)
    restored: Mapped[int] = mapped_column(default=0)
    spared: Mapped[int] = mapped_column(default=0)
    actor: Mapped[str] = mapped_column(String(320), default="")
    source: Mapped[str] = mapped_column(String(10), default="")
    ip: Mapped[str] = mapped_column(String(64), default="")
    owner: Mapped[str | None] = mapped_column(String(64))
    renewed_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    undone_at: Mapped[datetime | None]
    undone_by: Mapped[str] = mapped_column(String(320), default="")
    error: Mapped[str | None] = mapped_column(Text)


class ImportPart(Base):
    """A piece of an import's file, in order; gone when the import is over."""

    __tablename__ = "import_parts"

    import_id: Mapped[str] = mapped_column(ForeignKey("imports.id", ondelete="CASCADE"), primary_key=True)
    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    text: Mapped[str] = mapped_column(Text)


class ImportRow(Base):
    """What an import did with one row, or why it did nothing; unchanged rows leave none.

    action: create | update | reject. fields: [{"field","old","new"}], of updates only; before: what an undo needs besides.
    state: applied | undone | spared, and in ``note`` why it was rejected or spared.
    """

    __tablename__ = "import_rows"
    __table_args__ = (Index(None, "object_id"),)

    import_id: Mapped[str] = mapped_column(ForeignKey("imports.id", ondelete="CASCADE"), primary_key=True)
    line: Mapped[int] = mapped_column(primary_key=True, autoincrement=False)
    action: Mapped[str] = mapped_column(String(10))
    object_id: Mapped[str | None] = mapped_column(String(36))
    name: Mapped[str] = mapped_column(String(1024), default="")
    fields: Mapped[list[Any]] = mapped_column(default=list)
    before: Mapped[dict[str, Any]] = mapped_column(default=dict)
    state: Mapped[str] = mapped_column(String(10), default="applied")
    note: Mapped[str] = mapped_column(Text, default="")
    at: Mapped[datetime]
