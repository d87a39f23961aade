"""Query options as Graph reads them: ``$select``, ``$top`` and the small part of ``$filter`` we know."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from simulator.messages import GraphError
from simulator.objects import ARRAY_PROPERTIES, Props

if TYPE_CHECKING:
    from simulator.calls import Call

Test = Callable[[Props], bool]

# Every operator on these needs the advanced-query header and $count=true (docs/microsoft-graph.md, 2.3).
ADVANCED_ONLY = frozenset(
    {"officeLocation", "mobilePhone", "streetAddress", "postalCode", "preferredLanguage"}
)

_TEXT = r"'((?:[^']|'')*)'"
_COMPARE = re.compile(rf"^(\w+)(?:/(\w+))?\s+(eq|ne|ge|le)\s+(?:{_TEXT}|([\w:.+-]+))$", re.IGNORECASE)
_IN = re.compile(rf"^(\w+)\s+in\s*\(\s*({_TEXT}(?:\s*,\s*{_TEXT})*)\s*\)$", re.IGNORECASE)
_CALL = re.compile(rf"^(startswith|endswith)\(\s*(\w+)\s*,\s*{_TEXT}\s*\)$", re.IGNORECASE)
_ANY = re.compile(
    rf"^(\w+)/any\(\s*(\w+)\s*:\s*\2(?:/(\w+))?\s+eq\s+(?:{_TEXT}|([\w-]+))\s*\)$", re.IGNORECASE
)
_NUMBER = re.compile(r"^(\w+)/\$count\s+(eq|ne)\s+(\d+)$", re.IGNORECASE)
_AND = re.compile(r"\s+and\s+(?=(?:[^']*'[^']*')*[^']*$)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Schema:
    """What an object kind has: its type name, all properties, those given without ``$select``, page limits."""

    name: str
    properties: frozenset[str]
    defaults: tuple[str, ...]
    unreadable: frozenset[str] = frozenset()
    default_top: int = 100
    maximum: int = 999

    @classmethod
    def of(
        cls,
        name: str,
        properties: str,
        *,
        defaults: str = "",
        unreadable: str = "",
        default_top: int = 100,
        maximum: int = 999,
    ) -> Schema:
        """A schema from names with blanks between."""
        return cls(
            name,
            frozenset(properties.split()),
            tuple(defaults.split()),
            frozenset(unreadable.split()),
            default_top,
            maximum,
        )

    def check(self, names: list[str]) -> None:
        """Raise GraphError for a name that cannot be selected."""
        for name in names:
            if name in self.unreadable:
                raise GraphError(501, "NotImplemented", "This operation target is not yet supported.")
            if name not in self.properties:
                raise GraphError(
                    400,
                    "BadRequest",
                    f"Parsing OData Select and Expand failed: Could not find a property named '{name}' on type "
                    f"'microsoft.graph.{self.name}'.",
                )

    def selection(self, call: Call) -> list[tuple[str, Any]]:
        """The properties a list answers, each with what stands for "no value". Raises GraphError."""
        names = call.selected
        if not names and "$select" in call.request.query:
            raise bad_query("The value of the '$select' query option is empty.")
        self.check(names)
        selected = list(dict.fromkeys(names)) if names else list(self.defaults)
        return [(name, [] if name in ARRAY_PROPERTIES else None) for name in selected]


def filled(object_id: str, props: Props, selection: list[tuple[str, Any]]) -> Props:
    """An object as lists answer it: what was never set is null or empty."""
    row: Props = {"id": object_id}
    for name, default in selection:
        row[name] = props.get(name, default)
    row["id"] = object_id
    return row


def bad_query(message: str) -> GraphError:
    """The refusal for a query Graph does not support."""
    return GraphError(400, "Request_UnsupportedQuery", message)


def page_size(call: Call, schema: Schema, maximum: int | None = None) -> int:
    """The size ``$top`` asks for. Raises GraphError 400 over the maximum; ``$skip`` is always refused."""
    limit = maximum or schema.maximum
    query = call.request.query
    if "$skip" in query:
        raise GraphError(400, "Request_BadRequest", "'$skip' is not supported by the service.")
    if "$expand" in query:
        raise bad_query("'$expand' is not supported here.")
    if "$top" not in query:
        return min(schema.default_top, limit)
    text = query["$top"]
    if not text.isdigit() or int(text) < 1:
        raise GraphError(400, "Request_BadRequest", f"Invalid page size specified: '{text}'.")
    if int(text) > limit:
        if limit == 500:
            raise GraphError(
                400, "Request_BadRequest", "Cannot query data for more than 500 users at a time."
            )
        raise GraphError(
            400,
            "Request_BadRequest",
            f"Invalid page size specified: '{text}'. Must be between 1 and {limit} inclusive.",
        )
    return int(text)


def filter_of(call: Call, schema: Schema) -> Test | None:
    """The test ``$filter`` stands for. Raises GraphError 400 for anything Graph, or we, do not support."""
    text = call.request.query.get("$filter")
    if text is None:
        return None
    tests = [_clause(part.strip(), call, schema) for part in _AND.split(text.strip())]
    if "signInActivity/" in text and len(tests) > 1:
        raise bad_query("Filter by signInActivity cannot be combined with other filters.")
    return lambda props: all(test(props) for test in tests)


def _unsupported(name: str, schema: Schema) -> GraphError:
    return bad_query(
        f"Unsupported or invalid query filter clause specified for property '{name}' of resource '{schema.name}'."
    )


def _need_advanced(call: Call, name: str, schema: Schema) -> None:
    if not call.wants_count:
        raise _unsupported(name, schema)


def _readable(name: str, schema: Schema) -> str:
    if name not in schema.properties or name in schema.unreadable:
        raise GraphError(
            400, "BadRequest", f"Invalid filter clause: Could not find a property named '{name}'."
        )
    return name


def _clause(text: str, call: Call, schema: Schema) -> Test:
    if match := _CALL.match(text):
        name, literal = _readable(match[2], schema), match[3].replace("''", "'").casefold()
        if match[1].lower() == "endswith" or name in ADVANCED_ONLY:
            _need_advanced(call, name, schema)
        is_start = match[1].lower() == "startswith"
        return lambda props: _begins(str(props.get(name) or "").casefold(), literal, is_start=is_start)
    if match := _IN.match(text):
        name = _readable(match[1], schema)
        if name in ADVANCED_ONLY:
            _need_advanced(call, name, schema)
        values = {value.replace("''", "'").casefold() for value in re.findall(_TEXT, match[2])}
        return lambda props: str(props.get(name) or "").casefold() in values
    if match := _ANY.match(text):
        name, inner = _readable(match[1], schema), match[3]
        literal = (match[4] or match[5] or "").replace("''", "'").casefold()
        return lambda props: any(
            str(value.get(inner) if inner else value).casefold() == literal for value in props.get(name) or []
        )
    if match := _NUMBER.match(text):
        name, number = _readable(match[1], schema), int(match[3])
        _need_advanced(call, name, schema)
        is_equal = match[2].lower() == "eq"
        return lambda props: (len(props.get(name) or []) == number) is is_equal
    if match := _COMPARE.match(text):
        return _comparison(match, call, schema)
    raise bad_query(f"Invalid filter clause: {text[:80]}")


def _begins(value: str, part: str, *, is_start: bool) -> bool:
    return value.startswith(part) if is_start else value.endswith(part)


def _comparison(match: re.Match[str], call: Call, schema: Schema) -> Test:
    name, inner, operator = _readable(match[1], schema), match[2], match[3].lower()
    quoted, bare = match[4], match[5]
    if operator == "ne" or name in ADVANCED_ONLY or (bare or "").lower() == "null":
        _need_advanced(call, name, schema)
    if inner is not None and name != "signInActivity":
        raise _unsupported(name, schema)
    if operator in {"ge", "le"}:
        if name not in {"createdDateTime", "signInActivity"} or bare is None:
            raise _unsupported(name, schema)
        is_after = operator == "ge"

        def compare(props: Props) -> bool:
            value = (props.get(name) or {}).get(inner) if inner else props.get(name)
            return value is not None and (value >= bare if is_after else value <= bare)

        return compare
    literals: dict[str, Any] = {"true": True, "false": False, "null": None}
    literal: Any = (
        quoted.replace("''", "'").casefold() if quoted is not None else literals.get(bare.lower(), bare)
    )
    is_equal = operator == "eq"

    def equal(props: Props) -> bool:
        value = props.get(name)
        return ((value.casefold() if isinstance(value, str) else value) == literal) is is_equal

    return equal
