"""The control surface: POST /_control/<command> with a JSON object, guarded by the control token."""

from __future__ import annotations

import inspect
import secrets
import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import orjson

from simulator.changes import Changes
from simulator.faults import FaultBook
from simulator.graph import Graph
from simulator.messages import Request, Response, utc_now
from simulator.objects import Props, User
from simulator.tenant import Tenant
from simulator.throttle import Throttle
from simulator.world import World

LOGGED_HEADERS = ("consistencylevel", "prefer", "user-agent", "client-request-id", "accept-encoding")


class RequestLog:
    """The latest requests, for tests that look at traffic. Credentials are never kept."""

    def __init__(self, keep: int = 50_000) -> None:
        self._entries: deque[Props] = deque(maxlen=keep)
        self._lock = threading.Lock()

    def note(
        self, request: Request, response: Response, tenant: Tenant | None, page: int, is_batched: bool
    ) -> None:
        """Note one request with what was answered."""
        entry: Props = {
            "at": utc_now().timestamp(),
            "method": request.method,
            "path": request.path,
            "query": request.raw_query,
            "status": response.status,
            "tenant": tenant.id if tenant else None,
            "page": page,
            "is_batched": is_batched,
            "retry_after": response.headers.get("Retry-After"),
            "is_authorized": "authorization" in request.headers,
            "headers": {name: request.headers[name] for name in LOGGED_HEADERS if name in request.headers},
        }
        with self._lock:
            self._entries.append(entry)

    def entries(self) -> list[Props]:
        """Every entry, oldest first."""
        with self._lock:
            return list(self._entries)

    def clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._entries.clear()


class Control:
    """The commands. Each takes the JSON object's keys as arguments and answers ``{"result": ...}``."""

    def __init__(
        self,
        world: World,
        graph: Graph,
        changes: Changes,
        fault_book: FaultBook,
        throttle: Throttle,
        log: RequestLog,
    ) -> None:
        self.token = secrets.token_urlsafe(24)
        self.world = world
        self.graph = graph
        self.changes = changes
        self.faults = fault_book
        self.throttle = throttle
        self.log = log
        changing = (
            "patch_user create_user delete_user restore_user purge_user set_sign_in set_methods set_agent "
            "create_group patch_group delete_group add_member remove_member set_device delete_device "
            "grant_consent withdraw_consent set_app_enabled remove_role add_role expire_tokens "
            "expire_delta_tokens replace_secret set_secret_expiry set_redirect_uris set_tenant"
        )
        self.commands: dict[str, Callable[..., Any]] = {
            name: getattr(changes, name) for name in changing.split()
        }
        self.commands.update(
            {
                "fault": self._fault,
                "remove_fault": self.faults.remove,
                "clear_faults": self.faults.clear,
                "faults": self.faults.listed,
                "log": self._log,
                "clear_log": self.log.clear,
                "throttle": self.throttle.configure,
                "expire_page_tokens": self.graph.cursors.clear,
                "delta_page_size": self._delta_page_size,
                "reset": self._reset,
                "state": self.world.summary,
                "users": self._users,
                "groups": self._groups,
                "devices": self._devices,
            }
        )

    def handle(self, request: Request) -> Response:
        """The answer to a command; mistakes come back as 400 with a sentence."""
        token = request.headers.get("x-control-token", "")
        if not secrets.compare_digest(token.encode(), self.token.encode()):
            return _answer(401, {"error": "Send the control token in the header X-Control-Token."})
        name = request.path.removeprefix("/_control").strip("/")
        command = self.commands.get(name)
        if command is None:
            return _answer(
                404,
                {"error": f"There is no command {name!r}. Known ones: {', '.join(sorted(self.commands))}."},
            )
        try:
            arguments = orjson.loads(request.body or b"{}")
        except orjson.JSONDecodeError:
            return _answer(400, {"error": "The body is not JSON."})
        if not isinstance(arguments, dict):
            return _answer(400, {"error": "The body must be a JSON object of the command's arguments."})
        try:
            inspect.signature(command).bind(**arguments)
        except TypeError as error:
            return _answer(400, {"error": f"{name}: {error}."})
        try:
            return _answer(200, {"result": command(**arguments)})
        except (ValueError, TypeError, AttributeError) as error:
            return _answer(400, {"error": f"{name}: {error}"})

    def _fault(self, kind: str, **where: Any) -> int:
        return self.faults.add(kind, **where).id

    def _log(
        self, path: str | None = None, tenant: str | None = None, status: int | None = None
    ) -> list[Props]:
        return [
            entry
            for entry in self.log.entries()
            if (path is None or path in entry["path"])
            and (tenant is None or entry["tenant"] == tenant)
            and (status is None or entry["status"] == status)
        ]

    def _delta_page_size(self, size: int) -> None:
        if size < 1:
            raise ValueError("A page holds at least one user.")
        self.world.delta_page_size = size

    def _reset(self) -> None:
        self.world.reset()
        self.faults.clear()
        self.throttle.clear()
        self.log.clear()
        self.graph.cursors.clear()

    def _users(self, tenant: str, deleted: bool = False) -> list[Props]:
        directory = self.changes.tenant(tenant).directory
        users: list[User] = list((directory.deleted if deleted else directory.users).values())
        return [{**user.props, "id": user.id} for user in users]

    def _groups(self, tenant: str) -> list[Props]:
        groups = self.changes.tenant(tenant).directory.groups.values()
        return [{**group.props, "id": group.id, "members": list(group.members)} for group in groups]

    def _devices(self, tenant: str) -> list[Props]:
        return list(self.changes.tenant(tenant).directory.managed_devices.values())


def _answer(status: int, document: Any) -> Response:
    return Response(status, orjson.dumps(document), "application/json; charset=utf-8")
