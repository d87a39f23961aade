"""What Discover customers shows (C3): the partner tenants to ask, and the customers that Microsoft listed last. No queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from portal.http.list_view import Chip, Empty, ListView
from portal.http.listing import Listing
from portal.models import MicrosoftTenant

STATES = {
    "": "All",
    "offered": "To connect",
    "connected": "Connected, not mapped",
    "mapped": "Mapped",
    "ending": "Ending within 60 days",
    "ended": "Ended",
}
NOTES = {
    "connected": "Not mapped: choose it to continue",
    "mapped": "Mapped",
    "ended": "Renew the relationship with the customer first.",
}
"""What is said beneath a customer's state."""


@dataclass(frozen=True)
class DiscoverView:
    """The page. seen_at: when Microsoft listed the customers last; customers: None until then; look: the button's words."""

    partners: Sequence[MicrosoftTenant]
    partner_id: str
    problem: str
    is_refused: bool
    seen_at: datetime | None
    customers: ListView | None
    look: str
    notes: Mapping[str, str]

    @property
    def is_new(self) -> bool:
        """Nothing was asked for yet."""
        return bool(self.partners) and self.customers is None and not self.problem

    @property
    def can_choose(self) -> bool:
        """One of those that are shown can be chosen."""
        return self.customers is not None and any(row.is_offered for row in self.customers.rows)

    @property
    def has_pages(self) -> bool:
        """More fit than are shown."""
        return self.customers is not None and self.customers.listing.pages > 1


def discover_view(
    partners: Sequence[MicrosoftTenant],
    partner_id: str,
    *,
    problem: str,
    is_refused: bool,
    seen_at: datetime | None,
    customers: ListView | None,
) -> DiscoverView:
    """The record of the page. problem: why Microsoft, or we, refused, "" otherwise."""
    look = "Look for customers" if customers is None else "Refresh"
    return DiscoverView(partners, partner_id, problem, is_refused, seen_at, customers, look, NOTES)


def customers_list(address: str, connect: str, listing: Listing, counts: Mapping[str, int]) -> ListView:
    """The customers of one partner. connect: where one is connected by itself; counts: of ``discover.counts``."""
    state = listing.filters.get("state", "")
    return ListView(
        block="customers_table",
        label="Customers",
        address=address,
        noun="customer",
        search="Find a customer",
        listing=listing,
        rows=listing.items,
        columns=(),
        views=[
            Chip(label, listing.query_string(state=name), counts[name or "all"], name == state)
            for name, label in STATES.items()
            if not name or counts[name] or name == state
        ],
        empty=Empty(
            "No customers match.",
            "Clear the search, or show all customers.",
            address + listing.query_string(q="", state=None),
            "Show all",
        )
        if listing.q or state
        else Empty(
            "Microsoft lists no customers for this tenant.",
            "Connect customers one by one instead.",
            connect,
            "Connect a Microsoft tenant",
            "users-group",
        ),
    )
