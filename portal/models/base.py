"""The declarative base, the naming convention and the column types every model shares."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, DateTime, MetaData, String, Text
from sqlalchemy.engine import Dialect
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, validates
from sqlalchemy.types import TypeDecorator

from portal import clock
from portal.text import NATURAL_LENGTH, natural_key

NAMING = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_name)s",
    "pk": "pk_%(table_name)s",
}


class UtcDateTime(TypeDecorator[datetime]):
    """Aware UTC datetimes in Python, naive UTC in the database, the same on SQLite and PostgreSQL."""

    impl = DateTime
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Refuse naive times: a wrong zone is worse than an error."""
        del dialect
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a naive datetime was handed to the database; use portal.clock")
        return value.astimezone(UTC).replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Give back an aware UTC time."""
        del dialect
        return None if value is None else value.replace(tzinfo=UTC)


class Words(TypeDecorator[tuple[str, ...]]):
    """A tuple of words that hold no blanks (ids, addresses), stored as one text, blank-separated: cheap to read in bulk."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Iterable[str] | None, dialect: Dialect) -> str:
        """Join them; None stores as none."""
        del dialect
        return " ".join(value or ())

    def process_result_value(self, value: str | None, dialect: Dialect) -> tuple[str, ...]:
        """Take them apart again."""
        del dialect
        return tuple(value.split(" ")) if value else ()


class FieldChanges(TypeDecorator[list[dict[str, str]]]):
    """``[{"field","old","new"}]`` of a change record, stored without the words: ``[[field, old, new]]``.

    Takes triples as well as dicts: there is one for every field of everybody who is created.
    """

    impl = JSON
    cache_ok = True

    def process_bind_param(
        self, value: Iterable[Mapping[str, str] | tuple[str, str, str]] | None, dialect: Dialect
    ) -> list[Any]:
        """Leave the words out."""
        del dialect
        return [
            tuple(change) if isinstance(change, tuple) else (change["field"], change["old"], change["new"])
            for change in value or ()
        ]

    def process_result_value(self, value: list[list[str]] | None, dialect: Dialect) -> list[dict[str, str]]:
        """Put them back."""
        del dialect
        return [{"field": field, "old": old, "new": new} for field, old, new in value or ()]


class Base(DeclarativeBase):
    """Base of all models. Models hold data: they do not commit, fetch, or read the time."""

    metadata = MetaData(naming_convention=NAMING)
    type_annotation_map = {  # noqa: RUF012
        datetime: UtcDateTime,
        dict[str, Any]: JSON,
        list[Any]: JSON,
        tuple[str, ...]: Words,
    }


def new_id() -> str:
    """A new opaque id: a UUID as text.

    Version 7 of RFC 9562: it begins with the time, so that rows made together lie together in every index of theirs.
    """
    return new_ids(1)[0]


def new_ids(number: int) -> list[str]:
    """As many new ids as that, for rows that are written together, in the order in which they lie in an index."""
    moment, chance = f"{int(clock.utcnow().timestamp() * 1000):012x}", os.urandom(9 * number).hex()
    start = f"{moment[:8]}-{moment[8:]}-7"
    parts = sorted(chance[n : n + 18] for n in range(0, 18 * number, 18))
    return [f"{start}{part[:3]}-8{part[3:6]}-{part[6:]}" for part in parts]


Id = String(36)


class InNaturalOrder:
    """A row that has a ``name``, and sorts by it with the numbers in it by their size: PC-2 before PC-10."""

    sort_key: Mapped[str] = mapped_column(String(NATURAL_LENGTH), default="")  # natural_key of the name

    @validates("name")
    def _sort(self, _name: str, value: str) -> str:
        self.sort_key = natural_key(value)
        return value


class PersonFields:
    """The columns of a person that a mirror row and an End User have alike (D1)."""

    user_principal_name: Mapped[str] = mapped_column(String(1024), default="")
    display_name: Mapped[str] = mapped_column(String(1024), default="")
    first_name: Mapped[str] = mapped_column(String(256), default="")
    last_name: Mapped[str] = mapped_column(String(256), default="")
    email: Mapped[str] = mapped_column(String(1024), default="")
    phone: Mapped[str] = mapped_column(String(256), default="")
    mobile_phone: Mapped[str] = mapped_column(String(256), default="")
    street_address: Mapped[str] = mapped_column(String(1024), default="")
    city: Mapped[str] = mapped_column(String(256), default="")
    state: Mapped[str] = mapped_column(String(256), default="")
    postal_code: Mapped[str] = mapped_column(String(64), default="")
    country: Mapped[str] = mapped_column(String(256), default="")
    job_title: Mapped[str] = mapped_column(String(256), default="")
    department: Mapped[str] = mapped_column(String(256), default="")
    office_location: Mapped[str] = mapped_column(String(256), default="")
    immutable_id: Mapped[str] = mapped_column(String(256), default="")
