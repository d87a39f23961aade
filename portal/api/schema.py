"""Request bodies by pydantic, lists, and documents as JSON: what every resource file shares."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from typing import Annotated, Any, TypeVar

from flask import Response, current_app, jsonify, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError

from portal.clock import iso
from portal.errors import Invalid
from portal.http import request_body
from portal.http.listing import Listing, ListSpec, parse

Body = TypeVar("Body", bound="Request")
MOST_ERRORS = 20
"""So many fields that cannot be used are named."""

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
    """The request's body as ``model``. Raises Invalid for each bad field by name, and what ``parse_json`` raises."""
    given = request_body.parse_json(request.get_data(cache=True))
    if not isinstance(given, dict):
        raise Invalid({"body": ["Has to be an object."]}, "The body has to be a JSON object.")
    try:
        return model.model_validate(given)
    except ValidationError as error:
        errors: dict[str, list[str]] = {}
        for item in error.errors(include_url=False, include_context=False, include_input=False):
            name = ".".join(str(part)[:100] for part in item["loc"]) or "body"
            if name not in errors and len(errors) == MOST_ERRORS:
                break
            text = _WORDS.get(item["type"], str(item["msg"]).removeprefix("Value error, "))
            errors.setdefault(name, []).append(text)
        raise Invalid(errors, "Some fields cannot be used: " + ", ".join(errors) + ".") from error


def asked(spec: ListSpec, *, extra: Iterable[str] = ()) -> Listing:
    """What the query string asks of a list. Raises Invalid (422) for an unknown or bad parameter."""
    return parse(request.args.to_dict(), spec, strict=True, extra=tuple(extra))


def page_of(listing: Listing, to_document: Callable[[Any], Any], **more: Any) -> Response:
    """A list: whole documents, the total, where in it this page is, and what else there is to say of it."""
    return answer(
        {
            "items": [to_document(row) for row in listing.items],
            "total": listing.total,
            "page": listing.page,
            "per_page": listing.per_page,
            **more,
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
        return iso(value)
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return value


def paging() -> tuple[int, int]:
    """``page`` and ``per_page`` where there is nothing to sort, search or filter. Raises Invalid for any other parameter."""
    unknown = {name: ["There is no such parameter."] for name in ("q", "sort") if name in request.args}
    if unknown:
        raise Invalid(unknown, "The query has parameters that cannot be used.")
    spec = ListSpec(sorts={"": ()}, default_sort="", per_page=200)
    found = parse(request.args.to_dict(), spec, strict=True)
    return found.page, found.per_page
