"""R5: undo a run from its change records; what was edited since is spared and listed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import select, update
from sqlalchemy.orm import Session, selectinload

from portal.engine.asset_owners import unassign
from portal.engine.batches import batches, together
from portal.engine.fields import field_text, is_link_field, put_field
from portal.engine.records import Reason, Spared, Undone
from portal.engine.uniqueness import account_of, find_taken
from portal.models import Asset, Change, EndUser, new_id
from portal.models.base import UtcDateTime
from portal.models.customers import LINK_COLUMNS, no_link, refresh_search
from portal.text import email_key


def link_before(end_user: EndUser) -> dict[str, Any] | None:
    """Somebody's Link as JSON, complete enough to come back exactly (W7); None for no Link."""
    if not end_user.is_linked:
        return None
    values = {name: getattr(end_user, name) for name in LINK_COLUMNS}
    values["license_sku_ids"] = list(end_user.license_sku_ids)
    return {
        name: value.isoformat() if isinstance(value, datetime) else value for name, value in values.items()
    }


def put_link_back(end_user: EndUser, before: Mapping[str, Any] | None) -> None:
    """Restore the Link an End User had, or none. The next run decides about the person again."""
    columns = EndUser.__table__.columns
    for name, value in {**no_link(), **(before or {})}.items():
        is_time = isinstance(columns[name].type, UtcDateTime) and isinstance(value, str)
        setattr(end_user, name, former_time(value) if is_time else value)
    end_user.license_sku_ids = tuple(end_user.license_sku_ids)
    end_user.applied_hash = ""


def take_assets_back(session: Session, end_user_id: str, since: datetime | None) -> None:
    """Of the Assets that the sync assigned those it gave ``since`` the Link was made: what the former one gave stays (D2)."""
    conditions = [Asset.end_user_id == end_user_id, Asset.assigned_by == "sync"]
    if since is not None:
        conditions.append(Asset.updated_at >= since)
    session.execute(update(Asset).where(*conditions).values(end_user_id=None, assigned_by=None))


def former_time(text: str) -> datetime:
    """A time out of a change record."""
    return datetime.fromisoformat(text)


@dataclass
class _Step:
    """The effect of undoing one change record."""

    change: Change
    end_user: EndUser
    delete: bool = False
    fields: dict[str, tuple[str, str]] = field(default_factory=dict)  # name -> (now, back to)
    link: Mapping[str, Any] | None = None
    unlink: bool = False
    is_partly: bool = False  # something was edited since and stays

    @property
    def does_something(self) -> bool:
        """False when nothing is left to take back."""
        return bool(self.delete or self.fields or self.unlink or self.link is not None)


@dataclass(frozen=True)
class RestoredPerson:
    """What an undo restores for one person. fields: ``{"field","old","new"}``, ``new`` being the restored value."""

    end_user_id: str
    display_name: str
    what: tuple[Undone, ...]
    fields: tuple[dict[str, Any], ...]

    @property
    def is_deleted(self) -> bool:
        """The run had created them."""
        return Undone.DELETED in self.what


@dataclass(frozen=True)
class SparedPerson:
    """Somebody whom an undo leaves as they are, or one ``field`` of theirs. fields: what the run had changed."""

    end_user_id: str | None
    display_name: str
    reason: Spared
    field: str
    fields: tuple[dict[str, Any], ...]


@dataclass(frozen=True)
class UndoPlan:
    """restored and spared: by name; somebody may be spared for several reasons."""

    restored: tuple[RestoredPerson, ...]
    spared: tuple[SparedPerson, ...]
    steps: tuple[_Step, ...] = ()


def plan_undo(session: Session, run_id: str, only: Sequence[str] | None = None) -> UndoPlan:
    """What an undo would restore and what it would spare, of all or of the change records ``only``. Changes nothing."""
    statement = (
        select(Change)
        .where(Change.run_id == run_id, Change.state == "applied")
        .order_by(Change.display_name, Change.id)
    )
    changes = session.scalars(statement if only is None else statement.where(Change.id.in_(only))).all()
    people = _people(session, [c.end_user_id for c in changes if c.end_user_id])
    spared: list[SparedPerson] = []
    steps: list[_Step] = []
    for change in changes:
        if not change.undo and not change.fields:
            continue  # skips and conflicts changed nothing
        end_user = people.get(change.end_user_id or "")
        if end_user is None:
            spared.append(_spared(change, Spared.DELETED))
            continue
        step, spared_fields = _step(change, end_user)
        spared.extend(spared_fields)
        if step is not None:
            steps.append(step)
    spared.extend(_spare_taken(session, steps))
    steps = [step for step in steps if step.does_something]
    return UndoPlan(tuple(_restored(step) for step in steps), tuple(spared), tuple(steps))


def parts(plan: UndoPlan) -> list[list[str]]:
    """The change records of a plan in groups that can be undone one after the other, each in a transaction of its own.

    Who is deleted again comes first; who gets back an address or an account that another one in the plan has goes with them.
    """

    def keys(step: _Step) -> set[tuple[str, ...]]:
        keys = set[tuple[str, ...]]()
        if "email" in step.fields:
            keys |= {("address", email_key(text)) for text in step.fields["email"]}
        if (step.link is not None or step.unlink) and step.end_user.object_id is not None:
            keys.add((step.end_user.microsoft_tenant_id or "", step.end_user.object_id))
        if step.link is not None:
            keys.add(account_of(step.link))
        return keys

    alone = [[step.change.id] for step in plan.steps if step.delete]
    groups = together([step for step in plan.steps if not step.delete], keys)
    return alone + [[step.change.id for step in group] for group in groups]


def apply_undo(
    session: Session,
    run_id: str,
    undone_run_id: str,
    organization_id: str,
    now: datetime,
    only: Sequence[str] | None = None,
) -> UndoPlan:
    """Undo ``undone_run_id``, or one of its ``parts``, within the run ``run_id``, which gets change records. The caller commits.

    Doing it twice changes nothing the second time: what was restored no longer has the value that the run wrote.
    """
    plan = plan_undo(session, undone_run_id, only)
    unassign(session, [step.end_user.id for step in plan.steps if step.delete])
    for step in plan.steps:
        session.add(_record(step, run_id, organization_id, now))
        _let_go(session, step)
    session.flush()
    for step in plan.steps:
        if not step.delete:
            _undo(session, step, now)
    session.flush()
    return plan


def _step(change: Change, end_user: EndUser) -> tuple[_Step | None, list[SparedPerson]]:
    step, spared = _Step(change, end_user), []
    if change.undo.get("created"):
        reasons = _worth_keeping(change, end_user)
        if reasons:
            return None, [_spared(change, reason) for reason in reasons]
        step.delete = True
        return step, []
    is_same_link = end_user.object_id == change.object_id
    for entry in change.fields:
        if is_link_field(entry["field"]) and ("link" in change.undo or not is_same_link):
            continue  # they come back with the Link, or belong to another Link now
        present = field_text(end_user, entry["field"])
        if present == entry["new"]:
            step.fields[entry["field"]] = (entry["new"], entry["old"])
        elif present != entry["old"]:
            spared.append(_spared(change, Spared.EDITED, entry["field"]))
            step.is_partly = True
    if "link" in change.undo and is_same_link:
        step.link, step.unlink = change.undo["link"], change.undo["link"] is None
    return (step if step.does_something else None), spared


def _spare_taken(session: Session, steps: Sequence[_Step]) -> list[SparedPerson]:
    """Spare what cannot be restored because another End User has it now (M4, M5). Returns who is spared."""
    if not steps:
        return []
    by_id = {step.end_user.id: step for step in steps}
    leaving = {i for i, step in by_id.items() if step.delete}
    addresses, accounts = find_taken(
        session,
        steps[0].change.organization_id,
        {i: step.fields for i, step in by_id.items()},
        {i: step.link for i, step in by_id.items()},
        leaving,
        leaving | {i for i, step in by_id.items() if step.unlink},
    )
    spared = []
    for end_user_id in addresses:
        step = by_id[end_user_id]
        del step.fields["email"]
        step.is_partly = True
        spared.append(_spared(step.change, Spared.ADDRESS_TAKEN))
    for end_user_id in accounts:
        step = by_id[end_user_id]
        step.link = None
        spared.append(_spared(step.change, Spared.ACCOUNT_TAKEN))
    return spared


def _worth_keeping(change: Change, end_user: EndUser) -> list[Spared]:
    """Why somebody that the run created is not deleted again."""
    reasons = []
    if end_user.edited_at is not None and end_user.edited_at > change.at:
        reasons.append(Spared.EDITED)
    if end_user.notes:
        reasons.append(Spared.HAS_NOTES)
    if any(asset.assigned_by == "manual" for asset in end_user.assets):
        reasons.append(Spared.OWNS_ASSETS)
    if end_user.object_id not in {None, change.object_id}:
        reasons.append(Spared.LINKED_OTHERWISE)  # changed by a person or a later run
    return reasons


def _let_go(session: Session, step: _Step) -> None:
    """Free addresses and accounts that others get back: two people may swap, or one may have the account of a deleted one."""
    end_user = step.end_user
    if step.delete:
        session.delete(end_user)
        return
    if "email" in step.fields:
        end_user.email_key = None
    if step.unlink or step.link is not None:
        end_user.object_id = None


def _undo(session: Session, step: _Step, now: datetime) -> None:
    end_user = step.end_user
    written = dict(end_user.written)
    for name, (_, back) in step.fields.items():
        put_field(session, end_user, name, back)
        written.pop(name, None)
    end_user.written, end_user.applied_hash = written, ""
    if not all(is_link_field(name) for name in step.fields):
        refresh_search(end_user)
        end_user.updated_at = now
    if step.link is not None or step.unlink:
        put_link_back(end_user, step.link)
        take_assets_back(session, end_user.id, None if step.unlink else step.change.at)
    if not step.is_partly and "updated_at" in step.change.undo:
        end_user.updated_at = former_time(step.change.undo["updated_at"])


def _record(step: _Step, run_id: str, organization_id: str, now: datetime) -> Change:
    return Change(
        id=new_id(),
        run_id=run_id,
        organization_id=organization_id,
        end_user_id=step.end_user.id,
        object_id=step.change.object_id,
        display_name=step.end_user.display_name,
        decision="update",
        reason=Reason.UNDONE,
        note=" ".join(_what(step)),
        state="applied",
        fields=[{"field": name, "old": now_, "new": back} for name, (now_, back) in step.fields.items()],
        undo={},
        hold_key="",
        at=now,
    )


def _what(step: _Step) -> tuple[Undone, ...]:
    if step.delete:
        return (Undone.DELETED,)
    done = {
        Undone.DETAILS: bool(step.fields.keys() - {"microsoft_status"}),
        Undone.UNLINKED: step.unlink,
        Undone.LINKED: step.link is not None,
        Undone.MARK: "microsoft_status" in step.fields,
    }
    return tuple(what for what, is_so in done.items() if is_so)


def _restored(step: _Step) -> RestoredPerson:
    fields = ({"field": name, "old": present, "new": back} for name, (present, back) in step.fields.items())
    return RestoredPerson(step.end_user.id, step.end_user.display_name, _what(step), tuple(fields))


def _spared(change: Change, reason: Spared, field: str = "") -> SparedPerson:
    return SparedPerson(change.end_user_id, change.display_name, reason, field, tuple(change.fields))


def _people(session: Session, ids: list[str]) -> dict[str, EndUser]:
    people: dict[str, EndUser] = {}
    for part in batches(ids):
        rows = session.scalars(
            select(EndUser).where(EndUser.id.in_(part)).options(selectinload(EndUser.assets))
        )
        people.update({row.id: row for row in rows})
    return people
