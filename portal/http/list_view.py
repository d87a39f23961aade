"""What a page with a list shows beside its rows: one record for every list, drawn by ``_macros/list.html``. No queries.

Everything about a list is in its address: search, chips, filters, sort and page. A chip or a column is a link that changes one of
them; a bulk action is a button of the form that the rows' check boxes are in, so that all of it works without script.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portal.http.access import may
from portal.http.listing import Listing
from portal.models import Role


@dataclass(frozen=True)
class Chip:
    """A view of the list that one press shows. count: how many it has, None when that is not said."""

    label: str
    href: str
    count: int | None = None
    is_on: bool = False
    icon: str = ""


@dataclass(frozen=True)
class Filter:
    """A choice in the panel of filters. options: (value, label); none: a text that is typed, with ``hint`` in it."""

    name: str
    label: str
    value: str
    options: Sequence[tuple[str, str]] = ()
    kind: str = "select"  # select | text | date
    hint: str = ""


@dataclass(frozen=True)
class Column:
    """A column's head. sort: the name it sorts by, "" when it does not; is_hidden: read by screen readers only."""

    label: str
    sort: str = ""
    css: str = ""
    descending_first: bool = False
    is_hidden: bool = False


@dataclass(frozen=True)
class BulkAction:
    """What may be done with the checked rows. address: where the form is posted, with ``action`` = name.

    is_download: answered with a file at once; leads_on: answered with a page of its own; the others show what they would do in
    the dialog first.
    """

    name: str
    label: str
    icon: str
    address: str
    role: Role = Role.READ_ONLY
    is_download: bool = False
    leads_on: bool = False

    @property
    def is_allowed(self) -> bool:
        """Whether the viewer may do it."""
        return may(self.role)


@dataclass(frozen=True)
class Empty:
    """The text in place of rows; href and label: its link."""

    title: str
    text: str
    href: str = ""
    label: str = ""
    icon: str = "filter-off"


def none_matches(address: str, listing: Listing, title: str) -> Empty:
    """The text if search and filters leave nothing."""
    text = f"You searched for “{listing.q}”." if listing.q else "Remove a filter to see more."
    return Empty(title, text, address, "Clear search and filters")


@dataclass(frozen=True)
class ListView:
    """One list. block: the id of its card and the block of the template that htmx swaps; noun: of one row.

    search: what the field of the search says, "" for a list without one.

    total: the number of rows in words, where it is not known to the last one ("10,000+"); note: said after it; export: the address of its CSV.
    """

    block: str
    label: str
    address: str
    noun: str
    listing: Listing
    columns: Sequence[Column]
    empty: Empty
    rows: Sequence[Any] = ()
    search: str = "Quick search"
    views: Sequence[Chip] = ()
    more: Sequence[Chip] = ()
    filters: Sequence[Filter] = ()
    in_use: Sequence[Chip] = ()
    bulk: Sequence[BulkAction] = ()
    export: str = ""
    css: str = ""
    total: str = ""
    note: str = ""

    @property
    def has_toolbar(self) -> bool:
        """Whether there is something to search or to choose."""
        return bool(self.search or self.views or self.more or self.filters or self.in_use)

    @property
    def is_narrowed(self) -> bool:
        """Whether a search or filter leaves rows out."""
        return bool(self.listing.q or self.listing.filters)

    @property
    def actions(self) -> list[BulkAction]:
        """The bulk actions that the viewer may do."""
        return [action for action in self.bulk if action.is_allowed]

    @property
    def shown_total(self) -> str:
        """How many rows there are, as pages say it."""
        return self.total or f"{self.listing.total:,}"

    @property
    def hidden(self) -> dict[str, str]:
        """The parameters that the toolbar's form carries along besides its own fields."""
        own = {control.name for control in self.filters}
        filters = {name: value for name, value in self.listing.filters.items() if name not in own}
        return {**self.listing.extra, **filters, "sort": self.listing.sort}


def in_use(listing: Listing, words: Mapping[str, str], on_chips: Iterable[str] = ()) -> list[Chip]:
    """The filters in use as chips that take them away. words: filter → what to say; on_chips: those that another chip shows as on."""
    already_on = set(on_chips)
    return [
        Chip(words[name], listing.query_string(**{name: None}))
        for name in listing.filters
        if name in words and name not in already_on
    ]
