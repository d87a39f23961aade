"""Search, sort, filters and paging as query-string state: one spec for a table, its API list and its CSV.

A feature declares a ``ListSpec``; ``parse`` turns query parameters into a ``Listing`` or says what is wrong with them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import ColumnElement, Select, and_, case, func, literal_column, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from portal.errors import Invalid
from portal.models.keys import KeyOf
from portal.text import search_forms, text_key

MAX_PER_PAGE = 500
SAMPLE = 200  # rows looked at to guess how many fit
WALKED_TO_SORTED = 2  # the cost of a row passed on the walk along an index, relative to one that is sorted
LOOKED_AT = 1  # index entries looked at for the page, per row that fits, before these are fetched and sorted: a fraction of that
SORTED = 50_000  # rows that are sorted at most, should those that fit stand together further down


@dataclass(frozen=True)
class ListSpec:
    """What a list can do. sorts: name -> column(s); filters: name -> allowed values, or None for free text."""

    sorts: Mapping[str, Sequence[ColumnElement[Any] | InstrumentedAttribute[Any]]]
    default_sort: str
    filters: Mapping[str, Sequence[str] | None] = field(default_factory=dict)
    per_page: int = 50


@dataclass(frozen=True)
class Listing:
    """The state of one list: what was asked, and once ``fetch`` ran, the rows and the totals.

    total: those that fit search and filters. unfiltered_total: all there are, known after ``fetch_by_id``.
    has_more: more than ``total`` fit; they were not counted, and no page shows them.
    is_exact: a page past the end is empty, for programs that read until there is nothing; people see the last one.
    extra: further parameters that its links carry along.
    """

    q: str = ""
    sort: str = ""
    filters: Mapping[str, str] = field(default_factory=dict)
    page: int = 1
    per_page: int = 50
    total: int = 0
    unfiltered_total: int = 0
    items: Sequence[Any] = ()
    has_more: bool = False
    is_exact: bool = False
    extra: Mapping[str, str] = field(default_factory=dict)

    @property
    def pages(self) -> int:
        """Number of pages, at least 1."""
        return max(1, -(-self.total // self.per_page))

    @property
    def previous_page(self) -> int | None:
        """The number of the page before, None on the first."""
        return self.page - 1 if self.page > 1 else None

    @property
    def next_page(self) -> int | None:
        """The number of the page after, None on the last."""
        return self.page + 1 if self.page < self.pages else None

    @property
    def near_pages(self) -> list[int | None]:
        """The page numbers to offer: the first, the last, and two on each side of this one. None: some are left out there."""
        near = sorted({1, *range(max(1, self.page - 2), min(self.pages, self.page + 2) + 1), self.pages})
        pages: list[int | None] = []
        for before, number in zip([0, *near], near, strict=False):
            pages += [number] if number == before + 1 else [None, number]
        return pages

    @property
    def offset(self) -> int:
        """How many rows come before this page."""
        return (self.page - 1) * self.per_page

    @property
    def first(self) -> int:
        """Number of the first row shown, 0 when there is none."""
        return min(self.total, self.offset + 1)

    @property
    def last(self) -> int:
        """Number of the last row shown."""
        return min(self.total, self.page * self.per_page)

    def direction(self, name: str) -> str:
        """How the rows are sorted by ``name``: ascending | descending | "" when they are sorted by something else."""
        if self.sort.removeprefix("-") != name:
            return ""
        return "descending" if self.sort.startswith("-") else "ascending"

    def sorted_by(self, name: str, *, descending_first: bool = False) -> str:
        """The query string that a press on a column's head leads to: sorted by it, the other way round when it is already."""
        now = self.direction(name)
        is_down = now == "ascending" or (not now and descending_first)
        return self.query_string(sort=f"-{name}" if is_down else name)

    def query_string(self, **changes: Any) -> str:
        """The query string of this state with ``changes``; a change to None leaves the parameter out. Starts with ``?``."""
        state: dict[str, Any] = {
            "q": self.q,
            **self.filters,
            **self.extra,
            "sort": self.sort,
            "page": self.page,
        }
        if "page" not in changes and changes:
            state["page"] = 1
        state.update(changes)
        if state.get("page") == 1:
            state["page"] = None
        return "?" + urlencode({k: v for k, v in state.items() if v not in (None, "")})


def parse(args: Mapping[str, str], spec: ListSpec, *, strict: bool, extra: Sequence[str] = ()) -> Listing:
    """Read ``q``, ``sort``, ``page``, ``per_page`` and filters from ``args``.

    strict (the API): an unknown or bad parameter raises Invalid (422). Otherwise (pages) it is ignored.
    ``extra`` names further parameters that are somebody else's business.
    """
    errors: dict[str, list[str]] = {
        name: ["Text cannot contain NUL characters."] for name, value in args.items() if "\x00" in value
    }
    args = {name: value.replace("\x00", "") for name, value in args.items()}  # PostgreSQL takes none
    page = _positive(args, "page", 1, errors)
    per_page = _positive(args, "per_page", spec.per_page, errors)
    if per_page > MAX_PER_PAGE:
        errors["per_page"] = [f"At most {MAX_PER_PAGE}."]
    sort = args.get("sort", "") or spec.default_sort
    if sort.removeprefix("-") not in spec.sorts:
        errors["sort"] = [
            "Sort by one of: " + ", ".join(sorted(spec.sorts)) + ", with - in front for descending."
        ]
        sort = spec.default_sort
    filters: dict[str, str] = {}
    for name, value in args.items():
        if name in {"q", "sort", "page", "per_page", *extra}:
            continue
        if name not in spec.filters:
            errors[name] = ["There is no such filter."]
            continue
        allowed = spec.filters[name]
        if allowed is not None and value and value not in allowed:
            errors[name] = ["Must be one of: " + ", ".join(allowed) + "."]
        elif value:
            filters[name] = value
    if errors and strict:
        raise Invalid(errors, "The query has parameters that cannot be used.")
    per_page = min(max(per_page, 1), MAX_PER_PAGE)
    return Listing(
        q=args.get("q", "").strip()[:200],
        sort=sort,
        filters=filters,
        page=page,
        per_page=per_page,
        is_exact=strict,
    )


def contains_text(
    text: str, *columns: ColumnElement[Any] | InstrumentedAttribute[Any]
) -> ColumnElement[bool]:
    """True for rows that have ``text`` in one of ``columns``, as texts compare (S3)."""
    forms = search_forms(text_key(text))
    return or_(*(KeyOf(column).contains(form, autoescape=True) for column in columns for form in forms))


def order(statement: Select[Any], listing: Listing, spec: ListSpec, *, tiebreaker: Any) -> Select[Any]:
    """Add ORDER BY; ``tiebreaker`` (usually the primary key) makes the order total, so that pages never overlap.

    It goes the way of the rest, so that one index serves both directions.
    """
    columns = (*spec.sorts[listing.sort.removeprefix("-")], tiebreaker)
    descending = listing.sort.startswith("-")
    return statement.order_by(*(c.desc() if descending else c.asc() for c in columns))


def fetch(
    session: Session,
    statement: Select[Any],
    listing: Listing,
    spec: ListSpec,
    *,
    tiebreaker: Any,
    scalars: bool = True,
    most: int | None = None,
) -> Listing:
    """Count and load the page asked for. A page past the end shows the last one, unless the listing is exact.

    most: pages count no further and go no further; ``total`` is then ``most``.
    """
    fitting = statement.order_by(None)
    if most is not None and not listing.is_exact:
        fitting = fitting.limit(most)
    total = session.scalar(select(func.count()).select_from(fitting.subquery())) or 0
    current = counted(listing, total)
    window = (
        order(statement, current, spec, tiebreaker=tiebreaker).limit(current.per_page).offset(current.offset)
    )
    result = session.scalars(window).unique().all() if scalars else session.execute(window).all()
    return replace(current, items=result)


def fetch_by_id(
    session: Session,
    scope: ColumnElement[bool],
    conditions: Sequence[ColumnElement[bool]],
    rows: Select[Any],
    listing: Listing,
    spec: ListSpec,
    *,
    tiebreaker: InstrumentedAttribute[Any],
) -> Listing:
    """``fetch`` for a table of 100,000 rows: one page of ids from the indexes alone, then those rows.

    Who is listed: those of ``scope``, which every index begins with, that fit all ``conditions``; ``rows`` loads them;
    ``tiebreaker`` is the primary key.
    """
    key = _RowKey(session, tiebreaker)
    everybody = select(func.count()).select_from(tiebreaker.table).where(scope)
    total = of = session.scalar(everybody) or 0
    names: str | None = None
    if conditions:
        fitting = everybody.where(*conditions)
        in_order = order(select(tiebreaker).where(scope), listing, spec, tiebreaker=tiebreaker)
        if _is_soon_found(session, in_order, conditions, listing, of):
            total = session.scalar(fitting) or 0
        else:
            total, names = session.execute(fitting.add_columns(key.joined())).one()
    current = replace(counted(listing, total), unfiltered_total=of)
    first = current.offset
    size = min(current.per_page, total - first)
    if size <= 0:
        return current
    way, is_far = current, first > total // 2
    if is_far:  # walk from the nearer end
        way, first = _reversed(current), total - first - size
    passing = order(select(tiebreaker).where(scope), way, spec, tiebreaker=tiebreaker)
    if not names or total > SORTED:
        page_conditions = (scope, *conditions)
    elif key.passes(session, passing, names, LOOKED_AT * total) >= first + size:
        page_conditions = (scope, key.passed(names))
    else:
        page_conditions = (key.among(names),)
    window = order(select(tiebreaker).where(*page_conditions), way, spec, tiebreaker=tiebreaker)
    page_ids = list(session.scalars(window.limit(size).offset(first)))
    place = {row_id: -number if is_far else number for number, row_id in enumerate(page_ids)}
    loaded = session.scalars(rows.where(tiebreaker.in_(page_ids))).unique().all()
    return replace(current, items=sorted(loaded, key=lambda row: place[row.id]))


def counted(listing: Listing, total: int) -> Listing:
    """With the total known: past the end people see the last page; an exact listing stays where it is."""
    counted_listing = replace(listing, total=total)
    return (
        counted_listing
        if listing.is_exact
        else replace(counted_listing, page=min(listing.page, counted_listing.pages))
    )


def _reversed(listing: Listing) -> Listing:
    sort = listing.sort
    return replace(listing, sort=sort.removeprefix("-") if sort.startswith("-") else f"-{sort}")


class _RowKey:
    """What names a row in passing: SQLite's own row number, which every index holds, elsewhere the primary key."""

    def __init__(self, session: Session, tiebreaker: InstrumentedAttribute[Any]) -> None:
        self.is_sqlite = session.get_bind().dialect.name == "sqlite"
        self.column: ColumnElement[Any] = (
            literal_column(f"{tiebreaker.table.name}.rowid") if self.is_sqlite else tiebreaker.expression
        )

    def joined(self) -> ColumnElement[str]:
        """The aggregate of all keys as one text; NULL when there are none."""
        return func.aggregate_strings(self.column, ",")

    def among(self, names: str) -> ColumnElement[bool]:
        """True for the rows whose keys are in such a text; one parameter, however many they are."""
        if self.is_sqlite:
            return self.column.in_(_values(names))
        return self.column == func.any(func.string_to_array(names, ","))

    def passed(self, names: str) -> ColumnElement[bool]:
        """The same, asked of rows that come along an index: SQLite is kept from fetching each of ``names`` instead."""
        return literal_column(f"+{self.column}").in_(_values(names))

    def passes(self, session: Session, in_order: Select[Any], names: str, rows: int) -> int:
        """How many of ``names`` are among the first ``rows`` of ``in_order``; 0 for a database that decides by itself."""
        if not self.is_sqlite:
            return 0
        start = in_order.with_only_columns(self.column.label("key")).limit(rows).subquery()
        near = select(func.count()).select_from(start).where(start.c.key.in_(_values(names)))
        return session.scalar(near) or 0


def _values(names: str) -> Select[Any]:
    """Row numbers as SQLite reads them from one parameter, however many they are."""
    return select(func.json_each(f"[{names}]").table_valued("value").c.value)


def _is_soon_found(
    session: Session,
    in_order: Select[Any],
    conditions: Sequence[ColumnElement[bool]],
    listing: Listing,
    of: int,
) -> bool:
    """Whether walking ``in_order`` reaches the page sooner than sorting all matches; its start shows their share."""
    fits = case((and_(*conditions), 1), else_=0).label("fits")
    sample = in_order.with_only_columns(fits).limit(SAMPLE).subquery()
    share = (session.scalar(select(func.sum(sample.c.fits))) or 0) / SAMPLE
    return WALKED_TO_SORTED * listing.page * listing.per_page <= share * share * of


def _positive(args: Mapping[str, str], name: str, default: int, errors: dict[str, list[str]]) -> int:
    text = args.get(name, "")
    if not text:
        return default
    if not text.isascii() or not text.isdigit() or int(text[:9]) < 1:
        errors[name] = ["A whole number, 1 or more."]
        return default
    return int(text[:9])
