"""Microsoft Graph: who may ask, whose limit it spends, which endpoint answers (docs/microsoft-graph.md, 10)."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from typing import Any

import orjson

from simulator import (
    delta,
    faults,
    graph_batch,
    graph_devices,
    graph_groups,
    graph_reports,
    graph_tenant,
    graph_users,
)
from simulator.calls import ROUTES, Call, Mark, Route
from simulator.cursors import Cursors
from simulator.faults import FaultBook
from simulator.messages import GraphError, Request, Response, utc_now
from simulator.tenant import Tenant
from simulator.throttle import Throttle
from simulator.tokens import Issued, TokenBook
from simulator.world import World

_MODULES = (delta, graph_batch, graph_devices, graph_groups, graph_reports, graph_tenant, graph_users)
"""Importing them registered their endpoints."""

# Endpoints without an id in the path come first: /users/delta is not the user "delta".
_ORDERED = sorted(ROUTES, key=lambda endpoint: "(?P<id>" in endpoint.pattern.pattern)

Log = Callable[[Request, Response, Tenant | None, int, bool], None]


class Graph:
    """Answers every Graph address of one world. ``log`` is told of each request, batch items too."""

    def __init__(
        self, world: World, tokens: TokenBook, fault_book: FaultBook, throttle: Throttle, log: Log
    ) -> None:
        self.world = world
        self.tokens = tokens
        self.faults = fault_book
        self.throttle = throttle
        self.cursors = Cursors()
        self.marks: dict[str, Mark] = {}
        self._log = log

    def handle(self, request: Request) -> Response:
        """The answer to one request; refusals included, never an exception."""
        tenant: Tenant | None = None
        page = 1
        try:
            issued = self._issued(request)
            tenant = self._tenant(issued)
            response, page = self._answer(request, tenant, issued.roles)
        except GraphError as error:
            response = self._refusal(request, error)
        self._stamp(request, response)
        self._log(request, response, tenant, page, False)
        return response

    def _refusal(self, request: Request, error: GraphError) -> Response:
        request_id = str(uuid.uuid4())
        return error.response(request_id, request.headers.get("client-request-id", request_id))

    def _stamp(self, request: Request, response: Response) -> None:
        request_id = str(uuid.uuid4())
        response.headers.setdefault("request-id", request_id)
        response.headers.setdefault("client-request-id", request.headers.get("client-request-id", request_id))
        response.headers.setdefault(
            "x-ms-ags-diagnostic", '{"ServerInfo":{"DataCenter":"Simulated","Slice":"E"}}'
        )

    # Who asks

    def _issued(self, request: Request) -> Issued:
        """The token of a request. Raises GraphError 401 as Graph words it."""
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise _unauthorized("Access token is empty.")
        issued = self.tokens.find(token.strip())
        if issued is None:
            is_jwt = token.count(".") == 2
            raise _unauthorized(
                "Invalid JWT access token."
                if is_jwt
                else "IDX14100: JWT is not well formed, there are no dots (.)."
            )
        if issued.audience not in {request.base, *_same_host(request.base)}:
            raise _unauthorized("Access token validation failure. Invalid audience.")
        if issued.expires_at <= utc_now():
            raise _unauthorized("Lifetime validation failed, the token is expired.")
        return issued

    def _tenant(self, issued: Issued) -> Tenant:
        """The tenant a token opens; only ever this one. Raises GraphError 401."""
        tenant = self.world.tenants.get(issued.tenant_id)
        if tenant is None:
            raise _unauthorized("Access token validation failure. Invalid tenant.")
        if tenant.not_before is not None and issued.issued_at < tenant.not_before:
            raise _unauthorized("Lifetime validation failed, the token is expired.")
        if tenant.principal is None:
            raise GraphError(
                401,
                "Authorization_IdentityNotFound",
                "The identity of the calling application could not be established.",
            )
        return tenant

    # What is asked

    def _answer(
        self, request: Request, tenant: Tenant, roles: frozenset[str], delays: list[float] | None = None
    ) -> tuple[Response, int]:
        """The answer and the page of the list it was. delays: of a batch that this is an item of: its items are slow at the same time."""
        path = request.path.removeprefix("/v1.0")
        call = Call(
            request, self.world, tenant, roles, path, self.cursors, self.marks, self.faults, self.throttle
        )
        cursor = self.cursors.find(request.query.get("$skiptoken", ""))
        page = cursor.page if cursor else 1
        is_batch = path.lower() == "/$batch" and request.method == "POST"
        if is_batch:
            delays = []
        place: dict[str, Any] = {"tenant": tenant.id, "method": request.method, "path": path, "page": page}
        for fault in self.faults.strike("answer", **place):
            if fault.kind != "slow":
                return faults.answer_of(fault), page
            seconds = min(float(fault.options.get("seconds", 1.0)), 120.0)
            if delays is None:
                time.sleep(seconds)
            else:
                delays.append(seconds)
        if is_batch and delays is not None:
            response = self._batch(call, delays)
            time.sleep(max(delays, default=0.0))
        else:
            response = self._endpoint(call)
        for fault in self.faults.strike("body", **place):
            faults.spoil(response, fault)
        return response, page

    def _endpoint(self, call: Call) -> Response:
        route, match = None, None
        for candidate in _ORDERED:
            match = candidate.pattern.match(call.path)
            if match is not None and candidate.method == call.request.method:
                route = candidate
                break
        if route is None or match is None:
            raise _unknown(call)
        headers = self._spend(call, route)
        if route.roles and call.roles.isdisjoint(route.roles):
            raise GraphError(
                403, "Authorization_RequestDenied", "Insufficient privileges to complete the operation."
            )
        with call.tenant.lock:
            response = route.answer(call, match)
        response.headers.update(headers)
        return response

    def _spend(self, call: Call, route: Route) -> dict[str, str]:
        tenant, query = call.tenant, call.request.query
        users = len(tenant.directory.users)
        if route.family == "identity" and graph_users.selects_sign_ins(call):
            self.throttle.spend(tenant.id, users, "sign_ins", 1)
        cost = route.cost
        if "$select" in query:
            cost = 2 if call.path.lower().endswith("/getbyids") else cost - 1
        if "$expand" in query:
            cost += 1
        top = query.get("$top", "")
        if top.isdigit() and int(top) < 20:
            cost -= 1
        return self.throttle.spend(tenant.id, users, route.family, max(1, cost))

    def _batch(self, call: Call, delays: list[float]) -> Response:
        items = graph_batch.batch_items(call)
        answers: dict[str, Response] = {}
        failed: set[str] = set()
        for item in items:
            if failed.intersection(item.get("dependsOn") or ()):
                refusal = GraphError(424, "FailedDependency", "A request this one depends on has failed.")
                answers[item["id"]] = self._refusal(call.request, refusal)
            else:
                answers[item["id"]] = self._item(call, item, delays)
            if answers[item["id"]].status >= 400:
                failed.add(item["id"])
        return graph_batch.batch_answer(items, answers)

    def _item(self, call: Call, item: dict[str, Any], delays: list[float]) -> Response:
        outer = call.request
        item_headers = item.get("headers") or {}
        headers = {
            **{
                name: value
                for name, value in outer.headers.items()
                if name in {"authorization", "client-request-id"}
            },
            **{str(name).lower(): str(value) for name, value in item_headers.items()},
        }
        body = orjson.dumps(item["body"]) if "body" in item else b""
        url = item["url"] if item["url"].startswith("/") else f"/{item['url']}"
        inner = Request.build(item["method"].upper(), f"/v1.0{url}", headers, body, outer.base)
        page = 1
        try:
            response, page = self._answer(inner, call.tenant, call.roles, delays)
        except GraphError as error:
            response = self._refusal(inner, error)
        self._log(inner, response, call.tenant, page, True)
        return response


def _same_host(base: str) -> set[str]:
    """Our own addresses: a token for one name of this machine opens the other too."""
    return {base.replace("//127.0.0.1:", "//localhost:"), base.replace("//localhost:", "//127.0.0.1:")}


def _unauthorized(message: str) -> GraphError:
    return GraphError(401, "InvalidAuthenticationToken", message, {"WWW-Authenticate": "Bearer"})


def _unknown(call: Call) -> GraphError:
    first = call.path.strip("/").split("/")[0]
    if any(route.pattern.match(call.path) for route in _ORDERED):
        return GraphError(
            405, "Request_BadRequest", "Specified HTTP method is not allowed for the request target."
        )
    if not first or not any(
        route.pattern.pattern.lower().startswith(f"^/{first.lower()}") for route in _ORDERED
    ):
        return GraphError(400, "BadRequest", f"Resource not found for the segment '{first}'.")
    return GraphError(404, "Request_ResourceNotFound", f"Resource not found for the path '{call.path}'.")
