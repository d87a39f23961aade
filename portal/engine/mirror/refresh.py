"""Mirror: what Microsoft has becomes Directory Users, groups, members and licenses (sync-rules, "Mirror").

Rows are written page by page; the delta link only together with the last page's rows and, after a full read, with the
conclusions from absence (G3, L2). A read that fails anywhere leaves rows, but neither a link nor conclusions.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from portal.engine import schedule
from portal.engine.mirror.context import RefreshContext, RefreshResult
from portal.engine.mirror.groups import read_groups
from portal.engine.mirror.licenses import read_licenses
from portal.engine.mirror.people import read_people
from portal.engine.normalize import clean
from portal.engine.ports import RawObject
from portal.errors import SourceAuthError
from portal.models import MicrosoftTenant


def refresh(
    context: RefreshContext, *, full: bool = False, groups: frozenset[str] = frozenset()
) -> RefreshResult:
    """Read people, groups and licenses. ``groups``: lower-case ids whose members are needed. Raises Source errors."""
    result = RefreshResult()
    _check_tenant(context)
    last_full = context.tenant.last_full_read_at
    read_people(context, result, full=full or schedule.full_read_due(last_full, context.now()))
    read_groups(context, result, groups)
    read_licenses(context, result)
    return result


def _check_tenant(context: RefreshContext) -> None:
    """The token must open the tenant that is stored, or another customer's people would land here."""
    stored, found = context.tenant, context.source.organization()
    if str(found.get("id", "")).lower() != stored.directory_id:
        raise SourceAuthError(
            "Microsoft answered for another tenant than the one that is connected. Nothing was read. Check the connection."
        )
    domains = verified_domains(found) or stored.domains
    name = clean(str(found.get("displayName") or ""))[:256] or stored.name
    if (stored.domains, stored.name) != (domains, name):
        with context.lease.transaction() as session:
            tenant = session.get_one(MicrosoftTenant, context.tenant_id)
            tenant.domains, tenant.name = domains, name


def conclude(context: RefreshContext, tenant: MicrosoftTenant, now: datetime) -> None:
    """Note with ``tenant``, as it is by now, that a read came to its end; one asked for meanwhile wants a read of its own."""
    tenant.last_synced_at = now
    if tenant.read_requested_at == context.tenant.read_requested_at:
        tenant.read_requested_at = None
    tenant.throttled_until = None
    tenant.slow_due_at = schedule.slow_pass_after_read(now, tenant.slow_problems)


def verified_domains(organization: RawObject) -> list[dict[str, Any]]:
    """[{"name","is_default","is_initial"}] of ``GET /organization``."""
    listed = organization.get("verifiedDomains")
    return [
        {
            "name": str(d["name"]).lower(),
            "is_default": bool(d.get("isDefault")),
            "is_initial": bool(d.get("isInitial")),
        }
        for d in (listed if isinstance(listed, list) else [])
        if isinstance(d, dict) and d.get("name")
    ]
