"""What the coverage of a Microsoft tenant shows (P13): its users, and who takes them. No queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from portal.http.list_view import Chip
from portal.http.listing import Listing
from portal.models import MicrosoftTenant, Organization, Tenant

WORDS = {"none": "Unassigned", "one": "In one", "several": "In several"}


@dataclass(frozen=True)
class UserRow:
    """A Microsoft user. taken: (End User id, Organization) each; why_not: where it is said why another one does not take them."""

    name: str
    email: str
    user_principal_name: str
    user_type: str
    is_blocked: bool
    taken: Sequence[tuple[str, str]]
    why_not: str


@dataclass(frozen=True)
class CoverageView:
    """total: of all users of the tenant; not_in: the Organization that is asked about, removable: (label, address) of that filter."""

    microsoft_tenant: MicrosoftTenant
    tenant: Tenant | None
    found: Listing
    total: int
    chips: Sequence[Chip]
    removable: tuple[str, str] | None
    rows: Sequence[UserRow]
    not_in: str


def coverage_view(
    microsoft_tenant: MicrosoftTenant,
    tenant: Tenant | None,
    found: Listing,
    documents: Iterable[Mapping[str, Any]],
    counts: Mapping[str, int],
    not_in: Organization | None,
) -> CoverageView:
    """The record of the page. counts: users taken by none, one and several Organizations."""
    total, taken = sum(counts.values()), found.filters.get("taken")
    name = "a deleted Organization" if not_in is None else not_in.name
    return CoverageView(
        microsoft_tenant=microsoft_tenant,
        tenant=tenant,
        found=found,
        total=total,
        chips=[
            Chip("All", found.query(taken=None, not_in=None), total, not found.filters),
            *(
                Chip(label, found.query(taken=word, not_in=None), counts[word], taken == word)
                for word, label in WORDS.items()
            ),
        ],
        removable=(f"Not in {name}", found.query(not_in=None)) if "not_in" in found.filters else None,
        rows=[_row(one, not_in) for one in documents],
        not_in="" if not_in is None else not_in.name,
    )


def _row(one: Mapping[str, Any], not_in: Organization | None) -> UserRow:
    why = ""
    if not_in is not None:
        asked = urlencode({"user": one["object_id"], "name": one["display_name"]})
        why = f"/organizations/{not_in.id}/end-users/why?{asked}"
    return UserRow(
        name=one["display_name"] or one["object_id"],
        email=one["email"],
        user_principal_name=one["user_principal_name"],
        user_type=one["user_type"],
        is_blocked=one["account_enabled"] is False,
        taken=[(taker["end_user_id"], taker["name"]) for taker in one["organizations"]],
        why_not=why,
    )
