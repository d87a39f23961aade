"""What is written for one person: fields, Link, marks, licenses (W1, W3, W6, L1, L3). Pure, one person at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from operator import attrgetter
from types import MappingProxyType
from typing import TypeVar

from portal.engine.plan.keys import applied_key
from portal.engine.records import (
    D1_FIELDS,
    LINK_FIELDS,
    Action,
    Assignment,
    Decision,
    EndUserState,
    FieldChange,
    Kind,
    LinkState,
    Reason,
    RemoteUser,
)

Record = TypeVar("Record")

_NOTHING: Mapping[str, object] = MappingProxyType({})
_UNLINKED = "the End User {} is not linked any more"
_fields: Callable[[RemoteUser], tuple[str, ...]] = attrgetter(*D1_FIELDS)
_change: Callable[[tuple[str, str, str]], FieldChange] = partial(
    tuple.__new__, FieldChange
)  # by far the shortest way
_NOT_LINKED = dict.fromkeys(LINK_FIELDS, "") | {"microsoft_status": "none"}


def decide(assignment: Assignment, person: RemoteUser | None, end_user: EndUserState | None) -> Decision:
    """Return everything that is written for one person, from the full records that ``assignment`` names.

    person: None only for ABSENT objects that Microsoft never told of again. end_user: the one of ``assignment.end_user_id``
    as stored now; not looked at for skips and conflicts. Whether somebody is held (G1) is the caller's to look at: the
    decision says what is applied once an administrator agrees.
    ``columns`` leaves out what is the same for everybody, the Microsoft Tenant's id.
    Raises ValueError when a record is missing that the assignment needs.
    """
    match assignment.kind:
        case Kind.SKIP:
            note = person.problem if person is not None and assignment.reason is Reason.BAD_RECORD else ""
            return _decision(assignment, person, Action.SKIP, note=note)
        case Kind.CONFLICT:
            is_open = assignment.reason is not Reason.CONFLICT_IGNORED
            return _decision(assignment, person, Action.CONFLICT if is_open else Action.LEAVE)
        case Kind.OUT_OF_SCOPE if assignment.end_user_id is None:
            return _decision(assignment, person, Action.LEAVE)
        case Kind.CREATE:
            return _create(assignment, _needed(person, assignment))
        case Kind.ABSENT:
            return _absent(assignment, person, _needed(end_user, assignment))
        case Kind.OUT_OF_SCOPE:
            return _out_of_scope(assignment, _needed(person, assignment), _needed(end_user, assignment))
        case _:
            return _update(assignment, _needed(person, assignment), _needed(end_user, assignment))


def microsoft_values(person: RemoteUser) -> dict[str, str]:
    """Return the D1 fields as Microsoft has them. A person without a display name is shown by UPN or e-mail."""
    values = dict(zip(D1_FIELDS, _fields(person), strict=True))
    values["display_name"] = shown_name(person.display_name, person.user_principal_name, person.email)
    return values


def shown_name(display_name: str, user_principal_name: str, email: str) -> str:
    """Return the name an End User gets: the UPN or e-mail for want of one."""
    return display_name or user_principal_name or email


def creation(
    fields: Iterable[str], user_principal_name: str, license_sku_ids: str, status: str
) -> tuple[dict[str, str], list[tuple[str, str, str]]]:
    """Return ``written`` (W1) and the changes (W3), as triples, of somebody new.

    fields: D1, as Microsoft has them (``microsoft_values``). license_sku_ids: sorted and separated by blanks.
    """
    written = {name: value for name, value in zip(D1_FIELDS, fields, strict=True) if value}
    changes = [(name, "", value) for name, value in written.items()]
    if user_principal_name:
        changes.append(("user_principal_name", "", user_principal_name))
    if license_sku_ids:
        changes.append(("licenses", "", license_sku_ids))
    changes.append(("microsoft_status", _NOT_LINKED["microsoft_status"], status))
    changes.append(("in_scope", "", "true"))
    return written, changes


def field_changes(
    person: RemoteUser, end_user: EndUserState, *, keeps_email: bool
) -> tuple[FieldChange, ...]:
    """Return the D1 fields of ``end_user`` that follow Microsoft and differ (W1, W3, W6).

    keeps_email: the address stays (W4). An address that Microsoft no longer has stays too.
    """
    changes = []
    for name, new in microsoft_values(person).items():
        old = end_user.fields.get(name, "")
        if new == old or name in end_user.pinned:
            continue
        if name == "email" and (keeps_email or not new):
            continue
        if new or _written_by_sync(end_user, name, old):
            changes.append(FieldChange(name, old, new))
    return tuple(changes)


def _written_by_sync(end_user: EndUserState, name: str, old: str) -> bool:
    """W1: a blank erases only what the sync with this Microsoft Tenant wrote (R4) and nobody changed since."""
    link = end_user.link
    return link is not None and not link.is_foreign and link.written.get(name) == old


# -- kind by kind ------------------------------------------------------------------------------------------------------


def _create(assignment: Assignment, person: RemoteUser) -> Decision:
    fields, link = microsoft_values(person), _link_columns(assignment, person)
    skus = " ".join(sorted(person.license_sku_ids))
    written, changes = creation(fields.values(), person.user_principal_name, skus, status_of(assignment))
    applied = applied_key(person.content_hash, ())
    columns = {**fields, **link, "written": written, "applied_hash": applied}
    changes_told = tuple(map(_change, changes))
    return _decision(assignment, person, Action.CREATE, changes_told, columns, makes_link=True)


def _update(assignment: Assignment, person: RemoteUser, end_user: EndUserState) -> Decision:
    """Somebody who is linked, or gets a Link here."""
    before = end_user.link
    makes_link = assignment.kind is Kind.LINK
    if before is None and not makes_link:
        raise ValueError(_UNLINKED.format(end_user.id))
    fields = field_changes(person, end_user, keeps_email=assignment.keeps_email)
    link = _link_columns(assignment, person)
    changes = (*fields, *_link_changes(before, link))
    columns: dict[str, object] = {change.field: change.new for change in fields}
    # Who did not get the address that Microsoft has is looked at again in each run.
    applied = "" if assignment.keeps_email else applied_key(person.content_hash, end_user.pinned)
    link["applied_hash"] = applied
    if fields or makes_link:
        # R4: no sync may erase what another tenant's sync wrote.
        earlier = before.written if before is not None and not before.is_foreign else {}
        link["written"] = {**earlier, **{change.field: change.new for change in fields}}
    columns |= link if makes_link or before is None else _differing(link, before)
    action, reason = _action(assignment, changes)
    return _decision(assignment, person, action, changes, columns, reason=reason, makes_link=makes_link)


def _action(assignment: Assignment, changes: tuple[FieldChange, ...]) -> tuple[Action, Reason]:
    reason = assignment.reason
    if assignment.is_clash:
        return Action.CONFLICT, reason
    if assignment.kind is Kind.LINK:
        return Action.LINK, reason
    if assignment.sets_disabled != assignment.was_disabled:
        return Action.MARK_DISABLED if assignment.sets_disabled else Action.MARK_ENABLED, reason
    if not changes:
        return Action.LEAVE, reason
    if reason is not Reason.CONFLICT_IGNORED:
        is_only_scope = all(change.field == "in_scope" for change in changes)
        reason = Reason.BACK_IN_SCOPE if is_only_scope else Reason.FIELDS_DIFFER
    return Action.UPDATE, reason


def _out_of_scope(assignment: Assignment, person: RemoteUser, end_user: EndUserState) -> Decision:
    """L3: only the scope and the mark are written, so that the record is applied once it matches again."""
    return _marked(assignment, person, end_user, {"in_scope": assignment.sets_in_scope})


def _absent(assignment: Assignment, person: RemoteUser | None, end_user: EndUserState) -> Decision:
    return _marked(assignment, person, end_user, {})


def _marked(
    assignment: Assignment, person: RemoteUser | None, end_user: EndUserState, link: dict[str, object]
) -> Decision:
    """Nothing of Microsoft's record is written, only what the Link says of the object."""
    before = end_user.link
    if before is None:
        raise ValueError(_UNLINKED.format(end_user.id))
    link = {"microsoft_status": status_of(assignment), **link}
    changes = _link_changes(before, link)
    if assignment.sets_disabled != assignment.was_disabled:
        action = Action.MARK_DISABLED if assignment.sets_disabled else Action.MARK_ENABLED
    else:
        action = Action.UPDATE if changes else Action.LEAVE
    return _decision(
        assignment,
        person,
        action,
        changes,
        _differing(link, before),
        name=end_user.fields.get("display_name", "") if assignment.kind is Kind.ABSENT else "",
        email=end_user.fields.get("email", "") if assignment.kind is Kind.ABSENT else "",
    )


# -- the Link ----------------------------------------------------------------------------------------------------------


def _link_columns(assignment: Assignment, person: RemoteUser) -> dict[str, object]:
    return {
        "object_id": person.object_id,
        "user_principal_name": person.user_principal_name,
        "immutable_id": person.immutable_id,
        "microsoft_status": status_of(assignment),
        "in_scope": assignment.sets_in_scope,
        "license_sku_ids": list(person.license_sku_ids),
        "is_licensed": bool(person.license_sku_ids),
    }


def status_of(assignment: Assignment) -> str:
    """Return what ``microsoft_status`` becomes."""
    return "disabled" if assignment.sets_disabled else "active"


def _columns_of(link: LinkState) -> dict[str, object]:
    """Return a Link as columns, to compare with."""
    return {
        "object_id": link.object_id,
        "user_principal_name": link.user_principal_name,
        "immutable_id": link.immutable_id,
        "microsoft_status": "disabled" if link.is_disabled else "active",
        "in_scope": link.is_in_scope,
        "license_sku_ids": list(link.license_sku_ids),
        "is_licensed": bool(link.license_sku_ids),
        "written": dict(link.written),
        "applied_hash": link.applied_hash,
    }


def _differing(columns: Mapping[str, object], link: LinkState) -> dict[str, object]:
    present = _columns_of(link)
    return {name: value for name, value in columns.items() if present[name] != value}


def _link_changes(before: LinkState | None, columns: Mapping[str, object]) -> tuple[FieldChange, ...]:
    """Return what of the Link differs and is told (W3), as texts, in the order of LINK_FIELDS."""
    old = _NOT_LINKED if before is None else _texts(_columns_of(before))
    new = _texts(columns)
    return tuple(
        [
            _change((name, old[name], new[name]))
            for name in LINK_FIELDS
            if name in new and old[name] != new[name]
        ]
    )


def _texts(columns: Mapping[str, object]) -> dict[str, str]:
    texts = {}
    for name in ("user_principal_name", "microsoft_status"):
        if name in columns:
            texts[name] = str(columns[name])
    if "in_scope" in columns:
        texts["in_scope"] = "true" if columns["in_scope"] else "false"
    skus = columns.get("license_sku_ids")
    if isinstance(skus, list):
        texts["licenses"] = " ".join(sorted(skus))
    return texts


# -- telling -----------------------------------------------------------------------------------------------------------


def _decision(
    assignment: Assignment,
    person: RemoteUser | None,
    action: Action,
    changes: tuple[FieldChange, ...] = (),
    columns: Mapping[str, object] = _NOTHING,
    *,
    reason: Reason | None = None,
    makes_link: bool = False,
    name: str = "",
    email: str = "",
    note: str = "",
) -> Decision:
    return Decision(
        object_id=assignment.object_id,
        action=action,
        reason=reason or assignment.reason,
        user_principal_name=person.user_principal_name if person is not None else "",
        display_name=name or (person.display_name if person is not None else ""),
        email=email or (person.email if person is not None else ""),
        end_user_id=assignment.end_user_id,
        match=assignment.match,
        changes=changes,
        makes_link=makes_link,
        moves_link_from=assignment.moves_link_from,
        columns=columns,
        is_in_scope=assignment.is_in_scope or assignment.kind is Kind.ABSENT,
        is_absent=assignment.kind is Kind.ABSENT,
        other_object_id=assignment.other_object_id,
        other_end_user_id=assignment.other_end_user_id,
        conflict_key=assignment.conflict_key,
        note=note,
    )


def _needed(record: Record | None, assignment: Assignment) -> Record:
    if record is None:
        raise ValueError(f"a record is missing for {assignment.object_id} ({assignment.kind.value})")
    return record
