"""What the list of Sync Runs shows: its view record (``http.list_view``). No queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal.http.formatting import plural
from portal.http.list_view import Chip, Column, Empty, Filter, ListView, in_use, none_matches
from portal.http.listing import Listing
from portal.models import SyncRun
from portal.organizations.tags import TagCount
from portal.organizations.views import tag_filter, tag_words
from portal.runs import views
from portal.runs.listing import MOST_SHOWN, NOTABLE, STATUSES

COLUMNS = (
    Column("Organization"),
    Column("Outcome", "status"),
    Column("Changes"),
    Column("Started by"),
    Column("Took"),
    Column("When", "created_at", descending_first=True),
)


@dataclass(frozen=True)
class RunRow:
    """A run in the table. waits_until: Microsoft asks to wait until then (G5)."""

    run: SyncRun
    name: str
    waits_until: datetime | None

    @property
    def id(self) -> str:
        """Of the run."""
        return self.run.id

    @property
    def changes(self) -> str:
        """What it changed, in words."""
        return views.changes_in_words(self.run)

    @property
    def title(self) -> str:
        """The kind of run."""
        return views.short_title(self.run)

    @property
    def took(self) -> str:
        """How long."""
        return views.duration(self.run)


@dataclass(frozen=True)
class UrgentRow:
    """A run that waits for a decision or is under way. held: how many people it holds back, "" for none; summary: how far it is."""

    id: str
    name: str
    title: str
    status: str
    held: str
    held_since: datetime | None
    waits_until: datetime | None
    summary: str
    created_at: datetime
    action: str


def urgent_rows(
    runs: Iterable[SyncRun], names: Mapping[str, str], waits: Mapping[str, datetime]
) -> list[UrgentRow]:
    """The rows above the list. names: by Organization id; waits: run id → end of the wait that Microsoft asks for (G5)."""
    return [
        UrgentRow(
            id=run.id,
            name=names.get(run.organization_id, ""),
            title=views.short_title(run),
            status=run.status,
            held=plural((run.held or {}).get("count", 0), "person", "people") if run.status == "held" else "",
            held_since=run.finished_at,
            waits_until=waits.get(run.id),
            summary=views.changes_in_words(run),
            created_at=run.created_at,
            action="Review" if run.status == "held" else "Follow",
        )
        for run in runs
    ]


@dataclass(frozen=True)
class HistoryRow:
    """A run in an Organization's history. started_by: "" for the schedule; marked: disabled, enabled again or gone."""

    id: str
    began: datetime
    title: str
    started_by: str
    status: str
    error: str
    created: int
    linked: int
    updated: int
    marked: int


def history_rows(runs: Iterable[SyncRun]) -> list[HistoryRow]:
    """An Organization's latest runs."""
    rows = []
    for run in runs:
        counts = Counter(run.counts or {})
        rows.append(
            HistoryRow(
                id=run.id,
                began=run.started_at or run.created_at,
                title=views.short_title(run),
                started_by=run.started_by or "" if run.trigger != "hourly" else "",
                status=run.status,
                error=run.error or "",
                created=counts["created"],
                linked=counts["linked"],
                updated=counts["updated"],
                marked=counts["disabled"] + counts["enabled"] + counts["gone"],
            )
        )
    return rows


def runs_list(
    address: str,
    listing: Listing,
    names: Mapping[str, str],
    waits: Mapping[str, datetime],
    tags: Sequence[TagCount],
    *,
    about: Mapping[str, Any],
    has_runs: bool = True,
) -> ListView:
    """The list of runs. about: the Organization and the Microsoft Tenant that the address names, by parameter.

    has_runs: whether there is any, listed or not.
    """
    is_many = listing.total >= MOST_SHOWN
    chosen = listing.filters.get
    return ListView(
        block="runs_table",
        label="Runs",
        address=address,
        noun="run",
        search="Organization",
        listing=listing,
        rows=[
            RunRow(run, names.get(run.organization_id, "(deleted Organization)"), waits.get(run.id))
            for run in listing.items
        ],
        columns=COLUMNS,
        views=_chips(listing),
        filters=[
            Filter(
                "status", "Outcome", chosen("status", ""), [(word, word.capitalize()) for word in STATUSES]
            ),
            Filter("trigger", "Started by", chosen("trigger", ""), list(views.TRIGGERS.items())),
            Filter("since", "From", chosen("since", ""), kind="date"),
            Filter("until", "To", chosen("until", ""), kind="date"),
            *([tag_filter(listing, tags)] if tags else []),
        ],
        in_use=in_use(listing, _words(listing, about)),
        export=f"{address}.csv{listing.query_string()}",
        total=f"{MOST_SHOWN - 1:,}+" if is_many else "",
        empty=_empty(address, listing, has_runs=has_runs),
    )


def _chips(listing: Listing) -> list[Chip]:
    is_attention = "view" in listing.extra
    show = listing.filters.get("show")
    return [
        Chip(
            "Changes or trouble",
            listing.query_string(show=None, view=None, status=None),
            None,
            show == NOTABLE,
        ),
        Chip(
            "Trouble",
            listing.query_string(show=None, view="attention", status=None),
            None,
            is_attention,
            "alert-triangle",
        ),
        Chip("All", listing.query_string(show="all", view=None, status=None), None, show == "all"),
    ]


def _words(listing: Listing, about: Mapping[str, Any]) -> dict[str, str]:
    chosen = listing.filters.get
    words = {
        "status": "Outcome: " + chosen("status", "").capitalize(),
        "trigger": "Started by: " + views.TRIGGERS.get(chosen("trigger", ""), ""),
        "since": "From " + chosen("since", ""),
        "until": "To " + chosen("until", ""),
        **tag_words(listing),
    }
    for name, label in (("organization_id", "Organization"), ("microsoft_tenant_id", "Microsoft tenant")):
        entry = about.get(name)
        words[name] = f"{label}: {entry.name if entry is not None else 'one that was deleted'}"
    return words


def _empty(address: str, listing: Listing, *, has_runs: bool) -> Empty:
    is_narrowed = listing.q or set(listing.filters) - {"show"}
    everything = f"{address}?show=all"
    if is_narrowed:
        return none_matches(address, listing, "No runs match")
    if "view" in listing.extra and has_runs:
        return Empty(
            "Every run succeeded",
            "No run failed, was cut short, or was held.",
            everything,
            "Show all runs",
            "circle-check",
        )
    if listing.filters.get("show") == NOTABLE and has_runs:
        return Empty(
            "Nothing to review",
            "No run changed anything or failed. All runs also lists the others.",
            everything,
            "Show all runs",
            "circle-check",
        )
    return Empty(
        "No sync has run yet",
        "Connect a Microsoft tenant, map it, and set up a sync: each run then shows here.",
        "/microsoft-tenants",
        "Microsoft Tenants",
        "history",
    )
