"""What the Exceptions subtab shows. No queries."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from portal.engine.explain import FIELD_LABELS
from portal.exceptions.service import NEVER_SYNC
from portal.http.list_view import Column, Empty, ListView, in_use, none_matches
from portal.http.listing import Listing
from portal.models import SyncException

COLUMNS = (
    Column("What", "kind"),
    Column("Who"),
    Column("Reason"),
    Column("By", "created_at", descending_first=True),
    Column("Ends", "expires_at"),
    Column("Actions", is_hidden=True),
)
NARROWED = {"kind": "One kind", "object_id": "One Microsoft user", "end_user_id": "One End User"}
NONE = Empty(
    "No exceptions.",
    "People on the never-sync list are skipped; pinned fields keep our value. Fields are pinned on a person’s page.",
    icon="lock",
)


@dataclass(frozen=True)
class ExceptionRow:
    """One exception. end_user_id: of whom a field is pinned, "" for a never-sync one, who is known by ``object_id``."""

    id: str
    what: str
    end_user_id: str
    name: str
    email: str
    object_id: str
    reason: str
    author: str
    created_at: datetime
    expires_at: datetime | None


def exceptions_list(
    address: str, listing: Listing, people: Mapping[str, str], names: Mapping[str, tuple[str, str]]
) -> ListView:
    """The list of an Organization's exceptions. people: End User id → name; names: object id → (name, e-mail) in Microsoft."""
    return ListView(
        block="exceptions_table",
        label="Exceptions",
        address=address,
        noun="exception",
        search="",
        listing=listing,
        rows=[_row(row, people.get(row.end_user_id or ""), names) for row in listing.items],
        columns=COLUMNS,
        in_use=in_use(listing, NARROWED),
        empty=none_matches(address, listing, "No exceptions match") if listing.q or listing.filters else NONE,
    )


def _row(row: SyncException, person: str | None, names: Mapping[str, tuple[str, str]]) -> ExceptionRow:
    name, email = names.get(row.object_id or "", ("", ""))
    field = FIELD_LABELS.get(row.field or "", row.field)
    return ExceptionRow(
        id=row.id,
        what="Never synced" if row.kind == NEVER_SYNC else f"Pinned: {field}",
        end_user_id="" if person is None else row.end_user_id or "",
        name=name if person is None else person,
        email=email,
        object_id=row.object_id or "",
        reason=row.reason,
        author=row.author,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
