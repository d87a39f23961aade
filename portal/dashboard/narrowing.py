"""The dashboard of the Organizations with one tag: each of its queries asks for these alone, and each of its links goes on with the tag."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import event
from sqlalchemy.orm import Session, with_loader_criteria

from portal.http.list_view import Chip
from portal.http.listing import Listing
from portal.models import (
    Change,
    Conflict,
    EndUser,
    MicrosoftTenant,
    Organization,
    SubscribedSku,
    SyncRun,
    UserSync,
)
from portal.organizations import tags
from portal.organizations.views import tag_chips

LISTS = frozenset({"/organizations", "/sync-runs", "/attention"})
"""The lists that the dashboard leads to; each filters by tag."""


@contextmanager
def narrowed(session: Session, tag: str) -> Iterator[None]:
    """Within the block every SELECT finds only Organizations with the tag, and what is theirs; "" narrows nothing."""
    if not tag:
        yield
        return
    here = tags.organization_ids(tag)
    feeding = session.scalars(tags.microsoft_tenant_ids(tag)).all()
    theirs = [
        with_loader_criteria(Organization, Organization.id.in_(here)),
        *(
            with_loader_criteria(model, model.organization_id.in_(here))
            for model in (EndUser, UserSync, SyncRun, Change, Conflict)
        ),
        with_loader_criteria(MicrosoftTenant, MicrosoftTenant.id.in_(feeding)),
        with_loader_criteria(SubscribedSku, SubscribedSku.microsoft_tenant_id.in_(feeding)),
    ]

    def narrow(state: Any) -> None:
        if state.is_select:
            state.statement = state.statement.options(*theirs)

    event.listen(session, "do_orm_execute", narrow)
    try:
        yield
    finally:
        event.remove(session, "do_orm_execute", narrow)


def with_tag(link: str, tag: str) -> str:
    """A link of the dashboard; to a list of many Organizations it carries the tag."""
    path, _, query = link.partition("?")
    if not tag or path not in LISTS or "organization_id=" in query:
        return link
    return f"{path}?{query}{'&' if query else ''}{urlencode({'tag': tag})}"


def chips(query: Listing, tag_counts: Sequence[tags.TagCount]) -> list[Chip]:
    """The tags that most Organizations have, and the one in use, as chips that are on and off."""
    offered, tag = tag_chips(query, tag_counts), query.filters.get("tag", "")
    if tag and not any(chip.is_on for chip in offered):
        offered.append(Chip(tag, query.query_string(tag=None), None, True, "tag"))
    return offered
