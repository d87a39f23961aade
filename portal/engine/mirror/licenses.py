"""Licenses: the products that a tenant has bought, how many are assigned, and their names (D3)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, insert

from portal.engine.licenses import product_name
from portal.engine.mirror.context import RefreshContext, RefreshResult, is_lacking
from portal.engine.normalize import clean
from portal.engine.ports import RawObject
from portal.engine.records import Phase
from portal.errors import SourceAuthError, SourceError
from portal.models import SubscribedSku


def read_licenses(context: RefreshContext, result: RefreshResult) -> None:
    """Read the products; what fails is a warning of the run. Raises SourceAuthError."""
    context.progress(Phase.READING_LICENSES, 0, None)
    try:
        listed = context.source.subscribed_skus()
    except SourceAuthError:
        raise
    except SourceError as error:
        if is_lacking(error):  # shown with the tenant, never an error of the run (D3)
            context.remember("licenses", error)
        else:
            result.warnings.append(f"Licenses could not be read: {error.advice}")
        return
    context.remember("licenses", None)
    rows = [row for item in listed if (row := _sku(context, item)) is not None]
    new = {row["sku_id"]: row for row in rows}
    if context.products == new:
        return
    with context.lease.transaction() as session:
        session.execute(delete(SubscribedSku).where(SubscribedSku.microsoft_tenant_id == context.tenant_id))
        if new:
            session.execute(insert(SubscribedSku), list(new.values()))


def _sku(context: RefreshContext, item: RawObject) -> dict[str, Any] | None:
    sku_id = str(item.get("skuId") or "").lower()
    if not sku_id:
        return None
    part = clean(str(item.get("skuPartNumber") or ""))[:200]
    units = _dict(item.get("prepaidUnits"))
    plans = _list(item.get("servicePlans"))
    return {
        "microsoft_tenant_id": context.tenant_id,
        "sku_id": sku_id,
        "part_number": part,
        "name": product_name(sku_id, part)[:200],
        "status": str(item.get("capabilityStatus") or "")[:20],
        "applies_to": str(item.get("appliesTo") or "User")[:20],
        "bought": _number(units.get("enabled")) + _number(units.get("warning")),
        "assigned": _number(item.get("consumedUnits")),
        "service_plan_ids": sorted(
            str(p.get("servicePlanId", "")).lower() for p in plans if isinstance(p, dict)
        ),
    }


def _dict(value: Any) -> RawObject:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _number(value: Any) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0
