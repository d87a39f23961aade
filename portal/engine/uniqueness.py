"""What cannot be restored because another End User has it now: an address (M4) or a Microsoft account (M5)."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.batches import batches
from portal.engine.plan.addresses import settle
from portal.models import EndUser
from portal.text import email_key

Account = tuple[str, str]
"""(Microsoft Tenant id, object id)"""
Link = Mapping[str, Any]
"""A Link as a change record keeps it."""


def account_of(link: Link) -> Account:
    """Which account a Link is to."""
    return str(link["microsoft_tenant_id"]), str(link["object_id"])


def find_taken(
    session: Session,
    organization_id: str,
    fields: Mapping[str, Mapping[str, tuple[str, str]]],
    links: Mapping[str, Link | None],
    leaving: Collection[str] = (),
    unlinked: Collection[str] = (),
) -> tuple[list[str], list[str]]:
    """The ids of those who cannot have their email back, and of those who cannot have their account.

    fields, links: by End User id what each gets back, fields as (now, back to). leaving, unlinked: ids that are about to give
    up their address and their account. Judged on the state after all others got theirs, so people may swap.
    """
    emails = {i: email_key(of["email"][1]) for i, of in fields.items() if "email" in of}
    accounts = {i: account_of(link) for i, link in links.items() if link is not None}
    return (
        sorted(_taken_addresses(session, organization_id, emails, leaving)),
        sorted(taken_accounts(session, organization_id, accounts, unlinked)),
    )


def _taken_addresses(
    session: Session, organization_id: str, email_keys: Mapping[str, str], leaving: Collection[str]
) -> set[str]:
    holders: dict[str, str] = {}
    for part in batches(list(email_keys.values())):
        rows = session.execute(
            select(EndUser.email_key, EndUser.id).where(
                EndUser.organization_id == organization_id, EndUser.email_key.in_(part)
            )
        )
        holders.update((str(key), end_user_id) for key, end_user_id in rows)
    return set(settle(email_keys, holders, leaving))


def taken_accounts(
    session: Session, organization_id: str, accounts: Mapping[str, Account], unlinked: Collection[str]
) -> set[str]:
    """The accounts' part of ``find_taken``. accounts: End User id → the account that their Link goes back to."""
    holders: dict[Account, str] = {}
    tenants = sorted({tenant_id for tenant_id, _ in accounts.values()})
    for part in batches([object_id for _, object_id in accounts.values()]):
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
    return set(settle(accounts, holders, unlinked))
