"""What the End Users subtab shows: its view record (``http.list_view``). No queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from portal.end_users.words import CHIPS, FIELDS
from portal.http.formatting import plural
from portal.http.list_view import BulkAction, Chip, Column, Empty, Filter, ListView
from portal.http.listing import Listing
from portal.models import EndUser, Role

COLUMNS = (
    Column("Name", "name", "rc-w-name"),
    Column("Email", "email", "rc-w-mail"),
    Column("Phone", "phone", "rc-w-phone rc-low"),
    Column("Job Title", "job_title", "rc-w-job rc-lower"),
    Column("Microsoft License", "license", "rc-w-license"),
    Column("Last Microsoft Activity", "last_sign_in_at", "rc-w-activity", descending_first=True),
    Column("MFA", "mfa", "rc-w-mfa"),
    Column("Status", "status"),
)
LABELS = {
    "microsoft_status": "Microsoft status",
    "licensed": "Microsoft license",
    "mfa": "MFA",
    "source": "Source",
    "in_scope": "Filters of the sync",
}


@dataclass(frozen=True)
class PersonRow:
    """An End User in the table, with their products by name."""

    user: EndUser
    products: Sequence[str]

    @property
    def id(self) -> str:
        """The value of the check box."""
        return self.user.id

    @property
    def name(self) -> str:
        """Of the person."""
        return self.user.display_name


def end_users_list(
    address: str,
    listing: Listing,
    products: Mapping[str, Sequence[str]],
    sync: Mapping[str, object],
    tenant: str,
) -> ListView:
    """The list of an Organization's End Users. sync: the document of its User Sync; tenant: where that is set up."""
    is_narrowed = bool(listing.q or listing.filters)
    return ListView(
        block="users_table",
        label="End Users",
        address=address,
        noun="End User",
        listing=listing,
        rows=[PersonRow(row, products.get(row.id, ())) for row in listing.items],
        columns=COLUMNS,
        views=_views(listing) if not is_narrowed and sync["status"] != "not_set_up" else [],
        filters=[
            Filter(name, LABELS[name], listing.filters.get(name, ""), list(words.items()))
            for name, words in CHIPS.items()
        ],
        in_use=[
            Chip(f"{FIELDS[name]}: {CHIPS[name][value]}", listing.query_string(**{name: None}))
            for name, value in listing.filters.items()
            if value in CHIPS.get(name, {})
        ],
        bulk=(
            BulkAction("delete", "Delete…", "trash", f"{address}/delete", Role.TECHNICIAN, leads_on=True),
            BulkAction("export", "Export", "download", f"{address}.csv", is_download=True),
        ),
        export=f"{address}.csv{listing.query_string()}",
        css="rc-people",
        note=f" filtered, {listing.unfiltered_total:,} in all" if is_narrowed else "",
        empty=_empty(address, listing, sync, tenant),
    )


def _views(listing: Listing) -> list[Chip]:
    return [
        Chip("Hide Disabled in Microsoft", listing.query_string(microsoft_status="not_disabled")),
        Chip("Only Disabled in Microsoft", listing.query_string(microsoft_status="disabled")),
    ]


def _empty(address: str, listing: Listing, sync: Mapping[str, object], tenant: str) -> Empty:
    if listing.q or listing.filters:
        who = f"No people match “{listing.q}”." if listing.q else "No people match these filters."
        everybody = plural(listing.unfiltered_total, "End User")
        return Empty(who, f"Clear the search and the filters to see all {everybody}.", address, "Clear")
    if sync["status"] == "processing":
        run = sync["last_run"]
        is_active = not isinstance(run, Mapping) or run["status"] in {"queued", "running"}
        return Empty(
            "The first sync is under way." if is_active else "The first sync has added nobody yet.",
            "End Users appear here by themselves. With a Group filter, nobody shows until everyone has been processed.",
            icon="loader-2",
        )
    return Empty(
        "No End Users yet.",
        "Set up the Microsoft User Sync on the Tenant’s page, import a CSV, or add people by hand.",
        tenant,
        "Set Up Microsoft Entra ID User Sync",
        "users",
    )
