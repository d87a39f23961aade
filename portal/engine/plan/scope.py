"""Who is in scope, told from keys (S1 to S6): the filters made ready for many people. Pure."""

from __future__ import annotations

from portal.engine.records import PersonKeys, Snapshot
from portal.engine.scope import prepare
from portal.text import text_key

TEXT_KEYS = {"domain": "domain", "office_location": "office_key", "department": "department_key"}
"""Sections that compare one text: which key of a person each looks at."""
_NOBODY: frozenset[str] = frozenset()


class KeyScope:
    """The filters of one Organization. ``accepts_all``: no section narrows, so nobody needs to be looked at (S2)."""

    def __init__(self, snapshot: Snapshot) -> None:
        spec = snapshot.filters
        values = prepare(spec, snapshot.deleted_groups).values
        self._texts = tuple(
            (PersonKeys._fields.index(key), values[section])
            for section, key in TEXT_KEYS.items()
            if not getattr(spec, section).all
        )
        self._user_types = None if spec.user_type.all else values["user_type"]
        self._groups = None if spec.group.all else values["group"]
        self._groups_of = snapshot.groups_of
        self.accepts_all = not self._texts and self._user_types is None and self._groups is None

    def accepts(self, person: PersonKeys) -> bool:
        """Tell whether all five sections accept somebody (S1)."""
        for index, values in self._texts:
            if person[index] not in values:
                return False
        if self._user_types is not None and text_key(person.user_type) not in self._user_types:
            return False
        if self._groups is None:
            return True
        groups = self._groups_of.get(person.object_id, _NOBODY)
        return not self._groups.isdisjoint(groups) or ("" in self._groups and not groups)
