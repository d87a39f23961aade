"""The page of all that needs attention or is not done yet (P9). No queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from portal.dashboard.attention import KINDS
from portal.dashboard.todo import Todo
from portal.http.list_view import Chip, Empty, ListView
from portal.http.listing import Listing

LABELS: Mapping[str, str] = {
    "connection": "Connections refused",
    "hold": "Held",
    "failing": "Syncs in trouble",
    "overdue": "Overdue",
    "left": "Many no longer match",
    "expired": "Expired",
    "expiring_soon": "Expires within 7 days",
    "conflicts": "Conflicts",
    "expiring": "Expires within 60 days",
    "not_set_up": "Not set up",
    "not_mapped": "Organizations not mapped",
    "unmapped": "Microsoft tenants not mapped",
}


def attention_list(
    address: str, listing: Listing, rows: Sequence[Todo], counts: Mapping[str, int]
) -> ListView:
    """The record of the page. counts: how many of each kind there are."""
    chosen, everything = listing.filters.get("kind"), sum(counts.values())
    nothing = Empty(
        "Nothing needs attention",
        "Every Organization is set up, and no sync is in trouble.",
        icon="circle-check",
    )
    return ListView(
        block="attention",
        label="Needs attention",
        address=address,
        noun="thing",
        listing=listing,
        rows=rows,
        columns=(),
        views=[
            Chip("All", f"{address}{listing.query_string(kind=None)}", everything, chosen is None),
            *(
                Chip(
                    LABELS[kind], f"{address}{listing.query_string(kind=kind)}", counts[kind], kind == chosen
                )
                for kind in KINDS
                if counts[kind] or kind == chosen
            ),
        ],
        empty=Empty("None of these", "Already settled.", icon="circle-check") if chosen else nothing,
    )
