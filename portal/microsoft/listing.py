"""The list of Microsoft Tenants (P1): filters with counts, also by the syncs that they feed, every column's sort, rows, and CSV."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Select, case, exists, func, select

from portal.engine.batches import batches
from portal.extensions import db
from portal.http import csv_cells
from portal.http.listing import Listing, ListSpec, contains_text, fetch, order
from portal.models import Conflict, MicrosoftTenant, Organization, Tenant, UserSync
from portal.models.microsoft import IS_CONNECTED
from portal.organizations import tags
from portal.user_sync import states

CONNECTED, NEEDS_ATTENTION = "connected", "needs_attention"
SYNCS = ("not_set_up", "processing", "needs_attention", "held", "conflicts")
_ITS = Tenant.microsoft_tenant_id == MicrosoftTenant.id


def _organizations() -> ColumnElement[int]:
    its = (
        select(func.count())
        .select_from(Organization)
        .join(Tenant, Tenant.id == Organization.tenant_id)
        .where(_ITS)
    )
    return its.correlate(MicrosoftTenant).scalar_subquery()


def _mapped_name() -> ColumnElement[str]:
    its = select(Tenant.sort_key).where(_ITS)
    return func.coalesce(its.correlate(MicrosoftTenant).scalar_subquery(), "")


SPEC = ListSpec(
    sorts={
        "name": (MicrosoftTenant.sort_key,),
        "mapped": (_mapped_name(),),
        "organizations": (_organizations(),),
        "users": (MicrosoftTenant.users_count,),
        "last_synced_at": (MicrosoftTenant.last_synced_at,),
        "state": (MicrosoftTenant.state,),
        "connected_at": (MicrosoftTenant.connected_at,),
    },
    default_sort="name",
    filters={
        "state": (CONNECTED, NEEDS_ATTENTION),
        "cloud": None,
        "mapped": ("true", "false"),
        "sync": SYNCS,
        "tag": None,
    },
)
CSV_COLUMNS = (
    "id",
    "directory_id",
    "name",
    "domain",
    "state",
    "problem",
    "tenant",
    "organizations",
    "tags",
    "users",
    "last_synced_at",
)


@dataclass(frozen=True)
class TableRow:
    """A Microsoft Tenant as the table shows it (P1)."""

    tenant: MicrosoftTenant
    mapped: Tenant | None
    organizations: int
    tags: Sequence[str] = ()

    @property
    def id(self) -> str:
        """The value of the check box."""
        return self.tenant.id

    @property
    def name(self) -> str:
        """Of the Microsoft Tenant."""
        return self.tenant.name

    @property
    def domain(self) -> str:
        """The one to know it by."""
        return str(self.tenant.domains[0]["name"]) if self.tenant.domains else self.tenant.directory_id


def listing(query: Listing) -> Listing:
    """One page of Microsoft Tenants."""
    return fetch(db.session(), filtered(query), query, SPEC, tiebreaker=MicrosoftTenant.id)


def filtered(query: Listing) -> Select[MicrosoftTenant]:
    """The Microsoft Tenants that a list, its export and its bulk actions are about."""
    statement = select(MicrosoftTenant).where(IS_CONNECTED, *_narrowed(query))
    filters = query.filters
    for name in ("state", "cloud"):
        if name in filters:
            statement = statement.where(getattr(MicrosoftTenant, name) == filters[name])
    if "mapped" in filters:
        statement = statement.where(_is_mapped() if filters["mapped"] == "true" else ~_is_mapped())
    if "sync" in filters:
        statement = statement.where(_feeds(filters["sync"]))
    return statement


def counts(query: Listing) -> dict[str, int]:
    """For the chips: all, attention, unmapped, and the states of the syncs, of those that fit the search and the tag."""
    conditions = {
        "attention": MicrosoftTenant.state == NEEDS_ATTENTION,
        "unmapped": ~_is_mapped(),
        **{name: _feeds(name) for name in SYNCS},
    }
    sums = [
        func.coalesce(func.sum(case((test, 1), else_=0)), 0).label(f"n_{name}")
        for name, test in conditions.items()
    ]
    counted = select(func.count().label("n_all"), *sums).select_from(MicrosoftTenant)
    row = db.session.execute(counted.where(IS_CONNECTED, *_narrowed(query))).mappings().one()
    return {str(name).removeprefix("n_"): int(value) for name, value in row.items()}


def table_rows(rows: Sequence[MicrosoftTenant]) -> list[TableRow]:
    """The rows of the table, in three queries."""
    ids = [row.id for row in rows]
    mapped = {
        tenant.microsoft_tenant_id: tenant
        for tenant in db.session.scalars(select(Tenant).where(Tenant.microsoft_tenant_id.in_(ids)))
    }
    numbers: dict[str | None, int] = {}
    words: dict[str | None, dict[str, None]] = {}
    for tenant_id, organization in db.session.execute(
        select(Tenant.microsoft_tenant_id, Organization)
        .join(Organization, Organization.tenant_id == Tenant.id)
        .where(Tenant.microsoft_tenant_id.in_(ids))
        .options(tags.loaded())
    ):
        numbers[tenant_id] = numbers.get(tenant_id, 0) + 1
        words.setdefault(tenant_id, {}).update(dict.fromkeys(tag.name for tag in organization.tags))
    return [
        TableRow(row, mapped.get(row.id), numbers.get(row.id, 0), tuple(words.get(row.id, ())))
        for row in rows
    ]


def ids_of(query: Listing) -> list[str]:
    """Ids of all that are filtered, for bulk actions."""
    return list(db.session.scalars(filtered(query).with_only_columns(MicrosoftTenant.id)))


def organization_ids(ids: Sequence[str]) -> list[str]:
    """The Organizations that these Microsoft Tenants feed."""
    collected: list[str] = []
    fed = select(Organization.id).join(Tenant, Tenant.id == Organization.tenant_id)
    for part in batches(ids):
        collected += db.session.scalars(fed.where(Tenant.microsoft_tenant_id.in_(part)))
    return collected


def export(query: Listing, ids: Sequence[str] | None = None) -> Iterable[str]:
    """CSV of exactly what is filtered, or only ``ids`` of it, in the order of the list."""
    statement = order(filtered(query), query, SPEC, tiebreaker=MicrosoftTenant.id)
    if ids is not None:
        statement = statement.where(MicrosoftTenant.id.in_(ids))
    rows = table_rows(db.session.scalars(statement).all())
    return csv_cells.write(CSV_COLUMNS, (_cells(row) for row in rows))


def _narrowed(query: Listing) -> list[ColumnElement[bool]]:
    narrowed = []
    if query.q:
        narrowed.append(contains_text(query.q, MicrosoftTenant.name, MicrosoftTenant.directory_id))
    if "tag" in query.filters:
        narrowed.append(MicrosoftTenant.id.in_(tags.microsoft_tenant_ids(query.filters["tag"])))
    return narrowed


def _is_mapped() -> ColumnElement[bool]:
    return MicrosoftTenant.id.in_(
        select(Tenant.microsoft_tenant_id).where(Tenant.microsoft_tenant_id.is_not(None))
    )


def _feeds(state: str) -> ColumnElement[bool]:
    """Whether an Organization that it feeds is in a state of its sync: one subquery for all tenants."""
    fed: Select[Any] = (
        select(MicrosoftTenant.id)
        .join(Tenant, Tenant.microsoft_tenant_id == MicrosoftTenant.id)
        .join(Organization, Organization.tenant_id == Tenant.id)
        .outerjoin(UserSync, UserSync.organization_id == Organization.id)
        .correlate(None)
    )
    if state == "conflicts":
        waits = exists().where(Conflict.organization_id == Organization.id, Conflict.resolved_at.is_(None))
        return MicrosoftTenant.id.in_(fed.where(waits))
    return MicrosoftTenant.id.in_(fed.where(states.status() == ("paused" if state == "held" else state)))


def _cells(row: TableRow) -> tuple[object, ...]:
    tenant = row.tenant
    return (
        tenant.id,
        tenant.directory_id,
        tenant.name,
        row.domain,
        tenant.state,
        tenant.problem or "",
        row.mapped.name if row.mapped else "",
        row.organizations,
        ", ".join(row.tags),
        tenant.users_count,
        csv_cells.moment(tenant.last_synced_at),
    )
