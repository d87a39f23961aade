"""Users become Directory Users, page by page; the delta link and what is concluded from absence come with the last (G3, L2).

A page is normalised once, on its way in; what is stored already as it comes is not written again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.engine import schedule
from portal.engine.batches import batches
from portal.engine.bulk import insert_rows, read_rows, update_rows
from portal.engine.mirror.columns import as_json, columns
from portal.engine.mirror.context import RefreshContext, RefreshResult, is_lacking
from portal.engine.normalize import merge, remote_user
from portal.engine.pace import MOST_ROWS, Pace
from portal.engine.ports import DeltaPage, RawObject
from portal.engine.records import Phase, Presence
from portal.errors import SourceAuthError, SourceBadAnswer, SourceError, SourceGone, SourceRejected
from portal.models import DirectoryUser, MicrosoftTenant

NO_DELTA = (400, 404, 405, 501)
_NOBODY: frozenset[str] = frozenset()
_KEYS = ("microsoft_tenant_id", "object_id")


class _Stored(NamedTuple):
    """What the mirror holds of one user. raw: only loaded for a delta's merge."""

    row_hash: str
    presence: str
    is_agent: bool
    raw: str = ""


@dataclass
class _Round:
    """One round through Microsoft's pages: who was in it, and what was written of it."""

    context: RefreshContext
    is_full: bool
    agents: Collection[str]
    seen: set[str] = field(default_factory=set)
    removed: set[str] = field(default_factory=set)
    pace: Pace = field(default_factory=lambda: Pace(MOST_ROWS))
    without_id: int = 0
    changed: bool = False


def read_people(context: RefreshContext, result: RefreshResult, *, full: bool) -> None:
    """Read what changed since the stored link, or everybody; a refused link means everybody (G3). Raises Source errors."""
    link = None if full else context.links.get("users")
    agents = _agents(context)
    try:
        _read_round(context, result, agents, link)
    except (SourceGone, SourceRejected) as error:
        # 410 or its codes, or a plain 400: a link that is refused is refused for good
        if link is None or (isinstance(error, SourceRejected) and error.status != 400):
            raise
        result.warnings.append(error.advice)
        _read_round(context, result, agents, None)


def _agents(context: RefreshContext) -> frozenset[str]:
    """Who is an AI agent (S8). Where Microsoft does not tell, those known so far."""
    with context.lease.sessions() as session:
        known = session.scalars(
            select(DirectoryUser.object_id).where(
                DirectoryUser.microsoft_tenant_id == context.tenant_id, DirectoryUser.is_agent.is_(True)
            )
        )
        before = frozenset(known)
    try:
        found, is_told = context.source.agents(), True
    except SourceError as error:
        if not is_lacking(error):  # throttled, or away: to be asked again, not an answer
            raise
        found, is_told = before, False
    if is_told == context.tenant.agents_known and found == before:
        return found
    with context.lease.transaction() as session:
        session.get_one(MicrosoftTenant, context.tenant_id).agents_known = is_told
        _mark_agents(context, session, found - before, is_agent=True)
        _mark_agents(context, session, before - found, is_agent=False)
    return found


def _mark_agents(
    context: RefreshContext, session: Session, object_ids: Collection[str], *, is_agent: bool
) -> None:
    table = DirectoryUser.__table__
    for part in batches(sorted(object_ids)):
        found = session.execute(
            table.update()  # type: ignore[attr-defined]
            .where(table.c.microsoft_tenant_id == context.tenant_id, table.c.object_id.in_(part))
            .values(is_agent=is_agent, version=context.version)
        )
        if found.rowcount:  # type: ignore[attr-defined]
            context.mark_changed(session)


def _read_round(
    context: RefreshContext, result: RefreshResult, agents: Collection[str], link: str | None
) -> None:
    one = _Round(context, link is None, agents)
    before = context.tenant.users_count
    final: str | None = None
    last: dict[str, RawObject] = {}
    context.progress(Phase.READING_PEOPLE, 0, before or None)
    for page in _pages(context, link):
        if final is not None:
            raise SourceBadAnswer(
                "Microsoft's answer went on after its end. Nothing is concluded from it.",
                code="pages after the end",
            )
        items = _by_id(page.items)
        _note(one, page, items)
        final = page.delta_link
        if final is None:
            _write_page(one, items)
            seen = len(one.seen)
            context.progress(Phase.READING_PEOPLE, seen, max(before, seen) if link is None else None)
        else:
            last = items
    if final is None:
        raise SourceBadAnswer(
            "Microsoft's answer broke off before its end. Nothing is concluded from it.",
            code="no delta link",
        )
    if link is None and before and not one.seen:
        raise SourceBadAnswer(
            "Microsoft returned nobody, where there were people before. Nothing was changed.",
            code="empty read",
        )
    if one.without_id:
        result.warnings.append(f"{one.without_id} records without an id were left out.")
    result.is_full = link is None
    result.is_complete = _agrees(context, result, len(one.seen)) if link is None else True
    _finish(one, result, last, final)


def _note(one: _Round, page: DeltaPage, items: Mapping[str, RawObject]) -> None:
    one.without_id += sum(1 for item in page.items if not item.get("id"))
    gone = {object_id for object_id, item in items.items() if "@removed" in item}
    one.seen.update(items.keys() - gone)
    one.seen.difference_update(gone)
    one.removed.update(gone)
    one.removed.difference_update(items.keys() - gone)


def _finish(one: _Round, result: RefreshResult, last: dict[str, RawObject], link: str) -> None:
    """The last page, the conclusions and the link: one transaction (G3)."""
    context = one.context
    absent = _absent(one) if one.is_full and result.is_complete else []
    soft = _soft_deleted(context) if absent else _NOBODY
    cursor = context.links.get("users")
    kept = link if result.is_complete else ""
    with context.lease.transaction() as session:
        _write(one, session, last)
        _write_absent(one, session, absent, soft)
        tenant = session.get_one(MicrosoftTenant, context.tenant_id)
        if one.changed or one.is_full:
            tenant.users_count = _count_present(session, context.tenant_id)
        tenant.is_complete = result.is_complete
        tenant.incomplete_reason = None if result.is_complete else result.warnings[-1]
        if one.is_full and result.is_complete:
            tenant.last_full_read_at = context.now()
        # A link over a read that was not complete would hide for ever what it missed: read in full again instead.
        if kept != cursor or one.is_full:
            context.keep_link(session, "users", kept)
        result.people = tenant.users_count
    result.changed = result.changed or one.changed
    context.progress(Phase.READING_PEOPLE, result.people, result.people)


def _pages(context: RefreshContext, link: str | None) -> Iterator[DeltaPage]:
    """The delta round; tenants that refuse delta or do not offer it (B2C, graph-facts 3) are listed in full each time."""
    pages = iter(context.source.users_delta(link))
    try:
        first = next(pages, None)
    except SourceRejected as error:
        if link is not None or error.status not in NO_DELTA:
            raise
        yield from context.source.users_full()
        return
    if first is not None:
        yield first
        yield from pages


def _agrees(context: RefreshContext, result: RefreshResult, counted: int) -> bool:
    """L2: the number agrees with Microsoft's own, within 1 %, at least 5."""
    theirs = context.source.user_count()
    if schedule.is_complete(read_to_end=True, counted=counted, microsoft_count=theirs):
        return True
    result.warnings.append(
        f"Microsoft counts {theirs:,} people, but listed {counted:,}. Nobody is marked disabled until the numbers agree."
    )
    return False


def _soft_deleted(context: RefreshContext) -> frozenset[str]:
    """Which absent people can still be restored; without the list they count as gone, which is marked alike."""
    try:
        return frozenset(str(item.get("id", "")).lower() for item in context.source.deleted_users())
    except SourceAuthError:
        raise
    except SourceError:
        return _NOBODY


def _absent(one: _Round) -> list[str]:
    """Who was present before this full read, and is not in it."""
    with one.context.lease.sessions() as session:
        present = session.execute(
            select(DirectoryUser.object_id).where(
                DirectoryUser.microsoft_tenant_id == one.context.tenant_id,
                DirectoryUser.presence == Presence.PRESENT.value,
            )
        )
        return [i for (i,) in present if i not in one.seen and i not in one.removed]


# -- writing ---------------------------------------------------------------------------------------------------------


def _write_page(one: _Round, items: Mapping[str, RawObject]) -> None:
    """A page that others follow, in as many transactions as it takes: nothing is concluded before the last page."""
    ids, at = list(items), 0
    while at < len(ids):
        with one.pace.over(one.context.lease.transaction()) as session:
            part = ids[at : at + one.pace.size]
            _write(one, session, {object_id: items[object_id] for object_id in part})
        at += len(part)


def _write(one: _Round, session: Session, items: Mapping[str, RawObject]) -> None:
    """Store what a page says and the mirror does not hold."""
    stored = _stored(one, session, list(items))
    new: list[dict[str, Any]] = []
    changed: list[dict[str, Any]] = []
    marked: list[tuple[str, str]] = []
    has_returned = False
    for object_id, item in items.items():
        known = stored.get(object_id)
        if "@removed" in item:
            presence = _removed_as(item)
            if known is not None and known.presence != presence:
                marked.append((object_id, presence))
            continue
        raw = merge(
            orjson.loads(known.raw) if known is not None and known.raw else None, item, full=one.is_full
        )
        raw["id"] = object_id
        text = as_json(raw)
        digest = hashlib.blake2b(text.encode(), digest_size=16).hexdigest()
        is_agent = object_id in one.agents
        if known is None:
            new.append({**_row(one, raw, text, digest, is_agent=is_agent), "mfa_methods": []})
        elif (known.row_hash, known.presence, known.is_agent) != (digest, Presence.PRESENT, is_agent):
            changed.append(_row(one, raw, text, digest, is_agent=is_agent))
            has_returned = has_returned or known.presence != Presence.PRESENT
    if new:
        insert_rows(session, DirectoryUser, new)
    if changed:
        update_rows(session, DirectoryUser, changed, keys=_KEYS)
    _mark(one, session, marked)
    if new or changed or marked:
        one.changed = True
        one.context.mark_changed(session)
    if has_returned:  # their groups come with no group delta: said in this very transaction (S6, G4)
        one.context.mark_members_old(session)


def _write_absent(one: _Round, session: Session, absent: Collection[str], soft: frozenset[str]) -> None:
    if absent:
        _mark(one, session, [(i, Presence.SOFT_DELETED if i in soft else Presence.GONE) for i in absent])
        one.changed = True
        one.context.mark_changed(session)


def _mark(one: _Round, session: Session, marks: Iterable[tuple[str, str]]) -> None:
    rows = [
        {
            "microsoft_tenant_id": one.context.tenant_id,
            "object_id": object_id,
            "presence": str(presence),
            "version": one.context.version,
        }
        for object_id, presence in marks
    ]
    update_rows(session, DirectoryUser, rows, keys=_KEYS)


def _removed_as(item: RawObject) -> str:
    removed = item["@removed"]
    reason = removed.get("reason") if isinstance(removed, dict) else None
    return Presence.SOFT_DELETED if reason == "changed" else Presence.GONE


def _row(one: _Round, raw: RawObject, text: str, digest: str, *, is_agent: bool) -> dict[str, Any]:
    user = remote_user(raw)
    return {
        "microsoft_tenant_id": one.context.tenant_id,
        "raw": text,
        "row_hash": digest,
        "version": one.context.version,
        "presence": Presence.PRESENT.value,
        "is_agent": is_agent,
        **columns(user),
    }


# -- loading ---------------------------------------------------------------------------------------------------------


def _stored(one: _Round, session: Session, object_ids: list[str]) -> dict[str, _Stored]:
    """What the mirror holds of these; the raw records only where a delta is merged into them."""
    names = ("object_id", *(name for name in _Stored._fields if name != "raw" or not one.is_full))
    fixed = {"microsoft_tenant_id": one.context.tenant_id}
    found: dict[str, _Stored] = {}
    for part in batches(object_ids):
        for object_id, *row in read_rows(session, DirectoryUser, names, fixed, "object_id", part):
            found[object_id] = _Stored(*row)
    return found


def _count_present(session: Session, tenant_id: str) -> int:
    is_present = (
        DirectoryUser.microsoft_tenant_id == tenant_id,
        DirectoryUser.presence == Presence.PRESENT.value,
    )
    return session.scalar(select(func.count()).select_from(DirectoryUser).where(*is_present)) or 0


def _by_id(items: Iterable[RawObject]) -> dict[str, RawObject]:
    """By lower-case id; of several entries for one person the last wins (graph-facts 3)."""
    return {str(item["id"]).lower(): item for item in items if item.get("id")}
