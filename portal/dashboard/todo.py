"""The rows of "Needs attention" in words (P9): causes that are many of one kind become one row, and each says who decides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from portal.dashboard.attention import UNFINISHED, URGENT, Cause
from portal.http.formatting import plural
from portal.microsoft import expiry
from portal.models import Role
from portal.runs.views import held_in_words

APART = 3
"""Of one kind, so many at most are told of one by one; more become one row."""
NAMED = 3

TONES: Mapping[str, tuple[str, str, str]] = {
    # kind -> tone, icon, word
    "connection": ("red", "alert-triangle", "Needs attention"),
    "hold": ("yellow", "player-pause", "Paused"),
    "failing": ("red", "alert-triangle", "Needs attention"),
    "overdue": ("red", "clock-exclamation", "Overdue"),
    "left": ("yellow", "alert-triangle", "Needs attention"),
    "expired": ("red", "clock-exclamation", "Expired"),
    "expiring_soon": ("yellow", "clock-exclamation", "Expires soon"),
    "conflicts": ("orange", "arrows-split", "Conflict"),
    "expiring": ("yellow", "clock-exclamation", "Expires soon"),
    "not_set_up": ("secondary", "circle-dashed", "Not set up"),
    "not_mapped": ("secondary", "unlink", "Not mapped"),
    "unmapped": ("secondary", "unlink", "Not mapped"),
}
DECIDERS: Mapping[str, Role] = {
    "connection": Role.ADMINISTRATOR,
    "hold": Role.ADMINISTRATOR,
    "conflicts": Role.TECHNICIAN,
    "not_set_up": Role.ADMINISTRATOR,
    "not_mapped": Role.TECHNICIAN,
    "unmapped": Role.TECHNICIAN,
}
"""Who may settle it, where that is not everybody who sees it."""
_WHO: Mapping[Role, Mapping[str, str]] = {
    Role.ADMINISTRATOR: {
        "hold": "Ask an administrator to decide.",
        "connection": "Ask an administrator to reconnect it.",
        "not_set_up": "Ask an administrator to set it up.",
    },
    Role.TECHNICIAN: {
        "conflicts": "Ask a technician or an administrator to settle them.",
        "not_mapped": "Ask a technician or an administrator to map it.",
        "unmapped": "Ask a technician or an administrator to map it.",
    },
}


@dataclass(frozen=True)
class Todo:
    """One row. names: (name, address) of the first few of many; more: how many others there are, and where all of them are.

    link: where to settle it, "" where only an administrator gets to.
    """

    kind: str
    title: str
    detail: str
    link: str
    action: str
    who: str = ""
    code: str = ""
    since: datetime | None = None
    names: Sequence[tuple[str, str]] = ()
    more: int = 0
    more_link: str = ""

    @property
    def tone(self) -> str:
        """The colour of its pill."""
        return TONES[self.kind][0]

    @property
    def icon(self) -> str:
        """The icon of its pill."""
        return TONES[self.kind][1]

    @property
    def word(self) -> str:
        """The word in its pill."""
        return TONES[self.kind][2]


@dataclass(frozen=True)
class Overview:
    """What the card shows. urgent: what needs a person; unfinished: what is not done yet. number: of all that is urgent."""

    urgent: Sequence[Todo]
    unfinished: Sequence[Todo]
    number: int
    counts: Mapping[str, int]

    def fact(self) -> str:
        """The state of everything in a sentence, which never claims that all is well while something is not done."""
        parts = []
        if self.number:
            parts.append(f"{plural(self.number, 'thing needs', 'things need')} attention")
        for kind, singular_form, plural_form in (
            ("not_set_up", "Organization is not set up", "Organizations are not set up"),
            ("not_mapped", "Organization is not mapped", "Organizations are not mapped"),
            ("unmapped", "Microsoft tenant is not mapped", "Microsoft tenants are not mapped"),
        ):
            if self.counts.get(kind):
                parts.append(plural(self.counts[kind], singular_form, plural_form))
        return (
            ", ".join(parts) + "." if parts else "Every Organization is set up, and nothing needs attention."
        )


def overview(causes: Sequence[Cause], role: Role, now: datetime) -> Overview:
    """The card of the dashboard, for somebody of ``role``."""
    rows = [
        row
        for kind, group in groupby(causes, lambda cause: cause.kind)
        for row in _rows(kind, list(group), role, now)
    ]
    counts = Counter(cause.kind for cause in causes)
    return Overview(
        urgent=[row for row in rows if row.kind in URGENT],
        unfinished=[row for row in rows if row.kind in UNFINISHED],
        number=sum(counts[kind] for kind in URGENT),
        counts=counts,
    )


def rows(causes: Iterable[Cause], role: Role, now: datetime) -> list[Todo]:
    """One row for each cause: the page that lists all of a kind."""
    return [_row_of(cause, role, now) for cause in causes]


def _rows(kind: str, causes: list[Cause], role: Role, now: datetime) -> list[Todo]:
    """A row each if there are few; one row for many, or for those that share a cause."""
    if kind in UNFINISHED:
        return [_row_of_many(causes, role)] if len(causes) > 1 else [_row_of(causes[0], role, now)]
    by_cause: dict[str, list[Cause]] = {}
    for cause in causes:
        by_cause.setdefault(cause.cause, []).append(cause)
    result = []
    for code, sharing in by_cause.items():
        if len(sharing) > (1 if code else APART):
            result.append(_row_of_many(sharing, role))
        else:
            result += [_row_of(cause, role, now) for cause in sharing]
    return result if len(result) <= APART else [_row_of_many(causes, role)]


def _row_of(cause: Cause, role: Role, now: datetime) -> Todo:
    title, detail, action = _words(cause, now)
    link = cause.link
    who = _who(cause.kind, role)
    if cause.is_ours and role.rank < Role.ADMINISTRATOR.rank:
        link, who = "", "Ask an administrator to replace it."
    elif cause.kind == "hold" and not who:
        detail = f"{detail} It waits for your decision."
    is_dated = cause.kind not in {"expired", "expiring_soon", "expiring", *UNFINISHED}
    return Todo(
        cause.kind,
        title,
        detail,
        link,
        action,
        who,
        cause.code if cause.code not in detail else "",
        cause.since if is_dated else None,
    )


def _who(kind: str, role: Role) -> str:
    """Who decides, where the reader may not."""
    needed = DECIDERS.get(kind)
    return "" if needed is None or role.rank >= needed.rank else _WHO[needed][kind]


def title(cause: Cause) -> str:
    """What it is, without when it ends: for alerts and pages."""
    match cause.kind:
        case "connection":
            return f"{cause.name} cannot be read"
        case "hold":
            return f"{cause.name}: {plural(cause.number, 'person', 'people')} held back"
        case "overdue":
            return f"{cause.name}: the sync is overdue"
        case "left":
            return f"{cause.name}: many people no longer match the filters"
        case "conflicts":
            return f"{cause.name}: {plural(cause.number, 'conflict')}"
        case "not_set_up":
            return f"{cause.name} is not set up"
        case "not_mapped" | "unmapped":
            return f"{cause.name} is not mapped"
        case _:
            return f"{cause.name}: the sync needs attention"


def detail(cause: Cause) -> str:
    """What happened and what to do, for somebody of whatever role."""
    match cause.kind:
        case "hold":
            return f"The last run would have {held_in_words(cause.held_kind)} than the threshold allows."
        case "overdue" if not cause.reported:
            return "Its hourly run is overdue. Check that the scheduler runs, under Settings, About."
        case "conflicts":
            return "Nothing was changed for these people. Choose who is meant, or ignore the conflict until one side changes."
        case "not_set_up":
            return "It is mapped to a Microsoft tenant, but nobody is synced yet."
        case "not_mapped":
            return "Its Tenant has no Microsoft tenant, so it cannot sync."
        case "unmapped":
            return "It is connected, but no Tenant is mapped to it yet."
        case _:
            return cause.reported


def _words(cause: Cause, now: datetime) -> tuple[str, str, str]:
    """Title, detail, and the label of its next action."""
    if cause.until is not None:
        what = cause.name if cause.is_ours else f"The partner relationship with {cause.name}"
        return (
            f"{what} {expiry.in_words(cause.until, now)}",
            cause.reported,
            "Replace" if cause.is_ours else "Open",
        )
    action = {
        "hold": "Review",
        "conflicts": "Settle",
        "failing": "Show the runs",
        "left": "Show the runs",
        "overdue": "Show the runs",
        "not_set_up": "Set up",
        "not_mapped": "Map",
        "unmapped": "Map",
    }
    return title(cause), detail(cause), action.get(cause.kind, "Open")


_MANY: Mapping[str, tuple[str, str]] = {
    # kind -> what so many are, and what to do
    "connection": ("Microsoft tenants cannot be read", ""),
    "hold": (
        "syncs hold people back",
        "Their last runs would have changed more people than the threshold allows.",
    ),
    "failing": ("syncs need attention", "Each says why on its own page."),
    "overdue": (
        "syncs are overdue",
        "Their runs are overdue. Check that the scheduler runs, under Settings, About.",
    ),
    "left": ("syncs lost many people", "Many of their people no longer match the filters."),
    "expired": (
        "partner relationships have expired",
        "Your partner access to these customers has ended. Ask them for a new relationship.",
    ),
    "expiring_soon": ("partner relationships expire within 7 days", "Ask the customers to extend them."),
    "expiring": ("partner relationships expire within 60 days", "Ask the customers to extend them."),
    "not_set_up": (
        "Organizations are not set up",
        "They are mapped to a Microsoft tenant, but nobody is synced yet.",
    ),
    "not_mapped": (
        "Organizations are not mapped",
        "Their Tenants have no Microsoft tenant, so they cannot sync.",
    ),
    "unmapped": (
        "Microsoft tenants are not mapped",
        "They are connected, but no Tenant is mapped to them yet.",
    ),
}


def together(causes: Sequence[Cause]) -> tuple[str, str]:
    """What several of one kind are, counted, and what to do: for alerts and pages."""
    kind, number = causes[0].kind, len(causes)
    if kind == "conflicts":
        total = sum(cause.number for cause in causes)
        words = f"{total:,} conflicts in {number:,} Organizations"
        advice = "Nothing was changed for these people. Choose who is meant, or ignore a conflict until one side changes."
    else:
        what, advice = _MANY[kind]
        words = f"{number:,} {what}"
    sentences = {cause.reported for cause in causes}
    if kind in {"connection", "failing", "left", "overdue"} and len(sentences) == 1 and causes[0].reported:
        advice = causes[0].reported
    return words, advice


def _row_of_many(causes: Sequence[Cause], role: Role) -> Todo:
    """Many of one kind as one row, with a count, the first names, and a link to all."""
    kind, number = causes[0].kind, len(causes)
    everything = f"/attention?kind={kind}"
    words, advice = together(causes)
    since = [cause.since for cause in causes if cause.since is not None and kind not in UNFINISHED]
    code = (
        causes[0].code if len({cause.code for cause in causes}) == 1 and causes[0].code not in advice else ""
    )
    return Todo(
        kind,
        words,
        advice,
        everything,
        f"Show all {number:,}",
        _who(kind, role),
        code,
        min(since) if since else None,
        [(cause.name, cause.link) for cause in causes[:NAMED]],
        max(0, number - NAMED),
        everything,
    )
