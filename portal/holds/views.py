"""What the card of a hold shows (G1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import select

from portal.extensions import db
from portal.holds import service
from portal.models import Change, DirectoryUser, SyncRun
from portal.runs import service as runs


def card(run: SyncRun, people: service.HeldPeople | None = None) -> dict[str, Any]:
    """What the card of a hold shows; nothing when nobody was held back."""
    facts = service.facts(run)
    if facts is None or facts.state != "waiting":
        return {"hold": facts}
    people = people or service.people(run)
    rows = people.found.items
    return {
        "hold": facts,
        "held": people,
        "held_rows": [runs.change_document(row) for row in rows],
        "held_emails": _emails(run, rows),
    }


def _emails(run: SyncRun, rows: Sequence[Change]) -> dict[str, str]:
    """Object id -> the e-mail of those held back: the End User's, or Microsoft's where one would be made."""
    known = runs.emails(rows)
    new = [row.object_id for row in rows if row.end_user_id not in known]
    found = db.session.execute(
        select(DirectoryUser.object_id, DirectoryUser.email).where(
            DirectoryUser.microsoft_tenant_id == run.microsoft_tenant_id, DirectoryUser.object_id.in_(new)
        )
    )
    return {
        **{object_id: email for object_id, email in found},
        **{row.object_id: known[row.end_user_id] for row in rows if row.end_user_id in known},
    }
