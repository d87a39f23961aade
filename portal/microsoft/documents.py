"""A Microsoft Tenant as the API shows it."""

from __future__ import annotations

from typing import Any

from portal.clock import utcnow
from portal.models import MicrosoftTenant


def to_document(row: MicrosoftTenant, tenant_id: str | None) -> dict[str, Any]:
    """One Microsoft Tenant as the API shows it; ``tenant_id`` is the Tenant it is mapped to (``tenant_ids``)."""
    lease = row.slow_lease_expires_at
    return {
        "id": row.id,
        "directory_id": row.directory_id,
        "name": row.name,
        "domains": [domain["name"] for domain in row.domains],
        "cloud": row.cloud,
        "state": row.state,
        "problem": row.problem,
        "problem_code": row.problem_code,
        "tenant_id": tenant_id,
        "users": row.users_count,
        "last_synced_at": row.last_synced_at,
        "slow_pass": {
            "running": row.slow_lease_owner is not None and lease is not None and lease > utcnow(),
            "sign_ins_at": row.sign_ins_at,
            "mfa_at": row.mfa_at,
            "devices_at": row.devices_at,
            "assets_assigned": row.assets_assigned,
            "problems": row.slow_problems,
        },
    }
