"""Where a run writes, and what it knows of its Microsoft Tenant beside the people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.batches import batches
from portal.engine.licenses import product_names
from portal.models import DirectoryUser, MicrosoftTenant, SubscribedSku

FIGURES = ("last_sign_in_at", "mfa_registered", "mfa_methods")


@dataclass(frozen=True)
class Target:
    """Where a run writes, and how its licenses are called (sku id → part number, for products without a known name).

    has_figures: the slow pass has been there, so that the mirror may know figures of who is new here (T7).
    licenses: what was found out so far, by sku ids (``licenses``).
    """

    run_id: str
    organization_id: str
    microsoft_tenant_id: str
    part_numbers: Mapping[str, str]
    has_figures: bool = True
    licenses: dict[str, tuple[tuple[str, ...], str]] = field(default_factory=dict)


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


def licenses(target: Target, sku_ids: str) -> tuple[tuple[str, ...], str]:
    """(sku ids, the products' names as lists sort by them) of sku ids as they are stored: many people have the same ones."""
    if sku_ids not in target.licenses:
        skus = tuple(sku_ids.split(" ")) if sku_ids else ()
        target.licenses[sku_ids] = (skus, ", ".join(product_names(skus, target.part_numbers))[:200])
    return target.licenses[sku_ids]


def figures(session: Session, target: Target, object_ids: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """The slow pass's figures from before the Link existed (T7): ``FIGURES`` by object id, for those who have any."""
    by_object_id = {}
    columns = [getattr(DirectoryUser, name) for name in FIGURES]
    is_reported = columns[0].is_not(None) | columns[1].is_not(None)
    for part in batches(object_ids):
        rows = session.execute(
            select(DirectoryUser.object_id, *columns).where(
                DirectoryUser.microsoft_tenant_id == target.microsoft_tenant_id,
                DirectoryUser.object_id.in_(part),
                is_reported,
            )
        )
        by_object_id.update({row[0]: tuple(row[1:]) for row in rows})
    return by_object_id
