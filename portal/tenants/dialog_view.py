"""What the dialogs of a Tenant show: its name, its mapping, and the User Syncs in the way of that (C6, R2, R4). No queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from portal.models import MicrosoftTenant, Organization, Tenant
from portal.tenants.mapping import Takeover


@dataclass(frozen=True)
class InTheWay:
    """User Syncs to disable first. which, them: how a sentence calls them; where: their Tenant, "" for the dialog's own."""

    which: str
    them: str
    where: str
    syncing: Sequence[Organization]


@dataclass(frozen=True)
class TenantDialog:
    """A dialog, and as much of it as all have. name: of the Tenant, "" for a new one; present: what it is mapped to."""

    title: str
    button: str
    action: str
    back: str
    name: str
    present: MicrosoftTenant | None = None
    in_the_way: InTheWay | None = None


def naming(tenant: Tenant | None) -> TenantDialog:
    """Rename a Tenant, or add one."""
    if tenant is None:
        return TenantDialog("Add Tenant", "Save", "/tenants/new", "/microsoft-tenants", "")
    return _dialog(tenant, f"Rename {tenant.name}", "Save", "rename")


def deleting(tenant: Tenant) -> TenantDialog:
    """Delete a Tenant."""
    return _dialog(tenant, f"Delete {tenant.name}?", "Delete Tenant", "delete")


def mapping(tenant: Tenant, present: MicrosoftTenant | None, syncing: Sequence[Organization]) -> TenantDialog:
    """Map a Tenant, or remap it. syncing: whose User Sync is enabled under it."""
    verb, button = ("Map", "Map Tenant") if present is None else ("Remap", "Remap")
    return _dialog(tenant, f"{verb} {tenant.name}", button, "map", present, in_the_way(syncing))


def unmapping(
    tenant: Tenant, present: MicrosoftTenant | None, syncing: Sequence[Organization]
) -> TenantDialog:
    """Take the mapping away. Of a Tenant that has none, or whose syncs are enabled, only that is said."""
    title = (
        f"Unmap {tenant.name}" if present is None or syncing else f"Unmap {present.name} from {tenant.name}?"
    )
    return _dialog(tenant, title, "Unmap", "unmap", present, in_the_way(syncing))


def taking(takeover: Takeover) -> TenantDialog:
    """The Microsoft tenant that was chosen is mapped to another Tenant."""
    way = in_the_way(takeover.syncing, takeover.holder.name)
    title = f"{takeover.microsoft_tenant.name} is mapped already"
    return _dialog(takeover.tenant, title, "Unmap there, map here", "map", takeover.present, way)


def in_the_way(syncing: Sequence[Organization], where: str = "") -> InTheWay | None:
    """What is said of enabled User Syncs; None when there are none."""
    if not syncing:
        return None
    which, them = ("This User Sync is", "it") if len(syncing) == 1 else ("These User Syncs are", "them")
    return InTheWay(which, them, where, syncing)


def _dialog(
    tenant: Tenant,
    title: str,
    button: str,
    verb: str,
    present: MicrosoftTenant | None = None,
    way: InTheWay | None = None,
) -> TenantDialog:
    page = f"/tenants/{tenant.id}"
    return TenantDialog(title, button, f"{page}/{verb}", page, tenant.name, present, way)
