"""What the coverage of a Microsoft tenant shows (P13): its users, and who takes them. No queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from portal.http.formatting import plural
from portal.http.list_view import Chip, Column, Empty, ListView, in_use, none_matches
from portal.http.listing import Listing
from portal.models import MicrosoftTenant, Organization, Tenant

WORDS = {"none": "Unassigned", "one": "In one", "several": "In several"}
COLUMNS = (
    Column("Microsoft user", "display_name"),
    Column("UPN", "user_principal_name"),
    Column("Type"),
    Column("Organizations"),
)


@dataclass(frozen=True)
class UserRow:
    """A Microsoft user. takers: (End User id, Organization name) each; why_not: where it is said why another one does not take them."""

    name: str
    email: str
    user_principal_name: str
    user_type: str
    is_blocked: bool
    takers: Sequence[tuple[str, str]]
    why_not: str


@dataclass(frozen=True)
class CoverageView:
    """The page. not_in: the Organization that is asked about, "" for none."""

    microsoft_tenant: MicrosoftTenant
    tenant: Tenant | None
    users: ListView
    not_in: str


def coverage_view(
    address: str,
    microsoft_tenant: MicrosoftTenant,
    tenant: Tenant | None,
    listing: Listing,
    documents: Iterable[Mapping[str, Any]],
    counts: Mapping[str, int],
    not_in: Organization | None,
) -> CoverageView:
    """The record of the page. counts: users taken by none, one and several Organizations."""
    total, is_taken = sum(counts.values()), listing.filters.get("taken")
    name = "a deleted Organization" if not_in is None else not_in.name
    users = ListView(
        block="coverage_table",
        label="Coverage",
        address=address,
        noun="user",
        search="Name, email or UPN",
        listing=listing,
        rows=[_row(document, not_in) for document in documents],
        columns=COLUMNS,
        views=[
            Chip("All", listing.query_string(taken=None, not_in=None), total, not listing.filters),
            *(
                Chip(label, listing.query_string(taken=word, not_in=None), counts[word], is_taken == word)
                for word, label in WORDS.items()
            ),
        ],
        in_use=in_use(listing, {"not_in": f"Not in {name}"}),
        empty=_empty(address, microsoft_tenant, listing, total),
    )
    return CoverageView(microsoft_tenant, tenant, users, "" if not_in is None else not_in.name)


def _empty(address: str, microsoft_tenant: MicrosoftTenant, listing: Listing, total: int) -> Empty:
    if total:
        return none_matches(address, listing, f"None of {plural(total, 'user')} matches")
    if microsoft_tenant.last_synced_at is None:
        under_way = "The first read of this Microsoft tenant is under way."
        return Empty("Not read yet", microsoft_tenant.problem or under_way, address, "Refresh", "clock")
    return Empty("This Microsoft tenant has no users", "It had none when it was last read.", icon="users")


def _row(document: Mapping[str, Any], not_in: Organization | None) -> UserRow:
    why = ""
    if not_in is not None:
        query = urlencode({"user": document["object_id"], "name": document["display_name"]})
        why = f"/organizations/{not_in.id}/end-users/why?{query}"
    return UserRow(
        name=document["display_name"] or document["object_id"],
        email=document["email"],
        user_principal_name=document["user_principal_name"],
        user_type=document["user_type"],
        is_blocked=document["account_enabled"] is False,
        takers=[(taker["end_user_id"], taker["name"]) for taker in document["organizations"]],
        why_not=why,
    )
