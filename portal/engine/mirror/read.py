"""Mirror: what Microsoft has becomes Directory Users, groups, members and licenses (sync-rules, "Mirror").

Rows are written page by page; the delta link only together with the last page's rows and, after a full read, with the
conclusions from absence (G3, L2). A read that fails anywhere leaves rows, but neither a link nor conclusions.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from portal.engine import cadence
from portal.engine.claims import write_session
from portal.engine.mirror.groups import read_groups
from portal.engine.mirror.licenses import read_licenses
from portal.engine.mirror.people import read_people
from portal.engine.mirror.reading import Reading, ReadResult
from portal.engine.normalize import clean
from portal.engine.ports import RawObject
from portal.errors import SourceAuthError
from portal.models import MicrosoftTenant


def read(reading: Reading, *, full: bool = False, groups: frozenset[str] = frozenset()) -> ReadResult:
    """Read people, groups and licenses. ``groups``: lower-case ids whose members are needed. Raises Source errors."""
    result = ReadResult()
    with reading.sessions() as session:
        tenant = session.get_one(MicrosoftTenant, reading.tenant_id)
        directory_id, last_full = tenant.directory_id, tenant.last_full_read_at
        asked_at = tenant.read_requested_at
    _check_tenant(reading, directory_id)
    read_people(reading, result, full=full or cadence.full_read_due(last_full, reading.now()))
    read_groups(reading, result, groups)
    read_licenses(reading, result)
    _finish(reading, asked_at)
    return result


def _check_tenant(reading: Reading, directory_id: str) -> None:
    """The token must open the tenant that is stored, or another customer's people would land here."""
    found = reading.source.organization()
    if str(found.get("id", "")).lower() != directory_id:
        raise SourceAuthError(
            "Microsoft answered for another tenant than the one that is connected. Nothing was read. Check the connection."
        )
    domains = verified_domains(found)
    name = clean(str(found.get("displayName") or ""))[:256]
    with write_session(reading.sessions) as session:
        tenant = session.get_one(MicrosoftTenant, reading.tenant_id)
        tenant.domains = domains or tenant.domains
        tenant.name = name or tenant.name
        session.commit()


def _finish(reading: Reading, asked_at: datetime | None) -> None:
    """``asked_at``: the request that this read answers; one that came in while it went on wants a read of its own."""
    now = reading.now()
    with write_session(reading.sessions) as session:
        tenant = session.get_one(MicrosoftTenant, reading.tenant_id)
        tenant.last_synced_at = now
        if tenant.read_requested_at == asked_at:
            tenant.read_requested_at = None
        tenant.throttled_until = None
        tenant.slow_due_at = cadence.slow_pass_after_read(now, tenant.slow_problems)
        reading.on_commit("read finished")
        session.commit()


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
