"""Whose a key is after everybody moved (W4, M4, M5): one linear work-list for runs, previews, holds, undo and recovery. Pure."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping
from typing import TypeVar

Owner = TypeVar("Owner", bound=Hashable)
Key = TypeVar("Key", bound=Hashable)


def settle(
    wanted: Mapping[Owner, Key], holders: Mapping[Key, Owner], leaving: Collection[Owner] = ()
) -> dict[Owner, Owner]:
    """Return who cannot get the key they want, each with the one who keeps it.

    wanted: who wants which key. Of several who want one key the first in order goes before the others.
    holders: who holds which key now; only keys that somebody wants are looked at.
    leaving: who gives up what they hold and wants nothing, because they are deleted or unlinked.
    An owner that is in neither stays with what it holds. Keys may be swapped and passed on in chains and rings of any length.
    """
    wanting: dict[Key, list[Owner]] = {}
    for owner, key in wanted.items():
        wanting.setdefault(key, []).append(owner)
    clashes: dict[Owner, Owner] = {}
    held_by: dict[Owner, list[Key]] = {}
    staying: list[Owner] = []
    for key, owners in wanting.items():
        holder = holders.get(key)
        first = owners[0]
        if holder is not None:
            held_by.setdefault(holder, []).append(key)
            if holder in wanted:
                first = holder if wanted[holder] == key else first
            elif holder not in leaving:
                staying.append(holder)
        for owner in owners:
            if owner != first:
                clashes[owner] = first
    staying.extend(clashes)
    while staying:
        keeper = staying.pop()
        for key in held_by.get(keeper, ()):
            for owner in wanting[key]:
                if owner not in clashes:
                    staying.append(owner)
                clashes[owner] = keeper
    return clashes
