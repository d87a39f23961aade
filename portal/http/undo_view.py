"""What is shown before a run or an import is undone: one record, drawn by ``_macros/undo.html``. No queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from portal.http.formatting import plural

SHOWN = 500
UNFOLDED = 20
"""A group of up to so many is open from the start."""


@dataclass(frozen=True)
class Line:
    """One person or Asset. href: their page, "" for none; details: what comes back, or why they are spared."""

    name: str
    href: str = ""
    details: Sequence[str] = ()


@dataclass(frozen=True)
class Group:
    """People with the same outcome. label: of the list, for screen readers; none: the text if there is nobody."""

    title: str
    label: str
    lines: Sequence[Line]
    none: str

    @property
    def first_lines(self) -> Sequence[Line]:
        """The first lines."""
        return self.lines[:SHOWN]

    @property
    def is_cut(self) -> bool:
        """Some are not listed."""
        return len(self.lines) > SHOWN

    @property
    def is_open(self) -> bool:
        """Few enough to read at once."""
        return 0 < len(self.lines) <= UNFOLDED


@dataclass(frozen=True)
class UndoView:
    """what: ``run`` | ``import``. deleted: what is deleted, in words, "" for nothing; nothing: why nothing can be undone.

    button: "" when nothing can be; action: where it is posted; back: the page of the run or import.
    """

    what: str
    deleted: str
    nothing: str
    groups: Sequence[Group]
    button: str
    action: str
    back: str


def undo_view(
    what: str,
    words: tuple[str, str, str | None],
    groups: tuple[Group, Group, Group],
    *,
    action: str,
    back: str,
    nothing: str,
) -> UndoView:
    """The record of an undo. words: of what is deleted, then singular and plural of what is restored.

    groups: deleted, restored, spared; the first is shown when there is somebody. nothing: what to add where all were spared.
    """
    deleted, restored, spared = groups
    word, singular, plural_form = words
    number, all_of_them = len(deleted.lines), len(deleted.lines) + len(restored.lines)
    sentence = f"{plural(number, word)} that this {what} created {'is' if number == 1 else 'are'} deleted."
    button = (
        f"Undo and delete {plural(number, word)}"
        if number
        else f"Undo for {plural(all_of_them, singular, plural_form)}"
    )
    return UndoView(
        what=what,
        deleted=sentence if number else "",
        nothing=""
        if all_of_them
        else f"Nothing in this {what} can be undone{nothing if spared.lines else ''}.",
        groups=[*([deleted] if number else []), restored, spared],
        button=button if all_of_them else "",
        action=action,
        back=back,
    )
