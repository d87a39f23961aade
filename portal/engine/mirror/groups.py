"""Groups, and the members of those that a filter or an open pop-up names (S6)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import delete, insert, select, update
from sqlalchemy.orm import Session

from portal.engine.batches import batches
from portal.engine.bulk import insert_rows
from portal.engine.mirror.context import RefreshContext, RefreshResult, is_lacking, stored_groups
from portal.engine.normalize import clean
from portal.engine.pace import MOST_ROWS, Pace
from portal.engine.ports import RawObject
from portal.engine.records import Phase
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
"""Microsoft gives the members of such a group as nobody, not as a refusal (docs/microsoft-graph.md, 4.2)."""


def read_groups(context: RefreshContext, result: RefreshResult) -> None:
    """Read the groups, and the users of ``requested_groups``. What fails goes to ``result.group_error(s)``.

    The list is read again only when Microsoft says that some group changed, and with each full read.
    Raises SourceAuthError: then nothing else will work either.
    """
    context.progress(Phase.READING_GROUPS, 0, None)
    result.groups = context.requested_groups
    try:
        link = None if result.is_full else context.links.get("groups")
        changed, following = _group_changes(context, link)
        is_listed = changed or _hides_now(context)
        if is_listed:
            _read_list(context, result)
        _read_members(context, result, changed=changed, is_as_stored=not is_listed and not result.changed)
        if not changed and following and link:
            context.quiet_links["groups"] = following
        elif changed or following != link:
            with context.lease.transaction() as session:
                context.keep_link(session, "groups", following)
        context.remember("groups", None)
    except SourceAuthError:
        raise
    except SourceError as error:
        if is_lacking(error):
            context.remember("groups", error)
        result.group_error = error  # syncs without a group filter continue


def _hides_now(context: RefreshContext) -> bool:
    """Whether a requested group hid its members: no delta says when it stops hiding them."""
    return any(
        row.members_stale and row.hides_members
        for row in context.groups
        if row.object_id in context.requested_groups
    )


def _read_list(context: RefreshContext, result: RefreshResult) -> None:
    listed = {str(g["id"]).lower(): g for g in context.source.groups() if g.get("id")}
    with context.lease.transaction() as session:
        result.changed |= _write_groups(context, session, listed)


def _write_groups(context: RefreshContext, session: Session, listed: dict[str, RawObject]) -> bool:
    """Store what differs. Returns True if a group that a filter may name was deleted or restored (S6)."""
    rows = {
        row.object_id: row
        for row in session.scalars(
            select(DirectoryGroup).where(DirectoryGroup.microsoft_tenant_id == context.tenant_id)
        )
    }
    new_rows = []
    is_news = False
    for object_id, item in listed.items():
        values = {
            "display_name": clean(str(item.get("displayName") or ""))[:256],
            "mail": clean(str(item.get("mail") or ""))[:320],
            "kind": group_kind(item),
            "hides_members": item.get("visibility") == "HiddenMembership",
        }
        row = rows.get(object_id)
        if row is None:
            new_rows.append(
                {"id": new_id(), "microsoft_tenant_id": context.tenant_id, "object_id": object_id, **values}
            )
            continue
        if row.is_deleted:
            row.is_deleted, row.members_stale, is_news = False, True, True
        for name, value in values.items():
            if getattr(row, name) != value:
                setattr(row, name, value)
    for object_id, row in rows.items():
        if object_id not in listed and not row.is_deleted:
            row.is_deleted, row.members_read_at, row.member_count, is_news = True, None, None, True  # S6
    if new_rows:
        session.execute(insert(DirectoryGroup), new_rows)
    if is_news:
        context.mark_changed(session)
    return is_news


def _read_members(
    context: RefreshContext, result: RefreshResult, *, changed: bool, is_as_stored: bool
) -> None:
    """Read the members of the requested groups: again if a group changed (docs/microsoft-graph.md, 4.3) or somebody returned (S6).

    is_as_stored: this read has written nothing yet, so what was stored when it began is what is stored.
    """
    rows = context.groups
    if not is_as_stored:
        with context.lease.sessions() as session:
            rows = stored_groups(session, context.tenant_id, context.requested_groups)
    rows = [row for row in rows if not row.is_deleted]
    if changed:
        with context.lease.transaction() as session:  # first: a read that breaks off leaves them old
            context.mark_members_old(session)
    stale = [row.object_id for row in rows if changed or row.members_stale or row.members_read_at is None]
    hidden = {row.object_id for row in rows if row.hides_members}
    answers = context.source.transitive_members(stale) if stale else {}
    for number, (group_id, users) in enumerate(answers.items(), start=1):
        if isinstance(users, SourceError):
            result.group_errors[group_id] = users
        elif group_id in hidden and users is not None and not users:
            result.group_errors[group_id] = SourcePermissionMissing(HIDDEN, permission="Member.Read.Hidden")
        else:
            result.changed |= _write_members(context, group_id, users)
            context.progress(Phase.READING_GROUPS, number, len(answers))


def _group_changes(context: RefreshContext, link: str | None) -> tuple[bool, str]:
    """(did any group change since ``link``, the link to go on from); the link is taken before anything else is read."""
    try:
        if link is not None:
            try:
                return _walk(context, link)
            except SourceGone:
                pass
        return True, _walk(context, "latest")[1]
    except (SourceAuthError, SourceThrottled):
        raise
    except SourceError:
        return True, ""  # no incremental answer here: all is read each time


def _walk(context: RefreshContext, link: str) -> tuple[bool, str]:
    changed, final = False, ""
    for page in context.source.groups_delta(link):
        changed = changed or bool(page.items)
        final = page.delta_link or ""
    return changed, final


def _write_members(context: RefreshContext, group_id: str, users: frozenset[str] | None) -> bool:
    """Store the members of a group, None for a deleted one. Returns True if they changed.

    A huge group takes several transactions; until the last one its members count as not read (S6, G4).
    """
    here = (
        GroupMembership.microsoft_tenant_id == context.tenant_id,
        GroupMembership.group_object_id == group_id,
    )
    with context.lease.sessions() as session:
        old = set(session.scalars(select(GroupMembership.user_object_id).where(*here)))
    new = users or frozenset()
    changes = [*((user, False) for user in sorted(old - new)), *((user, True) for user in sorted(new - old))]
    read: dict[str, Any] = {
        "members_read_at": context.now(),
        "members_stale": False,
        "member_count": len(new),
    }
    if users is None:
        read = {"is_deleted": True, "members_read_at": None, "member_count": None}
    pace, at, is_over = Pace(MOST_ROWS), 0, False
    while not is_over:
        part = changes[at : at + pace.size]
        at += len(part)
        is_over = at == len(changes)
        with pace.over(context.lease.transaction()) as session:
            for gone in batches([user for user, is_new in part if not is_new]):
                session.execute(
                    delete(GroupMembership).where(*here, GroupMembership.user_object_id.in_(gone))
                )
            ids = {"microsoft_tenant_id": context.tenant_id, "group_object_id": group_id}
            rows = [{**ids, "user_object_id": user} for user, is_new in part if is_new]
            insert_rows(session, GroupMembership, rows)
            _set(context, session, group_id, read if is_over else {"members_stale": True})
            if is_over and (changes or users is None):
                context.mark_changed(session)
    return bool(changes) or users is None


def _set(context: RefreshContext, session: Session, group_id: str, values: Mapping[str, Any]) -> None:
    session.execute(
        update(DirectoryGroup)
        .where(DirectoryGroup.microsoft_tenant_id == context.tenant_id, DirectoryGroup.object_id == group_id)
        .values(**values)
    )


def group_kind(item: RawObject) -> str:
    """The kind of a group in words (docs/microsoft-graph.md, 4.1)."""
    listed = item.get("groupTypes")
    types = listed if isinstance(listed, list) else []
    if "Unified" in types:
        kind = "Microsoft 365"
    elif item.get("mailEnabled"):
        kind = "Mail-enabled security" if item.get("securityEnabled") else "Distribution"
    else:
        kind = "Security"
    return f"{kind}, dynamic" if "DynamicMembership" in types else kind
