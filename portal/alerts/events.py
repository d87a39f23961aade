"""The events that a target of alerts may choose from (O2): code, label, and what it covers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

EVENTS: Mapping[str, tuple[str, str]] = {
    "connection": (
        "Connection refused",
        "Microsoft refuses the portal: consent, the secret or the partner relationship is no longer valid.",
    ),
    "failing": ("Sync needs attention", "A sync failed three times in a row, or a chosen group was deleted."),
    "overdue": ("First sync overdue", "A first sync has not finished after 12 hours."),
    "hold": (
        "People held back",
        "A run would change more people than the threshold allows, and waits for a decision.",
    ),
    "left": ("Many no longer match", "After a run, many people no longer match the filters."),
    "expiring": (
        "Something expires",
        "A secret, certificate or partner relationship expires in 60, 30 or 7 days.",
    ),
    "conflicts": ("Conflicts", "Two sides claim one End User, and someone must choose."),
}
DEFAULT = tuple(name for name in EVENTS if name != "conflicts")
"""What a target is told of unless somebody chose otherwise: conflicts are everyday work."""


def known_events(names: Iterable[str]) -> tuple[str, ...]:
    """Those of the names that are events, in the order of the table, each once."""
    requested = set(names)
    return tuple(name for name in EVENTS if name in requested)


def words(names: Iterable[str]) -> str:
    """The labels of some events: "All", or one after the other."""
    chosen = known_events(names)
    return "All events" if len(chosen) == len(EVENTS) else ", ".join(EVENTS[name][0] for name in chosen)
