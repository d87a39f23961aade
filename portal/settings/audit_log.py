"""Reading the audit log (O4): filter and export."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from sqlalchemy import Select, func, or_, select

from portal import audit, csvio
from portal.extensions import db
from portal.listing import Listing, ListSpec, fetch, order
from portal.models import AuditEvent

SPEC = ListSpec(
    sorts={"at": (AuditEvent.at,), "actor": (AuditEvent.actor,), "action": (AuditEvent.action,)},
    default_sort="-at",
    filters={
        "action": tuple(sorted(audit.EVENTS)),
        "actor": None,
        "source": ("page", "api", "cli", "sync"),
        "object_type": None,
        "object_id": None,
    },
)
CSV_COLUMNS = ("at", "actor", "source", "action", "object_type", "object_id", "detail", "ip")


def listing(asked: Listing) -> Listing:
    """One page of events."""
    return fetch(db.session(), _filtered(asked), asked, SPEC, tie=AuditEvent.id)


def export(asked: Listing) -> Iterable[str]:
    """CSV of exactly what is filtered."""
    rows = db.session.scalars(order(_filtered(asked), asked, SPEC, tie=AuditEvent.id))
    cells = (
        (
            f"{row.at:%Y-%m-%dT%H:%M:%SZ}",
            row.actor,
            row.source,
            row.action,
            row.object_type,
            row.object_id,
            json.dumps(row.detail, ensure_ascii=False),
            row.ip,
        )
        for row in rows
    )
    return csvio.write(CSV_COLUMNS, cells)


def to_document(row: AuditEvent) -> dict[str, Any]:
    """An event as the API shows it."""
    return {
        "id": row.id,
        "at": row.at,
        "actor": row.actor,
        "source": row.source,
        "action": row.action,
        "object_type": row.object_type,
        "object_id": row.object_id,
        "detail": row.detail,
        "ip": row.ip,
    }


def _filtered(asked: Listing) -> Select[Any]:
    statement = select(AuditEvent)
    for name in ("action", "actor", "source", "object_type", "object_id"):
        if name in asked.filters:
            statement = statement.where(getattr(AuditEvent, name) == asked.filters[name])
    if asked.q:
        text = asked.q.casefold()
        statement = statement.where(
            or_(
                func.lower(AuditEvent.actor).contains(text, autoescape=True),
                func.lower(AuditEvent.action).contains(text, autoescape=True),
            )
        )
    return statement
