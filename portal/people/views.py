"""What the page of all people shows: chips, filters, columns to choose, saved views. No queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from portal.end_users.views import PersonRow
from portal.end_users.words import CHIPS
from portal.http.list_view import BulkAction, Chip, Column, Empty, Filter, ListView, in_use
from portal.http.listing import Listing
from portal.models import Organization
from portal.organizations.tags import TagCount
from portal.organizations.views import shown_tags, tag_chips, tag_filter
from portal.people.listing import CAP, WALKED

ADDRESS = "/people"
OPTIONAL: Mapping[str, Column] = {
    "organization": Column("Organization", css="rc-w-name"),
    "email": Column("Email", "email", "rc-w-mail"),
    "phone": Column("Phone", "phone", "rc-w-phone rc-low"),
    "job_title": Column("Job Title", "job_title", "rc-w-job rc-lower"),
    "department": Column("Department", "department", "rc-w-job rc-lower"),
    "license": Column("Microsoft License", "license", "rc-w-license"),
    "last_sign_in_at": Column(
        "Last Microsoft Activity", "last_sign_in_at", "rc-w-activity", descending_first=True
    ),
    "mfa": Column("MFA", "mfa", "rc-w-mfa"),
    "status": Column("Status", "status"),
    "source": Column("Source", "source", "rc-w-mfa"),
    "upn": Column("UPN", css="rc-w-mail"),
    "tags": Column("Tags", css="rc-w-license"),
}
"""The columns to choose from, in their order; the name is always there."""
USUAL = ("organization", "email", "license", "last_sign_in_at", "mfa", "status")
QUICK: Sequence[tuple[str, str, str]] = (
    ("mfa", "false", "Without MFA"),
    ("inactive_days", "30", "Inactive 30 days"),
    ("inactive_days", "60", "60 days"),
    ("inactive_days", "90", "90 days"),
    ("microsoft_status", "disabled", "Disabled in Microsoft"),
    ("microsoft_status", "none", "Not linked"),
)
BULK = (BulkAction("export", "Export", "download", f"{ADDRESS}.csv", is_download=True),)
SOURCES = {"manual": "By hand", "import": "Imported", "sync": "From Microsoft"}


@dataclass(frozen=True)
class Person(PersonRow):
    """A row of an Organization's list, and where they belong."""

    organization: Organization

    @property
    def source(self) -> str:
        """Where they come from, in words."""
        return SOURCES.get(self.user.source, self.user.source)

    @property
    def tags(self) -> str:
        """Of their Organization."""
        return ", ".join(tag.name for tag in self.organization.tags)


@dataclass(frozen=True)
class ColumnChoice:
    """A check box in the panel of columns."""

    name: str
    label: str
    is_on: bool


@dataclass(frozen=True)
class ViewLink:
    """A saved view above the list. is_shown: it is what the page shows; may_delete: by who looks."""

    id: str
    name: str
    href: str
    is_shown: bool
    is_shared: bool
    owner: str
    may_delete: bool


@dataclass(frozen=True)
class PeoplePage:
    """All people. columns: the names of those that are shown; query: what a saved view keeps."""

    view: ListView
    columns: Sequence[str]
    choices: Sequence[ColumnChoice]
    saved: Sequence[ViewLink]
    query: str
    names: Mapping[str, str]


@dataclass(frozen=True)
class Offered:
    """What may be chosen in the filters."""

    organizations: Sequence[tuple[str, str]]
    tags: Sequence[TagCount]
    products: Sequence[tuple[str, str]]


def columns_of(text: str) -> list[str]:
    """The columns that an address names, in our order; the usual ones if it names none."""
    chosen = set(text.split(","))
    return [name for name in OPTIONAL if name in chosen] or list(USUAL)


def people_page(
    listing: Listing,
    rows: Sequence[Person],
    offered: Offered,
    columns: Sequence[str],
    saved: Sequence[ViewLink],
) -> PeoplePage:
    """The page of one listing."""
    extra = {} if list(columns) == list(USUAL) else {"columns": ",".join(columns)}
    current = replace(listing, extra=extra)
    names = dict(offered.organizations)
    return PeoplePage(
        view=_list(current, rows, offered, columns),
        columns=columns,
        choices=[ColumnChoice(name, column.label, name in columns) for name, column in OPTIONAL.items()],
        saved=saved,
        query=current.query_string(page=1),
        names=names,
    )


def _list(
    listing: Listing,
    rows: Sequence[Person],
    offered: Offered,
    columns: Sequence[str],
) -> ListView:
    heads = [Column("Name", "name", "rc-w-name"), *(OPTIONAL[name] for name in columns)]
    if (
        listing.has_more and listing.total == CAP
    ):  # sorting very many by anything but the name would take too long
        heads = [head if head.sort in WALKED else Column(head.label, css=head.css) for head in heads]
    return ListView(
        block="people_table",
        label="People",
        address=ADDRESS,
        noun="person",
        search="Name, email, UPN, phone or object ID",
        listing=listing,
        rows=rows,
        columns=heads,
        views=_quick(listing),
        more=tag_chips(listing, offered.tags),
        filters=_filters(listing, offered),
        in_use=in_use(
            listing, _words(listing, offered), [*_shown_quick(listing), *shown_tags(listing, offered.tags)]
        ),
        bulk=BULK,
        export=f"{ADDRESS}.csv{listing.query_string()}",
        css="rc-people",
        total=f"{listing.total:,}+" if listing.has_more else "",
        empty=_empty(listing),
    )


def _quick(listing: Listing) -> list[Chip]:
    chips = [Chip("Everybody", ADDRESS, None, not listing.filters and not listing.q)]
    for name, value, label in QUICK:
        is_on = listing.filters.get(name) == value
        chips.append(Chip(label, listing.query_string(**{name: None if is_on else value}), None, is_on))
    return chips


def _shown_quick(listing: Listing) -> list[str]:
    return [name for name, value, _ in QUICK if listing.filters.get(name) == value]


def _filters(listing: Listing, offered: Offered) -> list[Filter]:
    chosen = listing.filters.get
    fixed = [
        Filter("mfa", "MFA", chosen("mfa", ""), [("false", "None"), ("true", "Registered")]),
        Filter(
            "inactive_days",
            "Last activity",
            chosen("inactive_days", ""),
            [(d, f"More than {d} days ago") for d in ("30", "60", "90")],
        ),
        Filter(
            "microsoft_status",
            "Microsoft status",
            chosen("microsoft_status", ""),
            list(CHIPS["microsoft_status"].items()),
        ),
        Filter("licensed", "Licensed", chosen("licensed", ""), list(CHIPS["licensed"].items())),
        Filter("source", "Source", chosen("source", ""), list(CHIPS["source"].items())),
        Filter("department", "Department", chosen("department", ""), kind="text", hint="The whole name"),
    ]
    return [
        Filter("organization_id", "Organization", chosen("organization_id", ""), offered.organizations),
        *([tag_filter(listing, offered.tags)] if offered.tags else []),
        Filter("sku_id", "License product", chosen("sku_id", ""), offered.products),
        *fixed,
    ]


def _words(listing: Listing, offered: Offered) -> dict[str, str]:
    chosen = listing.filters.get
    organization = dict(offered.organizations).get(chosen("organization_id", ""), "one that was deleted")
    product = dict(offered.products).get(chosen("sku_id", ""), chosen("sku_id", ""))
    words = {
        "organization_id": f"Organization: {organization}",
        "tag": f"Tag: {chosen('tag', '')}",
        "sku_id": f"License: {product}",
        "inactive_days": f"Inactive {chosen('inactive_days', '')} days",
        "department": f"Department: {chosen('department', '')}",
    }
    for name, label in (
        ("mfa", "MFA"),
        ("licensed", "Licensed"),
        ("source", "Source"),
        ("microsoft_status", "Status"),
        ("in_scope", "Sync"),
    ):
        words[name] = f"{label}: {CHIPS[name].get(chosen(name, ''), '')}"
    return words


def _empty(listing: Listing) -> Empty:
    if listing.q:
        return Empty(
            f"No people match “{listing.q}”",
            "Try part of the name, or remove a filter.",
            ADDRESS,
            "Clear search and filters",
        )
    if listing.filters:
        return Empty(
            "No people match these filters", "Remove a filter to see more.", ADDRESS, "Clear filters"
        )
    return Empty(
        "Nobody yet",
        "People appear here as soon as an Organization has End Users.",
        "/organizations",
        "Organizations",
        "users",
    )
