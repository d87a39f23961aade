"""Writes decisions: End Users, Links, change records and conflicts, one chunk per transaction (sync-rules, "Apply").

What a decision assumed is checked again before it is written. When a person changed something meanwhile, ``Stale`` sends the
runner back to decide anew; nothing of the chunk is written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import insert, select, update
from sqlalchemy.orm import Session
from sqlalchemy.orm.attributes import set_committed_value

from portal.engine.changes import wanted
from portal.engine.explain import why
from portal.engine.guards import hold_key
from portal.engine.licenses import product_names
from portal.engine.records import D1_FIELDS, Action, Decision, FieldChange, MatchedBy, Reason, RemoteUser
from portal.engine.snapshot import Loaded
from portal.engine.undo import link_before
from portal.models import Change, Conflict, DirectoryUser, EndUser, Link, SubscribedSku, new_id
from portal.models.customers import refresh_search, search_columns
from portal.text import email_key

BATCH = 500

Undo = dict[str, Any]


class Stale(Exception):
    """What a decision assumed no longer holds: somebody changed it since the snapshot."""


@dataclass(frozen=True)
class Target:
    """Where a run writes, and how its licenses are called."""

    run_id: str
    organization_id: str
    microsoft_tenant_id: str
    part_numbers: Mapping[str, str]


def part_numbers(session: Session, microsoft_tenant_id: str) -> dict[str, str]:
    """Sku id → part number of a Microsoft Tenant, for products without a known name."""
    rows = session.execute(
        select(SubscribedSku.sku_id, SubscribedSku.part_number).where(
            SubscribedSku.microsoft_tenant_id == microsoft_tenant_id
        )
    )
    return {str(sku_id): str(part) for sku_id, part in rows}


def needs_writing(decision: Decision, loaded: Loaded) -> bool:
    """False for a decision that would leave everything as it is: a second run writes nothing."""
    if decision.action is not Action.LEAVE:
        return True
    return decision.end_user_id is not None and _mark_changes(decision, loaded) != {}


def chunks(decisions: Sequence[Decision], size: int) -> Iterable[list[Decision]]:
    """Cut into transactions. Decisions that pass addresses among each other stay together, in the first one (W4)."""
    moving = [
        d
        for d in decisions
        if any(c.field == "email" and c.old for c in d.changes) and d.action is not Action.CREATE
    ]
    freed = {email_key(c.old) for d in moving for c in d.changes if c.field == "email"}
    first = {d.object_id for d in moving} | {
        d.object_id for d in decisions if freed and email_key(d.email) in freed
    }
    ordered = [
        *(d for d in decisions if d.object_id in first),
        *(d for d in decisions if d.object_id not in first),
    ]
    start, length = 0, max(size, len(first))
    while start < len(ordered):
        yield ordered[start : start + length]
        start, length = start + length, size


def apply(
    session: Session,
    decisions: Sequence[Decision],
    loaded: Loaded,
    target: Target,
    now: datetime,
    prepared: NewRows | None = None,
) -> None:
    """Write one chunk into the present transaction; ``prepared``: its ``new_rows``. Raises Stale before anything is written."""
    rows = _load_end_users(session, [d.end_user_id for d in decisions if d.end_user_id])
    _check(session, decisions, rows, loaded, target)
    movers = [
        rows[d.end_user_id] for d in decisions if d.end_user_id and any(c.field == "email" for c in d.changes)
    ]
    if movers:  # two people may swap addresses: all keys go before any comes (W4, M4)
        _free_keys(session, movers)
    extras = _extras(
        session, target, [d.object_id for d in decisions if d.action is Action.CREATE or _links(d)]
    )
    new = prepared or new_rows(decisions, loaded, target, now)
    _insert_new(session, new, extras)
    changes = list(new.changes)
    for decision in decisions:
        if decision.action is not Action.CREATE:
            row = rows.get(decision.end_user_id or "")
            undo = _write(session, decision, row, loaded, target, extras, now)
            if decision.action is not Action.LEAVE:
                changes.append(change_row(decision, target, now, undo=undo))
    session.flush()
    for start in range(0, len(changes), BATCH):
        session.execute(insert(Change), changes[start : start + BATCH])
    _keep_conflicts(session, [d for d in decisions if d.action is Action.CONFLICT], target, now)


def change_row(
    decision: Decision,
    target: Target,
    now: datetime,
    *,
    state: str = "applied",
    undo: Undo | None = None,
    end_user_id: str | None = None,
) -> dict[str, Any]:
    """A change record (W3, W7). Held and staged ones keep the whole decision, to be applied later."""
    return {
        "id": new_id(),
        "run_id": target.run_id,
        "organization_id": target.organization_id,
        "end_user_id": end_user_id or decision.end_user_id,
        "object_id": decision.object_id,
        "display_name": decision.display_name or decision.user_principal_name or decision.email,
        "decision": decision.action.value,
        "reason": decision.reason.value,
        "note": decision.note,
        "state": state,
        "fields": _fields(decision),
        "undo": undo or {},
        "payload": to_payload(decision) if state in {"held", "staged"} else {},
        "hold_key": hold_key(decision) if state == "held" else "",
        "at": now,
    }


def _fields(decision: Decision) -> list[dict[str, str]]:
    return [{"field": c.field, "old": c.old, "new": c.new} for c in decision.changes]


def to_payload(decision: Decision) -> dict[str, Any]:
    """A Decision as JSON."""
    values = {name: getattr(decision, name) for name in Decision.__slots__}
    return {**values, "changes": _fields(decision)}


def from_payload(payload: Mapping[str, Any]) -> Decision:
    """The Decision that ``to_payload`` stored."""
    values = dict(payload)
    values["action"] = Action(values["action"])
    values["reason"] = Reason(values["reason"])
    values["match"] = MatchedBy(values["match"]) if values["match"] else None
    values["changes"] = tuple(FieldChange(**change) for change in values["changes"])
    return Decision(**values)


def close_conflicts(session: Session, organization_id: str, living: Iterable[str], now: datetime) -> None:
    """Open conflicts that this run no longer finds went away by themselves (M7)."""
    keep = set(living)
    rows = session.scalars(
        select(Conflict).where(Conflict.organization_id == organization_id, Conflict.resolved_at.is_(None))
    )
    for row in rows:
        if row.key not in keep:
            row.resolution, row.resolved_at = "gone", now


# -- checks ----------------------------------------------------------------------------------------------------------


def _check(
    session: Session,
    decisions: Sequence[Decision],
    rows: Mapping[str, EndUser],
    loaded: Loaded,
    target: Target,
) -> None:
    states = {state.id: state for state in loaded.snapshot.end_users}
    new_keys = []
    for decision in decisions:
        if decision.end_user_id is None:
            if decision.action is Action.CREATE:
                new_keys.append(email_key(decision.email))
            continue
        if (
            decision.action in {Action.SKIP, Action.CONFLICT}
            and not decision.changes
            and not _links(decision)
        ):
            continue
        row, state = rows.get(decision.end_user_id), states.get(decision.end_user_id)
        if row is None or state is None:
            raise Stale
        link = (row.link.microsoft_tenant_id, row.link.object_id) if row.link is not None else None
        assumed = (state.link.microsoft_tenant_id, state.link.object_id) if state.link is not None else None
        if link != assumed or any(getattr(row, c.field) != c.old for c in decision.changes):
            raise Stale
    movers = {d.end_user_id for d in decisions if any(c.field == "email" for c in d.changes)}
    for start in range(0, len(new_keys), BATCH):
        taken = session.scalars(
            select(EndUser.id).where(
                EndUser.organization_id == target.organization_id,
                EndUser.email_key.in_(new_keys[start : start + BATCH]),
            )
        )
        if set(taken) - movers:
            raise Stale


# -- writing ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class NewRows:
    """The rows of creations, ready to be inserted."""

    end_users: list[dict[str, Any]]
    links: list[dict[str, Any]]
    changes: list[dict[str, Any]]


def new_rows(decisions: Iterable[Decision], loaded: Loaded, target: Target, now: datetime) -> NewRows:
    """Build what the creations among ``decisions`` insert, without the database: a big publish locks it as briefly as it can."""
    rows = NewRows([], [], [])
    for decision in decisions:
        if decision.action is not Action.CREATE:
            continue
        user = loaded.users[decision.object_id]
        values = dict.fromkeys(D1_FIELDS, "") | wanted(user)
        end_user_id = new_id()
        rows.end_users.append(
            {
                "id": end_user_id,
                "organization_id": target.organization_id,
                **values,
                **search_columns(values),
                "notes": "",
                "source": "sync",
                "created_by_run_id": target.run_id,
                "created_at": now,
                "updated_at": now,
            }
        )
        rows.links.append(
            {
                "id": new_id(),
                "end_user_id": end_user_id,
                "organization_id": target.organization_id,
                "microsoft_tenant_id": target.microsoft_tenant_id,
                "object_id": decision.object_id,
                "in_scope": True,
                "status": "disabled" if decision.sets_disabled else "active",
                "written": {name: value for name, value in values.items() if value},
                "linked_at": now,
                "linked_by_run_id": target.run_id,
                **_facts(user, target),
                **_NO_EXTRAS,
            }
        )
        rows.changes.append(
            change_row(decision, target, now, undo={"created": True}, end_user_id=end_user_id)
        )
    return rows


def _insert_new(session: Session, rows: NewRows, extras: Mapping[str, dict[str, Any]]) -> None:
    for link in rows.links:
        link.update(extras.get(link["object_id"], {}))
    for start in range(0, len(rows.end_users), BATCH):
        session.execute(insert(EndUser), rows.end_users[start : start + BATCH])
        session.execute(insert(Link), rows.links[start : start + BATCH])


def _write(
    session: Session,
    decision: Decision,
    row: EndUser | None,
    loaded: Loaded,
    target: Target,
    extras: Mapping[str, dict[str, Any]],
    now: datetime,
) -> Undo:
    """One decision about an End User that exists; gives what it takes to undo it."""
    if (
        row is None
        or decision.action is Action.SKIP
        or (decision.action is Action.CONFLICT and not decision.changes and row.link is None)
    ):
        return {}
    undo: Undo = {"updated_at": row.updated_at.isoformat()} if decision.changes else {}
    link = row.link
    if _links(decision):
        undo["link"] = link_before(link)
        link = _relink(session, row, decision, loaded.users[decision.object_id], target, extras, now)
    elif link is None or link.object_id != decision.object_id:
        return {}
    written = dict(link.written)
    for change in decision.changes:
        setattr(row, change.field, change.new)
        written[change.field] = change.new
    if decision.changes:
        refresh_search(row)
        row.updated_at = now
        link.written = written
    if not _links(decision):
        marks = _mark_changes(decision, loaded)
        if "status" in marks:
            undo["status"] = link.status
        user = loaded.users.get(decision.object_id)
        for name, value in marks.items():
            setattr(link, name, value)
        if user is not None and "license_sku_ids" in marks:
            _set(link, _facts(user, target))
    return undo


def _links(decision: Decision) -> bool:
    """True when the Link is made or moved; a clash of addresses keeps nobody from being recognized (M2, W4)."""
    return decision.action is Action.LINK or decision.moves_link_from is not None


def _relink(
    session: Session,
    row: EndUser,
    decision: Decision,
    user: RemoteUser,
    target: Target,
    extras: Mapping[str, dict[str, Any]],
    now: datetime,
) -> Link:
    link = row.link
    if link is None:
        link = Link(
            id=new_id(), end_user_id=row.id, organization_id=target.organization_id, written={}, end_user=row
        )
        session.add(link)
    elif link.microsoft_tenant_id != target.microsoft_tenant_id:
        # R4: matching starts afresh; what another tenant's sync wrote is nobody's to erase now.
        link.written = {}
    link.microsoft_tenant_id, link.object_id = target.microsoft_tenant_id, decision.object_id
    link.in_scope, link.status = True, "disabled" if decision.sets_disabled else "active"
    link.linked_at, link.linked_by_run_id = now, target.run_id
    _set(link, {**_facts(user, target), **extras.get(decision.object_id, _NO_EXTRAS)})
    return link


def _mark_changes(decision: Decision, loaded: Loaded) -> dict[str, Any]:
    """The Link's columns that a decision about a linked End User changes, only where they differ (W3)."""
    facts = loaded.links.get(decision.end_user_id or "")
    if facts is None or decision.match is not MatchedBy.LINK:
        return {}
    user = loaded.users.get(decision.object_id)
    wanted_now: dict[str, Any] = {
        "status": "disabled" if decision.sets_disabled else "active",
        "in_scope": decision.sets_in_scope,
    }
    if user is not None and decision.is_in_scope and not decision.is_absent:
        wanted_now["user_principal_name"] = user.user_principal_name
        wanted_now["immutable_id"] = user.immutable_id
        wanted_now["license_sku_ids"] = list(user.license_sku_ids)
    present = {**asdict(facts), "license_sku_ids": list(facts.license_sku_ids)}
    return {name: value for name, value in wanted_now.items() if present[name] != value}


def _facts(user: RemoteUser, target: Target) -> dict[str, Any]:
    names = product_names(user.license_sku_ids, target.part_numbers)
    return {
        "user_principal_name": user.user_principal_name,
        "immutable_id": user.immutable_id,
        "license_sku_ids": list(user.license_sku_ids),
        "is_licensed": bool(user.license_sku_ids),
        "license_names": ", ".join(names),
    }


def _set(link: Link, values: Mapping[str, Any]) -> None:
    for name, value in values.items():
        setattr(link, name, value)


_NO_EXTRAS: dict[str, Any] = {"last_sign_in_at": None, "mfa_registered": None, "mfa_methods": []}


def _extras(session: Session, target: Target, object_ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    """What the slow pass knew before the Link existed (T7)."""
    found: dict[str, dict[str, Any]] = {}
    for start in range(0, len(object_ids), BATCH):
        rows = session.execute(
            select(
                DirectoryUser.object_id,
                DirectoryUser.last_sign_in_at,
                DirectoryUser.mfa_registered,
                DirectoryUser.mfa_methods,
            ).where(
                DirectoryUser.microsoft_tenant_id == target.microsoft_tenant_id,
                DirectoryUser.object_id.in_(object_ids[start : start + BATCH]),
            )
        )
        for object_id, signed_in, registered, methods in rows:
            found[object_id] = {
                "last_sign_in_at": signed_in,
                "mfa_registered": registered,
                "mfa_methods": methods,
            }
    return found


def _load_end_users(session: Session, ids: Sequence[str]) -> dict[str, EndUser]:
    found: dict[str, EndUser] = {}
    for start in range(0, len(ids), BATCH):
        rows = session.scalars(
            select(EndUser)
            .where(EndUser.id.in_(ids[start : start + BATCH]))
            .execution_options(populate_existing=True)
        )
        found.update({row.id: row for row in rows})
    for start in range(0, len(ids), BATCH):  # fills the relationship without one query a row
        part = [found[i] for i in ids[start : start + BATCH] if i in found]
        links = session.scalars(
            select(Link)
            .where(Link.end_user_id.in_([row.id for row in part]))
            .execution_options(populate_existing=True)
        )
        by_owner = {link.end_user_id: link for link in links}
        for row in part:
            set_committed_value(row, "link", by_owner.get(row.id))
    return found


def _free_keys(session: Session, movers: Sequence[EndUser]) -> None:
    ids = [row.id for row in movers]
    for start in range(0, len(ids), BATCH):
        session.execute(
            update(EndUser)
            .where(EndUser.id.in_(ids[start : start + BATCH]))
            .values(email_key=None)
            .execution_options(synchronize_session=False)
        )
    for row in movers:
        set_committed_value(row, "email_key", None)


def _keep_conflicts(session: Session, decisions: Sequence[Decision], target: Target, now: datetime) -> None:
    for decision in decisions:
        row = session.scalar(
            select(Conflict).where(
                Conflict.organization_id == target.organization_id, Conflict.key == decision.conflict_key
            )
        )
        if row is None:
            row = Conflict(
                organization_id=target.organization_id,
                key=decision.conflict_key,
                kind=decision.reason.value,
                reason=why(decision),
                object_id=decision.object_id,
                display_name=decision.display_name or decision.user_principal_name,
                email=decision.email,
                end_user_id=decision.end_user_id or decision.other_end_user_id,
                other_object_id=decision.other_object_id,
                run_id=target.run_id,
                created_at=now,
            )
            session.add(row)
            continue
        row.end_user_id = row.end_user_id or decision.end_user_id or decision.other_end_user_id
        if row.resolution in {"gone", "link"}:
            row.resolution = row.resolved_at = None
            row.run_id, row.created_at = target.run_id, now
    session.flush()
