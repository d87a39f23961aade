"""One End User: create, edit, delete, unlink (P6, M4, W6, L4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import Select, delete, func, select
from sqlalchemy.orm import Session

from portal import addresses, audit
from portal.clock import utcnow
from portal.engine import people_version
from portal.engine.asset_owners import unassign
from portal.engine.batches import batches
from portal.engine.normalize import clean
from portal.engine.records import D1_FIELDS
from portal.errors import Invalid, Refused
from portal.extensions import db
from portal.locks import lock
from portal.models import Asset, DirectoryUser, EndUser, Organization, SyncException, Tenant, UserSync
from portal.models.customers import no_link, refresh_search
from portal.text import email_key, is_blank

EDITABLE = (*D1_FIELDS, "notes")
LIMITS = {"display_name": 1024, "email": 320, "street_address": 1024, "notes": 20_000, "postal_code": 64}
SHORTEST = min(256, *LIMITS.values())
LINES = frozenset({"notes", "street_address"})
"""Fields of several lines."""
LOCKED = "Managed by Microsoft: change it in Entra, it is here within the hour."
TOLD = 200  # characters of a value in the change history; notes are named alone


def create(
    organization_id: str, values: Mapping[str, str], *, source: str = "manual", row_id: str | None = None
) -> EndUser:
    """Create an End User. Raises Invalid, also when the e-mail belongs to another one here (M4)."""
    checked = checked_fields(values)
    if is_blank(checked.get("display_name", "")):
        names = " ".join(x for x in (checked.get("first_name", ""), checked.get("last_name", "")) if x)
        checked["display_name"] = names or checked.get("email", "")
    if is_blank(checked["display_name"]):
        raise Invalid({"display_name": ["Enter a name or an email address."]})
    now = utcnow()
    row = EndUser(
        id=row_id,
        organization_id=organization_id,
        source=source,
        created_at=now,
        updated_at=now,
        edited_at=now,
    )
    for name in EDITABLE:
        setattr(row, name, checked.get(name, ""))
    _refuse_double(row)
    refresh_search(row)
    db.session.add(row)
    db.session.flush()
    audit.record(db.session(), "end_user_created", row, name=row.display_name)
    return row


def change(row: EndUser, values: Mapping[str, str]) -> bool:
    """Change fields. Returns whether anything changed. Raises Invalid for a field that Microsoft manages and is not pinned."""
    checked = checked_fields(values, row.email)
    differing = {name: value for name, value in checked.items() if getattr(row, name) != value}
    locked = locked_fields(row)
    errors = {name: [locked[name]] for name in differing if name in locked}
    if is_blank(differing.get("display_name", "-")):
        errors["display_name"] = ["Enter a name."]
    if errors:
        raise Invalid(errors)
    if not differing:
        return False
    recorded = [
        {"field": name, "old": getattr(row, name)[:TOLD], "new": value[:TOLD]}
        for name, value in sorted(differing.items())
        if name != "notes"
    ]
    for name, value in differing.items():
        setattr(row, name, value)
    _refuse_double(row)
    refresh_search(row)
    row.updated_at = row.edited_at = utcnow()
    db.session.flush()
    audit.record(
        db.session(),
        "end_user_changed",
        row,
        name=row.display_name,
        changes=", ".join(sorted(differing)),
        fields=recorded,
    )
    return True


def fingerprints(row: EndUser) -> str:
    """Fingerprints of the values of a form when it is opened, for ``own_changes``."""
    return ".".join(_fingerprint(name, getattr(row, name)) for name in EDITABLE)


def left_alone(values: Mapping[str, str], opened_on: str) -> set[str]:
    """The fields of a form that still have the value it was opened with."""
    opened = _opened_fingerprints(opened_on)
    return {name for name, value in values.items() if opened.get(name) == _fingerprint(name, value)}


def own_changes(row: EndUser, values: Mapping[str, str], opened_on: str) -> dict[str, str]:
    """The values that were entered in a form: fields that somebody else changed since it was opened stay as they are.

    Raises Invalid where both changed the same. Without ``opened_on`` everything counts but what Microsoft manages.
    """
    opened = _opened_fingerprints(opened_on)
    if len(opened) < len(EDITABLE):
        locked = locked_fields(row)
        return {name: value for name, value in values.items() if name not in locked}
    alone = left_alone(values, opened_on)
    own = {name: value for name, value in values.items() if name not in alone}
    both = {
        name: [f"Someone else changed this to “{getattr(row, name)[:TOLD]}”. Save again to keep yours."]
        for name, value in own.items()
        if _fingerprint(name, getattr(row, name)) not in {opened[name], _fingerprint(name, value)}
    }
    if both:
        raise Invalid(both)
    return own


def locked_fields(row: EndUser) -> dict[str, str]:
    """Field → why it cannot be edited: D1 fields of a linked End User that are not pinned (W6).

    Microsoft manages nothing of somebody who is unlinked or linked to a Microsoft tenant that is not mapped (R4), outside the
    filters (L3), or whose sync is disabled (L5).
    """
    if not row.is_linked or not row.in_scope or not _is_synced(row):
        return {}
    pinned = set(pins(row))
    return {name: LOCKED for name in D1_FIELDS if name not in pinned}


def pins(row: EndUser) -> dict[str, SyncException]:
    """Field → the pin in force now."""
    now = utcnow()
    pinned = db.session.scalars(
        select(SyncException).where(SyncException.kind == "pin", SyncException.end_user_id == row.id)
    )
    return {
        pin.field: pin for pin in pinned if pin.field and (pin.expires_at is None or pin.expires_at > now)
    }


def microsoft_values(row: EndUser, fields: Iterable[str]) -> dict[str, str]:
    """What Microsoft has in these fields, to be shown beside a pinned value (W6); nothing for an unlinked person."""
    names = tuple(fields)
    if not row.is_linked or not names:
        return {}
    user = db.session.get(DirectoryUser, (row.microsoft_tenant_id, row.object_id))
    if user is None or user.problem:
        return {}
    return {name: str(getattr(user, name)) for name in names}


def remove(row: EndUser) -> None:
    """Delete an End User; Assets become unassigned, Microsoft is not touched (L4). Raises NotFound when gone already."""
    lock(db.session(), EndUser, row.id, "End User")
    audit.record(db.session(), "end_user_deleted", row, name=row.display_name)
    delete_all(db.session(), [row.id])


def remove_many(organization: Organization, ids: Sequence[str]) -> int:
    """Delete several End Users of one Organization; ids of other Organizations are ignored. Returns how many."""
    removed: list[str] = []
    for part in batches(ids):
        removed += db.session.scalars(
            select(EndUser.id)
            .where(EndUser.organization_id == organization.id, EndUser.id.in_(part))
            .order_by(EndUser.id)
            .with_for_update()  # who else deletes them counts none of them
        ).all()
    if not removed:
        return 0
    delete_all(db.session(), removed)
    audit.record(db.session(), "end_users_deleted", organization, count=len(removed))
    return len(removed)


def delete_all(session: Session, ids: Sequence[str]) -> None:
    """Delete End Users with their Links and exceptions; their Assets become unassigned (L4). Writes no audit record."""
    for part in batches(ids):
        concerned = select(EndUser.organization_id).where(EndUser.id.in_(part)).distinct()
        people_version.touch(session, session.scalars(concerned).all())
        unassign(session, part)
        # Links and exceptions go with their person. What is loaded is not gone through for each batch, but expired at the end.
        gone = delete(EndUser).where(EndUser.id.in_(part))
        session.execute(gone.execution_options(synchronize_session=False))
    session.expire_all()


def deletion_effects(organization: Organization, ids: Sequence[str]) -> dict[str, int]:
    """How many go, how many Assets become unassigned, and how many the next run would add again (L4)."""
    people = assets = again = 0
    for part in batches(ids):
        here = EndUser.organization_id == organization.id, EndUser.id.in_(part)
        people += _number(select(EndUser.id).where(*here))
        assets += _number(
            select(Asset.id).where(Asset.end_user_id.in_(part), Asset.organization_id == organization.id)
        )
        again += _number(
            select(EndUser.id).where(*here, EndUser.in_scope.is_(True), EndUser.microsoft_status == "active")
        )
    return {"end_users": people, "assets": assets, "again": again}


def unlink(row: EndUser) -> None:
    """Take the Link away and keep the person; a next run may link again by e-mail. Raises Refused when not linked."""
    lock(db.session(), EndUser, row.id, "End User")
    if not row.is_linked:
        raise Refused(f"{row.display_name} is not linked to a Microsoft user.")
    audit.record(db.session(), "end_user_unlinked", row, name=row.display_name)
    for name, value in no_link().items():
        setattr(row, name, value)
    row.edited_at = utcnow()
    db.session.flush()


def count(organization: Organization) -> int:
    """How many End Users an Organization has."""
    return _number(select(EndUser.id).where(EndUser.organization_id == organization.id))


def _opened_fingerprints(opened_on: str) -> dict[str, str]:
    """Field → its fingerprint, as ``fingerprints`` put them together."""
    return dict(zip(EDITABLE, opened_on.split("."), strict=False))


def _fingerprint(name: str, value: str) -> str:
    # A browser removes line breaks from a field of one line, even if nobody edits it.
    text = clean(value, lines=True) if name == "notes" else clean(value.replace("\r", "").replace("\n", ""))
    return sha256(text.encode()).hexdigest()[:12]


def _is_synced(row: EndUser) -> bool:
    """True while a sync with the Microsoft tenant that somebody is linked to is enabled."""
    sync_id = db.session.scalar(
        select(UserSync.id)
        .join(Organization, Organization.id == UserSync.organization_id)
        .join(Tenant, Tenant.id == Organization.tenant_id)
        .where(
            UserSync.organization_id == row.organization_id,
            UserSync.enabled.is_(True),
            Tenant.microsoft_tenant_id == row.microsoft_tenant_id,
        )
    )
    return sync_id is not None


def checked_fields(values: Mapping[str, str], present_email: str = "") -> dict[str, str]:
    """Values as they are stored. Raises Invalid; ``present_email`` is accepted as it is: Microsoft's may be one that we refuse."""
    fields, errors = check_fields(values, present_email)
    if errors:
        raise Invalid(errors)
    return fields


def check_fields(
    values: Mapping[str, str], present_email: str = ""
) -> tuple[dict[str, str], dict[str, list[str]]]:
    """(values as they are stored, field → what is wrong with it); as ``checked_fields``, for many rows."""
    errors: dict[str, list[str]] = {}
    fields = {}
    for name, value in values.items():
        is_plain = value.isascii() and value.isprintable()  # nearly everything: there is nothing to clean
        text = value.strip() if is_plain else clean(value, lines=name in LINES)
        if len(text) > SHORTEST and len(text) > (limit := LIMITS.get(name, 256)):
            errors[name] = [f"At most {limit:,} characters."]
        if name == "email" and text != present_email:
            text = addresses.tidy(text)
            if text and (why := addresses.problem(text)):
                errors[name] = [why]
        fields[name] = text
    return fields, errors


def _refuse_double(row: EndUser) -> None:
    """M4, in words; the database enforces it all the same."""
    key = email_key(row.email)
    if not key:
        return
    with db.session.no_autoflush:
        other = db.session.scalar(
            select(EndUser).where(EndUser.organization_id == row.organization_id, EndUser.email_key == key)
        )
    if other is not None and other.id != row.id:
        raise Invalid(
            {"email": [f"{other.display_name} of this Organization already has this email address."]}
        )


def _number(statement: Select[Any]) -> int:
    return db.session.scalar(select(func.count()).select_from(statement.subquery())) or 0
