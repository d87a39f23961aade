"""What the pages of runs show: phases in words, counts that add up, and decisions in the past tense. No queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from portal.engine.explain import CHANGE_LABELS, spared_words, undone_words
from portal.engine.licenses import product_name
from portal.engine.records import Phase as RunPhase
from portal.engine.schedule import DELAYED_LIMIT
from portal.engine.undo import RestoredPerson, SparedPerson, UndoPlan
from portal.http import undo_view as undo
from portal.http.formatting import or_dash, plural
from portal.models import ACTIVE, SyncRun

TRIGGERS = {"initial": "Initial sync", "hourly": "Hourly run", "manual": "Sync Now"}
PHASES: Mapping[str, str] = {
    RunPhase.READING_PEOPLE: "Read people from Microsoft",
    RunPhase.READING_GROUPS: "Read the members of the chosen groups",
    RunPhase.READING_LICENSES: "Read licenses",
    RunPhase.DECIDING: "Decide about each person",
    RunPhase.APPLYING: "Write End Users",
    RunPhase.PUBLISHING: "Show them all at once",
    RunPhase.UNDOING: "Restore End Users",
}
_READING = (RunPhase.READING_PEOPLE, RunPhase.READING_GROUPS, RunPhase.READING_LICENSES, RunPhase.DECIDING)
HOURLY: Sequence[str] = (*_READING, RunPhase.APPLYING)
DELAYED: Sequence[str] = (*_READING, RunPhase.PUBLISHING)
UNDO: Sequence[str] = (RunPhase.DECIDING, RunPhase.UNDOING)

# count -> (decision filter, state filter, word, fill, icon); the order of the bar
PARTS: tuple[tuple[str, str, str, str, str], ...] = (
    ("unchanged", "", "unchanged", "c", "minus"),
    ("created", "create", "created", "a", "user-plus"),
    ("linked", "link", "linked", "a", "link"),
    ("updated", "update", "updated", "b", "pencil"),
    ("disabled", "mark_disabled", "marked disabled", "c", "user-off"),
    ("enabled", "mark_enabled", "marked enabled", "a", "user-check"),
    ("conflicts", "conflict", "in conflict", "e", "arrows-split"),
    ("held", "", "held", "e", "hand-stop"),
)

_WORDS: Mapping[str, Mapping[str, str]] = {
    "microsoft_status": {"none": "", "active": "Active", "disabled": "Disabled in Microsoft"},
    "in_scope": {"true": "Match", "false": "No longer match"},
}


def shown_value(field: str, value: str, names: Mapping[str, str] | None = None) -> str:
    """A value out of a change record in words. Products are called as they are today (W3): names, sku id → name."""
    if field == "licenses":
        labels = names or {}
        return ", ".join(sorted({labels.get(sku) or product_name(sku) for sku in value.split()}))
    return _WORDS.get(field, {}).get(value, value)


@dataclass(frozen=True)
class Phase:
    """One step of a run. state: did | now | later. total: None when not known."""

    words: str
    state: str
    done: int = 0
    total: int | None = None


@dataclass(frozen=True)
class Progress:
    """A run as the progress block shows it. wait: seconds until the next look, None when the run is over.

    waits_until: a queued run begins then, as Microsoft asks to wait (G5).
    """

    phases: Sequence[Phase]
    is_active: bool
    is_queued: bool
    waits_until: datetime | None
    wait: int | None
    pace: str
    bound: datetime | None


def progress(run: SyncRun, now: datetime, waits_until: datetime | None = None) -> Progress:
    """The phases of a run, and how soon to look again: 2, 5 or 15 seconds, by the run's age."""
    names = UNDO if run.kind == "undo" else DELAYED if run.lane == "delayed" else HOURLY
    is_active = run.status in ACTIVE
    at = names.index(run.phase) if run.phase in names else (len(names) if not is_active else -1)
    phases = [
        Phase(
            PHASES[name],
            "did" if place < at else "now" if place == at else "later",
            run.done if place == at else 0,
            run.total if place == at else None,
        )
        for place, name in enumerate(names)
    ]
    age = now - (run.started_at or run.created_at)
    wait = 2 if age < timedelta(seconds=30) else 5 if age < timedelta(minutes=3) else 15
    is_delayed = is_active and run.lane == "delayed"
    return Progress(
        phases,
        is_active,
        run.status == "queued",
        waits_until,
        wait if is_active else None,
        _pace(run, now) if is_active else "",
        run.created_at + DELAYED_LIMIT if is_delayed else None,
    )


@dataclass(frozen=True)
class NextStep:
    """What follows a run: a sentence, when the next run is due (None: none is), and where to go (address, label)."""

    words: str
    at: datetime | None = None
    links: Sequence[tuple[str, str]] = ()


KEPT = {
    "failed": "End Users stay as they were.",
    "partial": "What the run did stays.",
    "cancelled": "What the run did before, if anything, stays.",
}


def next_step(run: SyncRun, tenant_id: str, *, is_enabled: bool, at: datetime | None) -> NextStep:
    """The next step for every state of a run except a waiting hold, which has its own card (P8)."""
    tenant = (f"/tenants/{tenant_id}", "Tenant Details")
    check = (f"/microsoft-tenants/{run.microsoft_tenant_id}/check", "Check connection")
    checks = [check] if run.microsoft_tenant_id else []
    own = f"/organizations/{run.organization_id}"
    conflicts = (run.counts or {}).get("conflicts", 0)
    if run.status == "queued":
        return NextStep("Nothing to do: it starts when its turn comes.")
    if run.status == "running":
        return NextStep("Nothing to do: it continues if you leave this page.")
    if not is_enabled:
        outcome = KEPT.get(run.status, "What the run did is kept.")
        return NextStep(f"{outcome} The sync is off; Tenant Details can set it up again.", None, [tenant])
    if run.status == "failed":
        return NextStep(f"{KEPT['failed']} The sync tries again by itself.", at, [*checks, tenant])
    if run.status == "partial":
        return NextStep(f"{KEPT['partial']} The sync tries the rest again by itself.", at, [*checks, tenant])
    if run.status == "cancelled":
        words = f"{KEPT['cancelled']} The sync is on: its next run decides again, without asking. Tenant Details previews what would change now."
        return NextStep(words, at, [tenant])
    if run.kind == "undo":
        words = "The sync is on, and may make the same changes again. Edit its filters or disable it first."
        return NextStep(words, at, [tenant])
    if conflicts:
        people = plural(conflicts, "person is", "people are")
        words = f"{people} in conflict, and nothing changes until you choose."
        return NextStep(words, at, [(f"{own}/conflicts", "Settle conflicts")])
    return NextStep("Nothing to do.", at, [(f"{own}/end-users", "Show the End Users")])


def title(run: SyncRun, organization: str, undone: str = "") -> str:
    """The run by name: Hourly run of Harborview Imaging. undone: when the run began that an undo takes back, in words."""
    if run.kind == "undo":
        return f"Undo of the {undone} run of {organization}" if undone else f"Undo of a run of {organization}"
    if run.only_object_id is not None:
        return f"Sync of one person in {organization}"
    preposition = "for" if run.trigger == "manual" else "of"
    return f"{TRIGGERS.get(run.trigger, 'Run')} {preposition} {organization}"


def short_title(run: SyncRun) -> str:
    """The kind of run, for a breadcrumb or a table."""
    if run.only_object_id is not None:
        return "One person"
    return "Undo" if run.kind == "undo" else TRIGGERS.get(run.trigger, "Run")


def changes_in_words(run: SyncRun) -> str:
    """What it changed ("1 created, 3 updated"), or how far an active run is."""
    if run.status == "queued":
        return "Waits for its turn"
    if run.status == "running":
        words = PHASES.get(run.phase, "Starts")
        return f"{words}: {run.done:,} of {run.total:,}" if run.total else words
    counts = run.counts or {}
    if not counts:
        return "–"
    if run.kind == "undo":
        return f"{counts.get('updated', 0):,} undone"
    parts = [
        f"{counts[name]:,} {word}"
        for name, _, word, _, _ in PARTS
        if name != "unchanged" and counts.get(name, 0)
    ]
    if counts.get("gone"):
        parts.append(f"{counts['gone']:,} gone from Microsoft")
    return ", ".join(parts) or "No changes"


def held_in_words(kind: str) -> str:
    """What a hold keeps from happening, up to "than the threshold allows": ``kind`` is the hold's."""
    return "marked more people as Disabled in Microsoft" if kind == "disable" else "added more people"


def finished_phases(run: SyncRun) -> list[tuple[str, str, bool]]:
    """(phase, what came of it, waits) of a run that is over, for its inline list."""
    counts = run.counts or {}
    if run.kind == "undo" or "read" not in counts:
        return []
    in_scope, held = counts.get("in_scope", 0), counts.get("held", 0)
    applied = f"{in_scope - held:,} of {in_scope:,}" + (f", {held:,} held" if held else "")
    return [
        (
            "Read people",
            f"{counts['read']:,} · " + ("cut short" if run.status == "partial" else "complete"),
            False,
        ),
        ("Decide", f"{counts['read']:,}", False),
        ("Write and show all at once" if run.lane == "delayed" else "Write End Users", applied, bool(held)),
        ("Sign-ins, MFA, devices", "separate pass", False),
    ]


def said_code(run: SyncRun) -> str:
    """Microsoft's code of what went wrong, "" when the sentence says it already."""
    code = run.error_code or ""
    return "" if code in (run.error or "") else code


def duration(run: SyncRun) -> str:
    """How long it took; blank while it runs."""
    if run.started_at is None or run.finished_at is None:
        return ""
    return spell(run.finished_at - run.started_at)


def spell(length: timedelta) -> str:
    """A length of time in words, rounded to what matters."""
    seconds = max(0, round(length.total_seconds()))
    if seconds == 0:
        return "under a second"
    if seconds < 60:
        return "1 second" if seconds == 1 else f"{seconds} seconds"
    minutes = round(seconds / 60)
    if minutes < 60:
        return "1 minute" if minutes == 1 else f"{minutes} minutes"
    hours = round(minutes / 60)
    return "1 hour" if hours == 1 else f"{hours} hours"


def _pace(run: SyncRun, now: datetime) -> str:
    """The time left once the pace is known; none is invented."""
    if not run.total or not run.done or run.started_at is None:
        return ""
    left = (now - run.started_at) / run.done * (run.total - run.done)
    return (
        "At this pace that is less than a minute."
        if left < timedelta(minutes=1)
        else f"At this pace that is about {spell(left)}."
    )


def undo_view(plan: UndoPlan, products: Mapping[str, str], *, action: str, back: str) -> undo.UndoView:
    """Whom an undo deletes, whom it restores, and whom it spares, each once with all reasons. products: sku id → name."""
    spared: dict[Any, list[str]] = {}
    names: dict[Any, str] = {}
    for person in plan.spared:
        who = person.end_user_id or len(names)
        names.setdefault(who, person.display_name)
        spared.setdefault(who, []).append(_spared_words(person))
    return undo.undo_view(
        "run",
        ("End User", "person", "people"),
        (
            undo.Group(
                "Deleted, as this run created them",
                "Deleted",
                [
                    undo.Line(person.display_name, f"/end-users/{person.end_user_id}")
                    for person in plan.restored
                    if person.is_deleted
                ],
                "Nobody",
            ),
            undo.Group(
                "Restored",
                "Restored",
                [_restored_line(person, products) for person in plan.restored if not person.is_deleted],
                "Nobody",
            ),
            undo.Group(
                "Not restored: edited since",
                "Not restored",
                [undo.Line(names[who], details=["; ".join(reasons)]) for who, reasons in spared.items()],
                "Nobody",
            ),
        ),
        action=action,
        back=back,
        nothing=": everything was edited since",
    )


def _restored_line(person: RestoredPerson, products: Mapping[str, str]) -> undo.Line:
    values = [
        f"{CHANGE_LABELS.get(entry['field'], entry['field'])}: "
        f"{or_dash(shown_value(entry['field'], entry['new'], products))}"
        for entry in person.fields
    ]
    details = "; ".join([undone_words(person.what), *values])
    return undo.Line(person.display_name, f"/end-users/{person.end_user_id}", [details])


def _spared_words(person: SparedPerson) -> str:
    words = spared_words(person.reason, CHANGE_LABELS.get(person.field, person.field))
    return words[:1].upper() + words[1:]
