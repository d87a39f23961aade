"""What a filter template says, and what that means in one Microsoft tenant. Pure.

A template's body has the shape of a User Sync's request, except that its group section holds ``name_patterns``: groups have
other ids in every tenant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portal.engine.explain import SECTION_LABELS
from portal.engine.records import SECTIONS
from portal.engine.scope import spec_to_json, value_key
from portal.errors import Invalid
from portal.models import FilterTemplate
from portal.text import is_blank, text_key
from portal.user_sync import documents

MAX_PATTERNS = 100
MAX_PATTERN = 256
ADD_RULES = ("add_disabled_accounts", "only_licensed", "include_agents")
PARTS = (*SECTIONS, "add_rules", "hold")
"""What can be followed or departed from, each by itself."""
PART_LABELS: Mapping[str, str] = {**SECTION_LABELS, "add_rules": "Add rules", "hold": "Safety"}
GROUP_KEY = "filters.group"


@dataclass(frozen=True)
class Group:
    """A group of a Microsoft tenant, as far as patterns look at it."""

    object_id: str
    name: str


@dataclass(frozen=True)
class PatternMatch:
    """The groups whose names fit one pattern."""

    pattern: str
    groups: tuple[Group, ...]


@dataclass(frozen=True)
class Resolved:
    """A template in one Microsoft tenant. body: a User Sync's request. matches: per pattern, in the template's order."""

    body: dict[str, Any]
    matches: tuple[PatternMatch, ...] = ()

    @property
    def unmatched(self) -> list[str]:
        """Patterns that no group fits."""
        return [match.pattern for match in self.matches if not match.groups]

    @property
    def accepts_nobody(self) -> bool:
        """True when groups are asked for and no group fits: nobody could ever match."""
        return bool(self.matches) and len(self.unmatched) == len(self.matches)


def parse(body: Mapping[str, Any]) -> dict[str, Any]:
    """Check a template's body and put it into one form. Raises Invalid per section or threshold, as ``user_sync`` does."""
    filters: Mapping[str, Any] = body.get("filters") or {}
    errors: dict[str, list[str]] = {}
    patterns = _patterns(filters.get("group"), errors)
    others = {**filters, "group": {"all": True, "values": []}}
    try:
        request = documents.parse({**body, "filters": others})
    except Invalid as error:
        errors = {**error.errors, **errors}
    if errors:
        raise Invalid(errors)
    stored = spec_to_json(request.filters)
    stored["group"] = {"all": bool((filters.get("group") or {}).get("all", False)), "name_patterns": patterns}
    return {
        "filters": stored,
        **{name: getattr(request.filters, name) for name in ADD_RULES},
        "hold": {"percent": request.hold.percent, "minimum": request.hold.minimum},
    }


def default_body() -> dict[str, Any]:
    """Everybody, with the usual add rules and thresholds."""
    body = documents.default_request()
    body["filters"]["group"] = {"all": True, "name_patterns": []}
    return body


def body_of(row: FilterTemplate) -> dict[str, Any]:
    """What a stored template says."""
    return {
        "filters": row.filters,
        **{name: getattr(row, name) for name in ADD_RULES},
        "hold": {"percent": row.hold_percent, "minimum": row.hold_minimum},
    }


def resolve(body: Mapping[str, Any], groups: Sequence[Group]) -> Resolved:
    """The template with the ids of the groups whose names fit its patterns."""
    section = body["filters"]["group"]
    matches: tuple[PatternMatch, ...] = ()
    if not section["all"]:
        matches = tuple(
            PatternMatch(pattern, tuple(group for group in groups if fits(pattern, group.name)))
            for pattern in section["name_patterns"]
        )
    ids = sorted({group.object_id for match in matches for group in match.groups})
    request = {
        "filters": {**body["filters"], "group": {"all": bool(section["all"]), "values": ids}},
        **{name: bool(body[name]) for name in ADD_RULES},
        "hold": dict(body["hold"]),
    }
    return Resolved(request, matches)


def fits(pattern: str, name: str) -> bool:
    """Whether a group's name fits a pattern: the same text as S3 compares it, ``*`` for any run of characters."""
    first, *others = text_key(pattern).split("*")
    key = text_key(name)
    if not others:
        return key == first
    *middle, last = others
    if len(key) < len(first) + len(last) or not key.startswith(first) or not key.endswith(last):
        return False
    at, end = len(first), len(key) - len(last)
    for part in middle:
        place = key.find(part, at, end)
        if place < 0:
            return False
        at = place + len(part)
    return True


def part_of(body: Mapping[str, Any], part: str) -> Any:
    """One part of a User Sync's request, in a form that compares: order and spelling aside (S3)."""
    if part == "add_rules":
        return tuple(bool(body.get(name, False)) for name in ADD_RULES)
    if part == "hold":
        return body["hold"]["percent"], body["hold"]["minimum"]
    section = body["filters"][part]
    if section["all"]:
        return True
    return frozenset(value_key(part, value) for value in section["values"])


def different_parts(left: Mapping[str, Any], right: Mapping[str, Any]) -> list[str]:
    """The parts in which two requests differ, in the order of the pop-up."""
    return [part for part in PARTS if part_of(left, part) != part_of(right, part)]


def with_parts(body: Mapping[str, Any], source: Mapping[str, Any], parts: Sequence[str]) -> dict[str, Any]:
    """``body`` with some parts as ``source`` has them."""
    merged = {**body, "filters": dict(body["filters"])}
    for part in parts:
        if part == "add_rules":
            merged.update({name: bool(source.get(name, False)) for name in ADD_RULES})
        elif part == "hold":
            merged["hold"] = dict(source["hold"])
        else:
            merged["filters"][part] = dict(source["filters"][part])
    return merged


def part_words(body: Mapping[str, Any], part: str) -> str:
    """What one part of a template or request says, in a few words."""
    if part == "add_rules":
        words = ("Disabled accounts too", "Licensed users only", "AI agents too")
        rules = [word for word, name in zip(words, ADD_RULES, strict=True) if body.get(name)]
        return ", ".join(rules) or "None"
    if part == "hold":
        return f"Above {body['hold']['percent']} % and from {body['hold']['minimum']:,} people on"
    section = body["filters"][part]
    if section["all"]:
        return "All"
    values = list(section.get("name_patterns", section.get("values", ())))
    if part == "group" and "name_patterns" not in section:
        return f"{len(values):,} group{'' if len(values) == 1 else 's'}"
    listed = ", ".join(value or "(none)" for value in values[:3])
    return listed + (f" and {len(values) - 3:,} more" if len(values) > 3 else "")


def _patterns(section: Mapping[str, Any] | None, errors: dict[str, list[str]]) -> list[str]:
    if section is None:
        errors[GROUP_KEY] = ["This section is missing. All five are required."]
        return []
    patterns: dict[str, str] = {}
    for text in section.get("name_patterns", ()):
        pattern = " ".join(str(text).split())
        if is_blank(pattern):
            continue
        if len(pattern) > MAX_PATTERN:
            errors[GROUP_KEY] = [f"A pattern is longer than {MAX_PATTERN} characters."]
        patterns.setdefault(text_key(pattern), pattern)
    if len(patterns) > MAX_PATTERNS:
        errors[GROUP_KEY] = [f"At most {MAX_PATTERNS} patterns."]
    if not section.get("all", False) and not patterns:
        errors[GROUP_KEY] = ["Enter at least one name, such as “Staff*”, or check All."]
    return list(patterns.values())
