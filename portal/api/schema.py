"""Request bodies by pydantic, lists, and documents as JSON: what every resource file shares.

Each of these holds a view to what it declared (``portal.api.declaration``).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, TypeVar

from flask import Response, current_app, request
from pydantic import BaseModel, BeforeValidator, ConfigDict, ValidationError
from pydantic_core import to_json

from portal.api.declaration import declared
from portal.errors import Invalid
from portal.http import request_body
from portal.http.listing import Listing, ListSpec, parse

Body = TypeVar("Body", bound="Request")
MOST_ERRORS = 20
"""So many fields that cannot be used are named."""

_WORDS = {
    "missing": "This field is required.",
    "extra_forbidden": "There is no such field.",
    "string_type": "Must be a string.",
    "bool_type": "Must be true or false.",
    "int_type": "Must be a whole number.",
    "int_from_float": "Must be a whole number.",
    "list_type": "Must be a list.",
    "dict_type": "Must be an object.",
    "model_type": "Must be an object.",
    "model_attributes_type": "Must be an object.",
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
    if declared().body is not model:
        raise RuntimeError(f"route {request.endpoint} reads another body than it declares: {model.__name__}")
    parsed = request_body.parse_json(request.get_data(cache=True))
    if not isinstance(parsed, dict):
        raise Invalid({"body": ["Must be an object."]}, "The body must be a JSON object.")
    try:
        return model.model_validate(parsed)
    except ValidationError as error:
        errors: dict[str, list[str]] = {}
        for item in error.errors(include_url=False, include_context=False, include_input=False):
            name = ".".join(str(part)[:100] for part in item["loc"]) or "body"
            if name not in errors and len(errors) == MOST_ERRORS:
                break
            text = _WORDS.get(item["type"], str(item["msg"]).removeprefix("Value error, "))
            errors.setdefault(name, []).append(text)
        raise Invalid(errors, "Some fields cannot be used: " + ", ".join(errors) + ".") from error


def list_query(spec: ListSpec) -> Listing:
    """What the query string asks of a list. Raises Invalid (422) for an unknown or bad parameter."""
    declaration = declared()
    if declaration.query is not spec:
        raise RuntimeError(f"route {request.endpoint} reads another query than it declares")
    return parse(request.args.to_dict(), spec, strict=True, extra=declaration.query_names)


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


def answer(document: Any, status: int | None = None, *, headers: dict[str, str] | None = None) -> Response:
    """A document as JSON, made by the model that the route declares for ``status``; its own status unless said.

    What does not fit its description is answered as it is, and told to the log: what was asked for is done by then. The
    tests take it for the mistake it is.
    """
    declaration = declared()
    status = status or declaration.status
    adapter = declaration.adapter(status)
    try:
        text = adapter.dump_json(adapter.validate_python(document), exclude_unset=True)
    except ValidationError as error:
        places = {
            ".".join(map(str, problem["loc"]))
            for problem in error.errors(include_input=False, include_url=False)
        }
        current_app.logger.error(
            "action=undescribed_answer endpoint=%s fields=%s", request.endpoint, sorted(places)[:MOST_ERRORS]
        )
        text = to_json(document, fallback=str)
    response = current_app.response_class(text, status=status, mimetype="application/json")
    response.headers.extend(headers or {})
    return response


def nothing() -> Response:
    """204."""
    response = current_app.response_class(status=204)
    response.headers.pop("Content-Type", None)
    return response


def is_dry_run() -> bool:
    """``?dry_run``. Raises Invalid for anything but true and false, and for a parameter that the route does not declare."""
    declared_names = declared().query_names
    errors = {name: ["There is no such parameter."] for name in request.args if name not in declared_names}
    flag = request.args.get("dry_run", "false")
    if flag not in {"true", "false"}:
        errors["dry_run"] = ["Must be true or false."]
    if errors:
        raise Invalid(errors, "The query has parameters that cannot be used.")
    return flag == "true"


PAGES = ListSpec(sorts={"": ()}, default_sort="", per_page=200)
"""The query of what comes in pages, with nothing to sort, search or filter."""


def paging() -> tuple[int, int]:
    """``page`` and ``per_page`` as ``PAGES`` has them. Raises Invalid for any other parameter."""
    unknown = {name: ["There is no such parameter."] for name in ("q", "sort") if name in request.args}
    if unknown:
        raise Invalid(unknown, "The query has parameters that cannot be used.")
    listing = list_query(PAGES)
    return listing.page, listing.per_page
