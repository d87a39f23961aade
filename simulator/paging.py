"""Lists page by page: opaque links, stable while they are read, bent by the faults of stage ``page``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from simulator import faults
from simulator.calls import Call
from simulator.cursors import Cursor
from simulator.messages import GraphError, Response, json_response


def resume(call: Call) -> Cursor | None:
    """The list a request goes on with, None for a first page. Raises GraphError 400 for a token that is not good."""
    token = call.request.query.get("$skiptoken")
    if token is None:
        return None
    cursor = call.cursors.find(token)
    if cursor is None or cursor.tenant_id != call.tenant.id or cursor.path != call.path.lower():
        raise GraphError(
            400,
            "Directory_ExpiredPageToken",
            "The specified page token value has expired and can no longer be included in your request.",
        )
    if cursor.needs_header and not call.is_eventual:
        raise GraphError(
            400,
            "Request_UnsupportedQuery",
            "Request requires the 'ConsistencyLevel' header with the value 'eventual'.",
        )
    return cursor


def page_of(call: Call, cursor: Cursor) -> Response:
    """The answer for one page of a list."""
    struck = call.faults.strike(
        "page", tenant=call.tenant.id, method=call.request.method, path=call.path, page=cursor.page
    )
    if not cursor.is_after_empty and any(fault.kind == "empty_page" for fault in struck):
        same = call.cursors.put(replace(cursor, is_after_empty=True))
        link = f"{call.base}{cursor.link_stem}$skiptoken={same}"
        return json_response({"@odata.context": _context(call, cursor), "@odata.nextLink": link, "value": []})
    end = cursor.offset + cursor.size
    rows = [row for row in map(cursor.render, cursor.items[cursor.offset : end]) if row is not None]
    is_last = end >= len(cursor.items)
    moved = cursor.moved
    for fault in struck:
        moved = _bend_rows(fault, cursor, rows, moved)
    if is_last and cursor.moved is not None:
        rows.append(cursor.moved)
    document: dict[str, Any] = {"@odata.context": _context(call, cursor)}
    if cursor.count is not None and cursor.page == 1:
        document["@odata.count"] = counted(cursor.count, struck)
    if is_last:
        document.update(cursor.finish() if cursor.finish else {})
    else:
        following = replace(cursor, offset=end, page=cursor.page + 1, moved=moved, is_after_empty=False)
        document["@odata.nextLink"] = _link(call, following, struck)
    document["value"] = rows
    return json_response(document)


def _context(call: Call, cursor: Cursor) -> str:
    return f"{call.base}/v1.0/$metadata#{cursor.context}"


def counted(count: int, struck: Sequence[faults.Fault]) -> int:
    """A count, wrong when the fault ``wrong_count`` is on."""
    for fault in struck:
        if fault.kind == "wrong_count":
            return int(fault.options.get("count", max(0, count + int(fault.options.get("by", 100)))))
    return count


def _bend_rows(fault: faults.Fault, cursor: Cursor, rows: list[Any], moved: Any) -> Any:
    """Apply one fault to the rows of a page; returns what the last page shall get besides."""
    match fault.kind:
        case "duplicate":
            many = int(fault.options.get("count", 1))
            before = cursor.items[max(0, cursor.offset - many) : cursor.offset] or cursor.items[:many]
            rows[:0] = [row for row in map(cursor.render, before) if row is not None]
        case "replay":
            before = cursor.items[max(0, cursor.offset - cursor.size) : cursor.offset]
            rows[:0] = [row for row in map(cursor.render, before) if row is not None]
        case "move" if rows and cursor.offset + cursor.size < len(cursor.items):
            return rows.pop()
        case "missing":
            del rows[: int(fault.options.get("count", 1))]
        case "bad_records":
            rows.extend(faults.bad_records(fault))
        case _:
            pass
    return moved


def _link(call: Call, following: Cursor, struck: Sequence[faults.Fault]) -> str:
    kinds = {fault.kind: fault for fault in struck}
    if "loop_link" in kinds:
        query = f"?{call.request.raw_query}" if call.request.raw_query else ""
        return f"{call.base}/v1.0{call.path}{query}"
    link = f"{call.base}{following.link_stem}$skiptoken={call.cursors.put(following)}"
    if "http_link" in kinds:
        return link.replace("https://", "http://", 1)
    if "foreign_link" in kinds:
        own = urlsplit(call.base).netloc
        return link.replace(own, str(kinds["foreign_link"].options.get("host", "graph.evil.example")), 1)
    return link
