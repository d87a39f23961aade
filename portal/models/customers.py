"""The portal's own side: Tenants, Organizations, End Users, Links, Assets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ForeignKey, Index, String, Text, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column, relationship, validates

from portal.models.base import Base, Id, InNaturalOrder, PersonFields, new_id
from portal.text import NATURAL_LENGTH, email_key, natural_key, text_key

# The columns the End Users table sorts by, and those it filters by besides.
LISTED_BY = (
    "sort_name",
    "email_key",
    "phone",
    "job_title",
    "source",
    "created_at",
    "license_names",
    "last_sign_in_at",
    "mfa_registered",
    "microsoft_status",
)
COMPARED = ("organization_id", "applied_hash", "email_key", "microsoft_status", "in_scope")
LISTED_AS = ("microsoft_status", "is_licensed", "mfa_registered", "in_scope")
ALL_BY = (
    "sort_name",
    "id",
    "organization_id",
    "mfa_registered",
    "microsoft_status",
    "last_sign_in_at",
    "is_licensed",
    "source",
)
SEARCHED_IN = (
    "display_name",
    "first_name",
    "last_name",
    "email",
    "phone",
    "mobile_phone",
    "job_title",
    "department",
    "office_location",
)
_NAME, _EMAIL = SEARCHED_IN.index("display_name"), SEARCHED_IN.index("email")
TAG_LENGTH = 50
SEARCH_LENGTH = 600  # characters: an index row of PostgreSQL holds 2,704 bytes


class Tenant(InNaturalOrder, Base):
    """The portal's own tenant. Mapped to at most one Microsoft Tenant, and that one to at most one Tenant."""

    __tablename__ = "tenants"
    __table_args__ = (UniqueConstraint("microsoft_tenant_id"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(256))
    microsoft_tenant_id: Mapped[str | None] = mapped_column(ForeignKey("microsoft_tenants.id"))
    created_at: Mapped[datetime]

    organizations: Mapped[list[Organization]] = relationship(
        back_populates="tenant", order_by="Organization.sort_key"
    )


class Organization(InNaturalOrder, Base):
    """A customer. Belongs to exactly one Tenant.

    people_version grows with every write to its End Users that is not the sync's own (``portal.engine.people_version``): while it
    and the mirror stand still, a run has nothing to do.
    """

    __tablename__ = "organizations"
    __table_args__ = (UniqueConstraint("name_key"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(256))
    # text_key of the name: two customers of one name confuse everybody. A letter may fold to three (ﬃ).
    name_key: Mapped[str] = mapped_column(String(768))
    tenant_id: Mapped[str] = mapped_column(ForeignKey("tenants.id"), index=True)
    created_at: Mapped[datetime]
    people_version: Mapped[int] = mapped_column(default=0)

    tenant: Mapped[Tenant] = relationship(back_populates="organizations")
    tags: Mapped[list[Tag]] = relationship(secondary="organization_tags", order_by="Tag.sort_key")


class Tag(Base):
    """A word on Organizations ("pod A", "co-managed"), to find them by. One row per ``text_key``; shown as it was first written.

    It lives as long as an Organization has it.
    """

    __tablename__ = "tags"
    __table_args__ = (UniqueConstraint("name_key"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(String(TAG_LENGTH))
    name_key: Mapped[str] = mapped_column(String(3 * TAG_LENGTH))  # a letter may fold to three
    sort_key: Mapped[str] = mapped_column(String(NATURAL_LENGTH), default="")
    created_at: Mapped[datetime]

    @validates("name")
    def _keys(self, _name: str, value: str) -> str:
        self.name_key, self.sort_key = text_key(value), natural_key(value)
        return value


class OrganizationTag(Base):
    """Which Organization has which tag."""

    __tablename__ = "organization_tags"

    organization_id: Mapped[str] = mapped_column(
        ForeignKey("organizations.id", ondelete="CASCADE"), primary_key=True
    )
    tag_id: Mapped[str] = mapped_column(
        ForeignKey("tags.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class EndUser(PersonFields, Base):
    """A person of an Organization. Texts are never None: blank is "" (W1 compares them).

    email_key: what the e-mail is compared by (``text.email_key``), None without one, so that the database enforces M4.
    source: manual | import | sync. created_by_run_id: the run that created it (R3), None otherwise.
    edited_at: last change by a person, page, API, CLI or import (R3, R5 spare what was edited since).

    The Link (docs/rules.md) is part of the row: an End User has at most one. Without one ``microsoft_tenant_id`` and
    ``object_id`` are None and ``microsoft_status`` is "none".
    microsoft_status: none | active | disabled (*Disabled in Microsoft*, L1). in_scope: the last run found it within the
    filters (L3). written: per D1 field the value the sync last wrote (W1). applied_hash: says of which record of Microsoft
    (``DirectoryUser.content_hash``), under which pins, everything is written; "" when that is to be found out anew.
    license_names: the products' names as they were when written; lists sort by it, pages name products by today's list.
    last_sign_in_at, mfa_registered, mfa_methods: the slow pass's figures, copied from the mirror (T7).
    """

    __tablename__ = "end_users"
    __table_args__ = (
        UniqueConstraint("organization_id", "email_key"),
        UniqueConstraint(
            "microsoft_tenant_id", "object_id", "organization_id"
        ),  # in an order that finds Links too
        # Who of a Microsoft Tenant is linked, and all that says whether something is new: no row is touched (engine/in_question).
        Index("ix_end_users_keys", "microsoft_tenant_id", "object_id", *COMPARED),
        # One walk along an index for each column the table can be sorted by, deep pages too; the id makes the order total.
        *(Index(None, "organization_id", column, "id") for column in LISTED_BY),
        # Filters and quick search read this one from end to end and touch no row that does not fit.
        Index("ix_end_users_search", "organization_id", "search_text", *LISTED_AS, "source"),
        # All people of all Organizations: a walk in the order of names that looks at filters without touching a row.
        Index("ix_end_users_all", *ALL_BY),
        # Who is not in the index of words yet comes first; the others are found from there (portal.search.index).
        Index(None, "search_row"),
        # The shortest one, for counts. SQLite takes the newest of those that would do: a migration makes it last.
        Index(None, "organization_id"),
    )

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    sort_name: Mapped[str] = mapped_column(String(200), default="")  # text_key, first 200: what lists sort by
    email_key: Mapped[str | None] = mapped_column(String(1024))
    notes: Mapped[str] = mapped_column(Text, default="")
    search_text: Mapped[str] = mapped_column(
        Text, default=""
    )  # text keys of names, e-mail, phones, title: quick search
    search_row: Mapped[
        int | None
    ]  # its row in the index of words; None until it is in it, or again after a change
    source: Mapped[str] = mapped_column(String(10), default="manual")
    created_by_run_id: Mapped[str | None] = mapped_column(String(36))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    edited_at: Mapped[datetime | None]

    microsoft_tenant_id: Mapped[str | None] = mapped_column(ForeignKey("microsoft_tenants.id"))
    object_id: Mapped[str | None] = mapped_column(String(64))
    microsoft_status: Mapped[str] = mapped_column(String(10), default="none")
    in_scope: Mapped[bool | None]
    license_sku_ids: Mapped[tuple[str, ...]] = mapped_column(default=())
    is_licensed: Mapped[bool] = mapped_column(default=False)
    license_names: Mapped[str] = mapped_column(String(200), default="")
    last_sign_in_at: Mapped[datetime | None]
    mfa_registered: Mapped[bool | None]
    mfa_methods: Mapped[list[Any]] = mapped_column(default=list)
    written: Mapped[dict[str, Any]] = mapped_column(default=dict)
    applied_hash: Mapped[str] = mapped_column(String(64), default="")
    linked_at: Mapped[datetime | None]
    linked_by_run_id: Mapped[str | None] = mapped_column(String(36))

    assets: Mapped[list[Asset]] = relationship(back_populates="end_user", order_by="Asset.sort_key")

    @property
    def is_linked(self) -> bool:
        """True when the End User is tied to a Microsoft user."""
        return self.object_id is not None


LINK_COLUMNS: tuple[str, ...] = (
    "microsoft_tenant_id",
    "object_id",
    "user_principal_name",
    "immutable_id",
    "microsoft_status",
    "in_scope",
    "license_sku_ids",
    "is_licensed",
    "license_names",
    "last_sign_in_at",
    "mfa_registered",
    "mfa_methods",
    "written",
    "applied_hash",
    "linked_at",
    "linked_by_run_id",
)
"""What of an End User is its Link: goes when it is unlinked, comes back when an undo links it as before (W7)."""


def no_link() -> dict[str, Any]:
    """The values of ``LINK_COLUMNS`` of somebody who is not linked."""
    return {
        "microsoft_tenant_id": None,
        "object_id": None,
        "user_principal_name": "",
        "immutable_id": "",
        "microsoft_status": "none",
        "in_scope": None,
        "license_sku_ids": (),
        "is_licensed": False,
        "license_names": "",
        "last_sign_in_at": None,
        "mfa_registered": None,
        "mfa_methods": [],
        "written": {},
        "applied_hash": "",
        "linked_at": None,
        "linked_by_run_id": None,
    }


class Asset(InNaturalOrder, Base):
    """A device of an Organization with one or more MAC addresses, assigned to at most one End User (W5).

    assigned_by: manual | sync | None when nobody is assigned.
    """

    __tablename__ = "assets"
    __table_args__ = (Index(None, "organization_id", "sort_key"),)

    id: Mapped[str] = mapped_column(Id, primary_key=True, default=new_id)
    organization_id: Mapped[str] = mapped_column(ForeignKey("organizations.id"))
    name: Mapped[str] = mapped_column(String(256))
    end_user_id: Mapped[str | None] = mapped_column(
        ForeignKey("end_users.id", ondelete="SET NULL"), index=True
    )
    assigned_by: Mapped[str | None] = mapped_column(String(10))
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]

    end_user: Mapped[EndUser | None] = relationship(back_populates="assets")
    macs: Mapped[list[AssetMac]] = relationship(cascade="all, delete-orphan", order_by="AssetMac.mac")


class AssetMac(Base):
    """One normalised MAC (12 upper-case hex digits) of an Asset."""

    __tablename__ = "asset_macs"

    asset_id: Mapped[str] = mapped_column(ForeignKey("assets.id", ondelete="CASCADE"), primary_key=True)
    mac: Mapped[str] = mapped_column(String(12), primary_key=True, index=True)


def search_columns(values: Mapping[str, str]) -> dict[str, Any]:
    """The columns computed from an End User's fields: what lists sort by, quick search looks in, and M4's unique key."""
    address = email_key(values.get("email", ""))
    sort_name, text = search_values([values.get(field, "") for field in SEARCHED_IN], address)
    return {"email_key": address or None, "sort_name": sort_name, "search_text": text, "search_row": None}


def search_values(texts: Sequence[str], address: str) -> tuple[str, str]:
    """(``sort_name``, ``search_text``) of the fields ``SEARCHED_IN``, in their order. address: the key of the e-mail."""
    keys = _text_keys(texts)
    sort_name = (keys[_NAME] if texts[_NAME] else keys[_EMAIL])[:200]
    keys[_EMAIL] = address
    text = ""
    for key in keys:
        if key and key not in text:  # first and last name are in most display names
            text += key + "\n"
    return sort_name, text[:SEARCH_LENGTH]


def _text_keys(texts: Sequence[str]) -> list[str]:
    """``text_key`` of several texts; of plain ASCII, as nearly everywhere, in one go."""
    joined = "\n".join(texts)
    if (
        joined.isascii()
        and "  " not in joined
        and joined.replace("\n", "").isprintable()
        and joined.count("\n") == len(texts) - 1
    ):
        return [key.strip() for key in joined.lower().split("\n")]
    return [text_key(text) for text in texts]


def refresh_search(end_user: EndUser) -> None:
    """Bring the computed columns up to date after a change of fields. The only writer of them besides the sync's inserts."""
    values = {name: getattr(end_user, name) or "" for name in SEARCHED_IN}
    computed = search_columns(values)
    if end_user.search_text == computed["search_text"]:
        del computed["search_row"]
    for column, value in computed.items():
        if getattr(end_user, column) != value:
            setattr(end_user, column, value)
