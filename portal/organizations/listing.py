"""The list of Organizations (P3): filters with counts, every column's sort, the rows, and its CSV."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, case, exists, func, select
from sqlalchemy.orm import aliased, contains_eager, selectinload

from portal.extensions import db
from portal.http import csv_cells
from portal.http.listing import Listing, ListSpec, counted, fetch, order
from portal.models import (
    Asset,
    Conflict,
    EndUser,
    MicrosoftTenant,
    Organization,
    SyncRun,
    Tenant,
    UserSync,
)
from portal.organizations import tags
from portal.organizations.people_counts import people_counts
from portal.text import text_key
from portal.user_sync import states
from portal.user_sync.documents import status_of

_NEVER = datetime(1, 1, 1, tzinfo=UTC)
HELD, CONFLICTS, NOT_MAPPED = "held", "conflicts", "not_mapped"
STATES = ("not_set_up", NOT_MAPPED, "processing", "needs_attention", HELD, CONFLICTS, "enabled")
CSV_COLUMNS = (
    "id",
    "name",
    "tags",
    "tenant",
    "microsoft_tenant",
    "end_users",
    "assets",
    "sync_status",
    "conflicts",
    "last_run_at",
    "created_at",
)


def _number(model: Any) -> ColumnElement[int]:
    its = select(func.count()).select_from(model).where(model.organization_id == Organization.id)
    return its.correlate(Organization).scalar_subquery()


def _last_run() -> ColumnElement[Any]:
    run = aliased(SyncRun)
    newest = select(func.max(run.created_at)).where(
        run.organization_id == Organization.id, run.kind == "sync", run.only_object_id.is_(None)
    )
    return func.coalesce(newest.correlate(Organization).scalar_subquery(), _NEVER)


SPEC = ListSpec(
    sorts={
        "name": (Organization.sort_key,),
        "tenant": (Tenant.sort_key,),
        "end_users": (_number(EndUser),),
        "assets": (_number(Asset),),
        "sync": (states.urgency(),),
        "last_run_at": (_last_run(),),
        "created_at": (Organization.created_at,),
    },
    default_sort="name",
    filters={"state": STATES, "tag": None, "tenant_id": None, "sync": ("enabled", "none")},
)


@dataclass(frozen=True)
class Row:
    """An Organization as the table shows it. status: as ``documents.status_of`` says."""

    organization: Organization
    end_users: int
    assets: int
    sync: UserSync | None
    last_run: SyncRun | None
    conflicts: int = 0
    status: str = "not_set_up"
    microsoft_tenant: MicrosoftTenant | None = None

    @property
    def id(self) -> str:
        """The Organization's id: the value of the check box."""
        return self.organization.id

    @property
    def name(self) -> str:
        """Of the Organization."""
        return self.organization.name

    @property
    def tags(self) -> list[str]:
        """Their names, in natural order."""
        return [tag.name for tag in self.organization.tags]


def listing(query: Listing) -> Listing:
    """One page of Organizations, with their Tenants and tags."""
    statement = filtered(query).options(contains_eager(Organization.tenant), selectinload(Organization.tags))
    if query.sort.removeprefix("-") != "end_users":
        return fetch(db.session(), statement, query, SPEC, tiebreaker=Organization.id)
    numbers, ids = people_counts(db.session()), ids_of(query)
    ids.sort(
        key=lambda row_id: (numbers.get(row_id, 0), row_id),
        reverse=query.sort.startswith("-"),
    )
    current = counted(query, len(ids))
    page_ids = ids[current.offset :][: current.per_page]
    loaded = {row.id: row for row in db.session.scalars(statement.where(Organization.id.in_(page_ids)))}
    return replace(current, items=[loaded[row] for row in page_ids])


def filtered(query: Listing) -> Select[Organization]:
    """The Organizations that a list, its export and its bulk actions are about."""
    statement = _joined(select(Organization)).where(*_narrowed(query))
    state, sync = query.filters.get("state"), query.filters.get("sync")
    if state:
        statement = statement.where(_is(state))
    if sync:
        statement = statement.where(~states.IS_OFF if sync == "enabled" else states.IS_OFF)
    return statement


def ids_of(query: Listing) -> list[str]:
    """Ids of all that are filtered, for bulk actions."""
    return list(db.session.scalars(filtered(query).with_only_columns(Organization.id)))


def state_counts(query: Listing) -> dict[str, int]:
    """How many are in each state, of those that match the search and the other filters; "all" is their sum."""
    sums = [func.coalesce(func.sum(case((_is(state), 1), else_=0)), 0).label(state) for state in STATES]
    counted = _joined(select(func.count().label("all"), *sums).select_from(Organization))
    return {
        name: int(value)
        for name, value in db.session.execute(counted.where(*_narrowed(query))).mappings().one().items()
    }


def rows(organizations: Sequence[Organization]) -> list[Row]:
    """The rows of the table, in a handful of queries."""
    ids = [row.id for row in organizations]
    people, assets = people_counts(db.session(), ids), counts(Asset, ids)
    conflicts = counts(Conflict, ids, Conflict.resolved_at.is_(None))
    syncs = {
        sync.organization_id: sync
        for sync in db.session.scalars(select(UserSync).where(UserSync.organization_id.in_(ids)))
    }
    feeding = _microsoft_tenants(organizations)
    runs = _newest_runs(ids)
    return [
        Row(
            organization=row,
            end_users=people.get(row.id, 0),
            assets=assets.get(row.id, 0),
            sync=syncs.get(row.id),
            last_run=runs.get(row.id),
            conflicts=conflicts.get(row.id, 0),
            status=status_of(syncs.get(row.id), feeding.get(row.id)),
            microsoft_tenant=feeding.get(row.id),
        )
        for row in organizations
    ]


def export(query: Listing, ids: Sequence[str] | None = None) -> Iterable[str]:
    """CSV of exactly what is filtered, or only ``ids`` of it, in the order of the list."""
    statement = order(filtered(query), query, SPEC, tiebreaker=Organization.id)
    if ids is not None:
        statement = statement.where(Organization.id.in_(ids))
    loaded = statement.options(contains_eager(Organization.tenant), selectinload(Organization.tags))
    exported = rows(db.session.scalars(loaded).unique().all())
    return csv_cells.write(CSV_COLUMNS, (_cells(row) for row in exported))


def counts(model: Any, ids: Sequence[str], *which: ColumnElement[bool]) -> dict[str, int]:
    """Organization id → number of rows of a model that it has."""
    numbers = db.session.execute(
        select(model.organization_id, func.count())
        .where(model.organization_id.in_(ids), *which)
        .group_by(model.organization_id)
    )
    return {str(key): int(number) for key, number in numbers}


def _joined(statement: Select[Any]) -> Select[Any]:
    return (
        statement.join(Tenant, Tenant.id == Organization.tenant_id)
        .outerjoin(MicrosoftTenant, MicrosoftTenant.id == Tenant.microsoft_tenant_id)
        .outerjoin(UserSync, UserSync.organization_id == Organization.id)
    )


def _narrowed(query: Listing) -> list[ColumnElement[bool]]:
    narrowed = [Organization.name_key.contains(word, autoescape=True) for word in text_key(query.q).split()]
    if "tenant_id" in query.filters:
        narrowed.append(Organization.tenant_id == query.filters["tenant_id"])
    if "tag" in query.filters:
        narrowed.append(tags.tagged(query.filters["tag"]))
    return narrowed


def _is(state: str) -> ColumnElement[bool]:
    if state == NOT_MAPPED:
        return Tenant.microsoft_tenant_id.is_(None)
    if state == CONFLICTS:
        return exists().where(Conflict.organization_id == Organization.id, Conflict.resolved_at.is_(None))
    return states.status() == ("paused" if state == HELD else state)


def _microsoft_tenants(organizations: Sequence[Organization]) -> Mapping[str, MicrosoftTenant]:
    ids = [row.id for row in organizations]
    pairs = db.session.execute(
        select(Organization.id, MicrosoftTenant)
        .join(Tenant, Tenant.id == Organization.tenant_id)
        .join(MicrosoftTenant, MicrosoftTenant.id == Tenant.microsoft_tenant_id)
        .where(Organization.id.in_(ids))
    )
    return {organization_id: tenant for organization_id, tenant in pairs}


def _newest_runs(ids: Sequence[str]) -> Mapping[str, SyncRun]:
    newest = (
        select(SyncRun.organization_id, func.max(SyncRun.created_at).label("at"))
        .where(SyncRun.organization_id.in_(ids), SyncRun.kind == "sync", SyncRun.only_object_id.is_(None))
        .group_by(SyncRun.organization_id)
        .subquery()
    )
    runs = select(SyncRun).join(
        newest, (SyncRun.organization_id == newest.c.organization_id) & (SyncRun.created_at == newest.c.at)
    )
    return {run.organization_id: run for run in db.session.scalars(runs)}


def _cells(row: Row) -> tuple[object, ...]:
    run = row.last_run
    return (
        row.id,
        row.name,
        ", ".join(row.tags),
        row.organization.tenant.name,
        row.microsoft_tenant.name if row.microsoft_tenant else "",
        row.end_users,
        row.assets,
        row.status,
        row.conflicts,
        csv_cells.moment(run.finished_at or run.created_at if run else None),
        csv_cells.moment(row.organization.created_at),
    )
