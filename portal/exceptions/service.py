"""Exceptions (P14, W6): people never to be synced, and fields pinned to our own value."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import func, or_, select

from portal import audit
from portal.clock import utcnow
from portal.engine.records import D1_FIELDS
from portal.errors import Invalid
from portal.extensions import db
from portal.http.listing import Listing, ListSpec, contains_text, fetch
from portal.locks import lock
from portal.microsoft import service as microsoft
from portal.models import DirectoryUser, EndUser, MicrosoftTenant, Organization, SyncException
from portal.text import email_key, text_key

NEVER_SYNC, PIN = "never_sync", "pin"
SPEC = ListSpec(
    sorts={
        "created_at": (SyncException.created_at,),
        "expires_at": (SyncException.expires_at,),
        "kind": (SyncException.kind,),
    },
    default_sort="-created_at",
    filters={"kind": (NEVER_SYNC, PIN), "object_id": None, "end_user_id": None},
)


def listing(organization: Organization, query: Listing) -> Listing:
    """One page of the exceptions in force, newest first."""
    statement = select(SyncException).where(
        SyncException.organization_id == organization.id, in_force(utcnow())
    )
    for name in ("kind", "object_id", "end_user_id"):
        if name in query.filters:
            statement = statement.where(getattr(SyncException, name) == query.filters[name])
    if query.q:
        statement = statement.where(contains_text(query.q, SyncException.reason))
    return fetch(db.session(), statement, query, SPEC, tiebreaker=SyncException.id)


def names_of(organization: Organization, page: Listing) -> dict[str, tuple[str, str]]:
    """Object id → (name, e-mail) of the never-sync people of one page, as Microsoft last told them."""
    object_ids = [row.object_id for row in page.items if row.object_id]
    rows = db.session.execute(
        select(DirectoryUser.object_id, DirectoryUser.display_name, DirectoryUser.email).where(
            DirectoryUser.microsoft_tenant_id == organization.tenant.microsoft_tenant_id,
            DirectoryUser.object_id.in_(object_ids),
        )
    )
    return {object_id: (name, email) for object_id, name, email in rows}


def people_of(page: Listing) -> dict[str, str]:
    """End User id → name of those on one page of whom a field is pinned."""
    end_user_ids = [row.end_user_id for row in page.items if row.end_user_id]
    rows = db.session.execute(select(EndUser.id, EndUser.display_name).where(EndUser.id.in_(end_user_ids)))
    return {end_user_id: name for end_user_id, name in rows}


def in_force(now: datetime) -> Any:
    """The condition that an exception has not ended."""
    return or_(SyncException.expires_at.is_(None), SyncException.expires_at > now)


def never_sync(
    organization: Organization, object_id: str, *, reason: str, expires_at: datetime | None = None
) -> SyncException:
    """Put a Microsoft user on the never-sync list, also should the object be deleted and made again (W6). The caller commits.

    Raises Invalid, and RetryLater for somebody unknown before the tenant's first read.
    """
    lock(db.session(), Organization, organization.id)
    object_id = text_key(object_id)
    errors = _common(reason, expires_at)
    microsoft_tenant_id = organization.tenant.microsoft_tenant_id
    user = db.session.get(DirectoryUser, (microsoft_tenant_id or "", object_id))
    if not object_id:
        errors["object_id"] = ["Name a Microsoft user by object ID."]
    elif user is None:
        if microsoft_tenant_id is not None:
            microsoft.require_read(db.session.get_one(MicrosoftTenant, microsoft_tenant_id))
        errors["object_id"] = ["The mapped Microsoft tenant has no such user."]
    elif _exists(organization, SyncException.object_id == object_id):
        errors["object_id"] = ["This person is already on the never-sync list."]
    if errors or user is None:
        raise Invalid(errors)
    return _add(
        organization,
        NEVER_SYNC,
        reason,
        expires_at,
        object_id=object_id,
        immutable_id=user.immutable_id,
        email_key=user.email_key,
    )


def object_id_of(organization: Organization, named: str) -> str:
    """The object id of an e-mail address, UPN or object id. Raises Invalid if it means several people, or nobody."""
    key = email_key(named)
    object_ids = db.session.scalars(
        select(DirectoryUser.object_id).where(
            DirectoryUser.microsoft_tenant_id == organization.tenant.microsoft_tenant_id,
            DirectoryUser.presence == "present",
            or_(
                DirectoryUser.object_id == key,
                DirectoryUser.email_key == key,
                func.lower(DirectoryUser.user_principal_name).in_({key, text_key(named)}),
            ),
        )
    ).all()
    if len(object_ids) > 1:
        raise Invalid({"object_id": ["Several Microsoft users have this email. Enter the UPN or object ID."]})
    return object_ids[0] if object_ids else key


def pin(
    organization: Organization,
    end_user_id: str,
    field: str,
    *,
    reason: str,
    expires_at: datetime | None = None,
) -> SyncException:
    """Pin one field of an End User to our value (W6). Raises Invalid. The caller commits."""
    lock(db.session(), Organization, organization.id)
    errors = _common(reason, expires_at)
    end_user = db.session.get(EndUser, end_user_id)
    if end_user is None or end_user.organization_id != organization.id:
        errors["end_user_id"] = ["This Organization has no such End User."]
    if field not in D1_FIELDS:
        errors["field"] = ["Must be one of: " + ", ".join(D1_FIELDS) + "."]
    elif _exists(organization, SyncException.end_user_id == end_user_id, SyncException.field == field):
        errors["field"] = ["This field is already pinned."]
    if errors:
        raise Invalid(errors)
    return _add(organization, PIN, reason, expires_at, end_user_id=end_user_id, field=field)


def end(row: SyncException) -> None:
    """Take an exception away: the next run treats the person or the field as any other. The caller commits.

    Raises NotFound when it is gone already.
    """
    lock(db.session(), SyncException, row.id, "exception")
    audit.record(db.session(), "exception_removed", object_type="exception", object_id=row.id, kind=row.kind)
    db.session.delete(row)
    db.session.flush()


def to_document(row: SyncException) -> dict[str, Any]:
    """An exception as the API shows it."""
    return {
        "id": row.id,
        "organization_id": row.organization_id,
        "kind": row.kind,
        "object_id": row.object_id,
        "end_user_id": row.end_user_id,
        "field": row.field,
        "reason": row.reason,
        "author": row.author,
        "created_at": row.created_at,
        "expires_at": row.expires_at,
    }


def _common(reason: str, expires_at: datetime | None) -> dict[str, list[str]]:
    errors: dict[str, list[str]] = {}
    if not reason.strip():
        errors["reason"] = ["Enter a reason, so that others can understand it."]
    elif len(reason) > 2_000:
        errors["reason"] = ["At most 2,000 characters."]
    if expires_at is not None and expires_at <= utcnow():
        errors["expires_at"] = ["This time has passed. Enter a later one."]
    return errors


def _exists(organization: Organization, *conditions: Any) -> bool:
    statement = select(SyncException.id).where(
        SyncException.organization_id == organization.id, in_force(utcnow()), *conditions
    )
    return db.session.scalar(statement.limit(1)) is not None


def _add(
    organization: Organization, kind: str, reason: str, expires_at: datetime | None, **columns: str
) -> SyncException:
    row = SyncException(
        organization_id=organization.id,
        kind=kind,
        reason=reason.strip(),
        expires_at=expires_at,
        author=audit.current_actor().name,
        created_at=utcnow(),
        **columns,
    )
    db.session.add(row)
    db.session.flush()
    audit.record(
        db.session(),
        "exception_added",
        object_type="exception",
        object_id=row.id,
        kind=kind,
        reason=row.reason[:200],
    )
    return row
