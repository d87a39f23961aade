"""Who is in scope (S1–S7): every section must accept, within one any value does. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from portal.engine.records import SECTIONS, FilterSpec, RemoteUser, SectionFilter, SectionVerdict
from portal.text import domain_key, text_key


@dataclass(frozen=True)
class Scope:
    """A FilterSpec made ready for many users: the keys of its values (S3), deleted groups taken out (S6)."""

    spec: FilterSpec
    values: Mapping[str, frozenset[str]]

    def judge(self, user: RemoteUser, groups: frozenset[str]) -> dict[str, SectionVerdict]:
        """Each section's answer and the value it judged, in the order of the pop-up."""
        return {section: self._verdict(section, user, groups) for section in SECTIONS}

    def accepts(self, user: RemoteUser, groups: frozenset[str]) -> bool:
        """S1: all five sections accept."""
        return all(self._accepts(section, user, groups) for section in SECTIONS)

    def _verdict(self, section: str, user: RemoteUser, groups: frozenset[str]) -> SectionVerdict:
        value = ", ".join(sorted(groups)) if section == "group" else value_of(section, user)
        return SectionVerdict(self._accepts(section, user, groups), value)

    def _accepts(self, section: str, user: RemoteUser, groups: frozenset[str]) -> bool:
        chosen: SectionFilter = getattr(self.spec, section)
        if chosen.all:
            return True
        if section == "group":
            return not self.values[section].isdisjoint(groups) or ("" in self.values[section] and not groups)
        return value_key(section, value_of(section, user)) in self.values[section]


def prepare(spec: FilterSpec, deleted_groups: Iterable[str] = ()) -> Scope:
    """Make the keys of the values once; a deleted group accepts nobody (S6)."""
    gone = {group.lower() for group in deleted_groups}
    values = {
        section: frozenset(value_key(section, value) for value in getattr(spec, section).values)
        for section in SECTIONS
    }
    values["group"] = frozenset(value for value in values["group"] if value not in gone)
    return Scope(spec, values)


def value_of(section: str, user: RemoteUser) -> str:
    """The value a text section judges; Domain is that of the e-mail (S5), blank when there is none."""
    if section == "domain":
        return user.email.rpartition("@")[2]
    return str(getattr(user, section))


def value_key(section: str, value: str) -> str:
    """What a value of a section is compared by (S3, S5)."""
    return domain_key(value) if section == "domain" else text_key(value)


def count_matches(
    users: Iterable[tuple[RemoteUser, int]],
    groups_of: Mapping[str, frozenset[str]],
    spec: FilterSpec,
    deleted_groups: Iterable[str] = (),
) -> tuple[int, int, dict[str, int]]:
    """(matching all, all, per section how many it accepts) for the pop-up's live line (U5).

    ``users`` are of some kind and how many of that kind there are: a section on All looks at nobody.
    """
    scope = prepare(spec, deleted_groups)
    matching = total = 0
    narrowing = [section for section in SECTIONS if not getattr(spec, section).all]
    per_section = dict.fromkeys(narrowing, 0)
    nobody: frozenset[str] = frozenset()
    for user, number in users:
        total += number
        groups = groups_of.get(user.object_id, nobody)
        accepted = [section for section in narrowing if scope._accepts(section, user, groups)]  # noqa: SLF001
        for section in accepted:
            per_section[section] += number
        if len(accepted) == len(narrowing):
            matching += number
    return matching, total, {section: per_section.get(section, total) for section in SECTIONS}


def spec_from_json(
    filters: Mapping[str, Any],
    *,
    add_disabled_accounts: bool = False,
    only_licensed: bool = False,
    include_agents: bool = False,
) -> FilterSpec:
    """From ``filters`` as stored and as the API takes them (already validated), and the add rules."""
    sections = {
        section: SectionFilter(all=bool(filters[section]["all"]), values=tuple(filters[section]["values"]))
        for section in SECTIONS
    }
    sections["group"] = SectionFilter(
        sections["group"].all, tuple(v.lower() for v in sections["group"].values)
    )
    return FilterSpec(
        **sections,
        add_disabled_accounts=add_disabled_accounts,
        only_licensed=only_licensed,
        include_agents=include_agents,
    )


def spec_to_json(spec: FilterSpec) -> dict[str, Any]:
    """The ``filters`` as stored and as the API shows them."""
    return {
        section: {"all": getattr(spec, section).all, "values": list(getattr(spec, section).values)}
        for section in SECTIONS
    }
