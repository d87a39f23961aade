"""What the page of a roll-out shows: frozen records, made from its rows in a handful of queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from portal.filter_templates.documents import PART_LABELS
from portal.http.formatting import plural
from portal.models import Rollout, RolloutRow
from portal.rollouts.service import BUSY, FAILED

KINDS: Mapping[str, str] = {
    "customers": "Set up customers",
    "organizations": "Set up Organizations",
    "template": "Save a filter template",
}
MATCHED: Mapping[str, str] = {
    "id": "Existing, by its people’s Links",
    "domain": "Existing, by its e-mail domain",
    "name": "Existing, by its name",
    "person": "Existing",
}
SHOWN_NAMES = 5
_CONSENT = ("AADSTS700016", "AADSTS65001", "AADSTS7000229", "AADSTS500011")
"""Microsoft's codes of a tenant that has not consented: asking for it helps."""


@dataclass(frozen=True)
class Step:
    """One step at the top of the page. state: did | now | later; what failed keeps no step from being over."""

    label: str
    done: int
    failed: int
    total: int
    state: str


@dataclass(frozen=True)
class Effect:
    """A number of a preview with its word, such as "3 leave"; tone for those that need a second look."""

    words: str
    tone: str = ""


@dataclass(frozen=True)
class Line:
    """One row of a roll-out. rank: the smaller, the worse. sync: the User Sync's status once it is enabled."""

    id: str
    name: str
    organization_id: str | None
    organization_name: str
    microsoft_tenant_id: str | None
    directory_id: str
    status: str
    problem: str
    asks_consent: bool
    is_chosen: bool
    matched: str
    is_new: bool
    rank: int = 9
    effects: Sequence[Effect] = ()
    notes: Sequence[Effect] = ()
    entering: Sequence[str] = ()
    leaving: Sequence[str] = ()
    more_entering: int = 0
    more_leaving: int = 0
    sync: SyncLine | None = None


@dataclass(frozen=True)
class SyncLine:
    """How the sync of an enabled row is doing. run_id: its newest run."""

    status: str
    words: str
    run_id: str | None
    is_over: bool


@dataclass(frozen=True)
class Page:
    """The page of a roll-out: its steps, and its rows by what can be done with them, the worst first.

    only_saves: every sync of the preview is enabled already.
    """

    title: str
    steps: Sequence[Step]
    is_busy: bool
    busy_words: str
    failed: Sequence[Line] = ()
    to_match: Sequence[Line] = ()
    mapped: Sequence[Line] = ()
    previewed: Sequence[Line] = ()
    busy: Sequence[Line] = ()
    enabled: Sequence[Line] = ()
    left_out: Sequence[Line] = ()
    sums: Sequence[Effect] = ()
    chosen: int = 0
    syncing: int = 0
    can_confirm: bool = False
    only_saves: bool = False


@dataclass(frozen=True)
class Unfinished:
    """A roll-out that somebody can go on with."""

    id: str
    title: str
    words: str
    created_at: datetime
    created_by: str


def unfinished(rollouts: Sequence[tuple[Rollout, Mapping[str, int]]]) -> list[Unfinished]:
    """Where to go on, in words."""
    return [
        Unfinished(row.id, KINDS[row.kind], _progress_words(counts), row.created_at, row.created_by)
        for row, counts in rollouts
    ]


def page(
    rollout: Rollout, rows: Sequence[RolloutRow], syncs: Mapping[str, SyncLine], problems: Mapping[str, str]
) -> Page:
    """Everything the page shows. problems: row id -> what is wrong with what was entered there."""
    lines = [line(row, syncs.get(row.organization_id or ""), problems.get(row.id, "")) for row in rows]
    by: dict[str, list[Line]] = {}
    for entry in lines:
        by.setdefault(entry.status, []).append(entry)
    previewed = sorted(by.get("previewed", []), key=lambda entry: entry.rank)
    busy = [entry for entry in lines if entry.status in BUSY]
    enabled = by.get("enabled", [])
    return Page(
        title=KINDS[rollout.kind],
        steps=_steps(rollout, rows),
        is_busy=bool(busy),
        busy_words=_busy_words(busy),
        failed=[entry for entry in lines if entry.status in FAILED and entry.status != "unmapped"],
        to_match=[*by.get("unmapped", []), *by.get("suggested", [])],
        mapped=by.get("mapped", []),
        previewed=previewed,
        busy=busy,
        enabled=enabled,
        left_out=by.get("left_out", []),
        sums=_sums([row for row in rows if row.status == "previewed"]),
        chosen=sum(row.is_chosen for row in previewed),
        syncing=sum(1 for row in enabled if row.sync is not None and not row.sync.is_over),
        can_confirm=bool(previewed) or rollout.kind == "template",
        only_saves=all(row.preview.get("is_enabled") for row in rows if row.status == "previewed"),
    )


def line(row: RolloutRow, sync: SyncLine | None = None, problem: str = "") -> Line:
    """One row as the page shows it."""
    preview = row.preview or {}
    scope = preview.get("scope") or {}
    return Line(
        id=row.id,
        name=row.name,
        organization_id=row.organization_id,
        organization_name=row.organization_name,
        microsoft_tenant_id=row.microsoft_tenant_id,
        directory_id=row.directory_id,
        status=row.status,
        problem=problem or row.problem,
        asks_consent=row.status == "unconnected" and row.problem_code in _CONSENT,
        is_chosen=row.is_chosen,
        matched=MATCHED.get(row.matched_by, "") if row.organization_id else "New Organization",
        is_new=row.organization_id is None,
        rank=_rank(preview),
        effects=_effects(preview) if row.status == "previewed" else (),
        notes=_notes(preview) if row.status == "previewed" else (),
        entering=scope.get("entering", ())[:SHOWN_NAMES],
        leaving=scope.get("leaving", ())[:SHOWN_NAMES],
        more_entering=max(0, scope.get("enters", 0) - SHOWN_NAMES),
        more_leaving=max(0, scope.get("leaves", 0) - SHOWN_NAMES),
        sync=sync,
    )


def _steps(rollout: Rollout, rows: Sequence[RolloutRow]) -> list[Step]:
    reached = {
        "waiting": 0, "unconnected": 0, "connected": 1, "suggested": 1, "mapping": 1, "unmapped": 1,
        "mapped": 2, "previewing": 2, "blocked": 2, "previewed": 3, "enabling": 3, "refused": 3, "enabled": 4,
    }  # fmt: skip
    labels = [
        "Connect",
        "Create or match Organizations",
        "Choose filters",
        "Enable" if rollout.kind != "template" else "Save",
    ]
    first = {"customers": 0, "organizations": 2, "template": 3}[rollout.kind]
    present = [(reached[row.status], row.status in FAILED) for row in rows if row.status != "left_out"]
    steps: list[Step] = []
    for number in range(first, len(labels)):
        done = sum(1 for stage, _ in present if stage > number)
        failed = sum(1 for stage, is_failed in present if stage == number and is_failed)
        left = sum(1 for stage, is_failed in present if stage <= number and not is_failed)
        is_now = bool(left) and not any(step.state == "now" for step in steps)
        state = "now" if is_now else ("did" if done and not left else "later")
        steps.append(Step(labels[number], done, failed, len(present), state))
    return steps


_DOING: Mapping[str, str] = {
    "waiting": "being connected",
    "connected": "being matched",
    "mapping": "being mapped",
    "previewing": "being previewed",
    "enabling": "being enabled",
}


def _busy_words(busy: Sequence[Line]) -> str:
    return ", ".join(
        f"{sum(1 for row in busy if row.status == status):,} {words}"
        for status, words in _DOING.items()
        if any(row.status == status for row in busy)
    )


def _progress_words(counts: Mapping[str, int]) -> str:
    words = {
        **_DOING,
        "suggested": "to match",
        "mapped": "to set up",
        "previewed": "to enable",
        "enabled": "enabled",
    }
    return ", ".join(f"{counts[status]:,} {word}" for status, word in words.items() if counts.get(status))


def _rank(preview: Mapping[str, Any]) -> int:
    """Worst first: the wrong tenant, who is held or leaves, conflicts, what cannot be told, then the others."""
    if not preview:
        return 9
    tone = (preview.get("guard") or {}).get("tone", "")
    scope = preview.get("scope") or {}
    checks = (
        tone == "none",
        bool(preview.get("held")),
        bool(scope.get("leaves")),
        bool(preview["counts"].get("conflicts")),
        tone == "some",
        preview.get("matching") == 0,
        any(len(group["names"]) != 1 for group in preview.get("groups", ())),
        bool(preview.get("warnings")),
    )
    return next((number for number, applies in enumerate(checks) if applies), len(checks))


def _effects(preview: Mapping[str, Any]) -> list[Effect]:
    if not preview:
        return []
    counts, held = preview["counts"], preview.get("held")
    scope = preview.get("scope")
    effects = [
        (counts.get("created", 0), "created", ""),
        (counts.get("linked", 0), "linked", ""),
        (scope["enters"] if scope else 0, "entering", ""),
        (scope["leaves"] if scope else 0, "leaving", "yellow"),
        (counts.get("conflicts", 0), "conflict" if counts.get("conflicts") == 1 else "conflicts", "orange"),
        (held["count"] if held else 0, "held", "yellow"),
        (counts.get("disabled", 0), "disabled", ""),
        (counts.get("skipped", 0), "skipped", ""),
    ]
    return [Effect(f"{number:,} {word}", tone) for number, word, tone in effects if number] or [
        Effect("Nothing changes" if preview.get("is_saved") else "Nobody is added or changed")
    ]


def _notes(preview: Mapping[str, Any]) -> list[Effect]:
    notes = []
    guard = preview.get("guard")
    if guard and guard["tone"] == "none":
        ends = f" They end in {', '.join(guard['endings'])}." if guard["endings"] else ""
        notes.append(
            Effect(
                f"This may be the wrong Microsoft tenant: none of {guard['known']:,} known e-mail addresses belongs to its domains.{ends}",
                "red",
            )
        )
    elif guard and guard["tone"] == "some":
        notes.append(
            Effect(
                f"Check the tenant: only {guard['matching']:,} of {guard['known']:,} known e-mail addresses belong to this Microsoft tenant.",
                "yellow",
            )
        )
    if preview.get("matching") == 0:
        notes.append(Effect(f"None of {preview['total']:,} Microsoft users match.", "yellow"))
    for group in preview.get("groups", ()):
        if not group["names"]:
            notes.append(Effect(f"No group matches “{group['pattern']}”.", "yellow"))
        elif len(group["names"]) > 1:
            names = ", ".join(group["names"][:SHOWN_NAMES])
            more = (
                f" and {len(group['names']) - SHOWN_NAMES:,} more"
                if len(group["names"]) > SHOWN_NAMES
                else ""
            )
            notes.append(
                Effect(f"“{group['pattern']}” matches {plural(len(group['names']), 'group')}: {names}{more}.")
            )
    if preview.get("kept"):
        departures = ", ".join(PART_LABELS[part] for part in preview["kept"])
        notes.append(Effect(f"Keeps its own: {departures}."))
    notes += [Effect(text, "yellow") for text in preview.get("warnings", ())]
    return notes


def _sums(rows: Sequence[RolloutRow]) -> list[Effect]:
    """What enabling or saving all would do, in one line."""
    totals: dict[str, int] = {}
    for row in rows:
        preview = row.preview or {}
        for name, number in (preview.get("counts") or {}).items():
            totals[name] = totals.get(name, 0) + number
        scope = preview.get("scope") or {}
        for name in ("enters", "leaves"):
            totals[name] = totals.get(name, 0) + scope.get(name, 0)
        totals["wrong"] = totals.get("wrong", 0) + ((preview.get("guard") or {}).get("tone") == "none")
    words = (
        ("created", "End Users created", ""),
        ("linked", "linked", ""),
        ("enters", "enter", ""),
        ("leaves", "leave", "yellow"),
        ("conflicts", "conflicts", "orange"),
        ("held", "held", "yellow"),
        ("skipped", "skipped", ""),
        ("wrong", "perhaps the wrong tenant", "red"),
    )
    return [Effect(f"{totals[name]:,} {word}", tone) for name, word, tone in words if totals.get(name)]
