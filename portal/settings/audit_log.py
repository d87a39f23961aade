"""Reading the audit log (O4): filter and export."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Select, select

from portal import audit, csvio
from portal.extensions import db
from portal.listing import Listing, ListSpec, contains_text, fetch, order
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
# Our own words for events and their keys, where dropping the underscores is not enough (design, section 8).
_WORDS = {
    "api": "API",
    "asset": "Asset",
    "assets": "Assets",
    "directory id": "tenant ID",
    "end user": "End User",
    "end users": "End Users",
    "microsoft": "Microsoft",
    "microsoft tenant": "Microsoft Tenant",
    "organization": "Organization",
    "run id": "run",
    "tenant": "Tenant",
    "totp": "authenticator",
    "user sync": "User Sync",
}
_KNOWN = re.compile(rf"\b(?:{'|'.join(sorted(_WORDS, key=len, reverse=True))})\b")
_COUNTED = {"in_scope": "in scope", "out_of_scope": "out of scope", "conflicts": "in conflict"}
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


def words(name: str) -> str:
    """An event or a key as it is shown: "end_user_created" is "End User created"."""
    shown = _KNOWN.sub(lambda found: _WORDS[found[0]], name.replace("_", " "))
    return shown[:1].upper() + shown[1:]


def told(row: AuditEvent) -> list[str]:
    """The detail of an event in lines of words."""
    lines = []
    for key, value in row.detail.items():
        if key == "fields":
            lines += [
                f"{one['field'].replace('_', ' ')}: {one['old'] or 'blank'} → {one['new'] or 'blank'}"
                for one in value
            ]
        elif isinstance(value, Mapping):
            counted = (f"{number} {_COUNTED.get(what, what)}" for what, number in value.items())
            lines.append(f"{words(key)}: {', '.join(counted) or 'none'}")
        elif isinstance(value, bool):
            lines.append(f"{words(key)}: {'yes' if value else 'no'}")
        elif isinstance(value, list):
            lines.append(f"{words(key)}: {', '.join(str(one).replace('_', ' ') for one in value)}")
        else:
            lines.append(f"{words(key)}: {value}")
    return lines


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
        statement = statement.where(contains_text(asked.q, AuditEvent.actor, AuditEvent.action))
    return statement
