"""Licenses: the products that a tenant has bought, how many are assigned, and their names (D3, graph-facts 7)."""

from __future__ import annotations

from typing import Any

from sqlalchemy import delete, insert, select

from portal.engine.claims import write_session
from portal.engine.licenses import product_name
from portal.engine.mirror.reading import Reading, ReadResult, is_lacking
from portal.engine.normalize import clean
from portal.engine.ports import RawObject
from portal.errors import SourceAuthError, SourceError
from portal.models import SubscribedSku


def read_licenses(reading: Reading, result: ReadResult) -> None:
    """Read the products; what fails is a warning of the run. Raises SourceAuthError."""
    reading.progress("Reading licenses", 0, None)
    try:
        listed = reading.source.subscribed_skus()
    except SourceAuthError:
        raise
    except SourceError as error:
        if is_lacking(error):  # shown with the tenant, never an error of the run (D3)
            reading.remember("licenses", error)
        else:
            result.warnings.append(f"Licenses could not be read: {error.advice}")
        return
    reading.remember("licenses", None)
    rows = [row for item in listed if (row := _sku(reading, item)) is not None]
    with write_session(reading.sessions) as session:
        old = {
            row["sku_id"]: dict(row)
            for row in session.execute(
                select(SubscribedSku.__table__).where(SubscribedSku.microsoft_tenant_id == reading.tenant_id)
            ).mappings()
        }
        if old != {row["sku_id"]: row for row in rows}:
            session.execute(
                delete(SubscribedSku).where(SubscribedSku.microsoft_tenant_id == reading.tenant_id)
            )
            if rows:
                session.execute(insert(SubscribedSku), list({row["sku_id"]: row for row in rows}.values()))
        session.commit()


def _sku(reading: Reading, item: RawObject) -> dict[str, Any] | None:
    sku_id = str(item.get("skuId") or "").lower()
    if not sku_id:
        return None
    part = clean(str(item.get("skuPartNumber") or ""))[:200]
    units = _dict(item.get("prepaidUnits"))
    plans = _list(item.get("servicePlans"))
    return {
        "microsoft_tenant_id": reading.tenant_id,
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
