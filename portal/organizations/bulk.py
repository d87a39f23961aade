"""Bulk actions on Organizations: their effects in numbers, then the action and what failed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from portal.engine.batches import batches
from portal.engine.pace import FEWEST_ROWS
from portal.errors import Invalid, NotFound, Refused
from portal.extensions import db
from portal.http.formatting import plural
from portal.http.parts import one_by_one
from portal.models import Organization, UserSync
from portal.organizations import tags
from portal.user_sync import service as user_sync

NAMED = 3
"""Organizations that the result names for each reason."""


@dataclass(frozen=True)
class Plan:
    """What a bulk action is about. fit: Organizations it can be done to; others: reason → names of those it cannot."""

    fit: Sequence[Organization]
    others: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """The outcome, in words for a toast."""

    done: int
    words: str


def load(ids: Sequence[str]) -> list[Organization]:
    """These Organizations in natural order, without deleted ones."""
    organizations: list[Organization] = []
    rows = select(Organization).options(selectinload(Organization.tags), selectinload(Organization.tenant))
    for part in batches(ids):
        organizations += db.session.scalars(rows.where(Organization.id.in_(part)))
    return sorted(organizations, key=lambda row: (row.sort_key, row.id))


def plan(action: str, rows: Sequence[Organization]) -> Plan:
    """Which of ``rows`` an action can be done to, and why not to the others."""
    if action == "tag":
        return Plan(rows)
    enabled = _enabled([row.id for row in rows])
    fit: list[Organization] = []
    others: dict[str, list[str]] = {}
    for row in rows:
        if row.id not in enabled:
            others.setdefault("no sync is enabled", []).append(row.name)
        elif action == "sync" and row.tenant.microsoft_tenant_id is None:
            others.setdefault("not mapped to a Microsoft tenant", []).append(row.name)
        else:
            fit.append(row)
    return Plan(fit, others)


def sync_now(rows: Sequence[Organization]) -> Outcome:
    """Queue a run for each (T5), in short transactions; failures are named. The caller wakes the scheduler."""
    done, failed = _each(rows, user_sync.request_run, "starting")
    return Outcome(done, _with_failures(f"{plural(done, 'sync is', 'syncs are')} starting.", failed))


def disable(rows: Sequence[Organization]) -> Outcome:
    """Switch each sync off (L5), in short transactions; End Users stay."""
    done, failed = _each(rows, user_sync.disable, "disabled")
    return Outcome(
        done, _with_failures(f"{plural(done, 'sync is', 'syncs are')} disabled. End Users stay.", failed)
    )


def tag(rows: Sequence[Organization], *, add: Sequence[str], remove: Sequence[str]) -> Outcome:
    """Add and take away tags, in short transactions. Raises Invalid on ``tags``: then nothing is changed."""
    if not add and not remove:
        raise Invalid({"tags": ["Enter a tag to add, or one to remove."]})
    tags.check(rows, add=add, remove=remove)
    done, ids = 0, [row.id for row in rows]

    def change(part: list[str]) -> None:
        nonlocal done
        done += tags.change(load(part), add=add, remove=remove)

    _in_parts(ids, change, "tagged")
    left = len(ids) - done
    words = f"{plural(done, 'Organization')} changed."
    if left:
        words += f" {plural(left, 'Organization is', 'Organizations are')} unchanged."
    return Outcome(done, words)


def _each(
    rows: Sequence[Organization], act: Callable[[Organization], Any], done_word: str
) -> tuple[int, dict[str, list[str]]]:
    done = 0
    failed: dict[str, list[str]] = {}
    names = {row.id: row.name for row in rows}

    def work(part: list[str]) -> None:
        nonlocal done
        for row_id in part:
            try:
                row = db.session.get(Organization, row_id)
                if row is None:
                    raise NotFound("it was deleted")
                act(row)
                done += 1
            except Refused:
                failed.setdefault("no sync is enabled or no Microsoft tenant mapped", []).append(
                    names[row_id]
                )
            except NotFound:
                failed.setdefault("its sync is no longer enabled", []).append(names[row_id])

    _in_parts(sorted(names), work, done_word)  # in the order in which the schedule locks them
    return done, failed


def _in_parts(ids: Sequence[str], work: Callable[[list[str]], None], done_word: str) -> None:
    one_by_one(db.session(), ids, work, done_word, first=FEWEST_ROWS)


def left_out(others: Mapping[str, Sequence[str]]) -> list[str]:
    """Who is left out and why: one line for each reason, the first few by name."""
    lines = []
    for reason, names in others.items():
        more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
        lines.append(f"{len(names):,} left out, {reason}: {', '.join(names[:NAMED])}{more}.")
    return lines


def _with_failures(words: str, failed: Mapping[str, Sequence[str]]) -> str:
    return " ".join([words, *left_out(failed)])


def common_tags(rows: Sequence[Organization]) -> list[tuple[str, int]]:
    """The tags of these Organizations with how many of them have each."""
    number = Counter(tag.name for row in rows for tag in row.tags)
    return sorted(number.items())


def _enabled(ids: Sequence[str]) -> set[str]:
    synced: set[str] = set()
    enabled = select(UserSync.organization_id).where(UserSync.enabled.is_(True))
    for part in batches(ids):
        synced.update(db.session.scalars(enabled.where(UserSync.organization_id.in_(part))))
    return synced
