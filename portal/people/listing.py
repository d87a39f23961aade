"""All people (F4): one list over every Organization, at a million of them (docs/performance.md).

How a page is found. Texts, a product and a department are looked up in the index of words; other filters walk the indexes that each
Organization has of them, one after the other. Up to ``CAP`` who fit are counted to the last and sorted; of more, the page is found by
walking all people in the order of their names, which soon meets fifty.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, func, or_, select, type_coerce
from sqlalchemy.orm import Session, selectinload

from portal.clock import utcnow
from portal.end_users import listing as end_user_list
from portal.errors import Invalid
from portal.http.listing import Listing, ListSpec
from portal.models import EndUser, MicrosoftTenant, Organization
from portal.models import words as tables
from portal.models.keys import KeyOf
from portal.organizations import tags
from portal.search import words
from portal.search.index import DEPARTMENT, sku_code
from portal.text import search_forms, text_key

CAP = 10_000
"""So many are counted and sorted; of more, pages say "10,000+" and go as far."""
MOST_DAYS = 3_650
_OBJECT_ID = re.compile(r"[0-9a-f][0-9a-f-]{7,35}")
_IN_WORDS = frozenset({"department", "sku_id"})

SPEC = ListSpec(
    sorts={**end_user_list.SPEC.sorts, "department": (EndUser.department,)},
    default_sort="name",
    filters={
        **end_user_list.SPEC.filters,
        "organization_id": None,
        "tag": None,
        "sku_id": None,
        "inactive_days": None,
        "department": None,
    },
)
WALKED = frozenset({"name", "display_name"})
"""What more than ``CAP`` can be sorted by on a page."""


def listing(session: Session, asked: Listing, *, assets: bool = False) -> Listing:
    """One page. For pages of the portal ``total`` ends at ``CAP`` + 1; an exact listing (the API's) counts and sorts them all."""
    found = _Search(session, asked)
    total = found.total(None if asked.is_exact else CAP + 1)
    is_many = total > CAP
    current = replace(asked, total=total)
    if not asked.is_exact:
        current = replace(current, total=min(total, CAP))
        current = replace(current, page=min(current.page, current.pages))
        if is_many and current.sort.removeprefix("-") not in WALKED:
            current = replace(current, sort=SPEC.default_sort)
    ids = found.page(current, is_many=is_many)
    rows = select(EndUser).where(EndUser.id.in_(ids))
    if assets:
        rows = rows.options(selectinload(EndUser.assets))
    place = {row_id: number for number, row_id in enumerate(ids)}
    items = sorted(session.scalars(rows).unique(), key=lambda row: place[row.id])
    return replace(current, items=items, total=total if asked.is_exact else min(total, CAP + 1))


def ids(session: Session, asked: Listing, most: int) -> list[str]:
    """The ids of up to ``most`` who fit, in the order of the list."""
    found = _Search(session, asked)
    is_many = found.total(CAP + 1) > CAP
    return found.page(replace(asked, page=1, per_page=most), is_many=is_many)


class _Search:
    """One question: who fits, how many, and which of them a page shows."""

    def __init__(self, session: Session, asked: Listing) -> None:
        self.session, self.asked = session, asked
        self.is_sqlite = session.get_bind().dialect.name == "sqlite"
        self.conditions = conditions(asked, is_sqlite=self.is_sqlite)
        self.query = words.query(_texts(asked)) if words.are_there(session) else ""
        self.is_in_words = False
        if self.query:
            self.is_in_words = words.number(session, tables.PEOPLE, self.query, CAP + 1) <= CAP
        self.hint: list[ColumnElement[bool]] = []
        self.found: list[str] | None = None
        if self.is_in_words:
            named = [
                EndUser.id.in_(_with_object_id(one)) for one in _texts(asked) if _OBJECT_ID.fullmatch(one)
            ]
            self.hint = [or_(words.rows(tables.PEOPLE, self.query), EndUser.search_row.is_(None), *named)]
        elif self.conditions and not {"organization_id", "tag"} & set(asked.filters):
            # Each Organization has its indexes: going from one to the next, a rare value is found at once.
            self.hint = [EndUser.organization_id.in_(select(Organization.id))]

    def total(self, most: int | None) -> int:
        """How many fit, counted up to ``most``."""
        if self.is_in_words and not self.asked.is_exact:  # few: all of them at once, in order
            self.found = list(self.session.scalars(self._ordered(is_many=False).limit(CAP + 1)))
            return len(self.found)
        if most is not None and self.query and not set(self.asked.filters) - _IN_WORDS:
            return most  # the index of words has counted them
        statement = select(EndUser.id).where(*self.hint, *self.conditions)
        if most is not None:
            statement = statement.limit(most)
        return self.session.scalar(select(func.count()).select_from(statement.subquery())) or 0

    def page(self, asked: Listing, *, is_many: bool) -> list[str]:
        """The ids of a page, in order."""
        start = (asked.page - 1) * asked.per_page
        if self.found is not None and asked.sort == self.asked.sort and not is_many:
            return self.found[start : start + asked.per_page]
        self.asked = replace(self.asked, sort=asked.sort)
        ordered = self._ordered(is_many=is_many)
        return list(self.session.scalars(ordered.limit(asked.per_page).offset(start)))

    def _ordered(self, *, is_many: bool) -> Select[str]:
        name = self.asked.sort.removeprefix("-")
        columns: list[Any] = list(SPEC.sorts[name])
        statement: Select[str] = select(EndUser.id).where(*self.conditions)
        if not (is_many and name in WALKED):
            statement = statement.where(*self.hint)
            if name in WALKED:  # they are few: not along everybody
                columns = [func.coalesce(EndUser.sort_name, "")]
        down = self.asked.sort.startswith("-")
        return statement.order_by(*(c.desc() if down else c.asc() for c in (*columns, EndUser.id)))


def _texts(asked: Listing) -> list[str]:
    """What the index of words is asked for."""
    found = [search_forms(word)[-1] for word in text_key(asked.q).split()]
    if "department" in asked.filters:
        found.append(f"{DEPARTMENT}{text_key(asked.filters['department'])}{DEPARTMENT}")
    if "sku_id" in asked.filters:
        found.append(sku_code(asked.filters["sku_id"]))
    return found


def conditions(asked: Listing, *, is_sqlite: bool) -> list[ColumnElement[bool]]:
    """What search and filters ask of an End User. Raises Invalid for a number of days that is none."""
    filters = asked.filters
    found = [_has_word(word, is_sqlite=is_sqlite) for word in text_key(asked.q).split()]
    own = {name: value for name, value in filters.items() if name in end_user_list.SPEC.filters}
    found += end_user_list.conditions(Listing(filters=own))
    if "organization_id" in filters:
        found.append(EndUser.organization_id == filters["organization_id"])
    if "tag" in filters:
        found.append(EndUser.organization_id.in_(tags.organization_ids(filters["tag"])))
    if "sku_id" in filters:
        found.append(type_coerce(EndUser.license_sku_ids, Text).contains(filters["sku_id"], autoescape=True))
    if "inactive_days" in filters:
        found.append(EndUser.last_sign_in_at < utcnow() - timedelta(days=days(filters["inactive_days"])))
    if "department" in filters:
        same = KeyOf(EndUser.department) == text_key(filters["department"])
        found.append(or_(EndUser.department == filters["department"], same))  # the first is compared at once
    return found


def days(given: str) -> int:
    """A number of days. Raises Invalid for anything else."""
    if not given.isascii() or not given.isdigit() or not 1 <= int(given[:9]) <= MOST_DAYS:
        raise Invalid({"inactive_days": [f"A whole number of days from 1 to {MOST_DAYS:,}."]})
    return int(given)


def organization_names(session: Session, rows: Iterable[EndUser]) -> dict[str, Organization]:
    """Organization id → the Organization with its tags, of these people."""
    wanted = {row.organization_id for row in rows}
    found = select(Organization).where(Organization.id.in_(wanted)).options(selectinload(Organization.tags))
    return {row.id: row for row in session.scalars(found)}


def _has_word(word: str, *, is_sqlite: bool) -> ColumnElement[bool]:
    escaped = bool(end_user_list.WILDCARDS & set(word))
    found = []
    for form in search_forms(word):
        found.append(EndUser.search_text.contains(form, autoescape=escaped))
        # SQLite takes either case for the same by itself; its lower() is ours, and slow.
        sign_in_name = EndUser.user_principal_name
        name = sign_in_name if is_sqlite else func.lower(sign_in_name)
        found.append(name.contains(form, autoescape=escaped))
    if _OBJECT_ID.fullmatch(word):
        found.append(EndUser.object_id.startswith(word, autoescape=True))
    return or_(*found)


def _with_object_id(word: str) -> Select[str]:
    """Whose object id begins so: along the index that begins with the Microsoft Tenant, one after the other."""
    return select(EndUser.id).where(
        EndUser.microsoft_tenant_id.in_(select(MicrosoftTenant.id)),
        EndUser.object_id >= word,
        EndUser.object_id < word + "g",
    )
