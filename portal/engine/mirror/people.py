"""Users become Directory Users, page by page; the delta link and what is concluded from absence come with the last (G3, L2).

A page is normalised once, on its way in; what is stored already as it comes is not written again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from portal.engine import schedule
from portal.engine.batches import batches
from portal.engine.mirror.context import RefreshContext, RefreshResult, is_lacking
from portal.engine.mirror.pages import Part, Round, make_ready, write, write_absent
from portal.engine.ports import DeltaPage, RawObject
from portal.engine.records import Phase, Presence
from portal.errors import SourceAuthError, SourceBadAnswer, SourceError, SourceGone, SourceRejected
from portal.models import DirectoryUser, MicrosoftTenant

NO_DELTA = (400, 404, 405, 501)
_NOBODY: frozenset[str] = frozenset()


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
    """Who is an AI agent (S8). If Microsoft does not provide it, those stored so far."""
    before = context.agents
    try:
        agents, is_told = context.source.agents(), True
    except SourceError as error:
        if not is_lacking(error):  # throttled, or away: to be asked again, not an answer
            raise
        agents, is_told = before, False
    if is_told == context.tenant.agents_known and agents == before:
        return agents
    with context.lease.transaction() as session:
        session.get_one(MicrosoftTenant, context.tenant_id).agents_known = is_told
        _mark_agents(context, session, agents - before, is_agent=True)
        _mark_agents(context, session, before - agents, is_agent=False)
    return agents


def _mark_agents(
    context: RefreshContext, session: Session, object_ids: Collection[str], *, is_agent: bool
) -> None:
    table = DirectoryUser.__table__
    for part in batches(sorted(object_ids)):
        result = session.execute(
            table.update()  # type: ignore[attr-defined]
            .where(table.c.microsoft_tenant_id == context.tenant_id, table.c.object_id.in_(part))
            .values(is_agent=is_agent, version=context.version)
        )
        if result.rowcount:  # type: ignore[attr-defined]
            context.mark_changed(session)


def _read_round(
    context: RefreshContext, result: RefreshResult, agents: Collection[str], link: str | None
) -> None:
    reading = Round(context, link is None, agents, is_new=link is None and _is_empty(context))
    before = context.tenant.users_count
    final: str | None = None
    last: tuple[dict[str, RawObject], list[str]] = {}, []
    context.progress(Phase.READING_PEOPLE, 0, before or None)
    for page in _pages(context, link):
        if final is not None:
            raise SourceBadAnswer(
                "Microsoft's answer continued after its end, so nobody is marked disabled.",
                code="pages after the end",
            )
        items = _by_id(page.items)
        stored = reading.stored(items)
        _note(reading, page, items)
        final = page.delta_link
        if final is None:
            _write_page(reading, items, stored)
            count = len(reading.present_ids)
            context.progress(Phase.READING_PEOPLE, count, max(before, count) if link is None else None)
        else:
            last = items, stored
    if final is None:
        raise SourceBadAnswer(
            "Microsoft's answer was cut short, so nobody is marked disabled.",
            code="no delta link",
        )
    if link is None and before and not reading.present_ids:
        raise SourceBadAnswer(
            "Microsoft returned no people, although there were people before. Nothing was changed.",
            code="empty read",
        )
    if reading.without_id:
        result.warnings.append(f"Records without an id were left out: {reading.without_id:,}.")
    result.is_full = link is None
    result.is_complete = _agrees(context, result, len(reading.present_ids)) if link is None else True
    _finish(reading, result, make_ready(reading, *last), final)


def _note(reading: Round, page: DeltaPage, items: Mapping[str, RawObject]) -> None:
    reading.without_id += sum(1 for item in page.items if not item.get("id"))
    gone = {object_id for object_id, item in items.items() if "@removed" in item}
    reading.present_ids.update(items.keys() - gone)
    reading.present_ids.difference_update(gone)
    reading.removed.update(gone)
    reading.removed.difference_update(items.keys() - gone)


def _finish(reading: Round, result: RefreshResult, last: Part, link: str) -> None:
    """The last page, the conclusions and the link: one transaction (G3)."""
    context = reading.context
    absent = _absent(reading) if reading.is_full and result.is_complete and not reading.is_new else []
    soft = _soft_deleted(context) if absent else _NOBODY
    cursor = context.links.get("users")
    new_link = link if result.is_complete else ""
    if _is_quiet(reading):
        context.quiet_links["users"] = new_link
        result.people = context.tenant.users_count
        context.progress(Phase.READING_PEOPLE, result.people, result.people)
        return
    with context.lease.transaction() as session:
        write(reading, session, last)
        write_absent(reading, session, absent, soft)
        tenant = session.get_one(MicrosoftTenant, context.tenant_id)
        if reading.changed or reading.is_full:
            tenant.users_count = _count_present(session, context.tenant_id)
        tenant.is_complete = result.is_complete
        tenant.incomplete_reason = None if result.is_complete else result.warnings[-1]
        if reading.is_full and result.is_complete:
            tenant.last_full_read_at = context.now()
        # A delta link after an incomplete read would never deliver what was missed: read in full again instead.
        if new_link != cursor or reading.is_full:
            context.keep_link(session, "users", new_link)
        result.people = tenant.users_count
    result.changed = result.changed or reading.changed
    context.progress(Phase.READING_PEOPLE, result.people, result.people)


def _is_quiet(reading: Round) -> bool:
    """Whether a delta is empty after a complete read: then only its link is written."""
    tenant = reading.context.tenant
    is_as_it_was = tenant.is_complete and tenant.incomplete_reason is None
    return bool(is_as_it_was and not (reading.is_full or reading.present_ids or reading.removed))


def _pages(context: RefreshContext, link: str | None) -> Iterator[DeltaPage]:
    """The delta round; tenants that refuse delta, as B2C (docs/microsoft-graph.md, 3), are listed in full each time."""
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


def _absent(reading: Round) -> list[str]:
    """Who was present before this full read, and is not in it."""
    with reading.context.lease.sessions() as session:
        present = session.execute(
            select(DirectoryUser.object_id).where(
                DirectoryUser.microsoft_tenant_id == reading.context.tenant_id,
                DirectoryUser.presence == Presence.PRESENT.value,
            )
        )
        return [i for (i,) in present if i not in reading.present_ids and i not in reading.removed]


# -- writing ---------------------------------------------------------------------------------------------------------


def _write_page(reading: Round, items: Mapping[str, RawObject], stored: Collection[str]) -> None:
    """A page that others follow, in as many transactions as it takes: nothing is concluded before the last page."""
    ids, at = list(items), 0
    while at < len(ids):
        ids_now = ids[at : at + reading.pace.size]
        part = make_ready(reading, {object_id: items[object_id] for object_id in ids_now}, stored)
        with reading.pace.over(reading.context.lease.transaction()) as session:
            write(reading, session, part)
        at += len(ids_now)


def _is_empty(context: RefreshContext) -> bool:
    """Whether nobody is in the mirror yet, so that nobody needs to be looked for."""
    with context.lease.sessions() as session:
        anybody = select(DirectoryUser.object_id).where(
            DirectoryUser.microsoft_tenant_id == context.tenant_id
        )
        return session.scalar(anybody.limit(1)) is None


def _count_present(session: Session, tenant_id: str) -> int:
    is_present = (
        DirectoryUser.microsoft_tenant_id == tenant_id,
        DirectoryUser.presence == Presence.PRESENT.value,
    )
    return session.scalar(select(func.count()).select_from(DirectoryUser).where(*is_present)) or 0


def _by_id(items: Iterable[RawObject]) -> dict[str, RawObject]:
    """By lower-case id. Microsoft may send several entries for one person: the last counts."""
    return {str(item["id"]).lower(): item for item in items if item.get("id")}
