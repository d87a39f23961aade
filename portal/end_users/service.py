"""End Users: table, edit, delete, unlink, CSV (P5, P6, M4, W6, L4)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from typing import Any

from sqlalchemy import ColumnElement, Select, delete, func, or_, select, update
from sqlalchemy.orm import Session, joinedload, selectinload

from portal import addresses, audit, csvio
from portal.clock import utcnow
from portal.engine.licenses import product_name
from portal.engine.normalize import clean, remote_user
from portal.engine.records import D1_FIELDS
from portal.errors import Invalid, Refused
from portal.extensions import db
from portal.listing import Listing, ListSpec, fetch_by_id, order
from portal.locks import lock
from portal.models import (
    Asset,
    DirectoryUser,
    EndUser,
    Link,
    MicrosoftTenant,
    Organization,
    SubscribedSku,
    SyncException,
    UserSync,
)
from portal.models.customers import refresh_search
from portal.text import email_key, is_blank, search_forms, text_key

NOT_DISABLED = "not_disabled"
"""Hides those marked Disabled in Microsoft only: who was never linked is shown, as who is active is."""
SPEC = ListSpec(
    sorts={
        "name": (EndUser.sort_name,),
        "display_name": (EndUser.sort_name,),
        "email": (EndUser.email_key,),
        "phone": (EndUser.phone,),
        "job_title": (EndUser.job_title,),
        "license": (EndUser.microsoft_licenses,),
        "last_sign_in_at": (EndUser.microsoft_last_sign_in,),
        "mfa": (EndUser.microsoft_mfa,),
        "status": (EndUser.microsoft_status,),
        "source": (EndUser.source,),
        "created_at": (EndUser.created_at,),
    },
    default_sort="name",
    filters={
        "microsoft_status": ("active", "disabled", "none", NOT_DISABLED),
        "licensed": ("true", "false"),
        "mfa": ("true", "false"),
        "source": ("manual", "import", "sync"),
        "in_scope": ("true", "false"),
    },
)
EDITABLE = (*D1_FIELDS, "notes")
LIMITS = {"display_name": 1024, "email": 320, "street_address": 1024, "notes": 20_000, "postal_code": 64}
LINES = frozenset({"notes", "street_address"})
"""Fields of several lines."""
READ_ONLY_COLUMNS = (
    "id",
    "organization_id",
    "source",
    "microsoft_status",
    "user_principal_name",
    "object_id",
    "licenses",
    "last_sign_in_at",
    "mfa",
    "in_scope",
)
CSV_COLUMNS = (*EDITABLE, *READ_ONLY_COLUMNS)
LOCKED = "Managed by Microsoft: change it in Entra, it is here within the hour."
BATCH = 500
WILDCARDS = set("%_")
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
    audit.record(
        db.session(), "end_user_created", object_type="end_user", object_id=row.id, name=row.display_name
    )
    return row


def change(row: EndUser, values: Mapping[str, str]) -> bool:
    """Change fields; gives whether anything changed. Raises Invalid for a field that Microsoft manages and is not pinned."""
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
    told = [
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
        object_type="end_user",
        object_id=row.id,
        name=row.display_name,
        changes=", ".join(sorted(differing)),
        fields=told,
    )
    return True


def fingerprints(row: EndUser) -> str:
    """What a form about somebody shows when it is opened, in short, for ``own_changes``."""
    return ".".join(_fingerprint(name, getattr(row, name)) for name in EDITABLE)


def left_alone(values: Mapping[str, str], opened_on: str) -> set[str]:
    """The fields of a form that say what they said when it was opened."""
    shown = _shown(opened_on)
    return {name for name, value in values.items() if shown.get(name) == _fingerprint(name, value)}


def own_changes(row: EndUser, values: Mapping[str, str], opened_on: str) -> dict[str, str]:
    """Of what a form sends, what was entered in it: what somebody else changed since it was opened stays as it is.

    Raises Invalid where both changed the same. Without ``opened_on`` everything counts but what Microsoft manages.
    """
    shown = _shown(opened_on)
    if len(shown) < len(EDITABLE):
        locked = locked_fields(row)
        return {name: value for name, value in values.items() if name not in locked}
    alone = left_alone(values, opened_on)
    own = {name: value for name, value in values.items() if name not in alone}
    both = {
        name: [f"Meanwhile somebody made this “{getattr(row, name)[:TOLD]}”. Save again to have yours."]
        for name, value in own.items()
        if _fingerprint(name, getattr(row, name)) not in {shown[name], _fingerprint(name, value)}
    }
    if both:
        raise Invalid(both)
    return own


def locked_fields(row: EndUser) -> dict[str, str]:
    """Field → why it cannot be edited: D1 fields of a linked End User that are not pinned (W6).

    Microsoft manages nothing of somebody who is unlinked, outside the filters (L3), or whose sync is disabled (L5).
    """
    if row.link is None or not row.link.in_scope or not _is_synced(row.organization_id):
        return {}
    pinned = set(pins(row))
    return {name: LOCKED for name in D1_FIELDS if name not in pinned}


def pins(row: EndUser) -> dict[str, SyncException]:
    """Field → the pin in force now."""
    now = utcnow()
    found = db.session.scalars(
        select(SyncException).where(SyncException.kind == "pin", SyncException.end_user_id == row.id)
    )
    return {pin.field: pin for pin in found if pin.field and (pin.expires_at is None or pin.expires_at > now)}


def microsoft_values(row: EndUser, fields: Iterable[str]) -> dict[str, str]:
    """What Microsoft has in these fields, to be shown beside a pinned value (W6); nothing for an unlinked person."""
    wanted = tuple(fields)
    if row.link is None or not wanted:
        return {}
    raw = db.session.scalar(
        select(DirectoryUser.raw).where(
            DirectoryUser.microsoft_tenant_id == row.link.microsoft_tenant_id,
            DirectoryUser.object_id == row.link.object_id,
        )
    )
    user = remote_user(raw or {})
    return {} if user.problem else {name: str(getattr(user, name)) for name in wanted}


def remove(row: EndUser) -> None:
    """Delete an End User; Assets become unassigned, Microsoft is not touched (L4). Raises NotFound when gone already."""
    lock(db.session(), EndUser, row.id, "End User")
    audit.record(
        db.session(), "end_user_deleted", object_type="end_user", object_id=row.id, name=row.display_name
    )
    delete_all(db.session(), [row.id])


def remove_many(organization: Organization, ids: Sequence[str]) -> int:
    """Delete several End Users of one Organization; ids of others are left alone. Gives how many went."""
    found: list[str] = []
    for start in range(0, len(ids), BATCH):
        found += db.session.scalars(
            select(EndUser.id)
            .where(EndUser.organization_id == organization.id, EndUser.id.in_(ids[start : start + BATCH]))
            .order_by(EndUser.id)
            .with_for_update()  # who else deletes them counts none of them
        ).all()
    delete_all(db.session(), found)
    audit.record(
        db.session(),
        "end_users_deleted",
        object_type="organization",
        object_id=organization.id,
        count=len(found),
    )
    return len(found)


def delete_all(session: Session, ids: Sequence[str]) -> None:
    """Delete End Users with their Links and exceptions; their Assets become unassigned (L4). Writes no audit record."""
    for start in range(0, len(ids), BATCH):
        part = ids[start : start + BATCH]
        owned = update(Asset).where(Asset.end_user_id.in_(part)).values(end_user_id=None, assigned_by=None)
        # Links and exceptions go with their person. What is loaded is not gone through for each batch, but expired at the end.
        for statement in (owned, delete(EndUser).where(EndUser.id.in_(part))):
            session.execute(statement.execution_options(synchronize_session=False))
    session.expire_all()


def deletion_effects(organization: Organization, ids: Sequence[str]) -> dict[str, int]:
    """How many go, how many Assets become unassigned, and how many the next run would add again (L4)."""
    people = assets = again = 0
    for start in range(0, len(ids), BATCH):
        part = ids[start : start + BATCH]
        here = EndUser.organization_id == organization.id, EndUser.id.in_(part)
        people += _number(select(EndUser.id).where(*here))
        assets += _number(
            select(Asset.id).where(Asset.end_user_id.in_(part), Asset.organization_id == organization.id)
        )
        again += _number(
            select(Link.id).where(
                Link.organization_id == organization.id,
                Link.end_user_id.in_(part),
                Link.in_scope.is_(True),
                Link.status == "active",
            )
        )
    return {"end_users": people, "assets": assets, "again": again}


def unlink(row: EndUser) -> None:
    """Take the Link away and keep the person; a next run may link again by e-mail. Raises Refused when not linked."""
    lock(db.session(), EndUser, row.id, "End User")
    if row.link is None:
        raise Refused(f"{row.display_name} is not linked to a Microsoft user.")
    audit.record(
        db.session(), "end_user_unlinked", object_type="end_user", object_id=row.id, name=row.display_name
    )
    row.link = None
    row.edited_at = utcnow()
    db.session.flush()


def listing(organization: Organization, asked: Listing, *, assets: bool = False) -> Listing:
    """One page of an Organization's End Users, with their Links. assets: with their Assets too."""
    rows = select(EndUser).options(joinedload(EndUser.link))
    if assets:
        rows = rows.options(selectinload(EndUser.assets))
    return fetch_by_id(
        db.session(),
        EndUser.organization_id == organization.id,
        conditions(asked),
        rows,
        asked,
        SPEC,
        tie=EndUser.id,
        filter_index="ix_end_users_search",
    )


def filtered(organization: Organization, asked: Listing) -> Select[Any]:
    """The End Users that a list, its export and its bulk actions are about: one definition for all of them."""
    return select(EndUser).where(EndUser.organization_id == organization.id, *conditions(asked))


def conditions(asked: Listing) -> list[ColumnElement[bool]]:
    """What the quick search and the filters ask of an End User."""
    columns = {
        "microsoft_status": EndUser.microsoft_status,
        "licensed": EndUser.microsoft_licensed,
        "mfa": EndUser.microsoft_mfa,
        "source": EndUser.source,
        "in_scope": EndUser.microsoft_in_scope,
    }
    words = text_key(asked.q).split()
    return [
        # SQLite compares a tenth faster without ESCAPE, and hardly any word needs it.
        *(
            or_(
                *(
                    EndUser.search_text.contains(form, autoescape=bool(WILDCARDS & set(form)))
                    for form in search_forms(word)
                )
            )
            for word in words
        ),
        *(
            EndUser.microsoft_status != "disabled" if value == NOT_DISABLED else columns[name] == value
            for name, value in asked.filters.items()
        ),
    ]


def ids_of(organization: Organization, asked: Listing) -> list[str]:
    """Ids of everybody that is filtered, for bulk actions."""
    return list(db.session.scalars(filtered(organization, asked).with_only_columns(EndUser.id)))


def count(organization: Organization) -> int:
    """How many End Users an Organization has."""
    return _number(select(EndUser.id).where(EndUser.organization_id == organization.id))


def to_document(
    row: EndUser, names: Mapping[str, str] | None = None, synced_at: Any = None
) -> dict[str, Any]:
    """An End User as the API shows it; ``names``: sku id → product name, see ``documents``."""
    return {
        "id": row.id,
        "organization_id": row.organization_id,
        **{name: getattr(row, name) for name in EDITABLE},
        "source": row.source,
        "assets": [{"id": asset.id, "name": asset.name} for asset in row.assets],
        "microsoft": _microsoft(row.link, names or {}, synced_at),
    }


def documents(rows: Iterable[EndUser]) -> list[dict[str, Any]]:
    """Several End Users, with their licenses named and the age of what Microsoft said."""
    people = list(rows)
    tenants = {row.link.microsoft_tenant_id for row in people if row.link is not None}
    names = {
        str(sku_id): str(name)
        for sku_id, name in db.session.execute(
            select(SubscribedSku.sku_id, SubscribedSku.name).where(
                SubscribedSku.microsoft_tenant_id.in_(tenants)
            )
        )
    }
    synced = {
        str(tenant_id): at
        for tenant_id, at in db.session.execute(
            select(MicrosoftTenant.id, MicrosoftTenant.last_synced_at).where(MicrosoftTenant.id.in_(tenants))
        )
    }
    return [
        to_document(row, names, synced.get(row.link.microsoft_tenant_id) if row.link is not None else None)
        for row in people
    ]


def export(organization: Organization, asked: Listing, ids: Sequence[str] | None = None) -> Iterable[str]:
    """CSV of exactly what is filtered, or only ``ids`` of it, in the order of the list."""
    statement = order(filtered(organization, asked), asked, SPEC, tie=EndUser.id)
    if ids is not None:
        statement = statement.where(EndUser.id.in_(ids))
    rows = db.session.scalars(statement.options(joinedload(EndUser.link))).unique().all()
    return csvio.write(CSV_COLUMNS, (_cells(row) for row in rows))


def _shown(opened_on: str) -> dict[str, str]:
    """Field → its fingerprint, as ``fingerprints`` put them together."""
    return dict(zip(EDITABLE, opened_on.split("."), strict=False))


def _fingerprint(name: str, value: str) -> str:
    # A field of one line loses its line breaks in a browser, whoever leaves it alone.
    kept = clean(value, lines=True) if name == "notes" else clean(value.replace("\r", "").replace("\n", ""))
    return sha256(kept.encode()).hexdigest()[:12]


def _is_synced(organization_id: str) -> bool:
    return bool(
        db.session.scalar(
            select(UserSync.id).where(UserSync.organization_id == organization_id, UserSync.enabled.is_(True))
        )
    )


def _microsoft(link: Link | None, names: Mapping[str, str], synced_at: Any) -> dict[str, Any] | None:
    if link is None:
        return None
    return {
        "object_id": link.object_id,
        "user_principal_name": link.user_principal_name,
        "status": link.status,
        "in_scope": link.in_scope,
        "licenses": [
            {"sku_id": sku, "name": names.get(sku) or product_name(sku)} for sku in link.license_sku_ids
        ],
        "last_sign_in_at": link.last_sign_in_at,
        "mfa": {"registered": link.mfa_registered, "methods": list(link.mfa_methods)},
        "last_synced_at": synced_at or link.last_synced_at,
    }


def _cells(row: EndUser) -> tuple[object, ...]:
    link = row.link
    words = {None: "", True: "true", False: "false"}
    tail: tuple[object, ...] = (row.id, row.organization_id, row.source, "none", "", "", "", "", "", "")
    if link is not None:
        seen = f"{link.last_sign_in_at:%Y-%m-%dT%H:%M:%SZ}" if link.last_sign_in_at else ""
        tail = (
            row.id,
            row.organization_id,
            row.source,
            link.status,
            link.user_principal_name,
            link.object_id,
            link.license_names,
            seen,
            words[link.mfa_registered],
            words[link.in_scope],
        )
    return (*(getattr(row, name) for name in EDITABLE), *tail)


def checked_fields(values: Mapping[str, str], kept: str = "") -> dict[str, str]:
    """Values as they are stored. Raises Invalid; ``kept`` is the address there is: Microsoft's may be one that we refuse."""
    errors: dict[str, list[str]] = {}
    found = {}
    for name, value in values.items():
        text = clean(value, lines=name in LINES)
        limit = LIMITS.get(name, 256)
        if len(text) > limit:
            errors[name] = [f"At most {limit:,} characters."]
        if name == "email" and text != kept:
            text = addresses.tidy(text)
            if text and (why := addresses.problem(text)):
                errors[name] = [why]
        found[name] = text
    if errors:
        raise Invalid(errors)
    return found


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
            {"email": [f"{other.display_name} of this Organization has this email address already."]}
        )


def _number(statement: Select[Any]) -> int:
    return db.session.scalar(select(func.count()).select_from(statement.subquery())) or 0
