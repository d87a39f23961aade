"""What the pop-up's Preview shows (U5, U12): who would be created, linked, skipped and in conflict. No queries."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from portal.engine.records import Action, HoldKind
from portal.http.formatting import plural
from portal.user_sync.previews import Preview

CHIPS = (
    Action.CONFLICT,
    Action.LINK,
    Action.CREATE,
    Action.UPDATE,
    Action.MARK_DISABLED,
    Action.MARK_ENABLED,
    Action.SKIP,
)


@dataclass(frozen=True)
class PreviewView:
    """One page of a preview. decisions: as the API answers them; chips: (decision word, number), those with somebody.

    number: of all decisions; fitting: of those that were asked for. previous, next: pages, None where there is none.
    held: who would be held back, as (how many, what the run waits before), None for nobody. empty: what is said without a search.
    """

    plan_id: str
    counts: Mapping[str, int]
    decisions: Sequence[Mapping[str, Any]]
    chips: Sequence[tuple[str, int]]
    number: int
    fitting: int
    page: int
    pages: int
    held: tuple[str, str] | None
    warnings: Sequence[str]
    show: str
    q: str
    empty: str

    @property
    def is_narrowed(self) -> bool:
        """By a kind of decision or a search."""
        return bool(self.show or self.q)

    @property
    def previous(self) -> int | None:
        """The page before."""
        return self.page - 1 if self.page > 1 else None

    @property
    def next(self) -> int | None:
        """The page after."""
        return self.page + 1 if self.page < self.pages else None


def preview_view(preview: Preview, show: str, q: str) -> PreviewView:
    """The record of a preview that was narrowed to ``show`` and ``q``; a page beyond the last is the last."""
    clamped = replace(preview, page=min(max(preview.page, 1), preview.pages))
    kinds = Counter(decision.action for decision in preview.result.decisions)
    held = preview.result.held
    deed = "marks them Disabled in Microsoft" if held and held["kind"] == HoldKind.DISABLE else "adds them"
    return PreviewView(
        plan_id=preview.plan_id,
        counts=preview.result.counts_document(),
        decisions=clamped.decisions,
        chips=[(action.value, kinds[action]) for action in CHIPS if kinds[action]],
        number=kinds.total(),
        fitting=len(preview.fitting),
        page=clamped.page,
        pages=clamped.pages,
        held=(plural(held["count"], "person", "people"), deed) if held else None,
        warnings=preview.result.warnings,
        show=show,
        q=q,
        empty="Nobody would be created, linked or changed with these filters."
        if not show
        else "No decision of this kind.",
    )
