"""Where a run writes, and what it knows of its Microsoft Tenant beside the people."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.models import MicrosoftTenant, SubscribedSku


@dataclass(frozen=True)
class Target:
    """Where a run writes, and how its licenses are called (sku id → part number, for products without a known name).

    has_figures: the slow pass has been there, so that the mirror may know figures of who is new here (T7).
    license_names: what was found out so far, by sku ids.
    """

    run_id: str
    organization_id: str
    microsoft_tenant_id: str
    part_numbers: Mapping[str, str]
    has_figures: bool = True
    license_names: dict[str, str] = field(default_factory=dict)


def has_figures(session: Session, microsoft_tenant_id: str) -> bool:
    """Whether a slow pass has come to an end for a Microsoft Tenant; what one stores meanwhile, a run catches up with."""
    tenant = session.get_one(MicrosoftTenant, microsoft_tenant_id)
    return tenant.sign_ins_at is not None or tenant.mfa_at is not None


def part_numbers(session: Session, microsoft_tenant_id: str) -> dict[str, str]:
    """Sku id → part number of a Microsoft Tenant."""
    rows = session.execute(
        select(SubscribedSku.sku_id, SubscribedSku.part_number).where(
            SubscribedSku.microsoft_tenant_id == microsoft_tenant_id
        )
    )
    return {str(sku_id): str(part) for sku_id, part in rows}
