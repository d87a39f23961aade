"""The keys that a plan is made of and remembered by. Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable

from portal.engine.records import Action, Decision, Reason

_SEPARATOR = "\x1f"  # in no text of Microsoft's: control characters are kept out (G7)


def applied_key(content_hash: str, pins: Collection[str]) -> str:
    """Return what ``applied_hash`` is once a record is written under these pins (names of fields, any order)."""
    return _digest((content_hash, *sorted(pins))) if pins else content_hash


def conflict_key(
    reason: Reason,
    object_id: str,
    email_key: str,
    end_user_id: str | None,
    other_object_id: str | None,
    other_end_user_id: str | None = None,
) -> str:
    """Return what identifies a conflict while neither side changes in what makes it (M7).

    Of two Microsoft users with one email the winner becomes an End User by the very run that finds them (M6): that is no
    change, so the End User is no part of it.
    """
    is_remote = reason is Reason.DUPLICATE_REMOTE_EMAIL
    parts = (
        reason.value,
        object_id,
        email_key,
        "" if is_remote else end_user_id or "",
        other_object_id or "",
        other_end_user_id or "",
    )
    return _digest(parts)


def hold_key(object_id: str, what: Action, reason: Reason, *, end_user_id: str | None, email_key: str) -> str:
    """Return what identifies a held person until it changes: who, what, why, and for a creation with which address (G1).

    what: CREATE or MARK_DISABLED. reason: of the mark, also when a clash of addresses is told beside it.
    """
    address = email_key if what is Action.CREATE else ""
    return _digest((object_id, what.value, reason.value, address, end_user_id or ""))


class Fingerprint:
    """Identifies a plan by what it does (U12): who, what, with which changes. Who is left alone is no part of it.

    Decisions are added in the order of object ids, as they are decided; those that a run has applied already are added as
    they were applied.
    """

    def __init__(self) -> None:
        self._digest = hashlib.sha256()

    def add(self, decision: Decision) -> None:
        """Take one decision in."""
        if decision.action is Action.LEAVE:
            return
        parts = [
            decision.object_id,
            decision.action.value,
            # An open conflict names whom it is about; a run that links them meanwhile changes nothing.
            "" if decision.action in {Action.CREATE, Action.CONFLICT} else decision.end_user_id or "",
            decision.reason.value,
        ]
        for change in decision.changes:
            parts += (change.field, change.old, change.new)
        self._digest.update((_SEPARATOR.join(parts) + "\x1e").encode("utf-8", "surrogatepass"))

    def hexdigest(self) -> str:
        """Return the fingerprint of what was added, 64 hex digits."""
        return self._digest.hexdigest()


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256(_SEPARATOR.join(parts).encode("utf-8", "surrogatepass")).hexdigest()[:40]
