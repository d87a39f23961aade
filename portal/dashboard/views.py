"""The dashboard's charts as numbers: columns with their places, and the sentence that says the same."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from portal.dashboard.service import Day

WIDTH, HEIGHT, BASE, LEFT = 330, 150, 118, 34
PLOT = 100  # height of the tallest column

Numbers = Callable[[Day], Sequence[int]]
"""A row of a chart's table."""
WORDS: Mapping[str, str] = {"new": "created or linked", "updated": "updated", "marked": "disabled or enabled"}
"""What became of those of a kind."""


@dataclass(frozen=True)
class Bar:
    """One rectangle of a chart, in the drawing's units."""

    x: float
    y: float
    width: float
    height: float
    fill: str
    title: str


@dataclass(frozen=True)
class Chart:
    """Stacked columns. labels: (x, text) below; grid: (y, text) at the left; tops: (x, y, text) above the tallest."""

    bars: Sequence[Bar]
    labels: Sequence[tuple[float, str]]
    grid: Sequence[tuple[float, str]]
    tops: Sequence[tuple[float, float, str]]
    total: int


def columns(days: Sequence[Day], series: Mapping[str, Sequence[int]], fills: Sequence[str]) -> Chart:
    """Columns of ``series`` (in words, a number per day), zero at the base line, nothing rounded away."""
    totals = [sum(values) for values in zip(*series.values(), strict=True)]
    top = _round_up(max(totals, default=0))
    step = (WIDTH - LEFT) / max(1, len(days))
    bars: list[Bar] = []
    tops: list[tuple[float, float, str]] = []
    peak = max(totals, default=0)
    for place, total in enumerate(totals):
        x, y = LEFT + place * step + step * 0.12, float(BASE)
        for (words, values), fill in zip(series.items(), fills, strict=True):
            if values[place]:
                height = PLOT * values[place] / top
                title = f"{_named(days[place])}: {values[place]:,} {words}"
                bars.append(Bar(x, y - height, step * 0.76, max(height - 1, 0.5), fill, title))
                y -= height
        if total and total == peak:
            tops.append((x + step * 0.38, y - 4, f"{total:,}"))
    labels = [
        (LEFT + place * step + step / 2, str(day.day.day))
        for place, day in enumerate(days)
        if (len(days) - 1 - place) % 2 == 0
    ]
    grid = [(float(BASE), "0"), (BASE - PLOT / 2, f"{top / 2:,.0f}"), (float(BASE - PLOT), f"{top:,}")]
    return Chart(bars, labels, grid, tops, sum(totals))


def changes_sentence(days: Sequence[Day]) -> str:
    """The chart of changes in words: the day with the most, and what it was made of."""
    peak = max(days, key=lambda day: sum(day.changes.values()), default=None)
    if peak is None or not sum(peak.changes.values()):
        return "Nobody was changed in the last 14 days."
    kind = max(peak.changes, key=lambda name: peak.changes[name])
    total = sum(peak.changes.values())
    return f"The most was {_named(peak)}: {total:,}, of which {peak.changes[kind]:,} {WORDS[kind]}."


def runs_sentence(days: Sequence[Day]) -> str:
    """The chart of runs in words."""
    total = sum(day.runs for day in days)
    if not total:
        return "No sync has run in the last 14 days."
    peak = max(days, key=lambda day: day.runs)
    return (
        f"{total:,} in the last 14 days. The most was {_named(peak)}: {peak.runs:,}. {days[-1].runs:,} today."
    )


def trouble_sentence(days: Sequence[Day]) -> str:
    """The chart of runs that did not succeed in words."""
    total, runs = sum(day.troubled for day in days), sum(day.runs for day in days)
    if not runs:
        return "No sync has run in the last 14 days."
    if not total:
        return f"{'The one run' if runs == 1 else f'All {runs:,} runs'} of the last 14 days succeeded."
    peak = max(days, key=lambda day: day.troubled)
    return f"{total:,} of {runs:,} runs did not succeed. The most was {_named(peak)}: {peak.troubled:,}. {days[-1].troubled:,} today."


def _named(day: Day) -> str:
    """Such as "Wed 25 Nov"."""
    return f"{day.day:%a} {day.day.day} {day.day:%b}"


def _round_up(value: int) -> int:
    """A round top of the scale, with an even half: 2, 4, 10, 20, 50, 100, …"""
    for power in range(12):
        for step in (2, 4, 10):
            top = step * int(10**power)
            if value <= top:
                return top
    return value
