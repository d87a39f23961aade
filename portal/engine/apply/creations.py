"""The rows of those who are created: straight from the mirror's, since a first sync makes 100,000 of them.

What is written and told of somebody new is decided in ``plan.decide.creation``, as for previews.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from operator import itemgetter
from typing import Any

from sqlalchemy.orm import Session

from portal.engine.apply.target import FIGURES, Target, figures, licenses
from portal.engine.batches import batches
from portal.engine.bulk import ReadyRows, read_stored, ready_tuples
from portal.engine.plan import applied_key
from portal.engine.plan.decide import creation, shown_name, status_of
from portal.engine.records import D1_FIELDS, Action, Assignment, Reason
from portal.models import Change, DirectoryUser, EndUser, new_ids
from portal.models.customers import SEARCHED_IN, search_values

_READ = (
    "object_id",
    "user_principal_name",
    "immutable_id",
    "content_hash",
    "license_sku_ids",
    "email_key",
    *D1_FIELDS,
)
_OWN = (
    "id",
    "object_id",
    "user_principal_name",
    "immutable_id",
    "applied_hash",
    "microsoft_status",
    "license_sku_ids",
    "is_licensed",
    "license_names",
    "written",
    "email_key",
    "sort_name",
    "search_text",
    *FIGURES,
    *D1_FIELDS,
)
_TOLD = ("id", "end_user_id", "object_id", "display_name", "fields")
_NAME, _EMAIL = D1_FIELDS.index("display_name"), D1_FIELDS.index("email")
_searched: Callable[[Sequence[str]], tuple[str, ...]] = itemgetter(*map(D1_FIELDS.index, SEARCHED_IN))
_NO_FIGURES: tuple[Any, ...] = (None, None, [])


@dataclass(frozen=True, slots=True)
class NewPeople:
    """The rows of those who are created, and of their change records. object_ids: whose they are."""

    object_ids: Sequence[str]
    end_users: ReadyRows
    records: ReadyRows


def make_new(session: Session, chunk: Sequence[Assignment], target: Target, now: datetime) -> NewPeople:
    """Make the rows of creations: it needs no lock. Figures that arrive meanwhile are copied later.

    Raises ValueError when the mirror does not know one of them.
    """
    object_ids = [a.object_id for a in chunk]
    mirrored = _mirrored(session, target, object_ids)
    figures_of = figures(session, target, object_ids) if target.has_figures else {}
    alike, alike_told = _alike(target, now), _told_alike(target, now)
    same, same_told = tuple(alike.values()), tuple(alike_told.values())
    people, records = [], []
    for assignment, row_id, record_id in zip(chunk, new_ids(len(chunk)), new_ids(len(chunk)), strict=True):
        object_id = assignment.object_id
        if object_id not in mirrored:
            raise ValueError(f"a record is missing for {object_id} ({assignment.kind.value})")
        _, upn, immutable_id, content_hash, sku_ids, key, *fields = mirrored[object_id]
        fields[_NAME] = shown_name(fields[_NAME], upn, fields[_EMAIL])
        status = status_of(assignment)
        written, changes = creation(fields, upn, sku_ids, status)
        skus, products = licenses(target, sku_ids)
        people.append(
            (
                row_id,
                object_id,
                upn,
                immutable_id,
                applied_key(content_hash, ()),
                status,
                skus,
                bool(skus),
                products,
                written,
                key or None,
                *search_values(_searched(fields), key),
                *figures_of.get(object_id, _NO_FIGURES),
                *fields,
                *same,
            )
        )
        records.append((record_id, row_id, object_id, fields[_NAME], changes, *same_told))
    return NewPeople(
        object_ids,
        ready_tuples(session, EndUser, (*_OWN, *alike), people),
        ready_tuples(session, Change, (*_TOLD, *alike_told), records),
    )


def _mirrored(session: Session, target: Target, object_ids: Sequence[str]) -> dict[str, tuple[Any, ...]]:
    """The columns ``_READ`` by object id: texts, which both tables hold alike."""
    rows = {}
    fixed = {"microsoft_tenant_id": target.microsoft_tenant_id}
    for part in batches(object_ids):
        for row in read_stored(session, DirectoryUser, _READ, fixed, "object_id", part):
            rows[row[0]] = row
    return rows


def _alike(target: Target, now: datetime) -> dict[str, Any]:
    return {
        "microsoft_tenant_id": target.microsoft_tenant_id,
        "organization_id": target.organization_id,
        "in_scope": True,
        "notes": "",
        "source": "sync",
        "created_by_run_id": target.run_id,
        "linked_by_run_id": target.run_id,
        "linked_at": now,
        "created_at": now,
        "updated_at": now,
    }


def _told_alike(target: Target, now: datetime) -> dict[str, Any]:
    return {
        "run_id": target.run_id,
        "organization_id": target.organization_id,
        "decision": Action.CREATE.value,
        "reason": Reason.NEW_IN_SCOPE.value,
        "note": "",
        "state": "applied",
        "undo": {"created": True},
        "hold_key": "",
        "at": now,
    }
