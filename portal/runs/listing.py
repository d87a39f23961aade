"""The list of Sync Runs (P8): what changed something or went wrong, by day, Organization, tag and outcome, and its CSV."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, tzinfo

from sqlalchemy import Select, select

from portal.engine.normalize import parse_time
from portal.engine.records import COUNTED
from portal.errors import Invalid
from portal.extensions import db
from portal.http import csv_cells
from portal.http.listing import Listing, ListSpec, fetch, order
from portal.models import Organization, SyncRun
from portal.organizations import tags
from portal.text import text_key

STATUSES = ("queued", "running", "succeeded", "partial", "failed", "held", "cancelled")
TROUBLED = ("failed", "partial", "held")
CSV_ROWS = 100_000
MOST_SHOWN = 10_001
"""Runs that a page counts; it says "10,000+" of more."""
NOTABLE = "notable"
_DAY = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")

RUNS = ListSpec(
    sorts={
        "created_at": (SyncRun.created_at,),
        "started_at": (SyncRun.started_at,),
        "finished_at": (SyncRun.finished_at,),
        "status": (SyncRun.status,),
    },
    default_sort="-created_at",
    filters={
        "organization_id": None,
        "microsoft_tenant_id": None,
        "status": STATUSES,
        "trigger": ("initial", "hourly", "manual"),
        "show": ("notable", "all"),
        "since": None,
        "until": None,
        "tag": None,
    },
)


def runs(query: Listing, *, needing_attention: bool = False, zone: tzinfo = UTC) -> Listing:
    """One page of runs, newest first; only those that did not simply succeed when ``needing_attention``.

    zone: in which a day of ``since`` and ``until`` begins. Raises Invalid for what is no day.
    """
    statement = filtered(query, needing_attention=needing_attention, zone=zone)
    return fetch(db.session(), statement, query, RUNS, tiebreaker=SyncRun.id, most=MOST_SHOWN)


def filtered(query: Listing, *, needing_attention: bool = False, zone: tzinfo = UTC) -> Select[SyncRun]:
    """The runs that a list and its export are about."""
    statement = select(SyncRun)
    if needing_attention:
        statement = statement.where(SyncRun.status.in_(TROUBLED))
    for name in ("organization_id", "microsoft_tenant_id", "status", "trigger"):
        if name in query.filters:
            statement = statement.where(getattr(SyncRun, name) == query.filters[name])
    if query.filters.get("show") == NOTABLE:
        statement = statement.where(SyncRun.is_notable.is_(True))
    if "tag" in query.filters:
        statement = statement.where(SyncRun.organization_id.in_(tags.organization_ids(query.filters["tag"])))
    if "since" in query.filters:
        statement = statement.where(SyncRun.created_at >= moment("since", query.filters["since"], zone))
    if "until" in query.filters:
        end = moment("until", query.filters["until"], zone)
        whole_day = timedelta(days=1) if _DAY.fullmatch(query.filters["until"]) else timedelta()
        statement = statement.where(SyncRun.created_at < end + whole_day)
    if query.q:
        named = select(Organization.id).where(
            *(Organization.name_key.contains(word, autoescape=True) for word in text_key(query.q).split())
        )
        statement = statement.where(SyncRun.organization_id.in_(named))
    return statement


def moment(name: str, text: str, zone: tzinfo = UTC) -> datetime:
    """A day of ``zone`` or a time, as lists are asked for. Raises Invalid on ``name`` for anything else."""
    time = parse_time(f"{text}T00:00:00Z") if _DAY.fullmatch(text) else parse_time(text)
    if time is None:
        raise Invalid({name: ["A day such as 2026-01-31, or an ISO 8601 time."]})
    return time.replace(tzinfo=zone).astimezone(UTC) if _DAY.fullmatch(text) else time


COUNT_COLUMNS = ("read", *COUNTED, "gone")
RUN_COLUMNS = (
    "id",
    "organization",
    "tags",
    "trigger",
    "status",
    "created_at",
    "started_at",
    "finished_at",
    "started_by",
    *COUNT_COLUMNS,
    "error",
    "organization_id",
)


def export(query: Listing, *, needing_attention: bool = False, zone: tzinfo = UTC) -> Iterator[str]:
    """CSV of the filtered runs, the newest ``CSV_ROWS`` of them, as a spreadsheet takes them harmlessly (G7)."""
    statement = order(
        filtered(query, needing_attention=needing_attention, zone=zone), query, RUNS, tiebreaker=SyncRun.id
    )
    rows = db.session.scalars(statement.limit(CSV_ROWS)).all()
    names = {row.id: row for row in db.session.scalars(select(Organization).options(tags.loaded()))}
    return csv_cells.write(RUN_COLUMNS, (_run_cells(run, names.get(run.organization_id)) for run in rows))


def _run_cells(run: SyncRun, organization: Organization | None) -> tuple[object, ...]:
    counts = run.counts or {}
    return (
        run.id,
        organization.name if organization else "",
        ", ".join(tag.name for tag in organization.tags) if organization else "",
        run.trigger if run.kind == "sync" else run.kind,
        run.status,
        *(csv_cells.moment(at) for at in (run.created_at, run.started_at, run.finished_at)),
        run.started_by,
        *(counts.get(name, 0) for name in COUNT_COLUMNS),
        run.error or "",
        run.organization_id,
    )
