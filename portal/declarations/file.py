"""The declarative file (``rollcall apply``): read, checked key by key, and put into records. Pure.

Every error names the key path that it is about, such as ``organizations[3].enabled``; all of them are told together.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from portal.engine.records import SECTIONS
from portal.errors import Invalid
from portal.filter_templates import documents
from portal.text import is_blank, text_key

MAX_ENTRIES = 10_000
MAX_NAME = 256
MAX_TAGS = 50
TOP = ("filter_templates", "organizations")
TEMPLATE_KEYS = ("name", "filters", *documents.ADD_RULES, "hold")
ORGANIZATION_KEYS = (
    "name",
    "tags",
    "microsoft_tenant",
    "cloud",
    "filter_template",
    "enabled",
    "accept_other_domains",
)


@dataclass(frozen=True)
class DeclaredTemplate:
    """The declared state of a filter template."""

    path: str
    name: str
    body: dict[str, Any]


@dataclass(frozen=True)
class DeclaredOrganization:
    """The declared state of an Organization; None leaves that part as it is.

    microsoft_tenant: tenant ID or verified domain of the Microsoft tenant that its Tenant is mapped to.
    accept_other_domains: enable although none of the known e-mail addresses belongs to that tenant (U10).
    """

    path: str
    name: str
    tags: tuple[str, ...] | None
    microsoft_tenant: str | None
    cloud: str
    filter_template: str | None
    enabled: bool | None
    accept_other_domains: bool


@dataclass(frozen=True)
class Declaration:
    """The content of a file."""

    templates: tuple[DeclaredTemplate, ...] = ()
    organizations: tuple[DeclaredOrganization, ...] = ()


def read(text: str) -> Declaration:
    """Read TOML. Raises Invalid, by key path."""
    return parse(load(text))


def load(text: str) -> dict[str, Any]:
    """Parse a TOML document, unchecked. Raises Invalid on ``file`` if it is none."""
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid({"file": [f"This is not TOML: {error}."]}, "The file cannot be read.") from error
    except RecursionError as error:
        raise Invalid({"file": ["This is nested too deeply."]}, "The file cannot be read.") from error


def parse(table: Mapping[str, Any]) -> Declaration:
    """Check a parsed file. Raises Invalid by key path."""
    errors: dict[str, list[str]] = {}
    _only(table, TOP, "", errors)
    templates = [
        _template(entry, path, errors) for path, entry in _entries(table, "filter_templates", errors)
    ]
    organizations = [
        _organization(entry, path, errors) for path, entry in _entries(table, "organizations", errors)
    ]
    _once([template for template in templates if template], errors)
    _once([organization for organization in organizations if organization], errors)
    if errors:
        raise Invalid(errors, "The file has entries that cannot be used.")
    return Declaration(
        tuple(template for template in templates if template is not None),
        tuple(organization for organization in organizations if organization is not None),
    )


def _entries(
    table: Mapping[str, Any], key: str, errors: dict[str, list[str]]
) -> list[tuple[str, Mapping[str, Any]]]:
    tables = table.get(key, [])
    if not isinstance(tables, list) or len(tables) > MAX_ENTRIES:
        errors[key] = [f"Must be a list of tables, [[{key}]], of at most {MAX_ENTRIES:,}."]
        return []
    entries: list[tuple[str, Mapping[str, Any]]] = []
    for number, entry in enumerate(tables):
        path = f"{key}[{number + 1}]"
        if isinstance(entry, dict):
            entries.append((path, entry))
        else:
            errors[path] = ["Must be a table."]
    return entries


def _template(table: Mapping[str, Any], path: str, errors: dict[str, list[str]]) -> DeclaredTemplate | None:
    before = len(errors)
    _only(table, TEMPLATE_KEYS, path, errors)
    name = _name(table, path, errors)
    filters = table.get("filters", {})
    if not isinstance(filters, dict):
        errors[f"{path}.filters"] = ["Must be a table of the five sections."]
        filters = {}
    _only(filters, SECTIONS, f"{path}.filters", errors)
    body: dict[str, Any] = {
        "filters": {
            name: _section(name, filters.get(name, "all"), f"{path}.filters.{name}", errors)
            for name in SECTIONS
        },
        "hold": _hold(table.get("hold", {}), f"{path}.hold", errors),
    }
    for rule in documents.ADD_RULES:
        body[rule] = _flag(table, rule, path, errors) or False
    if len(errors) > before:
        return None
    try:
        return DeclaredTemplate(path, name, documents.parse(body))
    except Invalid as error:
        errors.update({f"{path}.{key}": texts for key, texts in error.errors.items()})
        return None


def _section(name: str, value: Any, path: str, errors: dict[str, list[str]]) -> dict[str, Any]:
    """``"all"``, or the values as a list."""
    key = "name_patterns" if name == "group" else "values"
    if value == "all":
        return {"all": True, key: []}
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        errors[path] = ['Must be "all" or a list of strings.']
        return {"all": True, key: []}
    return {"all": False, key: ["" if item == "(none)" else item for item in value]}


def _hold(table: Any, path: str, errors: dict[str, list[str]]) -> dict[str, int]:
    usual = documents.default_body()["hold"]
    if not isinstance(table, dict):
        errors[path] = ["Must be a table of percent and minimum."]
        return dict(usual)
    _only(table, ("percent", "minimum"), path, errors)
    for name, value in table.items():
        if isinstance(value, bool) or not isinstance(value, int):
            errors[f"{path}.{name}"] = ["Must be a whole number."]
            return dict(usual)
    return {**usual, **table}


def _organization(
    table: Mapping[str, Any], path: str, errors: dict[str, list[str]]
) -> DeclaredOrganization | None:
    before = len(errors)
    _only(table, ORGANIZATION_KEYS, path, errors)
    name = _name(table, path, errors)
    enabled = _flag(table, "enabled", path, errors)
    template = _text(table, "filter_template", path, errors)
    entry = DeclaredOrganization(
        path=path,
        name=name,
        tags=_tags(table, path, errors),
        microsoft_tenant=_text(table, "microsoft_tenant", path, errors),
        cloud=_text(table, "cloud", path, errors) or "global",
        filter_template=template,
        enabled=enabled,
        accept_other_domains=_flag(table, "accept_other_domains", path, errors) or False,
    )
    return entry if len(errors) == before else None


def _name(table: Mapping[str, Any], path: str, errors: dict[str, list[str]]) -> str:
    if "name" not in table:
        errors[f"{path}.name"] = ["This key is required."]
        return ""
    name = _text(table, "name", path, errors) or ""
    if len(name) > MAX_NAME:
        errors[f"{path}.name"] = [f"At most {MAX_NAME} characters."]
    return name


def _text(table: Mapping[str, Any], key: str, path: str, errors: dict[str, list[str]]) -> str | None:
    if key not in table:
        return None
    value = table[key]
    if not isinstance(value, str) or is_blank(value) or "\x00" in value:
        errors[f"{path}.{key}"] = ["Must be a string that is not empty."]
        return None
    return " ".join(value.split())


def _flag(table: Mapping[str, Any], key: str, path: str, errors: dict[str, list[str]]) -> bool | None:
    if key not in table:
        return None
    value = table[key]
    if not isinstance(value, bool):
        errors[f"{path}.{key}"] = ["Must be true or false."]
        return None
    return value


def _tags(table: Mapping[str, Any], path: str, errors: dict[str, list[str]]) -> tuple[str, ...] | None:
    if "tags" not in table:
        return None
    value = table["tags"]
    is_fine = isinstance(value, list) and len(value) <= MAX_TAGS
    if not is_fine or not all(
        isinstance(tag, str) and not is_blank(tag) and "\x00" not in tag for tag in value
    ):
        errors[f"{path}.tags"] = [f"Must be a list of at most {MAX_TAGS} strings."]
        return None
    return tuple(" ".join(tag.split()) for tag in value)


def _only(table: Mapping[str, Any], names: tuple[str, ...], path: str, errors: dict[str, list[str]]) -> None:
    for key in table:
        if key not in names:
            where = f"{path}.{key}" if path else str(key)
            errors[where[:300]] = ["There is no such key. Known keys: " + ", ".join(names) + "."]


def _once(entries: list[DeclaredTemplate] | list[DeclaredOrganization], errors: dict[str, list[str]]) -> None:
    """Refuse a name that stands in the file twice."""
    paths: dict[str, str] = {}
    for entry in entries:
        first = paths.setdefault(text_key(entry.name), entry.path)
        if first != entry.path:
            errors[f"{entry.path}.name"] = [f"{first} has this name too."]
