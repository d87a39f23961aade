"""Whom a person wants deleted, as the recovery form carries it: by name as far as they were shown, and the others at once (R3).

Tens of thousands may have come from a wrong tenant: more than a page should hold, or a form could.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from werkzeug.datastructures import MultiDict

from portal.recovery.service import Candidate


@dataclass(frozen=True)
class RecoverySelection:
    """ids: checked by name. shown_ids: shown with a check box so far. rest: those never shown go too, unless there is a doubt."""

    ids: frozenset[str] = frozenset()
    shown_ids: frozenset[str] = frozenset()
    rest: bool = True

    @classmethod
    def of(cls, form: MultiDict[str, str]) -> RecoverySelection:
        """What a posted form says: ``id`` and ``seen`` any number of times, ``rest`` when that box is checked."""
        ids = frozenset(form.getlist("id"))
        return cls(ids, ids | frozenset(form.getlist("seen")), bool(form.get("rest")))

    def has(self, candidate: Candidate) -> bool:
        """Whether they are to be deleted. Who should be looked at is never deleted unseen."""
        if candidate.end_user.id in self.shown_ids:
            return candidate.end_user.id in self.ids
        return self.rest and not candidate.doubts

    def unseen(self, candidates: Iterable[Candidate]) -> int:
        """How many of these ``rest`` includes."""
        return sum(
            candidate.end_user.id not in self.shown_ids and not candidate.doubts for candidate in candidates
        )
