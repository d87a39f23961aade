"""All people (F4): one list over every Organization, at a million of them (docs/performance.md).

How a page is found. Texts, a product and a department are looked up in the index of words; other filters walk the indexes that each
Organization has of them, one after the other. Up to ``CAP`` who fit are counted to the last and sorted; of more, the page is found by
walking all people in the order of their names, which soon meets fifty. Whom the index of words names must be looked at, row by row:
more than ``FEW`` of them are not counted, and the walk looks at those alone. Several filters at once walk all names too.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import timedelta
from typing import Any

from sqlalchemy import ColumnElement, Select, Text, and_, func, literal_column, or_, select, type_coerce
from sqlalchemy.orm import Session, selectinload

from portal.clock import utcnow
from portal.end_users import listing as end_user_list
from portal.errors import Invalid
from portal.http.listing import Listing, ListSpec, counted
from portal.models import EndUser, MicrosoftTenant, Organization
from portal.models import words as tables
from portal.models.keys import KeyOf
from portal.organizations import tags
from portal.search import words
from portal.search.index import department_code, sku_code
from portal.text import search_forms, text_key

CAP = 10_000
"""So many are counted and sorted; of more, pages say "10,000+" and go as far."""
FEW = 1_000
"""The same in the order of names for whom the index of words names, and for several filters at once: "1,000+"."""
WALKED_TO_FETCHED = 20
"""Entries of the index of names that are passed while a row is fetched and looked at."""
MOST_DAYS = 3_650
_OBJECT_ID = re.compile(r"[0-9a-f][0-9a-f-]{7,35}")
_IN_WORDS = frozenset({"department", "sku_id"})
_IN_NAMES = frozenset({"mfa", "microsoft_status", "licensed", "source", "inactive_days"})
"""Filters by what the index of names holds."""

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


def listing(session: Session, query: Listing, *, assets: bool = False) -> Listing:
    """One page. Pages of the portal count no further than ``CAP`` or ``FEW``; an exact listing (the API's) counts and sorts them all."""
    search = _Search(session, query)
    total = search.total(None if query.is_exact else search.most + 1)
    is_many = total > search.most
    current = counted(query, total if query.is_exact else min(total, search.most))
    if not query.is_exact:
        current = replace(current, has_more=is_many)
        if is_many and current.sort.removeprefix("-") not in WALKED:
            current = replace(current, sort=SPEC.default_sort)
    ids = search.page(current, is_many=is_many)
    rows = select(EndUser).where(EndUser.id.in_(ids))
    if assets:
        rows = rows.options(selectinload(EndUser.assets))
    place = {row_id: number for number, row_id in enumerate(ids)}
    items = sorted(session.scalars(rows).unique(), key=lambda row: place[row.id])
    return replace(current, items=items)


def ids(session: Session, query: Listing, most: int) -> list[str]:
    """The ids of up to ``most`` who fit, in the order of the list."""
    search = _Search(session, query)
    is_many = search.total(CAP + 1) > CAP
    return search.page(replace(query, page=1, per_page=most), is_many=is_many)


class _Search:
    """One search: who matches, how many, and which of them a page shows."""

    def __init__(self, session: Session, query: Listing) -> None:
        self.session, self.query = session, query
        self.is_sqlite = session.get_bind().dialect.name == "sqlite"
        self.conditions = conditions(query, is_sqlite=self.is_sqlite)
        self.match = words.query(_texts(query)) if words.are_there(session) else ""
        self.named = words.number(session, tables.PEOPLE, self.match, CAP + 1) if self.match else CAP + 1
        self.is_in_words = self.named <= CAP
        self.is_by_name = query.sort.removeprefix("-") in WALKED
        narrows = set(query.filters) - _IN_WORDS
        is_looked_at = self.is_in_words or (narrows and not narrows - _IN_NAMES)
        self.is_walked = self.is_sqlite and not query.q and _are_in_names(query.filters)
        is_several = self.is_sqlite and not query.q and _are_in_names(narrows - {"tag"})
        is_costly = is_several or (self.match and self.named > FEW and is_looked_at)
        self.most = FEW if is_costly and self.is_by_name else CAP
        self.hint: list[ColumnElement[bool]] = []
        self.fitting_ids: list[str] | None = None
        if self.is_in_words:
            self.hint = [self._named(CAP)]
        elif self.conditions and not {"organization_id", "tag"} & set(query.filters):
            # Each Organization has its indexes: going from one to the next, a rare value is found at once.
            self.hint = [EndUser.organization_id.in_(select(Organization.id))]

    def total(self, most: int | None) -> int:
        """How many fit, counted up to ``most``."""
        if self.is_in_words and most == CAP + 1:  # few: all of them at once, in order
            self.fitting_ids = list(
                self.session.scalars(self._ordered(self.query.sort, walks=False).limit(most))
            )
            return len(self.fitting_ids)
        if self.match and most == FEW + 1:
            number = self._number_of_few()
            if number is not None:
                return number
        if not self.is_in_words and most and self.match and not set(self.query.filters) - _IN_WORDS:
            return most  # the index of words has counted them
        if most and self.is_walked:
            sort = self.query.sort if self.is_by_name else SPEC.default_sort
            first_ids = list(self.session.scalars(self._ordered(sort, walks=True).limit(most)))
            if self.is_by_name:
                self.fitting_ids = first_ids
            elif len(first_ids) < most:
                self.hint = [EndUser.id.in_(first_ids)]
            return len(first_ids)
        statement = select(EndUser.id).where(*self.hint, *self.conditions)
        if most is not None:
            statement = statement.limit(most)
        return self.session.scalar(select(func.count()).select_from(statement.subquery())) or 0

    def _number_of_few(self) -> int | None:
        """How many fit, up to one more than ``FEW``; None when that is not soon found out.

        Most of whom the index of words names fit, and of them enough fit the filters: so some will do.
        """
        names = select(EndUser.sort_name, EndUser.id).where(*self.conditions).limit(FEW + 1)
        some = 20 * FEW if set(self.query.filters) - _IN_WORDS else 2 * FEW
        for looked_at in (some, CAP) if self.is_in_words else (some,):
            rows = self.session.execute(names.where(self._named(looked_at))).all()
            if len(rows) > FEW:
                return len(rows)
        if not self.is_in_words:
            return None
        self.fitting_ids = [row_id for _, row_id in sorted(rows, reverse=self.query.sort.startswith("-"))]
        return len(rows)

    def _named(self, most: int) -> ColumnElement[bool]:
        """Who may have the texts: ``most`` of those whom the index of words names, whom it does not have yet, and object ids."""
        ids = [
            EndUser.id.in_(_with_object_id(text)) for text in _texts(self.query) if _OBJECT_ID.fullmatch(text)
        ]
        return or_(words.rows(tables.PEOPLE, self.match, most), EndUser.search_row.is_(None), *ids)

    def page(self, query: Listing, *, is_many: bool) -> list[str]:
        """The ids of a page, in order."""
        start = query.offset
        if self.fitting_ids is not None and query.sort == self.query.sort and not is_many:
            return self.fitting_ids[start : start + query.per_page]
        walks = (
            is_many and query.sort.removeprefix("-") in WALKED and self._is_soon_met(start + query.per_page)
        )
        ordered = self._ordered(query.sort, walks=walks)
        return list(self.session.scalars(ordered.limit(query.per_page).offset(start)))

    def _is_soon_met(self, number: int) -> bool:
        """Whether the walk meets so many sooner than all whom the index of words names are fetched and sorted."""
        if not self.is_in_words:
            return True
        everybody = self.session.scalar(select(func.count()).select_from(EndUser)) or 0
        return number * everybody < WALKED_TO_FETCHED * self.named**2

    def _ordered(self, sort: str, *, walks: bool) -> Select[str]:
        """The ids in order. walks: along everybody by name, else those that the hint leads to, sorted."""
        name = sort.removeprefix("-")
        columns: list[Any] = list(SPEC.sorts[name])
        criteria = self.conditions
        if not walks:
            criteria = [*self.hint, *criteria]
            if name in WALKED:  # they are few: not along everybody
                columns = [func.coalesce(EndUser.sort_name, "")]
        elif self.is_sqlite:
            criteria = conditions(self.query, is_sqlite=True, walks=True)
            if self.is_in_words:
                named: Select[Any] = (
                    select(literal_column("end_users.rowid")).select_from(EndUser).where(*self.hint)
                )
                criteria = [literal_column("+end_users.rowid").in_(named.correlate(None)), *criteria]
        down = sort.startswith("-")
        statement: Select[str] = select(EndUser.id).where(*criteria)
        return statement.order_by(*(c.desc() if down else c.asc() for c in (*columns, EndUser.id)))


def _are_in_names(filters: Collection[str]) -> bool:
    """Whether several filters are told by the index of names alone; of one the Organizations' indexes know more."""
    return len(filters) > 1 and not set(filters) - _IN_NAMES


def _texts(query: Listing) -> list[str]:
    """What the index of words is asked for."""
    texts = [search_forms(word)[-1] for word in text_key(query.q).split()]
    if "department" in query.filters:
        texts.append(department_code(query.filters["department"]))
    if "sku_id" in query.filters:
        texts.append(sku_code(query.filters["sku_id"]))
    return texts


def conditions(query: Listing, *, is_sqlite: bool, walks: bool = False) -> list[ColumnElement[bool]]:
    """What search and filters ask of an End User; with ``walks`` so that SQLite does not go by the Organizations of a tag.

    Raises Invalid for a number of days that is none.
    """
    filters = query.filters
    narrowed = [_has_word(word, is_sqlite=is_sqlite) for word in text_key(query.q).split()]
    own = {name: value for name, value in filters.items() if name in end_user_list.SPEC.filters}
    narrowed += end_user_list.conditions(Listing(filters=own))
    if "organization_id" in filters:
        narrowed.append(EndUser.organization_id == filters["organization_id"])
    if "tag" in filters:
        own_id = func.coalesce(EndUser.organization_id, "") if walks else EndUser.organization_id
        narrowed.append(own_id.in_(tags.organization_ids(filters["tag"])))
    if "sku_id" in filters:
        narrowed.append(
            type_coerce(EndUser.license_sku_ids, Text).contains(filters["sku_id"], autoescape=True)
        )
    if "inactive_days" in filters:
        narrowed.append(EndUser.last_sign_in_at < utcnow() - timedelta(days=days(filters["inactive_days"])))
    if "department" in filters:
        key = text_key(filters["department"])
        same = KeyOf(EndUser.department) == key
        if not is_sqlite:
            # A key takes PostgreSQL its time: one is made of each spelling, and not of each person.
            spellings = select(EndUser.department).distinct().offset(0).subquery()
            same = EndUser.department.in_(
                select(spellings.c.department).where(KeyOf(spellings.c.department) == key)
            )
        # An exact match needs no further search.
        narrowed.append(or_(EndUser.department == filters["department"], same))
    return narrowed


def days(text: str) -> int:
    """A number of days. Raises Invalid for anything else."""
    if not text.isascii() or not text.isdigit() or not 1 <= int(text[:9]) <= MOST_DAYS:
        raise Invalid({"inactive_days": [f"A whole number of days from 1 to {MOST_DAYS:,}."]})
    return int(text)


def organization_names(session: Session, rows: Iterable[EndUser]) -> dict[str, Organization]:
    """Organization id → the Organization with its tags, of these people."""
    ids = {row.organization_id for row in rows}
    organizations = (
        select(Organization).where(Organization.id.in_(ids)).options(selectinload(Organization.tags))
    )
    return {row.id: row for row in session.scalars(organizations)}


def _has_word(word: str, *, is_sqlite: bool) -> ColumnElement[bool]:
    # SQLite takes either case for the same by itself; its lower() is ours, and slow.
    texts = (EndUser.search_text, EndUser.user_principal_name) if is_sqlite else (end_user_list.PEOPLE_TEXT,)
    named = [end_user_list.has_word(word, *texts)]
    if _OBJECT_ID.fullmatch(word):
        begins = EndUser.object_id.startswith(word, autoescape=True)
        if not is_sqlite:
            # Known before anybody is looked for, so that the index which begins with the tenant will do.
            tenants: ColumnElement[Any] = literal_column("ANY (ARRAY(SELECT id FROM microsoft_tenants))")
            begins = and_(EndUser.microsoft_tenant_id == tenants, _is_after(word), begins)
        named.append(begins)
    return or_(*named)


def _with_object_id(word: str) -> Select[str]:
    """Whose object id begins so: along the index that begins with the Microsoft Tenant, one after the other."""
    return select(EndUser.id).where(
        EndUser.microsoft_tenant_id.in_(select(MicrosoftTenant.id)), _is_after(word)
    )


def _is_after(word: str) -> ColumnElement[bool]:
    return and_(EndUser.object_id >= word, EndUser.object_id < word + "g")
