"""What the set-up pop-up shows: its sections, its summary, and the domain guard. No queries, no writes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from portal.engine.explain import SECTION_LABELS
from portal.engine.records import SECTIONS, FilterSpec, SectionFilter
from portal.engine.scope import value_key
from portal.http.formatting import plural
from portal.text import text_key
from portal.user_sync.matching import Match

SHOWN = 100  # unchecked values of one section on the page; the search finds the others
SEARCH_FROM = 10
VALUES_NAMED = 3  # of a section's choice on its summary line; of more, the number is said
NAMED = 200  # who enters, stays and leaves is named up to here: nobody reads on, and 20,000 names are 2 MB
NONE_LABEL = "(none)"
ENOUGH_KNOWN = 5  # U10: fewer known addresses say nothing

WORDS: Mapping[str, tuple[str, str, str]] = {
    # section: one, several, what All covers beyond today's values
    "user_type": ("user type", "user types", "also user types that appear later"),
    "domain": ("domain", "domains", "also domains that appear later"),
    "office_location": ("office", "offices", "also offices that appear later"),
    "department": ("department", "departments", "also departments that appear later"),
    "group": ("group", "groups", "also people in no group, and groups that appear later"),
}


@dataclass(frozen=True)
class FilterOption:
    """One check box. count: None for a group whose members were not read yet. note: second line of same-named groups."""

    value: str
    label: str
    count: int | None
    checked: bool
    note: str = ""


@dataclass(frozen=True)
class Section:
    """One ``<details>`` of the pop-up. gone: chosen values that nobody in Microsoft has any more (S7).

    accepted: None while nobody has been counted, since no member of the chosen groups was read yet.
    """

    name: str
    label: str
    all: bool
    chosen: str
    accepted: int | None
    choices: Sequence[FilterOption]
    gone: Sequence[FilterOption]
    offered: int
    match_count: int
    query: str
    is_open: bool
    problems: Sequence[str] = ()

    @property
    def words(self) -> tuple[str, str, str]:
        """One, several, and what All covers."""
        return WORDS[self.name]

    @property
    def has_search(self) -> bool:
        """U2: a search box where there are more than 10."""
        return self.offered > SEARCH_FROM

    @property
    def is_long(self) -> bool:
        """So many values are on the page that they scroll by themselves."""
        return len(self.choices) > SEARCH_FROM

    @property
    def fitting(self) -> str:
        """How many values fit the search, as the beginning of a sentence that ends with it."""
        offered = f"of {plural(self.offered, self.words[0])}"
        return plural(self.match_count, f"{offered} matches", f"{offered} match")

    @property
    def hidden(self) -> int:
        """How many values fit the search and are not on the page."""
        return max(
            0,
            self.match_count - sum(1 for choice in self.choices if not choice.checked or self._fits(choice)),
        )

    def _fits(self, choice: FilterOption) -> bool:
        return not self.query or text_key(self.query) in text_key(choice.label)


@dataclass(frozen=True)
class Part:
    """Some of those who enter, stay or leave: the first by name, and how many they are."""

    title: str
    note: str
    number: int
    people: Sequence[Mapping[str, str]]

    @property
    def more(self) -> int:
        """How many are not named."""
        return self.number - len(self.people)


@dataclass(frozen=True)
class ScopeChange:
    """U11: who enters and stays sum, with the conflicts, to those in scope; who leaves stands beside that sum."""

    parts: Sequence[Part]
    conflicts: int
    ignored: int
    leaves: Part


@dataclass(frozen=True)
class Summary:
    """The live line and what enabling or saving would do. rows sum to ``in_scope``; None while not known.

    in_scope and skipped are the preview's words and sum to ``matching``. unusable: records that match nothing, which
    the preview counts as skipped too (G8).
    change is U11's, for a sync that is enabled: its parts sum to ``in_scope`` too. uncounted: groups whose members are being read;
    hidden: names of those whose members Microsoft does not tell.
    """

    matching: int
    total: int
    rows: Sequence[tuple[str, str, int]] | None = None
    skipped: int = 0
    unusable: int = 0
    culprits: Sequence[str] = ()
    uncounted: int = 0
    hidden: Sequence[str] = ()
    change: ScopeChange | None = None
    held: Mapping[str, Any] | None = None

    @property
    def awaited(self) -> int:
        """How many groups have members that are being read."""
        return self.uncounted - len(self.hidden)

    @property
    def is_unknown(self) -> bool:
        """Nobody has been counted while members are being read: that is not 0."""
        return bool(self.uncounted) and not self.matching

    @property
    def blockers(self) -> str:
        """Which sections let nobody through, as a sentence; "" when none does."""
        verb = "accepts" if len(self.culprits) == 1 else "accept"
        return f"{' and '.join(self.culprits)} {verb} nobody." if self.culprits else ""

    @property
    def in_scope(self) -> int:
        """How many of those that match the sync goes on to decide about."""
        return self.matching - self.skipped


@dataclass(frozen=True)
class Guard:
    """U10: tone is ok | some | none; ``asks`` when one more click is needed before enabling."""

    tone: str
    addresses: int
    matching: int
    endings: Sequence[str] = field(default_factory=tuple)

    @property
    def asks(self) -> bool:
        """None of at least five known addresses belongs to the tenant's domains."""
        return self.tone == "none"


def sections(
    options: Mapping[str, Sequence[Mapping[str, Any]]],
    spec: FilterSpec,
    match: Match,
    *,
    queries: Mapping[str, str],
    opened: Sequence[str],
    problems: Mapping[str, Sequence[str]],
) -> list[Section]:
    """The five sections as they stand, at most ``SHOWN`` unchecked values each."""
    return [
        section(
            name,
            options.get(name, ()),
            getattr(spec, name),
            accepted=match.sections.get(name, 0) or (None if name == "group" and match.uncounted else 0),
            query=queries.get(name, ""),
            is_open=name in opened or name in problems,
            problems=problems.get(name, ()),
        )
        for name in SECTIONS
    ]


def section(
    name: str,
    offered: Sequence[Mapping[str, Any]],
    chosen: SectionFilter,
    *,
    accepted: int | None,
    query: str,
    is_open: bool,
    problems: Sequence[str] = (),
) -> Section:
    """One section. Checked values are always on the page, whatever is searched for, so that none is lost."""
    chosen_values = {value_key(name, value): value for value in chosen.values}
    present = [option for option in offered if option.get("present", True)]
    names = Counter(str(option["label"]) for option in present) if name == "group" else Counter[str]()
    needle = text_key(query)
    present_keys = set()
    checked: list[FilterOption] = []
    others: list[FilterOption] = []
    accepted_count = 0
    for option in present:
        key = value_key(name, str(option["value"]))
        present_keys.add(key)
        label = str(option["label"]) or NONE_LABEL
        fits = not needle or needle in text_key(label) or needle in text_key(str(option.get("mail", "")))
        accepted_count += fits
        is_checked = key in chosen_values
        if not is_checked and (not fits or len(others) >= SHOWN):
            continue
        choice = FilterOption(
            str(option["value"]), label, option["count"], is_checked, _note(option, names[label] > 1)
        )
        (checked if is_checked else others).append(choice)
    labels = {value_key(name, str(option["value"])): str(option["label"]) for option in offered}
    gone = [_gone(value, labels.get(key)) for key, value in chosen_values.items() if key not in present_keys]
    return Section(
        name=name,
        label=SECTION_LABELS[name],
        all=chosen.all,
        chosen=_chosen_words(name, chosen, [c.label for c in checked] + [c.label for c in gone]),
        accepted=accepted,
        choices=[*checked, *others],
        gone=gone,
        offered=len(present),
        match_count=accepted_count,
        query=query,
        is_open=is_open,
        problems=problems,
    )


def _gone(value: str, label: str | None) -> FilterOption:
    return FilterOption(value, label or value or NONE_LABEL, 0, checked=True)


def summary(
    match: Match,
    spec: FilterSpec,
    *,
    counts: Mapping[str, int] | None,
    scope_change: Mapping[str, Any] | None = None,
    staying: Sequence[Mapping[str, str]] = (),
    held: Mapping[str, Any] | None = None,
) -> Summary:
    """The right column. ``counts`` are a preview's; the rows and the skipped people always sum to the match."""
    culprits = [
        SECTION_LABELS[name]
        for name in SECTIONS
        if not getattr(spec, name).all
        and match.sections.get(name, 0) == 0
        and not (name == "group" and match.uncounted)
    ]
    rows, skipped, unusable = None, 0, 0
    if counts is not None and not match.uncounted:
        ignored = int(scope_change["ignored"]) if scope_change is not None else 0
        linked_before = sum(counts.get(key, 0) for key in ("updated", "unchanged", "disabled", "enabled"))
        lines = [  # icon, words, number, and whether a 0 is shown
            ("user-plus", "New End Users", counts.get("created", 0), True),
            ("link", "Linked to an existing End User", counts.get("linked", 0), True),
            ("check", "Linked already", linked_before - ignored, False),
            ("minus", "In an ignored conflict", ignored, False),
            ("hand-stop", "Held until an administrator decides", counts.get("held", 0), False),
            ("arrows-split", "Conflicts to settle", counts.get("conflicts", 0), True),
        ]
        rows = [(icon, words, number) for icon, words, number, always in lines if number or always]
        skipped = max(0, match.matching - sum(row[2] for row in rows))
        unusable = max(0, counts.get("skipped", 0) - skipped)
    return Summary(
        matching=match.matching,
        total=match.total,
        rows=rows,
        skipped=skipped,
        unusable=unusable,
        culprits=culprits if match.total else (),
        uncounted=len(match.uncounted),
        hidden=match.hidden,
        change=None if scope_change is None else _change(scope_change, staying),
        held=held,
    )


def _change(change: Mapping[str, Any], staying: Sequence[Mapping[str, str]]) -> ScopeChange:
    enters, leaves = change["enters"], change["leaves"]
    return ScopeChange(
        parts=(
            Part("Enters", "matches from now on", len(enters), enters[:NAMED]),
            Part("Stays", "still updated", change["stays"], staying[:NAMED]),
        ),
        conflicts=change["conflicts"],
        ignored=change["ignored"],
        leaves=Part("Leaves", "kept, but no longer updated", len(leaves), leaves[:NAMED]),
    )


def guard(overlap: Mapping[str, Any] | None, endings: Sequence[str]) -> Guard | None:
    """U10's sentence, None when too few addresses are known to say anything."""
    addresses = int(overlap["known"]) if overlap else 0
    matching = int(overlap["matching"]) if overlap else 0
    if addresses < ENOUGH_KNOWN:
        return None
    tone = "none" if matching == 0 else ("ok" if matching * 2 >= addresses else "some")
    return Guard(tone, addresses, matching, endings)


def _chosen_words(name: str, chosen: SectionFilter, labels: Sequence[str]) -> str:
    if chosen.all:
        return "All"
    if not chosen.values:
        return "Nothing checked"
    if len(labels) <= VALUES_NAMED:
        return ", ".join(labels)
    return f"{len(labels):,} {WORDS[name][1]} chosen"


def _note(option: Mapping[str, Any], is_ambiguous: bool) -> str:
    if not is_ambiguous:
        return ""
    parts = (option.get("kind", ""), option.get("mail", "") or str(option["value"]))
    return " · ".join(str(part) for part in parts if part)
