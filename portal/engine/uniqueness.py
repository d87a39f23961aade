"""What somebody may not get back, since it is somebody else's by now: an address (M4) or a Microsoft account (M5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.batches import batches
from portal.engine.plan.addresses import settle
from portal.models import EndUser

Account = tuple[str, str]
"""(Microsoft Tenant id, object id)"""


def taken_addresses(
    session: Session, organization_id: str, wanted: Mapping[str, str], leaving: Collection[str] = ()
) -> set[str]:
    """Of the End Users in ``wanted`` (id → the ``email_key`` they get back) those who cannot have it.

    ``leaving``: ids that are about to be deleted. Judged on the state after all others got theirs, so people may swap.
    """
    holders: dict[str, str] = {}
    for part in batches(list(wanted.values())):
        rows = session.execute(
            select(EndUser.email_key, EndUser.id).where(
                EndUser.organization_id == organization_id, EndUser.email_key.in_(part)
            )
        )
        holders.update((str(key), end_user_id) for key, end_user_id in rows)
    return set(settle(wanted, holders, leaving))


def taken_accounts(
    session: Session, organization_id: str, wanted: Mapping[str, Account], leaving: Collection[str] = ()
) -> set[str]:
    """The same for Microsoft accounts: End User id → the account that their Link goes back to."""
    holders: dict[Account, str] = {}
    tenants = sorted({tenant_id for tenant_id, _ in wanted.values()})
    for part in batches([object_id for _, object_id in wanted.values()]):
        rows = session.execute(
            select(EndUser.microsoft_tenant_id, EndUser.object_id, EndUser.id).where(
                EndUser.organization_id == organization_id,
                EndUser.microsoft_tenant_id.in_(tenants),
                EndUser.object_id.in_(part),
            )
        )
        holders.update(
            ((str(tenant_id), str(object_id)), end_user_id) for tenant_id, object_id, end_user_id in rows
        )
    return set(settle(wanted, holders, leaving))
