"""Reading the audit log (O4): filter and export."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from flask import Response
from sqlalchemy import Select, select

from portal import audit
from portal.clock import utcnow
from portal.evidence import chain
from portal.evidence.export import Export
from portal.extensions import db
from portal.http import csv_download
from portal.http.listing import Listing, ListSpec, contains_text, fetch
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
SOURCES = {"page": "Page", "api": "API", "cli": "Command line", "sync": "Sync"}
# Our own words for events and their keys, where dropping the underscores is not enough.
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


def listing(query: Listing) -> Listing:
    """One page of events."""
    return fetch(db.session(), _filtered(query), query, SPEC, tiebreaker=AuditEvent.number)


def export(query: Listing) -> Export:
    """What is filtered, in the order of the chain, with its head: all of one moment, also if old events go meanwhile."""
    session = db.session()
    session.rollback()
    if session.get_bind().dialect.name == "postgresql":  # SQLite does by itself
        session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    anchor, head = chain.ends(session)
    statement = _filtered(query).where(AuditEvent.number <= head.number).order_by(AuditEvent.number)
    filters = {**query.filters, **({"q": query.q} if query.q else {})}
    return Export(chain.stored(session, statement), anchor, head, filters, chain.moment(utcnow()))


def download(query: Listing, kind: csv_download.Kind, *, bom: bool = False) -> Response:
    """The file that a browser or a program saves, ``csv`` or ``json``, named after its newest event and the day; bom: as ``csv_download`` has it."""
    exported = export(query)
    text = "".join(exported.csv() if kind == "csv" else exported.json())
    response = csv_download.as_file(text, "audit-log", str(exported.head.number), bom=bom, kind=kind)
    csv_download.record_export("audit_log", exported.rows, len(response.data))
    return response


@dataclass(frozen=True)
class EventRow:
    """An event as the page shows it. lines: its detail; source: the door it came through, in words."""

    at: datetime
    actor: str
    what: str
    lines: Sequence[str]
    source: str
    ip: str


def event_rows(rows: Iterable[AuditEvent]) -> list[EventRow]:
    """One page of events."""
    return [
        EventRow(
            row.at, row.actor, words(row.action), details(row), SOURCES.get(row.source, row.source), row.ip
        )
        for row in rows
    ]


def words(name: str) -> str:
    """An event or a key as it is shown: "end_user_created" is "End User created"."""
    sentence = _KNOWN.sub(lambda match: _WORDS[match[0]], name.replace("_", " "))
    return sentence[:1].upper() + sentence[1:]


def details(row: AuditEvent) -> list[str]:
    """The detail of an event in lines of words."""
    lines = []
    for key, value in row.detail.items():
        if key == "bytes":
            lines.append(f"Size: {size(value)}")
        elif key == "what":
            lines.append(words(str(value)))
        elif key == "through":
            lines.append(f"Up to event {value}")
        elif key == "replaced_head":
            lines.append(f"Replaced the log up to event {str(value).partition(':')[0] or 0}")
        elif key == "fields":
            lines += [
                f"{change['field'].replace('_', ' ')}: {change['old'] or 'blank'} → {change['new'] or 'blank'}"
                for change in value
            ]
        elif isinstance(value, Mapping):
            counted = (f"{number} {_COUNTED.get(what, what)}" for what, number in value.items())
            lines.append(f"{words(key)}: {', '.join(counted) or 'none'}")
        elif isinstance(value, bool):
            lines.append(f"{words(key)}: {'yes' if value else 'no'}")
        elif isinstance(value, list):
            lines.append(f"{words(key)}: {', '.join(str(item).replace('_', ' ') for item in value)}")
        else:
            lines.append(f"{words(key)}: {value}")
    return lines


def size(number: int) -> str:
    """A number of bytes as people read it: "12 kB"."""
    for unit in ("bytes", "kB", "MB"):
        if number < 1000:
            return f"{number:,.0f} {unit}"
        number = round(number / 1000)
    return f"{number:,} GB"


def to_document(row: AuditEvent) -> dict[str, Any]:
    """An event as the API shows it, exactly as it is hashed."""
    return asdict(chain.of_row(row))


def chain_document() -> dict[str, Any]:
    """The ends of the chain as the API shows them: before the oldest event that is kept, and the newest."""
    anchor, head = chain.ends(db.session())
    return {"anchor": asdict(anchor), "head": asdict(head)}


def _filtered(query: Listing) -> Select[Any]:
    statement = select(AuditEvent)
    for name in ("action", "actor", "source", "object_type", "object_id"):
        if name in query.filters:
            statement = statement.where(getattr(AuditEvent, name) == query.filters[name])
    if query.q:
        statement = statement.where(contains_text(query.q, AuditEvent.actor, AuditEvent.action))
    return statement
