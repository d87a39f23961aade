"""Groups, and the members of those that some filter or some open pop-up names (S6)."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from portal.engine.claims import write_session
from portal.engine.mirror.reading import BATCH, Reading, ReadResult, is_lacking
from portal.engine.normalize import clean
from portal.engine.ports import RawObject
from portal.errors import (
    SourceAuthError,
    SourceError,
    SourceGone,
    SourcePermissionMissing,
    SourceThrottled,
)
from portal.models import DirectoryGroup, GroupMembership, new_id

HIDDEN = (
    "A group in the filters hides its members, so nothing was changed. Choose another group, or add the optional permission "
    "Member.Read.Hidden to the app registration and let the customer's administrator consent again."
)
"""Microsoft gives the members of such a group as nobody, not as a refusal (graph-facts 4.2)."""


def read_groups(reading: Reading, result: ReadResult, wanted: frozenset[str]) -> None:
    """Read all groups, and the users in those of ``wanted`` (lower-case ids). What fails goes to ``result.group_error(s)``.

    Raises SourceAuthError: then nothing else will work either.
    """
    reading.progress("Reading groups", 0, None)
    try:
        listed = {str(g["id"]).lower(): g for g in reading.source.groups() if g.get("id")}
    except SourceAuthError:
        raise
    except SourceError as error:
        if is_lacking(error):
            reading.remember("groups", error)
        result.group_error = error  # whoever does not filter by group goes on
        return
    reading.remember("groups", None)
    with write_session(reading.sessions) as session:
        _write_groups(reading, session, listed)
        session.commit()
    try:
        hidden = {i for i, item in listed.items() if item.get("visibility") == "HiddenMembership"}
        _read_members(reading, result, wanted, hidden)
    except SourceAuthError:
        raise
    except SourceError as error:
        result.group_error = error


def _write_groups(reading: Reading, session: Session, listed: dict[str, RawObject]) -> None:
    rows = {
        row.object_id: row
        for row in session.scalars(
            select(DirectoryGroup).where(DirectoryGroup.microsoft_tenant_id == reading.tenant_id)
        )
    }
    new_rows = []
    for object_id, item in listed.items():
        values = {
            "display_name": clean(str(item.get("displayName") or ""))[:256],
            "mail": clean(str(item.get("mail") or ""))[:320],
            "kind": group_kind(item),
        }
        row = rows.get(object_id)
        if row is None:
            new_rows.append(
                {"id": new_id(), "microsoft_tenant_id": reading.tenant_id, "object_id": object_id, **values}
            )
            continue
        if row.is_deleted:
            row.is_deleted, row.members_stale = False, True
        for name, value in values.items():
            if getattr(row, name) != value:
                setattr(row, name, value)
    for object_id, row in rows.items():
        if object_id not in listed and not row.is_deleted:
            row.is_deleted, row.members_read_at, row.member_count = True, None, None  # S6
    if new_rows:
        session.execute(insert(DirectoryGroup), new_rows)


def _read_members(
    reading: Reading, result: ReadResult, wanted: frozenset[str], hidden: Collection[str]
) -> None:
    """Members of the groups that are asked for; again only when Microsoft says that some group changed (graph-facts 4.3)."""
    with reading.sessions() as session:
        rows = session.execute(
            select(
                DirectoryGroup.object_id, DirectoryGroup.members_read_at, DirectoryGroup.members_stale
            ).where(
                DirectoryGroup.microsoft_tenant_id == reading.tenant_id,
                DirectoryGroup.is_deleted.is_(False),
                DirectoryGroup.object_id.in_(wanted) | DirectoryGroup.members_wanted_at.is_not(None),
            )
        ).all()
    if not rows:
        return
    changed, link = _group_changes(reading, full=result.is_full)
    stale = [object_id for object_id, read_at, is_stale in rows if changed or is_stale or read_at is None]
    answers = reading.source.transitive_members(stale) if stale else {}
    members = {}
    for group_id, users in answers.items():
        if isinstance(users, SourceError):
            result.group_errors[group_id] = users
        elif group_id in hidden and users is not None and not users:
            result.group_errors[group_id] = SourcePermissionMissing(HIDDEN, permission="Member.Read.Hidden")
        else:
            members[group_id] = users
    now = reading.now()
    for number, (group_id, users) in enumerate(members.items(), start=1):
        with write_session(reading.sessions) as session:
            _write_members(reading, session, group_id, users, now)
            reading.on_commit("members")
            session.commit()
        reading.progress("Reading groups", number, len(members))
    with write_session(reading.sessions) as session:
        if changed:
            _mark_stale(reading, session, except_for=members)
        reading.keep_link(session, "groups", link)
        session.commit()


def _mark_stale(reading: Reading, session: Session, *, except_for: Iterable[str]) -> None:
    """What was read of groups that nobody asks for now may be old: read again when somebody does. Goes with the link (G3)."""
    session.execute(
        update(DirectoryGroup)
        .where(
            DirectoryGroup.microsoft_tenant_id == reading.tenant_id,
            DirectoryGroup.members_read_at.is_not(None),
            DirectoryGroup.object_id.not_in(list(except_for)),
        )
        .values(members_stale=True)
        .execution_options(synchronize_session=False)
    )


def _group_changes(reading: Reading, *, full: bool) -> tuple[bool, str]:
    """(did any group change since the last read, the link to go on from); the link is taken before members are read."""
    link = None if full else reading.stored_link("groups")
    try:
        if link is not None:
            try:
                return _walk(reading, link)
            except SourceGone:
                pass
        return True, _walk(reading, "latest")[1]
    except (SourceAuthError, SourceThrottled):
        raise
    except SourceError:
        return True, ""  # no incremental answer here: members are read again each time


def _walk(reading: Reading, link: str) -> tuple[bool, str]:
    changed, final = False, ""
    for page in reading.source.groups_delta(link):
        changed = changed or bool(page.items)
        final = page.delta_link or ""
    return changed, final


def _write_members(
    reading: Reading, session: Session, group_id: str, users: frozenset[str] | None, now: datetime
) -> None:
    here = (
        GroupMembership.microsoft_tenant_id == reading.tenant_id,
        GroupMembership.group_object_id == group_id,
    )
    old = set(session.scalars(select(GroupMembership.user_object_id).where(*here)))
    new = users or frozenset()
    gone = sorted(old - new)
    for start in range(0, len(gone), BATCH):
        session.execute(
            delete(GroupMembership).where(
                *here, GroupMembership.user_object_id.in_(gone[start : start + BATCH])
            )
        )
    rows = [
        {"microsoft_tenant_id": reading.tenant_id, "group_object_id": group_id, "user_object_id": user}
        for user in sorted(new - old)
    ]
    for start in range(0, len(rows), 2000):
        session.execute(insert(GroupMembership), rows[start : start + 2000])
    values: dict[str, Any] = {"members_read_at": now, "members_stale": False, "member_count": len(new)}
    if users is None:
        values = {"is_deleted": True, "members_read_at": None, "member_count": None}
    session.execute(
        update(DirectoryGroup)
        .where(DirectoryGroup.microsoft_tenant_id == reading.tenant_id, DirectoryGroup.object_id == group_id)
        .values(**values)
    )


def group_kind(item: RawObject) -> str:
    """The kind of a group in words (graph-facts 4.1)."""
    listed = item.get("groupTypes")
    types = listed if isinstance(listed, list) else []
    if "Unified" in types:
        kind = "Microsoft 365"
    elif item.get("mailEnabled"):
        kind = "Mail-enabled security" if item.get("securityEnabled") else "Distribution"
    else:
        kind = "Security"
    if "DynamicMembership" in types:
        kind += ", dynamic"
    return f"{kind}, hidden members"[:40] if item.get("visibility") == "HiddenMembership" else kind
