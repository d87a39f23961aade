"""Request bodies by pydantic, lists, and documents as JSON: what every resource file shares."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from flask import Response, current_app, jsonify, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from werkzeug.exceptions import BadRequest

from portal.errors import Invalid
from portal.listing import Listing, ListSpec, parse

Body = TypeVar("Body", bound="Request")

_WORDS = {
    "missing": "This field is required.",
    "extra_forbidden": "There is no such field.",
    "string_type": "Has to be a text.",
    "bool_type": "Has to be true or false.",
    "int_type": "Has to be a whole number.",
    "int_from_float": "Has to be a whole number.",
    "list_type": "Has to be a list.",
    "dict_type": "Has to be an object.",
    "model_type": "Has to be an object.",
    "model_attributes_type": "Has to be an object.",
}


class Request(BaseModel):
    """A request body: exactly its fields, exactly their types."""

    model_config = ConfigDict(extra="forbid", strict=True)


def _whole(value: Any) -> Any:
    """JSON Schema calls 5.0 an integer too."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


Whole = Annotated[int, BeforeValidator(_whole)]


def body(model: type[Body]) -> Body:
    """The request's body as ``model``. Raises BadRequest for what is no JSON, Invalid for each bad field by name."""
    data = request.get_data(cache=True)
    if not data.strip():
        given: Any = {}
    else:
        try:
            given = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise BadRequest from error
    if not isinstance(given, dict):
        raise Invalid({"body": ["Has to be an object."]}, "The body has to be a JSON object.")
    if _has_nul(given):
        raise Invalid({"body": ["Texts may not hold NUL characters."]})
    try:
        return model.model_validate(given)
    except ValidationError as error:
        errors: dict[str, list[str]] = {}
        for item in error.errors():
            name = ".".join(str(part) for part in item["loc"]) or "body"
            text = _WORDS.get(item["type"], str(item["msg"]).removeprefix("Value error, "))
            errors.setdefault(name, []).append(text)
        raise Invalid(errors, "Some fields cannot be used: " + ", ".join(errors) + ".") from error


def asked(spec: ListSpec, *, extra: Iterable[str] = ()) -> Listing:
    """What the query string asks of a list. Raises Invalid (422) for an unknown or bad parameter."""
    return parse(request.args.to_dict(), spec, strict=True, extra=tuple(extra))


def page_of(listing: Listing, to_document: Callable[[Any], Any]) -> Response:
    """A list: whole documents, the total, and where in it this page is."""
    return answer(
        {
            "items": [to_document(row) for row in listing.items],
            "total": listing.total,
            "page": listing.page,
            "per_page": listing.per_page,
        }
    )


def answer(document: Any, status: int = 200, *, headers: dict[str, str] | None = None) -> Response:
    """A document as JSON, times in ISO 8601 UTC."""
    response = jsonify(plain(document))
    response.status_code = status
    response.headers.extend(headers or {})
    return response


def nothing() -> Response:
    """204."""
    response = current_app.response_class(status=204)
    response.headers.pop("Content-Type", None)
    return response


def plain(value: Any) -> Any:
    """``value`` with times as texts."""
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def paging() -> tuple[int, int]:
    """``page`` and ``per_page`` where there is nothing to sort or filter. Raises Invalid."""
    found = parse(
        {name: value for name, value in request.args.items() if name in {"page", "per_page"}},
        ListSpec(sorts={"": ()}, default_sort="", per_page=200),
        strict=True,
    )
    return found.page, found.per_page


def _has_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\x00" in value
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(item) for key, item in value.items())
    return isinstance(value, list) and any(_has_nul(item) for item in value)
