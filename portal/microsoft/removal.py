"""Removing a Microsoft Tenant: its mirror goes after it in short transactions, so that nobody waits for it."""

from __future__ import annotations

from portal.engine import bulk
from portal.engine.mirror import removed
from portal.extensions import db
from portal.http.access import load
from portal.http.parts import one_by_one
from portal.microsoft import service
from portal.models import MicrosoftTenant
from portal.transactions import begin_write


def remove(row: MicrosoftTenant) -> None:
    """Remove a Microsoft Tenant as ``service.remove`` says, and its mirror, and commit."""
    session, tenant_id = db.session(), row.id
    begin_write(session)
    service.remove(load(MicrosoftTenant, tenant_id, "Microsoft tenant"))
    session.commit()
    left = range(bulk.number_of(session, removed.mirror_of(tenant_id)))
    one_by_one(session, left, lambda part: _forget(tenant_id, len(part)), "deleted")


def _forget(tenant_id: str, number: int) -> None:
    removed.forget(db.session(), tenant_id, number)
