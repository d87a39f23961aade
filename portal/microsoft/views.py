"""What the list of Microsoft Tenants shows: its view record (``http.list_view``). No queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from portal.http.formatting import DASH
from portal.http.list_view import BulkAction, Chip, Column, Empty, ListView, in_use
from portal.http.listing import Listing
from portal.microsoft.listing import NEEDS_ATTENTION, SYNCS, TableRow
from portal.models import Role
from portal.organizations.tags import TagCount
from portal.organizations.views import shown_tags, tag_chips, tag_filter, tag_words

SYNC_WORDS = {
    "not_set_up": "Not set up",
    "processing": "Processing",
    "needs_attention": "Sync needs attention",
    "held": "Held",
    "conflicts": "Conflicts",
}
COLUMNS = (
    Column("Microsoft Tenant", "name"),
    Column("Connection", "state"),
    Column("Mapped Tenant", "mapped"),
    Column("Organizations", "organizations", "rc-num", descending_first=True),
    Column("Microsoft users", "users", "rc-num", descending_first=True),
    Column("Last sync", "last_synced_at", descending_first=True),
    Column("Actions", is_hidden=True),
)
BULK: list[BulkAction] = [
    BulkAction("sync", "Sync Now", "refresh", "/microsoft-tenants/bulk", Role.TECHNICIAN),
    BulkAction("tag", "Tag their Organizations", "tag", "/microsoft-tenants/bulk", Role.TECHNICIAN),
    BulkAction("set_up", "Set up", "adjustments", "/rollouts/tenants", Role.ADMINISTRATOR, leads_on=True),
    BulkAction("disable", "Disable syncs", "player-stop", "/microsoft-tenants/bulk", Role.TECHNICIAN),
    BulkAction("export", "Export", "download", "/microsoft-tenants.csv", is_download=True),
]


@dataclass(frozen=True)
class CheckRow:
    """A line of Check connection. loss: what is lost without the permission; to_do: Microsoft's answer and what follows."""

    name: str
    state: str
    permission: str
    loss: str
    to_do: str


def check_rows(lines: Iterable[Mapping[str, str]], losses: Mapping[str, str]) -> list[CheckRow]:
    """The last check's table. losses: permission → what is lost without it."""
    return [
        CheckRow(
            line["name"],
            line["state"],
            line["permission"] or DASH,
            losses.get(line["permission"], ""),
            line["detail"] or DASH,
        )
        for line in lines
    ]


def tenants_list(
    address: str,
    listing: Listing,
    rows: Sequence[TableRow],
    counts: Mapping[str, int],
    tags: Sequence[TagCount],
    *,
    may_connect: bool,
) -> ListView:
    """The list of Microsoft Tenants. counts: of ``listing.counts``."""
    words = {
        "cloud": f"Cloud: {listing.filters.get('cloud', '')}",
        "state": "Connected",
        "mapped": "Mapped",
        **tag_words(listing),
    }
    chips = _chips(listing, counts)
    in_words = [
        *shown_tags(listing, tags),
        *(name for name in ("state", "mapped", "sync") if _is_said(listing, name)),
    ]
    return ListView(
        block="tenants_table",
        label="Microsoft Tenants",
        address=address,
        noun="Microsoft tenant",
        search="Find a Microsoft tenant",
        listing=listing,
        rows=rows,
        columns=COLUMNS,
        views=chips,
        more=tag_chips(listing, tags),
        filters=[tag_filter(listing, tags)] if tags else [],
        in_use=in_use(listing, words, in_words),
        bulk=BULK,
        export=f"{address}.csv{listing.query_string()}",
        empty=_empty(address, listing, may_connect=may_connect),
    )


def _chips(listing: Listing, counts: Mapping[str, int]) -> list[Chip]:
    """One view at a time: pressing one leaves the others."""
    none: dict[str, str | None] = {"state": None, "mapped": None, "sync": None}
    chips = [
        Chip(
            "All",
            listing.query_string(**none),
            counts["all"],
            not {"state", "mapped", "sync"} & set(listing.filters),
        ),
        _chip(listing, "state", NEEDS_ATTENTION, "Needs attention", counts["attention"]),
        _chip(listing, "mapped", "false", "Not mapped", counts["unmapped"]),
    ]
    syncs = (_chip(listing, "sync", name, SYNC_WORDS[name], counts[name]) for name in SYNCS)
    return [*chips, *(chip for chip in syncs if chip.count or chip.is_on)]


def _chip(listing: Listing, name: str, value: str, label: str, count: int) -> Chip:
    none: dict[str, str | None] = {"state": None, "mapped": None, "sync": None}
    return Chip(
        label, listing.query_string(**{**none, name: value}), count, listing.filters.get(name) == value
    )


def _is_said(listing: Listing, name: str) -> bool:
    return listing.filters.get(name) not in {"connected", "true"}


def _empty(address: str, listing: Listing, *, may_connect: bool) -> Empty:
    if listing.q or listing.filters:
        return Empty(
            "No Microsoft tenants match this view",
            "Clear the search, or show all Microsoft tenants.",
            address,
            "Show all",
        )
    return Empty(
        "No Microsoft tenant is connected",
        "Connect the Microsoft tenant of a customer, map it to a Tenant, and set up the sync of its Organizations.",
        f"{address}/connect" if may_connect else "",
        "Connect a Microsoft tenant",
        "brand-windows",
    )
