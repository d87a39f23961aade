"""``$batch`` and ``getByIds`` (docs/microsoft-graph.md, 2.5 and 4.5)."""

from __future__ import annotations

import re
from typing import Any

import orjson

from simulator.calls import Call, route
from simulator.graph_groups import member_props
from simulator.messages import GraphError, Response, json_response
from simulator.objects import Directory, Props

MAXIMUM = 20


def batch_items(call: Call) -> list[dict[str, Any]]:
    """The requests of a batch, checked. Raises GraphError 400."""
    items = call.document().get("requests")
    if not isinstance(items, list) or not items:
        raise GraphError(400, "BadRequest", "The batch needs a list 'requests' that is not empty.")
    if len(items) > MAXIMUM:
        raise GraphError(
            400, "BadRequest", f"Number of batch request steps exceeds the maximum value of {MAXIMUM}."
        )
    keys: set[str] = set()
    for item in items:
        if not isinstance(item, dict) or not all(
            isinstance(item.get(key), str) for key in ("id", "method", "url")
        ):
            raise GraphError(400, "BadRequest", "Every batch request needs the texts id, method and url.")
        key = item["id"].casefold()
        if key in keys:
            raise GraphError(400, "BadRequest", f"The batch request id '{item['id']}' is not unique.")
        keys.add(key)
        if item["url"].lower().startswith(("http:", "https:", "/v1.0", "/beta", "/$batch")):
            raise GraphError(
                400, "BadRequest", "A batch request's url is relative, without host and version."
            )
    return items


def batch_answer(items: list[dict[str, Any]], answers: dict[str, Response]) -> Response:
    """The outer answer: always 200, items in an order of their own."""
    responses: list[dict[str, Any]] = []
    for item in items:
        answer = answers[item["id"]]
        headers = {"Content-Type": answer.content_type, **answer.headers}
        body: Any = None
        if answer.body:
            try:
                body = orjson.loads(answer.body)
            except orjson.JSONDecodeError:
                body = answer.body.decode("utf-8", "replace")
        responses.append({"id": item["id"], "status": answer.status, "headers": headers, "body": body})
    # Microsoft answers in any order: never in the one asked.
    responses.reverse()
    return json_response({"responses": responses})


@route("POST", "/directoryObjects/getByIds", roles=("Directory.Read.All", "User.Read.All"), cost=5)
def get_by_ids(call: Call, _match: re.Match[str]) -> Response:
    """Objects of up to 1,000 ids; the ones that are gone are left out."""
    document = call.document()
    ids, types = document.get("ids"), document.get("types")
    if not isinstance(ids, list) or not ids or len(ids) > 1000:
        raise GraphError(400, "Request_BadRequest", "ids must hold between 1 and 1000 ids.")
    kinds = {str(type_).lower() for type_ in types} if isinstance(types, list) and types else None
    names = call.selected
    rows: list[Props] = []
    for key in ids:
        object_id = str(key).lower()
        kind = _kind(call.tenant.directory, object_id)
        if kind is None or (kinds is not None and kind.lower() not in kinds):
            continue
        props = member_props(call.tenant.directory, object_id, kind) or {}
        properties = {name: props.get(name) for name in names} if names else dict(props)
        rows.append({"@odata.type": f"#microsoft.graph.{kind}", **properties, "id": object_id})
    return json_response({"@odata.context": f"{call.base}/v1.0/$metadata#directoryObjects", "value": rows})


def _kind(directory: Directory, object_id: str) -> str | None:
    for kind, objects in (
        ("user", directory.users),
        ("group", directory.groups),
        ("device", directory.devices),
    ):
        if object_id in objects:
            return kind
    other = directory.others.get(object_id)
    return str(other["kind"]) if other else None
