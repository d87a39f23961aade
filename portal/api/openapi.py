"""The OpenAPI document, made from what the routes declare (decision 010)."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable, Mapping
from http import HTTPStatus
from types import UnionType
from typing import Any, get_args

from flask import Flask, Response, current_app
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema
from werkzeug.routing import Rule

from portal.api.blueprint import bp
from portal.api.declaration import Declaration, File, Shape, Tag, declaration_of, documented_as
from portal.api.documents.base import Problem
from portal.api.documents.openapi import OpenApi
from portal.api.schema import answer
from portal.http.access import PUBLIC, ROLE_NAMES, public, required_role
from portal.http.listing import MAX_PER_PAGE, ListSpec
from portal.models import Role

PREFIX = "/api/v1"
WRITING = frozenset({"POST", "PUT", "PATCH", "DELETE"})
BOOLEAN = {"true", "false"}
PROBLEMS = {
    400: "The body is not JSON, or is incomplete.",
    401: "The bearer token is missing or not known.",
    403: "The token's role is too low.",
    404: "There is no such object.",
    409: "The current state does not allow it, or someone else changed it at the same moment.",
    413: "The body is too large.",
    422: "Something that was sent cannot be used; `errors` says what.",
    429: "Too many requests.",
    500: "Something went wrong inside Rollcall.",
    502: "Microsoft did not answer as expected.",
    503: "Not possible right now. Try again after `Retry-After` seconds.",
}
"""What each problem status means; there is no other."""
PROBLEM_HEADERS: Mapping[int, Mapping[str, Any]] = {
    401: {"WWW-Authenticate": {"schema": {"type": "string"}, "description": "Bearer."}},
    429: {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}},
    503: {"Retry-After": {"schema": {"type": "integer"}, "description": "Seconds."}},
}
ABOUT = """Keeps the End Users of Organizations in step with Microsoft Entra ID.

Send a token as `Authorization: Bearer …`; administrators create tokens in Settings, API tokens. Times are ISO 8601 in UTC. Lists
come in pages: `page` counts from 1, and a page past the end is empty. Problems are RFC 9457 documents. Expect new fields
in later versions."""

documented = documented_as(Tag("API", "The API itself."))

Operations = Iterable[tuple[Rule, str, Declaration, Callable[..., Any]]]


@bp.get("/openapi.json")
@public
@documented(answer=OpenApi)
def get_openapi_document() -> Response:
    """Get the OpenAPI document of this API."""
    return answer(document(current_app))


def document(app: Flask) -> dict[str, Any]:
    """OpenAPI 3.1 of everything under ``/api/v1``. Raises RuntimeError for a route that declares nothing."""
    operations = list(_operations(app))
    references, definitions = _schemas(_models(declaration for _, _, declaration, _ in operations))
    paths: dict[str, dict[str, Any]] = {}
    for rule, method, declaration, view in operations:
        path = re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule.rule.removeprefix(PREFIX))
        role = required_role(app, rule.endpoint)
        paths.setdefault(path, {})[method.lower()] = {
            **_words(view, declaration, role),
            "parameters": [*_path_parameters(rule), *_query_parameters(declaration)],
            **_body(declaration, references),
            "responses": {
                **{
                    str(status): _success(status, shape, references)
                    for status, shape in sorted(declaration.answers.items())
                },
                **{
                    str(status): _problem(status, references)
                    for status in sorted(refusals_of(rule, method, declaration, role))
                },
            },
            **({"security": []} if role == PUBLIC else {}),
        }
    tags = {declaration.tag.name: declaration.tag for _, _, declaration, _ in operations}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Rollcall",
            "version": "1",
            "description": ABOUT,
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": PREFIX}],
        "security": [{"bearer": []}],
        "tags": [{"name": tag.name, "description": tag.description} for _, tag in sorted(tags.items())],
        "paths": paths,
        "components": {
            "schemas": definitions,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "An API token, `rc_…`. It may do what its role may.",
                }
            },
        },
    }


def refusals_of(rule: Rule, method: str, declaration: Declaration, role: Role | str | None) -> set[int]:
    """The statuses of the problems that a route may answer: what it declares, and what follows from its parts."""
    statuses = {422, 500, 503, *declaration.refusals}  # 422: every query is looked through (``refuse_nul``)
    if role != PUBLIC:
        statuses.add(401)
    if isinstance(role, Role) and role.rank > 0:
        statuses.add(403)
    if rule.arguments:
        statuses.add(404)
    if method in WRITING:
        statuses.add(409)
    if declaration.body is not None:
        statuses |= {400, 413}
    return statuses


def _operations(app: Flask) -> Operations:
    """(rule, method, declaration, view) of every route under ``/api/v1``."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda rule: rule.rule):
        if rule.rule.startswith(f"{PREFIX}/"):
            for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
                view = app.view_functions[rule.endpoint]
                yield rule, method, declaration_of(app, rule.endpoint), view


def _words(view: Callable[..., Any], declaration: Declaration, role: Role | str | None) -> dict[str, Any]:
    summary, _, more = (inspect.getdoc(view) or "").partition("\n")
    needed = f"Needs the role {ROLE_NAMES[role]}." if isinstance(role, Role) else "Needs no token."
    return {
        "operationId": view.__name__,
        "tags": [declaration.tag.name],
        "summary": summary.removesuffix("."),
        "description": "\n\n".join(part for part in (more.strip().replace("``", "`"), needed) if part),
    }


# -- parameters --------------------------------------------------------------------------------------------------------


def _path_parameters(rule: Rule) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": f"The id of the {name.removesuffix('_id').replace('_', ' ')}.",
            "schema": {"type": "string"},
        }
        for name in sorted(rule.arguments)
    ]


def _query_parameters(declaration: Declaration) -> list[dict[str, Any]]:
    listed = [] if declaration.query is None else _list_parameters(declaration.query)
    others = [
        {
            "name": parameter.name,
            "in": parameter.place,
            "required": parameter.is_required,
            "description": parameter.description,
            "schema": dict(parameter.schema),
        }
        for parameter in declaration.parameters
    ]
    return [*listed, *others]


def _list_parameters(spec: ListSpec) -> list[dict[str, Any]]:
    """What ``listing.parse`` takes for this list: search, sort, pages and its filters."""
    if not any(spec.sorts):
        return _paging(spec)
    sorts = [f"{sign}{name}" for name in spec.sorts for sign in ("", "-")]
    names = [f"{name.upper()}{end}" for name in spec.sorts for end in ("", "_DESCENDING")]
    order = {"type": "string", "enum": sorts, "default": spec.default_sort, "x-enum-varnames": names}
    return [
        _parameter("q", "Search text; case does not matter.", {"type": "string"}),
        _parameter("sort", "What to sort by; a leading - reverses the order.", order),
        *_paging(spec),
        *(
            _parameter(name, f"Only those with this {name.replace('_', ' ')}.", _filter(values))
            for name, values in spec.filters.items()
        ),
    ]


def _paging(spec: ListSpec) -> list[dict[str, Any]]:
    size = {"type": "integer", "minimum": 1, "maximum": MAX_PER_PAGE, "default": spec.per_page}
    return [
        _parameter("page", "Which page; the first is 1.", {"type": "integer", "minimum": 1, "default": 1}),
        _parameter("per_page", "How many items a page holds.", size),
    ]


def _filter(values: Iterable[str] | None) -> dict[str, Any]:
    if values is None:
        return {"type": "string"}
    allowed = list(values)
    return {"type": "boolean"} if set(allowed) == BOOLEAN else {"type": "string", "enum": allowed}


def _parameter(name: str, description: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "query", "description": description, "schema": dict(schema)}


# -- bodies, answers, problems -----------------------------------------------------------------------------------------


def _body(declaration: Declaration, references: Mapping[Any, Any]) -> dict[str, Any]:
    body = declaration.body
    if body is None:
        return {}
    if isinstance(body, File):
        return {"requestBody": {"required": True, "content": _content(body, references)}}
    is_required = any(model_field.is_required() for model_field in body.model_fields.values())
    schema = references[body, "validation"]
    return {"requestBody": {"required": is_required, "content": {"application/json": {"schema": schema}}}}


def _success(status: int, shape: Shape | None, references: Mapping[Any, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if shape is not None:
        response["content"] = _content(shape, references)
    return response


def _content(shape: Shape, references: Mapping[Any, Any]) -> dict[str, Any]:
    if isinstance(shape, File):
        return {shape.media: {"schema": {"type": "string", "format": "binary"}, "example": shape.example}}
    schemas = [references[model, "serialization"] for model in _alternatives(shape)]
    return {"application/json": {"schema": schemas[0] if len(schemas) == 1 else {"anyOf": schemas}}}


def _problem(status: int, references: Mapping[Any, Any]) -> dict[str, Any]:
    schema = references[Problem, "serialization"]
    headers = PROBLEM_HEADERS.get(status)
    return {
        "description": PROBLEMS[status],
        **({"headers": dict(headers)} if headers else {}),
        "content": {"application/problem+json": {"schema": schema}},
    }


def _models(declarations: Iterable[Declaration]) -> list[tuple[type[BaseModel], Any]]:
    """Each model that is taken (validation) or answered (serialization), once."""
    models: dict[tuple[type[BaseModel], Any], None] = {(Problem, "serialization"): None}
    for declaration in declarations:
        if declaration.body is not None and not isinstance(declaration.body, File):
            models[declaration.body, "validation"] = None
        for shape in declaration.answers.values():
            if shape is not None and not isinstance(shape, File):
                models.update({(model, "serialization"): None for model in _alternatives(shape)})
    return list(models)


def _alternatives(shape: type[BaseModel] | UnionType) -> tuple[type[BaseModel], ...]:
    return get_args(shape) if isinstance(shape, UnionType) else (shape,)


class _Schemas(GenerateJsonSchema):
    """Lists are called after what they list: ``Page[Tenant]`` is TenantList."""

    ignored_warning_kinds = frozenset({"skipped-choice", "non-serializable-default"})  # type: ignore[assignment]

    def normalize_name(self, name: str) -> str:
        """The name of a schema."""
        return super().normalize_name(re.sub(r"^Page\[(\w+)\]$", r"\1List", name))


def _schemas(models: list[tuple[type[BaseModel], Any]]) -> tuple[dict[Any, Any], dict[str, Any]]:
    """(model, mode) → its reference, and every schema by name. Raises RuntimeError for two of one name."""
    references, defined = models_json_schema(
        models, ref_template="#/components/schemas/{model}", schema_generator=_Schemas
    )
    definitions = defined.get("$defs", {})
    if odd := [name for name in definitions if not name.isidentifier() or "__" in name]:
        raise RuntimeError(f"several documents have one name: {', '.join(odd)}")
    return dict(references), {name: _in_words(schema) for name, schema in sorted(definitions.items())}


def _in_words(schema: Any) -> Any:
    """Descriptions of docstrings as Markdown, and no titles: they only repeat the names."""
    if isinstance(schema, list):
        return [_in_words(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    described = {key: value if key == "examples" else _in_words(value) for key, value in schema.items()}
    if isinstance(described.get("title"), str):
        del described["title"]
    if isinstance(described.get("description"), str):
        described["description"] = " ".join(described["description"].replace("``", "`").split())
    return described
