"""Holds every answer under ``/api/v1`` to the OpenAPI document: its status, its type, and the document in it."""

from __future__ import annotations

from functools import cache
from types import UnionType
from typing import Any
from urllib.parse import unquote

import jsonschema_rs
from flask import Flask
from pydantic import TypeAdapter
from werkzeug.exceptions import HTTPException
from werkzeug.test import TestResponse

from portal.api.declaration import declaration_of
from portal.api.openapi import document

PREFIX = "/api/v1"


def conforms(app: Flask, method: str, address: str, answer: TestResponse) -> None:
    """Fail when ``answer`` is not what the document says of this call. address: with its query, without the prefix.

    Two looks at what went well: as a client has it, by the published schema, which lets fields that come later pass; and as
    we mean it, by the model, which does not.
    """
    paths = _described(app)["paths"]
    endpoint, path = _route(app, method, address)
    where = f"{method} {address}: {answer.status_code}"
    if not endpoint:
        assert answer.status_code in {404, 405}, where
        _fits("Problem", answer, where)
        return
    described = paths[path][method.lower()]["responses"].get(str(answer.status_code))
    assert described is not None, f"{where} is declared nowhere: {answer.text[:500]}"
    content = described.get("content", {})
    assert answer.mimetype in content or (not content and not answer.data), f"{where} is {answer.mimetype}"
    if answer.is_json:
        schema = content[answer.mimetype]["schema"]
        _fits(_name(schema), answer, where)
        shape = declaration_of(app, endpoint).answers.get(answer.status_code)
        if isinstance(shape, type | UnionType):
            TypeAdapter(shape).validate_json(answer.data)


def _route(app: Flask, method: str, address: str) -> tuple[str, str]:
    """(endpoint, path in the document) of a call; blank for an address or method that there is not."""
    plain = f"{PREFIX}{address.partition('?')[0]}"
    try:
        rule, _ = app.url_map.bind("localhost").match(unquote(plain), method=method, return_rule=True)
    except HTTPException:
        return "", ""
    return rule.endpoint, rule.rule.removeprefix(PREFIX).replace("<", "{").replace(">", "}")


_documents: list[dict[str, Any]] = []


def _described(app: Flask) -> dict[str, Any]:
    """The document, which is the same of every app that a test makes."""
    if not _documents:
        _documents.append(document(app))
    return _documents[0]


def _name(schema: dict[str, Any]) -> str:
    """What ``_validator`` knows a schema by."""
    return "|".join(one["$ref"].rpartition("/")[2] for one in schema.get("anyOf", [schema]))


@cache
def _validator(names: str) -> jsonschema_rs.Draft202012Validator:
    wanted = [{"$ref": f"#/components/schemas/{name}"} for name in names.split("|")]
    return jsonschema_rs.Draft202012Validator(
        {"anyOf": wanted, "components": _documents[0]["components"]}, validate_formats=True
    )


def _fits(names: str, answer: TestResponse, where: str) -> None:
    wrong = [
        f"{'.'.join(map(str, one.instance_path))}: {one.message}"
        for one in _validator(names).iter_errors(answer.get_json())
    ]
    assert not wrong, f"{where} is no {names}: {wrong[:5]}"
