"""Decisions as pages show them: one table for previews, runs, holds and histories. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from portal.engine.records import Action


@dataclass(frozen=True)
class DecisionWords:
    """label: what would be done; done: what was. tone: of its pill, "" for a quiet one."""

    label: str
    done: str
    icon: str
    tone: str = ""


DECISIONS: Mapping[str, DecisionWords] = {
    Action.CREATE: DecisionWords("Create", "Created", "user-plus", "green"),
    Action.LINK: DecisionWords("Link", "Linked", "link", "blue"),
    Action.UPDATE: DecisionWords("Update", "Updated", "pencil", "azure"),
    Action.MARK_DISABLED: DecisionWords("Mark disabled", "Marked disabled", "user-off", "secondary"),
    Action.MARK_ENABLED: DecisionWords("Mark enabled", "Marked enabled", "user-check", "green"),
    Action.CONFLICT: DecisionWords("Conflict", "Conflict", "arrows-split", "orange"),
    Action.SKIP: DecisionWords("Skip", "Skipped", "player-skip-forward"),
    Action.LEAVE: DecisionWords("No change", "Unchanged", "minus"),
}


def decision_words(decision: str) -> DecisionWords:
    """The words of a decision; one from a newer version is shown as it is."""
    return DECISIONS.get(decision) or DecisionWords(decision, decision, "help")
