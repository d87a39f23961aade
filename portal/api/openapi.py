"""The OpenAPI document, made from the routes and their pydantic bodies (decision 002)."""

from __future__ import annotations

import inspect
import re
from functools import reduce
from typing import Any

from flask import Flask, Response, current_app, jsonify

from portal.api.blueprint import bp
from portal.api.schema import Request
from portal.http.access import public, required_role
from portal.http.listing import MAX_PER_PAGE, ListSpec

PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "object", "additionalProperties": {"type": "array", "items": {"type": "string"}}},
    },
}
LIST = {
    "type": "object",
    "required": ["items", "total", "page", "per_page"],
    "properties": {
        "items": {"type": "array", "items": {"type": "object"}},
        "total": {"type": "integer"},
        "page": {"type": "integer"},
        "per_page": {"type": "integer"},
    },
}
PAGING = [
    {"name": "page", "in": "query", "schema": {"type": "integer", "minimum": 1}},
    {
        "name": "per_page",
        "in": "query",
        "schema": {"type": "integer", "minimum": 1, "maximum": MAX_PER_PAGE},
    },
]
FLAG = {"type": "boolean", "default": False}
DRY_RUN = [{"name": "dry_run", "in": "query", "schema": FLAG}]
BOM = [{"name": "bom", "in": "query", "schema": FLAG}]
PREFER = [{"name": "Prefer", "in": "header", "schema": {"type": "string", "enum": ["respond-async"]}}]
OTHER_PARAMETERS: dict[str, list[dict[str, Any]]] = {
    "preview_user_sync": PAGING,
    "export_all_end_users": BOM,
    "export_assets": BOM,
    "export_audit_csv": BOM,
    "export_end_users": BOM,
    "export_organizations": BOM,
    "import_assets": [*DRY_RUN, *PREFER],
    "import_end_users": [*DRY_RUN, *PREFER],
    "undo_import": PREFER,
    "change_filter_template": DRY_RUN,
    "apply_declaration": [*DRY_RUN, {"name": "plan_id", "in": "query", "schema": {"type": "string"}}],
    "explain_user": [{"name": "user", "in": "query", "required": True, "schema": {"type": "string"}}],
}


@bp.get("/openapi.json")
@public
def openapi_document() -> Response:
    """Give the OpenAPI document itself."""
    return jsonify(document(current_app))


def document(app: Flask) -> dict[str, Any]:
    """OpenAPI 3.1 of everything under ``/api/v1``."""
    paths: dict[str, dict[str, Any]] = {}
    schemas: dict[str, Any] = {"Problem": PROBLEM, "List": LIST}
    for rule in sorted(app.url_map.iter_rules(), key=lambda r: r.rule):
        if not rule.rule.startswith("/api/v1"):
            continue
        path = re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", rule.rule.removeprefix("/api/v1"))
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            view = app.view_functions[rule.endpoint]
            paths.setdefault(path, {})[method.lower()] = _operation(
                app, rule.endpoint, view, sorted(rule.arguments), schemas
            )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Rollcall", "version": "1", "license": {"name": "MIT", "identifier": "MIT"}},
        "servers": [{"url": "/api/v1"}],
        "security": [{"bearer": []}],
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(
    app: Flask, endpoint: str, view: Any, arguments: list[str], schemas: dict[str, Any]
) -> dict[str, Any]:
    name = endpoint.removeprefix("api.")
    summary = (inspect.getdoc(view) or name).split("\n", 1)[0]
    spec = _spec_of(view)
    is_csv = name.startswith("export_")
    success = 204 if name.startswith(("delete_", "remove_", "disable_", "unmap_")) else 200
    if name.startswith(("create_", "connect_", "add_")):
        success = 201
    if name in {"sync_now", "undo_run", "set_up_user_syncs"}:
        success = 202
    found: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "description": f"Role: {required_role(app, endpoint)}.",
        "parameters": [
            *({"name": a, "in": "path", "required": True, "schema": {"type": "string"}} for a in arguments),
            *(_list_parameters(spec) if spec is not None else []),
            *OTHER_PARAMETERS.get(name, []),
        ],
        "responses": {
            str(success): _success(success, is_list=spec is not None, is_csv=is_csv),
            **({"200": _success(200)} if name in {"undo_run", "set_up_user_syncs"} else {}),  # with dry_run
            # with Prefer: respond-async
            **({"202": _success(202)} if PREFER[0] in OTHER_PARAMETERS.get(name, []) else {}),
            "default": {
                "description": "What went wrong, and what to do",
                "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
            },
        },
    }
    model = _body_of(view)
    if model is not None:
        schema = model.model_json_schema(ref_template="#/components/schemas/{model}")
        schemas.update(schema.pop("$defs", {}))
        schemas[model.__name__] = schema
        reference = {"$ref": f"#/components/schemas/{model.__name__}"}
        found["requestBody"] = {
            "required": bool(schema.get("required")),
            "content": {"application/json": {"schema": reference}},
        }
    elif name == "apply_declaration":
        found["requestBody"] = {
            "required": True,
            "content": {
                "application/toml": {"schema": {"type": "string"}},
                "application/json": {"schema": {"type": "object"}},
            },
        }
    elif name.startswith("import_"):
        found["requestBody"] = {"required": True, "content": {"text/csv": {"schema": {"type": "string"}}}}
    if required_role(app, endpoint) == "public":
        found["security"] = []
    return found


def _list_parameters(spec: ListSpec) -> list[dict[str, Any]]:
    """What ``listing.parse`` takes for this list: search, sort, pages and its filters."""
    sorts = [f"{sign}{name}" for name in spec.sorts for sign in ("", "-")]
    return [
        {"name": "q", "in": "query", "schema": {"type": "string"}},
        {"name": "sort", "in": "query", "schema": {"type": "string", "enum": sorts}},
        *PAGING,
        *(
            {
                "name": name,
                "in": "query",
                "schema": {"type": "string", **({} if values is None else {"enum": list(values)})},
            }
            for name, values in spec.filters.items()
        ),
    ]


def _success(status: int, *, is_list: bool = False, is_csv: bool = False) -> dict[str, Any]:
    if status == 204:
        return {"description": "Done"}
    if is_csv:
        return {"description": "Done", "content": {"text/csv": {"schema": {"type": "string"}}}}
    schema = {"$ref": "#/components/schemas/List"} if is_list else {"type": "object"}
    return {"description": "Done", "content": {"application/json": {"schema": schema}}}


def _spec_of(view: Any) -> ListSpec | None:
    """What a list can do: the spec that a view hands to ``asked``."""
    match = re.search(r"\basked\(([\w.]+)[,)]", inspect.getsource(view))
    if match is None:
        return None
    module, *names = match.group(1).split(".")
    found = reduce(getattr, names, view.__globals__[module])
    return found if isinstance(found, ListSpec) else None


def _body_of(view: Any) -> type[Request] | None:
    """The model that a view reads: the one it hands to ``body``."""
    match = re.search(r"\bbody\((\w+)\)", inspect.getsource(view))
    found = view.__globals__.get(match.group(1)) if match else None
    return found if isinstance(found, type) and issubclass(found, Request) else None
