"""Faults that can be switched on: what goes wrong, where, from which request on and how often.

A fault is one row of ``docs/simulator.md``. Those of stage ``answer`` take the place of the endpoint's answer,
``page`` ones bend one page of a list, ``body`` ones spoil a finished answer, ``login`` ones refuse at the login
service. ``slow`` only waits.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

import orjson

from simulator.messages import HTML_TYPE, GraphError, LoginError, Response

STAGES: dict[str, str] = {
    "throttle": "answer",
    "status": "answer",
    "graph_error": "answer",
    "expire_page_token": "answer",
    "slow": "answer",
    "duplicate": "page",
    "replay": "page",
    "move": "page",
    "missing": "page",
    "wrong_count": "page",
    "foreign_link": "page",
    "http_link": "page",
    "loop_link": "page",
    "empty_page": "page",
    "bad_records": "page",
    "expire_delta": "delta",
    "cut": "body",
    "truncated_json": "body",
    "garbage": "body",
    "login_error": "login",
    "login_status": "login",
    "token_without_roles": "login",
}

TOKEN_ADDRESS = r"/oauth2/v2\.0/token$"  # noqa: S105 - an address
"""Where login faults strike unless told otherwise: discovery stays as it is."""

_STATUS_CODES = {
    500: ("InternalServerError", "An unexpected error occurred."),
    502: ("BadGateway", "The gateway received an invalid answer."),
    503: ("ServiceUnavailable", "The service is temporarily unavailable."),
    504: ("UnknownError", ""),
    509: ("BandwidthLimitExceeded", "The bandwidth limit has been exceeded."),
}

BAD_RECORDS: tuple[Any, ...] = (
    {"displayName": "No Id", "userPrincipalName": "no.id@bad.example", "mail": "no.id@bad.example"},
    {"id": None, "displayName": "Null Id", "userPrincipalName": "null.id@bad.example"},
    {"id": 4711, "displayName": "Number Id", "userPrincipalName": "number.id@bad.example"},
    {"id": "", "displayName": "Empty Id"},
    {
        "id": "bad00000-0000-4000-8000-000000000001",
        "displayName": {"text": "An object"},
        "userPrincipalName": ["a list"],
        "mail": 17,
        "accountEnabled": "yes",
        "proxyAddresses": "SMTP:not-a-list@bad.example",
        "businessPhones": {"0": "x"},
        "assignedLicenses": [None, 3, {"skuId": None}],
        "createdDateTime": "not a date",
    },
    {"id": "bad00000-0000-4000-8000-000000000002"},
    None,
    "a text where an object should be",
    ["a", "list"],
)


@dataclass(slots=True)
class Fault:
    """One fault that is switched on.

    tenant, method: only there; None everywhere. path: a regular expression searched in the path.
    page: only that page of a list (1 first). nth: from the nth request that fits. times: how often, None always.
    options: what the kind needs besides, see ``docs/simulator.md``.
    """

    id: int
    kind: str
    tenant: str | None = None
    method: str | None = None
    path: str | None = None
    page: int | None = None
    nth: int = 1
    times: int | None = 1
    options: dict[str, Any] = field(default_factory=dict)
    matches: int = 0
    applied: int = 0

    def fits(self, tenant: str | None, method: str, path: str, page: int) -> bool:
        """True when the fault is about this request, whatever its count says."""
        return (
            (self.tenant is None or self.tenant == tenant)
            and (self.method is None or self.method == method)
            and (self.path is None or re.search(self.path, path, re.IGNORECASE) is not None)
            and (self.page is None or self.page == page)
        )

    def take(self) -> bool:
        """Count one fitting request; True when the fault strikes it."""
        self.matches += 1
        if self.matches < self.nth or (self.times is not None and self.applied >= self.times):
            return False
        self.applied += 1
        return True


class FaultBook:
    """All faults that are on."""

    def __init__(self) -> None:
        self._faults: dict[int, Fault] = {}
        self._next = 1
        self._lock = threading.Lock()

    def add(
        self,
        kind: str,
        *,
        tenant: str | None = None,
        method: str | None = None,
        path: str | None = None,
        page: int | None = None,
        nth: int = 1,
        times: int | None = 1,
        options: Mapping[str, Any] | None = None,
    ) -> Fault:
        """Switch a fault on. Raises ValueError for a kind that does not exist or a bad number."""
        if kind not in STAGES:
            raise ValueError(f"There is no fault {kind!r}. Known ones: {', '.join(sorted(STAGES))}.")
        if nth < 1 or (times is not None and times < 1):
            raise ValueError("nth and times count from 1.")
        if path is not None:
            try:
                re.compile(path)
            except re.error as error:
                raise ValueError(f"path is not a regular expression: {error}.") from None
        if STAGES[kind] == "login" and path is None:
            path = TOKEN_ADDRESS
        with self._lock:
            fault = Fault(
                self._next,
                kind,
                tenant.lower() if tenant else None,
                method.upper() if method else None,
                path,
                page,
                nth,
                times,
                dict(options or {}),
            )
            self._faults[fault.id] = fault
            self._next += 1
        return fault

    def remove(self, fault_id: int) -> bool:
        """Switch one off; False when it was not on."""
        with self._lock:
            return self._faults.pop(fault_id, None) is not None

    def clear(self) -> None:
        """Switch all off."""
        with self._lock:
            self._faults.clear()

    def listed(self) -> list[dict[str, Any]]:
        """What is on, with how often each struck."""
        with self._lock:
            return [asdict(fault) for fault in self._faults.values()]

    def strike(self, stage: str, *, tenant: str | None, method: str, path: str, page: int = 1) -> list[Fault]:
        """The faults of a stage that strike this request; each counts it."""
        if not self._faults:
            return []
        with self._lock:
            return [
                fault
                for fault in self._faults.values()
                if STAGES[fault.kind] == stage and fault.fits(tenant, method, path, page) and fault.take()
            ]


def answer_of(fault: Fault) -> Response:
    """What an ``answer`` fault answers; a GraphError is raised where Graph's error shape is wanted."""
    headers: dict[str, str] = {}
    retry_after = fault.options.get("retry_after")
    if retry_after is not None:
        headers["Retry-After"] = str(retry_after)
    match fault.kind:
        case "throttle":
            raise GraphError(429, "TooManyRequests", "Please retry again later.", headers)
        case "expire_page_token":
            raise GraphError(
                400,
                "Directory_ExpiredPageToken",
                "The specified page token value has expired and can no longer be included in your request.",
            )
        case "graph_error":
            options = fault.options
            raise GraphError(
                int(options.get("status", 400)),
                str(options.get("code", "BadRequest")),
                str(options.get("message", "The request was refused.")),
                headers,
            )
        case _:
            status = int(fault.options.get("status", 503))
            if fault.options.get("html", status in {502, 503}):
                text = f"<html><head><title>{status}</title></head><body><h2>Our services aren't available</h2></body></html>"
                return Response(status, text.encode(), HTML_TYPE, headers)
            code, message = _STATUS_CODES.get(status, ("UnknownError", "Something went wrong."))
            raise GraphError(status, code, message, headers)


def spoil(response: Response, fault: Fault) -> None:
    """Spoil a finished answer."""
    match fault.kind:
        case "cut":
            response.cut_at = int(fault.options.get("at", len(response.body) // 2))
        case "truncated_json":
            response.body = response.body[: int(fault.options.get("at", len(response.body) // 2))]
        case _:
            shapes: dict[str, bytes] = {
                "text": b"this is not JSON",
                "empty": b"",
                "list": b"[1, 2, 3]",
                "null": b"null",
                "no_value": b'{"@odata.context": "nothing else"}',
                "value_object": b'{"value": {"id": "an object where a list should be"}}',
                "bytes": b"\xff\xfe\x00\x01",
            }
            shape = str(fault.options.get("shape", "text"))
            response.body = shapes.get(shape, shapes["text"])


def login_refusal(fault: Fault, base: str) -> Response:
    """What a ``login`` fault answers."""
    if fault.kind == "login_error":
        error = LoginError(int(fault.options.get("code", 90033)), app="", tenant="")
        if "status" in fault.options:
            error.status = int(fault.options["status"])
        return error.response(base)
    status = int(fault.options.get("status", 503))
    headers = {"Retry-After": str(fault.options["retry_after"])} if "retry_after" in fault.options else {}
    return Response(status, b"<html><body>Service unavailable</body></html>", HTML_TYPE, headers)


def bad_records(fault: Fault) -> list[Any]:
    """The malformed records to put on a page: given ones, or one of each kind."""
    records = fault.options.get("records")
    return list(records) if isinstance(records, list) else list(orjson.loads(orjson.dumps(BAD_RECORDS)))
