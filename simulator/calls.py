"""One Graph call on its way: who asks, for which tenant, with what headers; and the table of endpoints."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson

from simulator.cursors import Cursors
from simulator.faults import FaultBook
from simulator.messages import GraphError, Request, Response
from simulator.tenant import Tenant
from simulator.throttle import Throttle
from simulator.world import World


@dataclass(frozen=True, slots=True)
class Mark:
    """What a delta token stands for: everything up to ``number`` was read, with these properties tracked."""

    tenant_id: str
    epoch: int
    path: str
    number: int
    select: tuple[str, ...]
    ids: frozenset[str]
    made_at: datetime


@dataclass(slots=True)
class Call:
    """A request with everything an endpoint may look at. ``path`` is without the version."""

    request: Request
    world: World
    tenant: Tenant
    roles: frozenset[str]
    path: str
    cursors: Cursors
    marks: dict[str, Mark]
    faults: FaultBook
    throttle: Throttle

    @property
    def base(self) -> str:
        """Scheme, host and port of this Graph."""
        return self.request.base

    @property
    def is_eventual(self) -> bool:
        """True with ``ConsistencyLevel: eventual``."""
        return self.request.headers.get("consistencylevel", "").lower() == "eventual"

    @property
    def wants_count(self) -> bool:
        """True when a count is asked for and the header is there (alone, ``$count=true`` is ignored)."""
        return self.is_eventual and self.request.query.get("$count", "").lower() == "true"

    @property
    def selected(self) -> list[str]:
        """The names in ``$select``."""
        return [name.strip() for name in self.request.query.get("$select", "").split(",") if name.strip()]

    def document(self) -> dict[str, Any]:
        """The JSON object in the body. Raises GraphError 400."""
        try:
            document = orjson.loads(self.request.body)
        except orjson.JSONDecodeError:
            document = None
        if not isinstance(document, dict):
            raise GraphError(
                400,
                "BadRequest",
                "Unable to read JSON request payload. Please ensure Content-Type header is set and payload is of valid JSON format.",
            )
        return document

    def has(self, *roles: str) -> bool:
        """True when the token carries any of these roles."""
        return not self.roles.isdisjoint(roles)


Endpoint = Callable[[Call, "re.Match[str]"], Response]


@dataclass(frozen=True, slots=True)
class Route:
    """One endpoint: any of ``roles`` opens it; ``cost`` in resource units; ``family`` is whose limit it spends."""

    method: str
    pattern: re.Pattern[str]
    answer: Endpoint
    roles: tuple[str, ...]
    cost: int = 1
    family: str = "identity"


ROUTES: list[Route] = []


def route(
    method: str, pattern: str, *, roles: tuple[str, ...], cost: int = 1, family: str = "identity"
) -> Callable[[Endpoint], Endpoint]:
    """Register an endpoint; ``{id}`` in the pattern stands for one path segment."""
    expression = re.compile("^" + pattern.replace("{id}", "(?P<id>[^/]+)") + "/?$", re.IGNORECASE)

    def register(answer: Endpoint) -> Endpoint:
        ROUTES.append(Route(method, expression, answer, roles, cost, family))
        return answer

    return register


def not_found(object_id: str) -> GraphError:
    """The refusal for an object that is not there."""
    return GraphError(
        404,
        "Request_ResourceNotFound",
        f"Resource '{object_id}' does not exist or one of its queried reference-property objects are not present.",
    )
