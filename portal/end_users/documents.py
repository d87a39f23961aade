"""An End User as the API shows it, with the names that products have today (W3)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import select

from portal.end_users.service import EDITABLE
from portal.engine.licenses import product_name
from portal.extensions import db
from portal.models import EndUser, MicrosoftTenant, SubscribedSku


def to_document(
    row: EndUser, names: Mapping[str, str] | None = None, synced_at: Any = None
) -> dict[str, Any]:
    """An End User as the API shows it; ``names``: sku id → product name, see ``to_documents``."""
    return {
        "id": row.id,
        "organization_id": row.organization_id,
        **{name: getattr(row, name) for name in EDITABLE},
        "source": row.source,
        "assets": [{"id": asset.id, "name": asset.name} for asset in row.assets],
        "microsoft": _microsoft(row, names or {}, synced_at),
    }


def to_documents(rows: Iterable[EndUser]) -> list[dict[str, Any]]:
    """Several End Users, with their licenses named and the age of what Microsoft said."""
    people = list(rows)
    tenants = {row.microsoft_tenant_id for row in people if row.microsoft_tenant_id is not None}
    if not tenants:  # nobody is linked
        return [to_document(row) for row in people]
    names = product_names(tenants)
    synced = {
        str(tenant_id): at
        for tenant_id, at in db.session.execute(
            select(MicrosoftTenant.id, MicrosoftTenant.last_synced_at).where(MicrosoftTenant.id.in_(tenants))
        )
    }
    return [to_document(row, names, synced.get(row.microsoft_tenant_id or "")) for row in people]


def product_names(microsoft_tenant_ids: Iterable[str]) -> dict[str, str]:
    """Sku id → the product's present name (W3); for others see ``engine.licenses``."""
    rows = db.session.execute(
        select(SubscribedSku.sku_id, SubscribedSku.name).where(
            SubscribedSku.microsoft_tenant_id.in_(list(microsoft_tenant_ids))
        )
    )
    return {str(sku_id): str(name) for sku_id, name in rows}


def license_names(rows: Iterable[EndUser]) -> dict[str, list[str]]:
    """End User id → the names that their products have today, sorted (W3); of the licensed only."""
    people = [row for row in rows if row.license_sku_ids]
    names = product_names({row.microsoft_tenant_id for row in people if row.microsoft_tenant_id})
    return {row.id: _named(row.license_sku_ids, names) for row in people}


def _microsoft(row: EndUser, names: Mapping[str, str], synced_at: Any) -> dict[str, Any] | None:
    if not row.is_linked:
        return None
    return {
        "object_id": row.object_id,
        "user_principal_name": row.user_principal_name,
        "status": row.microsoft_status,
        "in_scope": row.in_scope,
        "licenses": [
            {"sku_id": sku, "name": names.get(sku) or product_name(sku)} for sku in row.license_sku_ids
        ],
        "last_sign_in_at": row.last_sign_in_at,
        "mfa": {"registered": row.mfa_registered, "methods": list(row.mfa_methods)},
        "last_synced_at": synced_at,
    }


def _named(sku_ids: Iterable[str], names: Mapping[str, str]) -> list[str]:
    return sorted({names.get(sku) or product_name(sku) for sku in sku_ids})
