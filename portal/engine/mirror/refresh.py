"""Mirror: what Microsoft has becomes Directory Users, groups, members and licenses.

Rows are written page by page; the delta link only together with the last page's rows and, after a full read, with the
conclusions from absence (G3, L2). A read that fails anywhere leaves rows, but neither a link nor conclusions.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select, update
from sqlalchemy.orm import Session

from portal.engine import schedule
from portal.engine.mirror.context import RefreshContext, RefreshResult
from portal.engine.mirror.groups import read_groups
from portal.engine.mirror.licenses import read_licenses
from portal.engine.mirror.people import read_people
from portal.engine.normalize import clean
from portal.engine.ports import RawObject
from portal.errors import SourceAuthError
from portal.models import MicrosoftTenant

# Built once, see ``context``.
_FACTS = select(
    MicrosoftTenant.read_requested_at, MicrosoftTenant.slow_problems, MicrosoftTenant.failures_in_row
).where(MicrosoftTenant.id == bindparam("tenant"))
_CONCLUDED = (
    update(MicrosoftTenant.__table__)  # type: ignore[arg-type]
    .where(MicrosoftTenant.id == bindparam("of_tenant"))
    .values(
        {
            MicrosoftTenant.last_synced_at: bindparam("now"),
            MicrosoftTenant.read_requested_at: bindparam("asked_at"),
            MicrosoftTenant.throttled_until: None,
            MicrosoftTenant.slow_due_at: bindparam("slow_at"),
            MicrosoftTenant.failures_in_row: 0,
            MicrosoftTenant.state: "connected",
            MicrosoftTenant.problem: None,
            MicrosoftTenant.problem_code: None,
            MicrosoftTenant.problem_since: None,
            MicrosoftTenant.next_run_at: bindparam("next_at"),
        }
    )
)


def refresh(context: RefreshContext) -> RefreshResult:
    """Read people, groups and licenses. Raises Source errors. To be followed by ``conclude``."""
    result = RefreshResult()
    full = schedule.full_read_due(context.tenant.last_full_read_at, context.now())
    if not full and "users" in context.links:
        context.source.ask_ahead(list(context.links.values()))
    _check_tenant(context)
    read_people(context, result, full=full)
    read_groups(context, result)
    read_licenses(context, result)
    return result


def _check_tenant(context: RefreshContext) -> None:
    """Check that the token opens the stored tenant, or another customer's people would be read."""
    stored, reported = context.tenant, context.source.organization()
    if str(reported.get("id", "")).lower() != stored.directory_id:
        raise SourceAuthError(
            "Microsoft answered for a different tenant, so nothing was read. Check the connection."
        )
    domains = verified_domains(reported) or stored.domains
    name = clean(str(reported.get("displayName") or ""))[:256] or stored.name
    if (stored.domains, stored.name) != (domains, name):
        with context.lease.transaction() as session:
            tenant = session.get_one(MicrosoftTenant, context.tenant_id)
            tenant.domains, tenant.name = domains, name


def conclude(context: RefreshContext, session: Session, next_run_at: datetime) -> bool:
    """Note that a read came to its end, which puts the connection right (G2). True when reads had failed before.

    One asked for meanwhile wants a read of its own.
    """
    connection, now = session.connection(), context.now()
    facts = connection.execute(_FACTS, {"tenant": context.tenant_id}).one()
    is_asked_anew = facts.read_requested_at != context.tenant.read_requested_at
    values = {
        "of_tenant": context.tenant_id,
        "now": now,
        "asked_at": facts.read_requested_at if is_asked_anew else None,
        "slow_at": schedule.slow_pass_after_read(now, facts.slow_problems),
        "next_at": next_run_at,
    }
    context.keep_quiet_links(session)
    connection.execute(_CONCLUDED, values)
    return bool(facts.failures_in_row)


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
