"""What somebody may not get back, since it is somebody else's by now: an address (M4) or a Microsoft account (M5)."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Iterator, Mapping, Sequence
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.models import EndUser

BATCH = 500
Key = TypeVar("Key", bound=Hashable)
Account = tuple[str, str]
"""(Microsoft Tenant id, object id)"""


def taken_addresses(
    session: Session, organization_id: str, wanted: Mapping[str, str], leaving: Collection[str] = ()
) -> set[str]:
    """Of the End Users in ``wanted`` (id → the ``email_key`` they get back) those who cannot have it.

    ``leaving``: ids that are about to be deleted. Judged on the state after all others got theirs, so people may swap.
    """
    holders: dict[str, str] = {}
    for part in _parts(list(wanted.values())):
        rows = session.execute(
            select(EndUser.email_key, EndUser.id).where(
                EndUser.organization_id == organization_id, EndUser.email_key.in_(part)
            )
        )
        holders.update((str(key), end_user_id) for key, end_user_id in rows)
    return _clashing(wanted, holders, leaving)


def taken_accounts(
    session: Session, organization_id: str, wanted: Mapping[str, Account], leaving: Collection[str] = ()
) -> set[str]:
    """The same for Microsoft accounts: End User id → the account that their Link goes back to."""
    holders: dict[Account, str] = {}
    for part in _parts([object_id for _, object_id in wanted.values()]):
        rows = session.execute(
            select(EndUser.microsoft_tenant_id, EndUser.object_id, EndUser.id).where(
                EndUser.organization_id == organization_id, EndUser.object_id.in_(part)
            )
        )
        holders.update(
            ((str(tenant_id), str(object_id)), end_user_id) for tenant_id, object_id, end_user_id in rows
        )
    return _clashing(wanted, holders, leaving)


def _clashing(wanted: Mapping[str, Key], holders: Mapping[Key, str], leaving: Collection[str]) -> set[str]:
    refused: set[str] = set()
    while True:
        free = (wanted.keys() - refused) | set(leaving)
        more = {
            one
            for one in wanted.keys() - refused
            if (holder := holders.get(wanted[one])) is not None and holder != one and holder not in free
        }
        if not more:
            return refused
        refused |= more


def _parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for start in range(0, len(keys), BATCH):
        yield keys[start : start + BATCH]
