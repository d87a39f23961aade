"""Decisions become rows: End Users, change records and conflicts, one statement per table and kind of row (W3, W7, M7).

A Decision is whole: which columns are written is in it. Here only what is the database's own is added: ids, times, what lists
search and sort by, product names, and the slow pass's figures of a person who is new here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from portal.engine.apply.creations import NewPeople
from portal.engine.apply.target import FIGURES, Target, figures, licenses
from portal.engine.batches import batches
from portal.engine.bulk import insert_ready, insert_rows, update_rows
from portal.engine.explain import why
from portal.engine.records import D1_FIELDS, Action, Decision, EndUserState, Reason
from portal.models import (
    Change,
    Conflict,
    EndUser,
    new_id,
)
from portal.models.customers import LINK_COLUMNS, SEARCHED_IN, no_link, search_columns

_NO_UNDO: Mapping[str, Any] = {}


def write(
    session: Session,
    decisions: Sequence[Decision],
    new: NewPeople,
    states: Mapping[str, EndUserState],
    target: Target,
    now: datetime,
) -> None:
    """Write one chunk into the present transaction. states: the End Users that the decisions are about, as they are now.

    new: the rows of those who are created, which are not among the decisions.
    """
    changed = [d for d in decisions if d.end_user_id and d.columns]
    figures_of = figures(session, target, [d.object_id for d in changed if d.makes_link])
    before = _before(session, changed)
    # Two people may swap addresses, or one get the Link of another: all keys go before any comes (W4, M4, M7).
    _free(session, [d for d in changed if "email" in d.columns], EndUser.email_key)
    _free(session, [d for d in changed if d.makes_link], EndUser.object_id)
    insert_ready(session, new.end_users)
    insert_ready(session, new.records)
    _update(session, changed, states, target, figures_of, now)
    recorded = [d for d in decisions if d.action is not Action.LEAVE]
    records = [change_row(d, target, now, undo=_undo(d, states, before)) for d in recorded]
    insert_rows(session, Change, records)
    _keep_conflicts(session, [d for d in decisions if d.conflict_key], target, now)


def _free(session: Session, decisions: Iterable[Decision], column: InstrumentedAttribute[str | None]) -> None:
    for part in batches([d.end_user_id for d in decisions if d.end_user_id]):
        session.execute(
            update(EndUser)
            .where(EndUser.id.in_(part))
            .values({column.key: None})
            .execution_options(synchronize_session=False)
        )


def change_row(
    decision: Decision,
    target: Target,
    now: datetime,
    *,
    state: str = "applied",
    undo: Mapping[str, Any] | None = None,
    hold_key: str = "",
) -> dict[str, Any]:
    """A change record (W3, W7). hold_key: identifies somebody who is held until what is held changes (G1)."""
    return {
        "id": new_id(),
        "run_id": target.run_id,
        "organization_id": target.organization_id,
        "end_user_id": decision.end_user_id,
        "object_id": decision.object_id,
        "display_name": decision.display_name or decision.user_principal_name or decision.email,
        "decision": decision.action.value,
        "reason": decision.reason.value,
        "note": decision.note,
        "state": state,
        "fields": decision.changes,
        "undo": undo or _NO_UNDO,
        "hold_key": hold_key,
        "at": now,
    }


def settle_conflicts(session: Session, target: Target, living: Iterable[str], now: datetime) -> None:
    """Close the open conflicts that a run no longer finds, and name the people of the others, at its end.

    Who won an address may have become an End User by this very run (M6, M7).
    """
    keep = set(living)
    rows = session.scalars(
        select(Conflict).where(
            Conflict.organization_id == target.organization_id, Conflict.resolved_at.is_(None)
        )
    ).all()
    nameless = [row.other_object_id for row in rows if row.end_user_id is None and row.other_object_id]
    winners: dict[str | None, str] = {}
    for part in batches(nameless):
        linked = session.execute(
            select(EndUser.object_id, EndUser.id).where(
                EndUser.organization_id == target.organization_id,
                EndUser.microsoft_tenant_id == target.microsoft_tenant_id,
                EndUser.object_id.in_(part),
            )
        )
        winners.update((object_id, end_user_id) for object_id, end_user_id in linked)
    for row in rows:
        if row.key not in keep:
            row.resolution, row.resolved_at = "gone", now
        elif row.end_user_id is None:
            row.end_user_id = winners.get(row.other_object_id)


# -- rows ------------------------------------------------------------------------------------------------------------


def _update(
    session: Session,
    decisions: Iterable[Decision],
    states: Mapping[str, EndUserState],
    target: Target,
    figures_of: Mapping[str, Sequence[Any]],
    now: datetime,
) -> None:
    rows = []
    for decision in decisions:
        values = dict(decision.columns)
        if decision.makes_link:
            values = {
                **no_link(),
                **dict(zip(FIGURES, figures_of.get(decision.object_id, ()), strict=False)),
                **values,
                "microsoft_tenant_id": target.microsoft_tenant_id,
                "linked_at": now,
                "linked_by_run_id": target.run_id,
            }
        if "license_sku_ids" in values:
            values.update(_license_columns(decision, target))
        fields = [name for name in D1_FIELDS if name in values]
        if fields:
            values["updated_at"] = now
        if any(name in SEARCHED_IN for name in fields):
            present: dict[str, Any] = {**states[decision.end_user_id or ""].fields, **values}
            values.update(search_columns(present))
        if "user_principal_name" in values:
            values["search_row"] = None
        values["id"] = decision.end_user_id
        rows.append(values)
    update_rows(session, EndUser, rows, keys=("id",))


def _license_columns(decision: Decision, target: Target) -> dict[str, Any]:
    skus, names = licenses(target, " ".join(decision.columns["license_sku_ids"]))  # type: ignore[arg-type]
    return {"is_licensed": bool(skus), "license_names": names}


def _undo(
    decision: Decision,
    states: Mapping[str, EndUserState],
    before: Mapping[str, Mapping[str, Any]],
) -> dict[str, Any]:
    """What it takes to take the decision back, beside the old values of its fields (R5)."""
    row = before.get(decision.end_user_id or "")
    if row is None:
        return {}
    undo: dict[str, Any] = {}
    if decision.makes_link:
        is_linked = states[decision.end_user_id or ""].link is not None
        undo["link"] = {name: row[name] for name in LINK_COLUMNS} if is_linked else None
    if any(change.field in D1_FIELDS for change in decision.changes):
        undo["updated_at"] = row["updated_at"]
    return undo


# -- what is looked up -----------------------------------------------------------------------------------------------


def _before(session: Session, decisions: Iterable[Decision]) -> dict[str, dict[str, Any]]:
    """``updated_at`` of the End Users that are written, and the Links of those linked anew, complete enough to come back (W7)."""
    before: dict[str, dict[str, Any]] = {}
    linked = [d.end_user_id for d in decisions if d.end_user_id and d.makes_link]
    others = [d.end_user_id for d in decisions if d.end_user_id and not d.makes_link]
    for ids, names in ((linked, ("updated_at", *LINK_COLUMNS)), (others, ("updated_at",))):
        columns = [getattr(EndUser, name) for name in names]
        for part in batches(ids):
            for row in session.execute(select(EndUser.id, *columns).where(EndUser.id.in_(part))):
                before[row[0]] = dict(zip(names, map(as_json, row[1:]), strict=True))
    return before


def as_json(value: object) -> Any:
    """A column's value for a change record: times as ISO text, tuples as lists."""
    if isinstance(value, datetime):
        return value.isoformat()
    return list(value) if isinstance(value, tuple) else value


def _keep_conflicts(session: Session, decisions: Sequence[Decision], target: Target, now: datetime) -> None:
    """Raise new conflicts, and again those that had gone or were settled by a link that no longer holds (M7).

    Who loses an address by a settlement is settled with it: that conflict is kept as ignored, and never raised.
    """
    stored: dict[str, Conflict] = {}
    for part in batches([d.conflict_key for d in decisions]):
        rows = session.scalars(
            select(Conflict).where(Conflict.organization_id == target.organization_id, Conflict.key.in_(part))
        )
        stored.update({row.key: row for row in rows})
    for decision in decisions:
        end_user_id = decision.end_user_id or decision.other_end_user_id
        row = stored.get(decision.conflict_key)
        is_open = decision.action is Action.CONFLICT
        if row is None:
            session.add(
                Conflict(
                    resolution=None if is_open else "ignore",
                    resolved_at=None if is_open else now,
                    organization_id=target.organization_id,
                    key=decision.conflict_key,
                    kind=decision.reason.value if is_open else Reason.DUPLICATE_REMOTE_EMAIL.value,
                    reason=why(decision),
                    object_id=decision.object_id,
                    display_name=decision.display_name or decision.user_principal_name,
                    email=decision.email,
                    end_user_id=end_user_id,
                    other_object_id=decision.other_object_id,
                    run_id=target.run_id,
                    created_at=now,
                )
            )
            continue
        if not is_open:
            continue
        row.end_user_id = row.end_user_id or end_user_id
        if row.resolution in {"gone", "link"}:
            row.resolution = row.resolved_at = None
            row.run_id, row.created_at = target.run_id, now
    session.flush()
