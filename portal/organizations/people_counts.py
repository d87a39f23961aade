"""How many End Users each Organization has, counted again only where people may have been added or deleted.

Every transaction that adds or deletes people leaves a mark: ``people_version``, or, the sync, the lease of its Microsoft
Tenant. An Organization whose marks are those of the last time has as many as then. Each process remembers for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from weakref import WeakKeyDictionary

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from portal.engine.batches import batches
from portal.models import EndUser, MicrosoftTenant, Organization, Tenant

_Marks = tuple[Any, ...]
_cached: WeakKeyDictionary[Engine, dict[str, tuple[_Marks, int]]] = WeakKeyDictionary()


def people_counts(session: Session, ids: Sequence[str] | None = None) -> dict[str, int]:
    """Organization id → its number of End Users, of ``ids`` or of all Organizations."""
    statement = (
        select(
            Organization.id,
            Organization.people_version,
            MicrosoftTenant.id,
            MicrosoftTenant.fence,
            MicrosoftTenant.lease_expires_at,
        )
        .join(Tenant, Tenant.id == Organization.tenant_id)
        .outerjoin(MicrosoftTenant, MicrosoftTenant.id == Tenant.microsoft_tenant_id)
    )
    if ids is not None:
        statement = statement.where(Organization.id.in_(ids))
    # Marks come before numbers: somebody who comes in between is counted, and the Organization looked at again next time.
    marks: dict[str, _Marks] = {row[0]: tuple(row) for row in session.execute(statement)}
    remembered = _cached.setdefault(session.get_bind().engine, {})
    for part in batches([row_id for row_id in marks if remembered.get(row_id, ((), 0))[0] != marks[row_id]]):
        numbers = session.execute(
            select(EndUser.organization_id, func.count())
            .where(EndUser.organization_id.in_(part))
            .group_by(EndUser.organization_id)
        )
        counts = {row_id: number for row_id, number in numbers}
        remembered.update({row_id: (marks[row_id], counts.get(row_id, 0)) for row_id in part})
    return {row_id: remembered[row_id][1] for row_id in marks}
