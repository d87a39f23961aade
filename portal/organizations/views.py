"""What the pages of Organizations show: the list's view record (``http.list_view``). No queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from portal.http.form_view import FormView
from portal.http.formatting import plural
from portal.http.list_view import BulkAction, Chip, Column, Empty, Filter, ListView, in_use
from portal.http.listing import Listing
from portal.models import Organization, Role
from portal.organizations.listing import Row
from portal.organizations.tags import TagCount
from portal.text import text_key

TAGS_SHOWN = 8
STATE_WORDS: Mapping[str, str] = {
    "not_set_up": "Not set up",
    "not_mapped": "Not mapped",
    "processing": "Processing",
    "needs_attention": "Needs attention",
    "held": "Held",
    "conflicts": "Conflicts",
    "enabled": "Enabled",
}
COLUMNS = (
    Column("Organization", "name"),
    Column("Tenant", "tenant"),
    Column("End Users", "end_users", "rc-num", descending_first=True),
    Column("Assets", "assets", "rc-num", descending_first=True),
    Column("Microsoft User Sync", "sync"),
    Column("Last sync", "last_run_at", descending_first=True),
    Column("Actions", is_hidden=True),
)
BULK: list[BulkAction] = [
    BulkAction("sync", "Sync Now", "refresh", "/organizations/bulk", Role.TECHNICIAN),
    BulkAction("tag", "Tag", "tag", "/organizations/bulk", Role.TECHNICIAN),
    BulkAction("set_up", "Set up", "adjustments", "/rollouts", Role.ADMINISTRATOR, leads_on=True),
    BulkAction("disable", "Disable sync", "player-stop", "/organizations/bulk", Role.TECHNICIAN),
    BulkAction("export", "Export", "download", "/organizations.csv", is_download=True),
]
"""What may be done with checked Organizations, in the order of the bar. Others add theirs here, with an address of their own that
reads the form as ``http.checked_rows`` does."""


def organizations_list(
    address: str,
    listing: Listing,
    rows: Sequence[Row],
    counts: Mapping[str, int],
    tags: Sequence[TagCount],
    *,
    may_add: bool,
) -> ListView:
    """The list of Organizations. counts: of ``listing.state_counts``."""
    return ListView(
        block="organizations_table",
        label="Organizations",
        address=address,
        noun="Organization",
        search="Find an Organization",
        listing=listing,
        rows=rows,
        columns=COLUMNS,
        views=state_chips(listing, "state", counts),
        more=tag_chips(listing, tags),
        filters=[tag_filter(listing, tags)] if tags else [],
        in_use=in_use(
            listing,
            {
                "tenant_id": "One Tenant",
                "sync": "Sync: " + listing.filters.get("sync", ""),
                **tag_words(listing),
            },
            shown_tags(listing, tags),
        ),
        bulk=BULK,
        export=f"{address}.csv{listing.query_string()}",
        empty=_empty(address, listing, may_add=may_add),
    )


def state_chips(listing: Listing, name: str, counts: Mapping[str, int]) -> list[Chip]:
    """All, and one chip for each state that some are in, or that is on."""
    everything = Chip("All", listing.query_string(**{name: None}), counts["all"], name not in listing.filters)
    states = (
        Chip(label, listing.query_string(**{name: state}), counts[state], listing.filters.get(name) == state)
        for state, label in STATE_WORDS.items()
    )
    return [everything, *(chip for chip in states if chip.count or chip.is_on)]


def tag_chips(listing: Listing, tags: Sequence[TagCount]) -> list[Chip]:
    """The tags that most Organizations have, as chips that are on and off; the others are in the panel of filters."""
    chosen = text_key(listing.filters.get("tag", ""))
    commonest = sorted(tags, key=lambda tag: -tag.organizations)[:TAGS_SHOWN]
    return [
        Chip(
            tag.name,
            listing.query_string(tag=None if tag.key == chosen else tag.name),
            tag.organizations,
            tag.key == chosen,
            "tag",
        )
        for tag in tags
        if tag in commonest
    ]


def tag_filter(listing: Listing, tags: Sequence[TagCount]) -> Filter:
    """All tags to choose from."""
    chosen = text_key(listing.filters.get("tag", ""))
    value = next((tag.name for tag in tags if tag.key == chosen), "")
    return Filter("tag", "Tag", value, [(tag.name, plural_tag(tag)) for tag in tags])


def plural_tag(tag: TagCount) -> str:
    """A tag in a choice."""
    return f"{tag.name} ({plural(tag.organizations, 'Organization')})"


def tag_words(listing: Listing) -> dict[str, str]:
    """What the chip of a tag in use says."""
    return {"tag": "Tag: " + listing.filters["tag"]} if "tag" in listing.filters else {}


def shown_tags(listing: Listing, tags: Sequence[TagCount]) -> list[str]:
    """``["tag"]`` when the tag in use is among the chips already."""
    return ["tag"] if any(chip.is_on for chip in tag_chips(listing, tags)) else []


def _empty(address: str, listing: Listing, *, may_add: bool) -> Empty:
    if listing.q:
        return Empty(
            f"No Organizations match “{listing.q}”",
            "Try part of the name, or clear the search.",
            address,
            "Clear search and filters",
        )
    if listing.filters:
        return Empty(
            "No Organizations match these filters", "Remove a filter to see more.", address, "Clear filters"
        )
    return Empty(
        "No Organizations yet",
        "An Organization is a customer: it owns End Users and Assets.",
        f"{address}/new" if may_add else "",
        "Add Organization",
        "building",
    )


def form_view(address: str, row: Organization | None) -> FormView:
    """Add an Organization, or edit one. address: of the list."""
    if row is None:
        return FormView("Add Organization", f"{address}/new", address, "Add Organization")
    own = f"{address}/{row.id}"
    return FormView(f"Edit {row.name}", f"{own}/edit", own, is_edit=True)


@dataclass(frozen=True)
class BulkView:
    """The dialog that says what a bulk action would do. button: "" when there is nothing to do."""

    action: str
    address: str
    title: str
    ids: Sequence[str]
    lines: Sequence[str]
    left_out: Sequence[str]
    button: str
    back: str
    back_label: str
    place: str
    known_tags: Sequence[str] = ()
    present_tags: Sequence[tuple[str, int]] = ()
    add: str = ""
    remove: Sequence[str] = ()
    problem: str = ""


BULK_TITLES = {"sync": "Sync Now", "disable": "Disable the sync", "tag": "Tag"}
_BULK_LINES = {
    "sync": "A run starts for each as soon as its Microsoft tenant is free.",
    "disable": "Hourly runs stop at once. End Users, their Links and marks stay as they are.",
}


def bulk_lines(action: str, fit: int) -> list[str]:
    """What a bulk action does to so many Organizations."""
    if not fit:
        return ["There is nothing to do for these."]
    return [_BULK_LINES[action]] if action in _BULK_LINES else []


def bulk_button(action: str, fit: int) -> str:
    """The button's words, with the number."""
    words = {
        "sync": f"Sync {plural(fit, 'Organization')}",
        "disable": f"Disable {plural(fit, 'sync', 'syncs')}",
        "tag": f"Tag {plural(fit, 'Organization')}",
    }
    return words[action] if fit else ""
