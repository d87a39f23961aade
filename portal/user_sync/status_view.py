"""What the progress of the newest run shows, as a page and in the pop-up (U6). No queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from portal.engine.records import COUNTED
from portal.http.formatting import number
from portal.models import Organization, SyncRun
from portal.runs.views import PARTS, NextStep, Progress, said_code


@dataclass(frozen=True)
class StatusView:
    """run: None while none ever ran. now: the step under way, for screen readers; code: Microsoft's, "" when the error says it.

    counts: of a run that decided; kinds: (how many of a kind, where they are listed, "" for nowhere).
    in_dialog: it stands in the pop-up; renames: that pop-up is called "in progress" and is not any more.
    """

    organization: Organization
    run: SyncRun | None
    progress: Progress | None
    now: str
    code: str
    counts: Mapping[str, int]
    kinds: Sequence[tuple[str, str]]
    next_step: NextStep | None
    in_dialog: bool
    renames: bool

    @property
    def is_active(self) -> bool:
        """The run is not over."""
        return self.progress is not None and self.progress.is_active

    @property
    def has_conflicts(self) -> bool:
        """Somebody has to settle some."""
        return bool(self.counts.get("conflicts"))

    @property
    def heading(self) -> str:
        """Of the page and the dialog."""
        return "The sync is in progress" if self.is_active else "Microsoft User Sync"


def status_view(
    organization: Organization,
    run: SyncRun | None,
    progress: Progress | None,
    next_step: NextStep | None,
    *,
    in_dialog: bool,
    is_told_where: bool,
) -> StatusView:
    """The record of the page. is_told_where: the address says whether it stands in the pop-up, as polls do."""
    counts = {} if run is None or "read" not in (run.counts or {}) else run.counts
    return StatusView(
        organization=organization,
        run=run,
        progress=progress,
        now=next(
            (phase.words for phase in progress.phases if phase.state == "now"), "The sync waits for its turn"
        )
        if progress is not None
        else "",
        code="" if run is None else said_code(run),
        counts=counts,
        kinds=[
            (f"{number(counts[name])} {word}", _listed(name, decision, run))
            for name, decision, word, _, _ in sorted(PARTS, key=lambda part: COUNTED.index(part[0]))
            if run is not None and counts.get(name)
        ],
        next_step=next_step,
        in_dialog=in_dialog,
        renames=in_dialog and is_told_where,
    )


def _listed(name: str, decision: str, run: SyncRun) -> str:
    shows = "state=held" if name == "held" else f"decision={decision}" if decision else ""
    return f"/sync-runs/{run.id}?{shows}#people" if shows else ""
