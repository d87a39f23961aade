"""What the Assets subtab shows: its view record (``http.list_view``). No queries."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from portal.assets.service import shown_mac
from portal.http.form_view import FormView
from portal.http.formatting import DASH
from portal.http.list_view import Column, Empty, ListView
from portal.http.listing import Listing
from portal.models import Asset, AssetReport

COLUMNS = (
    Column("Asset", "name"),
    Column("MAC addresses"),
    Column("End User"),
    Column("Assigned", "assigned_by"),
    Column("Actions", is_hidden=True),
)


ASSIGNED = {"manual": "By hand", "sync": "By the sync"}


@dataclass(frozen=True)
class AssetRow:
    """An Asset in the table. end_user_id: whose it is, "" for nobody's."""

    id: str
    name: str
    macs: str
    end_user_id: str
    end_user: str
    assigned: str


@dataclass(frozen=True)
class ReportRow:
    """A device that the sync did not assign, and why. name: of the Asset, "" where there is none."""

    mac: str
    name: str
    reason: str


def report_rows(rows: Iterable[AssetReport]) -> list[ReportRow]:
    """What the sync could not assign."""
    return [
        ReportRow(shown_mac(row.mac), "" if row.asset is None else row.asset.name, row.reason) for row in rows
    ]


def macs_in_words(row: Asset) -> str:
    """Its MAC addresses as they are shown, a dash for none."""
    return ", ".join(shown_mac(mac.mac) for mac in row.macs) or DASH


def form_view(address: str, row: Asset | None) -> FormView:
    """Add an Asset, or edit one. address: of the list."""
    if row is None:
        return FormView("Add Asset", f"{address}/new", address)
    return FormView(f"Edit {row.name}", f"/assets/{row.id}", address, is_edit=True)


def assets_list(address: str, listing: Listing) -> ListView:
    """The list of an Organization's Assets."""
    return ListView(
        block="assets_table",
        label="Assets",
        address=address,
        noun="Asset",
        search="Name or MAC address",
        listing=listing,
        rows=[_row(row) for row in listing.items],
        columns=COLUMNS,
        export=f"{address}.csv{listing.query_string()}",
        empty=_empty(address, listing),
    )


def _row(row: Asset) -> AssetRow:
    return AssetRow(
        id=row.id,
        name=row.name,
        macs=macs_in_words(row),
        end_user_id=row.end_user_id or "",
        end_user="" if row.end_user is None else row.end_user.display_name,
        assigned=ASSIGNED.get(row.assigned_by or "", DASH),
    )


def _empty(address: str, listing: Listing) -> Empty:
    if listing.q or listing.filters:
        title = f"No Assets match “{listing.q}”." if listing.q else "No Assets match."
        return Empty(title, "Try part of the name, or four digits of a MAC address.", address, "Clear")
    text = "Add devices with their MAC addresses. The sync then finds their owners among Microsoft-managed devices."
    return Empty("No Assets yet.", text, icon="device-laptop")
