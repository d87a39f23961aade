"""What the Exceptions subtab shows. No queries."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from portal.exceptions.service import NEVER_SYNC
from portal.models import SyncException
from portal.runs.views import FIELD_LABELS


@dataclass(frozen=True)
class ExceptionRow:
    """One exception. end_user_id: of whom a field is pinned, "" for a never-sync one, who is known by ``object_id``."""

    id: str
    what: str
    end_user_id: str
    name: str
    email: str
    object_id: str
    reason: str
    author: str
    created_at: datetime
    expires_at: datetime | None


def exception_rows(
    rows: Iterable[SyncException], people: Mapping[str, str], names: Mapping[str, tuple[str, str]]
) -> list[ExceptionRow]:
    """One page of them. people: End User id → name; names: object id → (name, e-mail) as Microsoft has them."""
    return [_row(row, people.get(row.end_user_id or ""), names) for row in rows]


def _row(row: SyncException, person: str | None, names: Mapping[str, tuple[str, str]]) -> ExceptionRow:
    name, email = names.get(row.object_id or "", ("", ""))
    field = FIELD_LABELS.get(row.field or "", row.field)
    return ExceptionRow(
        id=row.id,
        what="Never synced" if row.kind == NEVER_SYNC else f"Pinned: {field}",
        end_user_id="" if person is None else row.end_user_id or "",
        name=name if person is None else person,
        email=email,
        object_id=row.object_id or "",
        reason=row.reason,
        author=row.author,
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
