"""Whose a key is after everybody moved (W4, M4, M5): one linear work-list for runs, previews, holds, undo and recovery. Pure."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import TypeVar

Owner = TypeVar("Owner", bound=Hashable)
Key = TypeVar("Key", bound=Hashable)


def settle(
    requests: Mapping[Owner, Key], holders: Mapping[Key, Owner], leaving: Collection[Owner] = ()
) -> dict[Owner, Owner]:
    """Return who cannot get the key they request, each with the one who keeps it.

    requests: which key each owner requests. Of several who request one key the first in order goes before the others.
    holders: who holds which key now; only keys that somebody requests are looked at.
    leaving: who gives up what they hold and requests nothing, because they are deleted or unlinked.
    An owner that is in neither stays with what it holds. Keys may be swapped and passed on in chains and rings of any length.
    """
    requesting: dict[Key, list[Owner]] = {}
    for owner, key in requests.items():
        requesting.setdefault(key, []).append(owner)
    clashes: dict[Owner, Owner] = {}
    held_by: dict[Owner, list[Key]] = {}
    staying: list[Owner] = []
    for key, owners in requesting.items():
        holder = holders.get(key)
        first = owners[0]
        if holder is not None:
            held_by.setdefault(holder, []).append(key)
            if holder in requests:
                first = holder if requests[holder] == key else first
            elif holder not in leaving:
                staying.append(holder)
        for owner in owners:
            if owner != first:
                clashes[owner] = first
    staying.extend(clashes)
    while staying:
        keeper = staying.pop()
        for key in held_by.get(keeper, ()):
            for owner in requesting[key]:
                if owner not in clashes:
                    staying.append(owner)
                clashes[owner] = keeper
    return clashes
