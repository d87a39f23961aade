"""What the Assets subtab shows: its view record (``http.list_view``). No queries."""

from __future__ import annotations

from portal.http.list_view import Column, Empty, ListView
from portal.http.listing import Listing

COLUMNS = (
    Column("Asset", "name"),
    Column("MAC addresses"),
    Column("End User"),
    Column("Assigned", "assigned_by"),
    Column("Actions", is_hidden=True),
)


def assets_list(address: str, listing: Listing) -> ListView:
    """The list of an Organization's Assets."""
    return ListView(
        block="assets_table",
        label="Assets",
        address=address,
        noun="Asset",
        search="Name or MAC address",
        listing=listing,
        rows=listing.items,
        columns=COLUMNS,
        export=f"{address}.csv{listing.query()}",
        empty=_empty(address, listing),
    )


def _empty(address: str, listing: Listing) -> Empty:
    if listing.q or listing.filters:
        title = f"No Asset fits “{listing.q}”." if listing.q else "No Asset fits."
        return Empty(title, "Try a part of the name, or four digits of a MAC address.", address, "Clear")
    text = "Add devices with their MAC addresses; Microsoft-managed devices then say whose they are."
    return Empty("No Assets yet.", text, icon="device-laptop")
