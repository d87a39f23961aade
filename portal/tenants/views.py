"""What Tenant Details shows: the Microsoft tenant, its licenses, and each Organization with its sync (P2). No queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from portal.http.formatting import number, plural
from portal.models import ACTIVE, MicrosoftTenant, SubscribedSku, SyncRun, Tenant
from portal.organizations.listing import Row
from portal.user_sync.documents import attention_of, status_of

PARTS: Mapping[str, str] = {"sign_ins": "Last sign-in", "mfa": "MFA", "devices": "Devices"}
"""What is read after the people."""
WRITTEN = ("created", "linked", "updated", "disabled", "enabled")


@dataclass(frozen=True)
class License:
    """How many of a product are assigned, and of how many."""

    name: str
    assigned: int
    bought: int

    @property
    def is_full(self) -> bool:
        """None is left."""
        return 0 < self.bought <= self.assigned

    @property
    def share(self) -> int:
        """Percent, 100 at most."""
        return min(100, 100 * self.assigned // (self.bought or 1))


@dataclass(frozen=True)
class MicrosoftDetails:
    """The mapped Microsoft tenant. domain: the first and how many more; members, coverage: in words, "" while not known.

    notes: what could not be read, and why.
    """

    row: MicrosoftTenant
    domain: str
    members: str
    coverage: str
    licenses: Sequence[License]
    notes: Sequence[str]


@dataclass(frozen=True)
class SyncCell:
    """Beneath a sync's pill: words, and a link (label, and for screen readers more). in_dialog: it opens there."""

    words: str = ""
    href: str = ""
    label: str = ""
    about: str = ""
    in_dialog: bool = False


@dataclass(frozen=True)
class OrganizationRow:
    """One Organization of the Tenant. status: as ``documents.status_of``; last_at: of the last run, None for none."""

    id: str
    name: str
    end_users: int
    assets: int
    conflicts: int
    status: str
    cell: SyncCell
    last_at: datetime | None
    is_syncing: bool

    @property
    def is_set_up(self) -> bool:
        """Its User Sync is enabled."""
        return self.status != "not_set_up"


@dataclass(frozen=True)
class TenantView:
    """Tenant Details. microsoft: None when it is not mapped."""

    id: str
    name: str
    microsoft: MicrosoftDetails | None
    rows: Sequence[OrganizationRow]

    @property
    def end_users(self) -> int:
        """Of all its Organizations."""
        return sum(row.end_users for row in self.rows)

    @property
    def is_syncing(self) -> bool:
        """A sync is under way, so the table looks again by itself."""
        return any(row.is_syncing for row in self.rows)

    @property
    def synced(self) -> list[OrganizationRow]:
        """Those in which something may have to be recovered."""
        return [row for row in self.rows if row.last_at is not None]


def tenant_view(tenant: Tenant, microsoft: MicrosoftDetails | None, rows: Iterable[Row]) -> TenantView:
    """The record of the page."""
    return TenantView(tenant.id, tenant.name, microsoft, [_row(row) for row in rows])


def microsoft_details(
    row: MicrosoftTenant,
    *,
    members: Mapping[str, int],
    coverage: Mapping[str, int] | None,
    licenses: Iterable[SubscribedSku],
) -> MicrosoftDetails:
    """members: user type → number. coverage: how many users none, one and several Organizations take, None before the first read."""
    names = [str(domain["name"]) for domain in row.domains]
    more = f" and {plural(len(names) - 1, 'more domain')}" if len(names) > 1 else ""
    return MicrosoftDetails(
        row,
        domain=f"{names[0]}{more}" if names else "",
        members=", ".join(plural(count, kind) for kind, count in members.items()),
        coverage=""
        if coverage is None
        else f"{number(coverage['one'] + coverage['several'])} assigned, {number(coverage['none'])} unassigned",
        licenses=[License(sku.name, sku.assigned, sku.bought) for sku in licenses],
        notes=[
            *(
                f"{PARTS.get(problem['part'], problem['part'])}: {problem['detail']}"
                for problem in row.slow_problems
            ),
            *(
                f"{part.capitalize()}: {state['detail']}"
                for part, state in row.capabilities.items()
                if part in {"groups", "licenses"}
            ),
            *([row.incomplete_reason] if row.incomplete_reason else []),
        ],
    )


def _row(row: Row) -> OrganizationRow:
    run, status = row.last_run, status_of(row.sync, row.microsoft_tenant)
    is_active = run is not None and run.status in ACTIVE
    return OrganizationRow(
        id=row.id,
        name=row.name,
        end_users=row.end_users,
        assets=row.assets,
        conflicts=row.conflicts,
        status=status,
        cell=_cell(row, status),
        last_at=None if run is None else run.finished_at or run.started_at or run.created_at,
        is_syncing=status == "processing" or is_active,
    )


def _cell(row: Row, status: str) -> SyncCell:
    run, attention = row.last_run, attention_of(row.sync, row.microsoft_tenant)
    if run is not None and status == "processing":
        return SyncCell(href=f"/organizations/{row.id}/user-sync/status", label=_initial(run), in_dialog=True)
    if run is not None and run.status in ACTIVE:
        label = "Waits for its turn" if run.status == "queued" else "Syncing now"
        return SyncCell("", _page(run), label, f": the run of {row.name}")
    if run is not None and status == "paused":
        held = plural((run.held or {}).get("count", 0), "person", "people")
        return SyncCell(f"{held} held back", _page(run), "Review", f" what is held for {row.name}")
    if attention:
        return SyncCell(attention)
    if run is not None:
        changes = sum(run.counts.get(name, 0) for name in WRITTEN)
        return SyncCell(f"{plural(changes, 'change') if changes else 'No changes'} in the last run")
    return SyncCell()


def _initial(run: SyncRun) -> str:
    """How far the initial sync is, or how it ended."""
    if run.status not in ACTIVE:
        return f"The last run: {run.status}"
    far = f": {number(run.done)} of {number(run.total)} people" if run.total else ""
    return f"{run.phase or 'Waiting'}{far}"


def _page(run: SyncRun) -> str:
    return f"/sync-runs/{run.id}"
