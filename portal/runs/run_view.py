"""What the page of one run shows: its facts, everybody it read as a sum, and what it did with each person (P8, G8). No queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal.engine.explain import CHANGE_LABELS
from portal.http.decision_words import decision_words
from portal.http.formatting import number, plural
from portal.http.list_view import Chip, Column, Empty, ListView, in_use, none_matches
from portal.http.listing import Listing
from portal.models import MicrosoftTenant, Organization, SyncRun
from portal.runs.views import (
    PARTS,
    NextStep,
    Progress,
    duration,
    finished_phases,
    said_code,
    shown_value,
)

Kinds = Mapping[tuple[str, str], int]
"""(decision, state) -> how many people of a run."""
FieldChange = tuple[str, str, str]
"""A field's name, the old and the new value."""
WRITES = ("create", "link", "update", "mark_disabled", "mark_enabled", "conflict")
SHOWN = (*WRITES, "skip")
COLUMNS = (
    Column("Person", "display_name"),
    Column("Decision", "decision"),
    Column("Change"),
    Column("Why"),
)
STATES = (("held", "Held", "hand-stop"), ("dismissed", "Dismissed", "ban"))
NARROWED = {"reason": "Reason", "end_user_id": "One End User", "object_id": "One Microsoft user"}
MARKS: Mapping[str, FieldChange] = {
    "mark_disabled": ("Status", "Active", "Disabled in Microsoft"),
    "mark_enabled": ("Status", "Disabled in Microsoft", "Active"),
}
DEEDS = {"create": "New End User", "link": "Linked to Microsoft"}
FIELDS = 3  # of a person stand in the row; the others fold away
WIDE, GAP = 1000, 2  # of the bar of everybody


@dataclass(frozen=True)
class Key:
    """One kind of people in the key of the bar; fill: its colour, "" for none. beside: what is said after the link."""

    words: str
    href: str
    fill: str = ""
    beside: str = ""


@dataclass(frozen=True)
class Everybody:
    """G8: everybody a run read. Four numbers that add up, each with what it links to; bars: (fill, x, width) of ``summary``.

    none_of: the kinds that nobody is of, in words.
    """

    read: int
    in_scope: int
    out_of_scope: int
    skipped: int
    summary: str
    bars: Sequence[tuple[str, str, str]]
    keys: Sequence[Key]
    none_of: str
    beside: Sequence[Key]


@dataclass(frozen=True)
class PersonRow:
    """One person of a run. href: their page, "" when they are gone. deed: what happened, where no field says it."""

    name: str
    href: str
    email: str
    decision: str
    state: str
    deed: str
    changes: Sequence[FieldChange]
    fold: str
    folded: Sequence[FieldChange]
    reason: str

    @property
    def is_blank(self) -> bool:
        """Nothing is said of what changed."""
        return not (self.deed or self.changes or self.folded)


@dataclass(frozen=True)
class RunView:
    """One run. code: Microsoft's, "" when the error says it already; summary: what came of it, where nobody was counted.

    inline: (phase, what came of it, waits) of a run that is over.
    """

    run: SyncRun
    title: str
    organization: Organization
    microsoft_tenant: MicrosoftTenant | None
    began: datetime
    duration: str
    requests: str
    can_undo: bool
    alone: str
    code: str
    progress: Progress
    next_step: NextStep
    inline: Sequence[tuple[str, str, bool]]
    everybody: Everybody | None
    summary: str
    people: ListView


def run_view(
    run: SyncRun,
    *,
    title: str,
    organization: Organization,
    microsoft_tenant: MicrosoftTenant | None,
    progress: Progress,
    next_step: NextStep,
    kinds: Kinds,
    undone: Mapping[str, int],
    only: str,
    people: ListView,
) -> RunView:
    """The record of a run. undone: how many an undo deleted and restored; only: the name of the one it is for."""
    is_counted = "read" in (run.counts or {})
    return RunView(
        run=run,
        title=title,
        organization=organization,
        microsoft_tenant=microsoft_tenant,
        began=run.started_at or run.created_at,
        duration=duration(run) or "not started",
        requests="" if run.status == "queued" else _requests(run),
        can_undo=not progress.is_active
        and run.kind == "sync"
        and any(decision in WRITES for decision, _ in kinds),
        alone=only if run.only_object_id else "",
        code=said_code(run),
        progress=progress,
        next_step=next_step,
        inline=finished_phases(run) if is_counted else (),
        everybody=everybody(run, kinds) if is_counted and run.kind != "undo" else None,
        summary=_undone(undone) if is_counted else _uncounted(run),
        people=people,
    )


def everybody(run: SyncRun, kinds: Kinds) -> Everybody:
    """Everybody that a run read, as a sum, a bar and its key."""
    counts = run.counts
    parts = [(name, decision, word, fill, counts.get(name, 0)) for name, decision, word, fill, _ in PARTS]
    present = [part for part in parts if part[4]]
    sentence = ", ".join(f"{number(count)} {word}" for _, _, word, _, count in present)
    gone, held = counts.get("gone", 0), _in_state(kinds, "held") - counts.get("held", 0)
    # Who is absent or outside the filters is in no sum (G8): said beside them, so that no 0 speaks against it.
    always_shown = {"held": held > 0, "disabled": bool(gone)}
    beside = []
    if gone:
        href = f"{_page(run)}?decision=mark_disabled#people"
        beside.append(Key(f"{number(gone)} gone from Microsoft", href, beside=", beside these sums"))
    if held > 0:
        outside = ", beside these sums: gone from Microsoft or outside the filters"
        beside.append(Key(f"{number(held)} held", f"{_page(run)}?state=held#people", beside=outside))
    return Everybody(
        read=counts["read"],
        in_scope=counts.get("in_scope", 0),
        out_of_scope=counts.get("out_of_scope", 0),
        skipped=counts.get("skipped", 0),
        summary=f"Of {number(counts.get('in_scope', 0))} in scope: {sentence}",
        bars=_bars([(fill, count) for _, _, _, fill, count in present], counts.get("in_scope", 0)),
        keys=[
            Key(f"{number(count)} {word}", _shows(run, name, decision), fill)
            for name, decision, word, fill, count in present
        ],
        none_of=", ".join(
            word for name, _, word, _, count in parts if not count and not always_shown.get(name)
        ),
        beside=beside,
    )


def run_people(
    run: SyncRun,
    listing: Listing,
    rows: Sequence[Mapping[str, Any]],
    *,
    kinds: Kinds,
    emails: Mapping[str, str],
    products: Mapping[str, str],
    is_active: bool,
) -> ListView:
    """The list of a run's people. rows: their documents; emails: of the End Users who are here; products: sku id → name."""
    return ListView(
        block="people",
        label="People",
        address=_page(run),
        noun="person",
        search="Name or email",
        listing=listing,
        rows=[_row(row, emails, products) for row in rows],
        columns=COLUMNS,
        views=_chips(run, listing, kinds),
        in_use=in_use(listing, NARROWED),
        export=f"{_page(run)}/changes.csv{listing.query_string(page=None)}",
        empty=_nobody(run, listing, sum(kinds.values()), is_active=is_active),
    )


def _nobody(run: SyncRun, listing: Listing, total: int, *, is_active: bool) -> Empty:
    if listing.q or listing.filters:
        return none_matches(_page(run), listing, f"None of {plural(total, 'person', 'people')} matches")
    if is_active:
        return Empty("Nobody yet", "People appear here as they are saved.", icon="circle-check")
    succeeded = "Everyone in scope was already up to date." if run.status == "succeeded" else ""
    return Empty("Nobody was changed", succeeded, icon="circle-check")


def _chips(run: SyncRun, listing: Listing, kinds: Kinds) -> list[Chip]:
    here, filters = _page(run), listing.filters
    chips = [Chip("All", f"{here}#people", sum(kinds.values()), not filters)]
    for state, label, icon in STATES:
        if count := _in_state(kinds, state):
            address = f"{here}?state={state}#people"
            chips.append(Chip(label, address, count, filters.get("state") == state, icon))
    for decision in SHOWN:
        if count := kinds.get((decision, "applied"), 0):
            words = decision_words(decision)
            is_on = filters.get("decision") == decision and filters.get("state") != "held"
            address = f"{here}?decision={decision}&state=applied#people"
            chips.append(Chip(words.done, address, count, is_on, words.icon))
    return chips


def _row(row: Mapping[str, Any], emails: Mapping[str, str], products: Mapping[str, str]) -> PersonRow:
    decision, is_new = row["decision"], row["decision"] == "create"
    changes = [
        (
            CHANGE_LABELS.get(entry["field"], entry["field"]),
            shown_value(entry["field"], entry["old"], products),
            shown_value(entry["field"], entry["new"], products),
        )
        for entry in row["fields"]
    ]
    unfolded, folded = ([], changes) if is_new else (changes[:FIELDS], changes[FIELDS:])
    if not changes and decision in MARKS:
        unfolded = [MARKS[decision]]
    fold = f"Its {plural(len(folded), 'value')}" if is_new else plural(len(folded), "more field")
    is_here = row["end_user_id"] in emails
    return PersonRow(
        name=row["display_name"] or row["object_id"],
        href=f"/end-users/{row['end_user_id']}" if is_here else "",
        email=emails[row["end_user_id"]] if is_here else "",
        decision=decision,
        state=row["state"],
        deed=DEEDS.get(decision, ""),
        changes=unfolded,
        fold=fold,
        folded=folded,
        reason=row["reason"],
    )


def _bars(parts: Sequence[tuple[str, int]], whole: int) -> list[tuple[str, str, str]]:
    bars, x = [], 0.0
    for place, (fill, count) in enumerate(parts, start=1):
        width = WIDE * count / whole if whole else 0.0
        gap = 0 if place == len(parts) else GAP
        bars.append((fill, f"{x:.1f}", f"{max(width - gap, 1):.1f}"))
        x += width
    return bars


def _shows(run: SyncRun, name: str, decision: str) -> str:
    if name == "held":
        return f"{_page(run)}?state=held#people"
    if decision:
        return f"{_page(run)}?decision={decision}#people"
    return f"/organizations/{run.organization_id}/end-users"


def _requests(run: SyncRun) -> str:
    slowed = plural(round(run.throttled_seconds), "second") if run.throttled_seconds else ""
    throttled = f"slowed down by Microsoft for {slowed}" if slowed else "not throttled"
    return f"{plural(run.graph_requests, 'request')}, {throttled}"


def _undone(outcome: Mapping[str, int]) -> str:
    """What an undo did: it read nothing from Microsoft, so there is no sum of everybody."""
    if not outcome:
        return ""
    deleted, restored = outcome["deleted"], outcome["restored"]
    return (
        f"{plural(deleted, 'End User')} that the run had created {_were(deleted)} deleted; "
        f"{plural(restored, 'other')} {_were(restored)} restored."
    )


def _uncounted(run: SyncRun) -> str:
    is_broken = run.status in {"failed", "cancelled"}
    return "The run ended before anything was decided." if is_broken else "Nothing was counted."


def _in_state(kinds: Kinds, state: str) -> int:
    return sum(count for (_, its), count in kinds.items() if its == state)


def _were(count: int) -> str:
    return "was" if count == 1 else "were"


def _page(run: SyncRun) -> str:
    return f"/sync-runs/{run.id}"
