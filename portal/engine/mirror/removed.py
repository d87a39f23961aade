"""The mirror of a removed Microsoft Tenant, which is deleted in short transactions."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.bulk import Rows, delete_some
from portal.locks import lock
from portal.models import (
    DirectoryGroup,
    DirectoryUser,
    GroupMembership,
    ManagedDevice,
    MicrosoftTenant,
    SubscribedSku,
)
from portal.models.microsoft import REMOVED

MODELS = (GroupMembership, DirectoryGroup, DirectoryUser, SubscribedSku, ManagedDevice)


def mirror_of(tenant_id: str) -> Rows:
    """All that was read of a Microsoft Tenant."""
    return [(model, model.microsoft_tenant_id == tenant_id) for model in MODELS]


def forget(session: Session, tenant_id: str, number: int) -> int:
    """Delete up to ``number`` rows of it. Returns how many; 0 if it was connected again meanwhile. The caller commits."""
    if not lock(session, MicrosoftTenant, tenant_id).is_removed:
        return 0
    return delete_some(session, mirror_of(tenant_id), number)


def forget_left(session: Session, number: int) -> int:
    """The same for the rest of any tenant whose removal was interrupted."""
    removed = session.scalars(select(MicrosoftTenant.id).where(MicrosoftTenant.state == REMOVED)).all()
    done = 0
    for tenant_id in removed:
        done += forget(session, tenant_id, number - done)
    return done
