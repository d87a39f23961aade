"""The cards of the dashboard below "Needs attention", ready to be shown: figures, charts and lists as frozen records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from portal.dashboard import service, views
from portal.dashboard.service import Day, LastDay
from portal.http.formatting import number, percent, plural
from portal.models import Organization, SyncRun
from portal.runs.views import changes_in_words

PRODUCTS = 8


@dataclass(frozen=True)
class Figure:
    """A number with what it is of, where it leads, and links or words below it: (text, address; "" for words alone)."""

    label: str
    value: int
    link: str
    of: int | None = None
    notes: Sequence[tuple[str, str]] = ()


@dataclass(frozen=True)
class ChartCard:
    """A chart with its key (fill, label), its sentence, and the same as a table."""

    id: str
    title: str
    chart: views.Chart
    sentence: str
    columns: Sequence[str]
    rows: Sequence[tuple[str, Sequence[int]]]
    key: Sequence[tuple[str, str]] = ()
    link: str = "/sync-runs"
    link_label: str = "Sync activity"


@dataclass(frozen=True)
class Bar:
    """A line of a list with a meter: a name, a value in words, and how full it is. tone: the meter's class."""

    name: str
    link: str
    value: str
    part: int
    whole: int
    note: str = ""
    tone: str = ""

    @property
    def share(self) -> int:
        """How full it is, in percent."""
        return _share(self.part, self.whole)


@dataclass(frozen=True)
class Product:
    """A license product over all Microsoft tenants; left: how many are free, in words."""

    name: str
    used: int
    bought: int
    left: str
    tone: str

    @property
    def share(self) -> int:
        """How much of it is assigned, in percent, 100 at most."""
        return _share(self.used, self.bought)


@dataclass(frozen=True)
class Products:
    """License use, the fullest first. more: how many are not shown."""

    rows: Sequence[Product]
    more: int


@dataclass(frozen=True)
class Recent:
    """A run that changed something or did not succeed."""

    name: str
    link: str
    status: str
    changes: str
    at: datetime


def figures(totals: Mapping[str, int], states: Mapping[str, int], day: LastDay, unset: int) -> list[Figure]:
    """The four figures. unset: Organizations whose sync is off or was never set up."""
    return [
        Figure(
            "Organizations syncing",
            totals["syncing"],
            "/organizations?sync=enabled",
            totals["organizations"],
            [
                (f"{number(count)} {word}", link)
                for count, word, link in (
                    (states["processing"], "processing", "/sync-runs?status=running"),
                    (states["paused"], "paused", "/attention?kind=hold"),
                    (states["needs_attention"], _need(states["needs_attention"]), "/attention"),
                    (unset, "not syncing", "/organizations?sync=none"),
                )
                if count  # a row of zeros would reassure beside what is wrong elsewhere
            ],
        ),
        Figure(
            "End Users linked",
            totals["linked"],
            "/organizations",
            totals["end_users"],
            [(f"{plural(totals['disabled'], 'is', 'are')} disabled in Microsoft", "")],
        ),
        Figure(
            "Runs, last 24 hours",
            sum(day.runs.values()),
            "/sync-runs",
            None,
            [
                (f"{number(count)} {status}", f"/sync-runs?status={status}")
                for status, count in sorted(day.runs.items())
            ]
            or [("None yet", "")],
        ),
        _changed(day.people),
    ]


def _changed(people: Mapping[str, int]) -> Figure:
    marked = people.get("mark_disabled", 0) + people.get("mark_enabled", 0)
    words = [
        f"{number(people.get('create', 0))} created",
        f"{number(people.get('link', 0))} linked",
        f"{number(people.get('update', 0))} updated",
        f"{number(marked)} disabled or enabled",
    ]
    return Figure(
        "People changed, last 24 hours", sum(people.values()), "/sync-runs", None, [(", ".join(words), "")]
    )


def _need(count: int) -> str:
    return "needs attention" if count == 1 else "need attention"


def charts(days: Sequence[Day]) -> list[ChartCard]:
    """Changes, runs and trouble of the last fourteen days; [] while nothing has happened."""
    if not any(day.runs or any(day.changes.values()) for day in days):
        return []
    kinds = ("updated", "new", "marked")
    changes = {views.WORDS[kind]: [day.changes[kind] for day in days] for kind in kinds}
    trouble = {
        "failed": [day.failures for day in days],
        "partial": [day.partial for day in days],
        "held": [day.held for day in days],
    }
    return [
        ChartCard(
            "c1",
            "People changed per day",
            views.columns(days, changes, ("b", "a", "c")),
            views.changes_sentence(days),
            ("Created or linked", "Updated", "Disabled or enabled"),
            _rows(days, lambda day: (day.changes["new"], day.changes["updated"], day.changes["marked"])),
            (("a", "Created or linked"), ("b", "Updated"), ("c", "Disabled or enabled")),
        ),
        ChartCard(
            "c2",
            "Runs per day",
            views.columns(days, {"runs": [day.runs for day in days]}, ("b",)),
            views.runs_sentence(days),
            ("Runs",),
            _rows(days, lambda day: (day.runs,)),
        ),
        ChartCard(
            "c4",
            "Runs that did not succeed",
            views.columns(days, trouble, ("d", "e", "c")),
            views.trouble_sentence(days),
            ("Failed", "Partial", "Held"),
            _rows(days, lambda day: (day.failures, day.partial, day.held)),
            (("d", "Failed"), ("e", "Partial"), ("c", "Held")),
            "/sync-runs?status=failed",
            "Show the failed ones",
        ),
    ]


def _rows(days: Sequence[Day], numbers: views.Numbers) -> list[tuple[str, Sequence[int]]]:
    return [(f"{day.day:%d %b}", numbers(day)) for day in reversed(days)]


def mfa(lowest: Sequence[service.MfaCoverage]) -> list[Bar]:
    """Where MFA is missing most."""
    return [
        Bar(
            line.organization.name,
            f"/organizations/{line.organization.id}/end-users?mfa=false",
            f"{line.percent}%",
            line.registered,
            line.people,
            f"{number(line.registered)} of {number(line.people)}",
            "rc-meter-bad" if line.percent < 50 else "rc-meter-full" if line.percent < 80 else "",
        )
        for line in lowest
    ]


def mfa_sentence(count: int, total: service.MfaTotal) -> str:
    """Whom the list of MFA coverage counts, and all Organizations together."""
    first = f"The {count} lowest. " if count > 5 else ""
    unknown = ""
    if total.unknown:
        unknown = f"; {plural(total.unknown, 'is', 'are')} unknown: not read yet, or Entra ID P1 is missing"
    share = percent(total.registered, total.people)
    return f"{first}All Organizations together: {share}. Active, linked people whose MFA state is known{unknown}."


def products(licenses: Sequence[tuple[str, int, int]], most: int | None) -> Products:
    """License use, of ``most`` products at most."""
    rows = []
    for name, used, bought in licenses:
        left = "none left" if used == bought else f"{number(bought - used)} free"
        if used > bought:
            left = f"{number(used - bought)} too many"
        rows.append(Product(name, used, bought, left, "rc-meter-full" if used >= bought else ""))
    return Products(rows[:most], len(rows[most:]) if most is not None else 0)


def _share(part: int, whole: int) -> int:
    return min(100, round(100 * part / whole)) if whole else 0


def people(largest: Sequence[tuple[Organization, int]]) -> list[Bar]:
    """The largest Organizations by End Users."""
    most = largest[0][1] if largest else 0
    return [
        Bar(row.name, f"/organizations/{row.id}/end-users", number(count), count, most)
        for row, count in largest
    ]


def people_sentence(bars: Sequence[Bar], totals: Mapping[str, int]) -> str:
    """How much of everybody the list of the largest shows."""
    listed, everybody = sum(row.part for row in bars), totals["end_users"]
    if listed < everybody:
        organizations = plural(totals["organizations"], "Organization")
        return f"The {len(bars)} largest of {organizations}, with {number(listed)} of {plural(everybody, 'End User')}."
    others = totals["organizations"] - len(bars)
    rest = f"; {plural(others, 'more Organization has', 'more Organizations have')} none" if others else ""
    return f"{plural(everybody, 'End User')} in all{rest}."


def recent(rows: Sequence[tuple[SyncRun, str]]) -> list[Recent]:
    """The latest runs with changes or trouble."""
    return [
        Recent(name, f"/sync-runs/{run.id}", run.status, changes_in_words(run), run.created_at)
        for run, name in rows
    ]
