"""The fields of an End User as change records know them: D1 and Link fields alike, as text (W3, W7)."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from portal.engine.licenses import product_names
from portal.engine.records import LINK_FIELDS
from portal.models import EndUser, SubscribedSku

NAMES_LENGTH = 200  # of ``EndUser.license_names``, by which lists sort


def field_text(end_user: EndUser, name: str) -> str:
    """One field, of ``D1_FIELDS`` or ``LINK_FIELDS``, as change records have it; ``in_scope`` is "" without a Link."""
    if name == "licenses":
        return " ".join(sorted(end_user.license_sku_ids))
    if name == "in_scope":
        return {None: "", True: "true", False: "false"}[end_user.in_scope]
    return str(getattr(end_user, name))


def put_field(session: Session, end_user: EndUser, name: str, text: str) -> None:
    """Write a value of ``field_text``; products have their present names."""
    if name == "licenses":
        end_user.license_sku_ids = tuple(text.split())
        end_user.is_licensed = bool(end_user.license_sku_ids)
        end_user.license_names = _product_names(session, end_user)
    elif name == "in_scope":
        end_user.in_scope = None if not text else text == "true"
    else:
        setattr(end_user, name, text)


def is_link_field(name: str) -> bool:
    """True for fields of the Link."""
    return name in LINK_FIELDS


def _product_names(session: Session, end_user: EndUser) -> str:
    sku_ids = list(end_user.license_sku_ids)
    rows = session.execute(
        select(SubscribedSku.sku_id, SubscribedSku.part_number).where(
            SubscribedSku.microsoft_tenant_id == end_user.microsoft_tenant_id,
            SubscribedSku.sku_id.in_(sku_ids),
        )
    )
    parts = {str(sku_id): str(part) for sku_id, part in rows}
    return ", ".join(product_names(sku_ids, parts))[:NAMES_LENGTH]
