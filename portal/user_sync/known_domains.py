"""U10: whether an Organization's known e-mail addresses fit a Microsoft tenant's domains."""

from __future__ import annotations

from collections import Counter

from sqlalchemy import or_, select

from portal.engine import preview as engine_preview
from portal.extensions import db
from portal.microsoft import service as microsoft
from portal.models import EndUser, MicrosoftTenant, Organization, SyncRun


def known_endings(organization: Organization) -> list[str]:
    """The commonest domains of the Organization's e-mail addresses, for U10's warning."""
    endings = Counter(address.rpartition("@")[2] for address in _known_addresses(organization))
    return [domain for domain, _ in endings.most_common(3)]


def domain_overlap(organization: Organization) -> dict[str, int] | None:
    """U10: how many known e-mail addresses belong to the Microsoft tenant's domains; None when not mapped."""
    microsoft_tenant = microsoft.mapped_to(organization)
    if microsoft_tenant is None:
        return None
    return overlap_with(organization, microsoft_tenant)


def overlap_with(organization: Organization, microsoft_tenant: MicrosoftTenant) -> dict[str, int]:
    """The same for any Microsoft tenant, such as one that it may be mapped to."""
    return engine_preview.domain_overlap(microsoft_tenant, _known_addresses(organization))


def _known_addresses(organization: Organization) -> list[str]:
    """Whom the mapped Microsoft tenant itself brought says nothing about whether it is the right one, and is left out."""
    its_runs = select(SyncRun.id).where(
        SyncRun.organization_id == organization.id,
        SyncRun.microsoft_tenant_id == organization.tenant.microsoft_tenant_id,
    )
    brought = EndUser.created_by_run_id
    addresses = db.session.scalars(
        select(EndUser.email_key).where(
            EndUser.organization_id == organization.id,
            EndUser.email_key.is_not(None),
            or_(brought.is_(None), brought.not_in(its_runs)),
        )
    )
    return [str(address) for address in addresses]
