"""The client and the requested address, from the headers of reverse proxies, counted from the portal outwards (ROLLCALL_PROXIES).

Each proxy appends the address that it saw to X-Forwarded-For; what stands before those was sent by the client, and may be
anything. So the entry is taken that the outermost of our own proxies wrote, and believed only when it is an address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from ipaddress import ip_address
from typing import Any

from flask import current_app, request, url_for
from werkzeug.middleware.proxy_fix import ProxyFix

from portal.errors import Refused
from portal.runtime import runtime

NO_ADDRESS = (
    "Rollcall does not know its public address, so it cannot create links. "
    "Set ROLLCALL_BASE_URL to that address and restart it."
)
_LOCAL = frozenset({"localhost", "127.0.0.1", "[::1]"})

App = Callable[[dict[str, Any], Any], Iterable[bytes]]


class ClientAddress:
    """WSGI: REMOTE_ADDR as a plain IP address, that of the nearest neighbor when a proxy wrote something else."""

    def __init__(self, app: App) -> None:
        self._app = app

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        """Serve one request."""
        neighbor = environ.get("werkzeug.proxy_fix.orig", {}).get("REMOTE_ADDR", "")
        peer = environ.get("REMOTE_ADDR") or ""
        environ["REMOTE_ADDR"] = plain_address(peer) or plain_address(neighbor) or ""
        return self._app(environ, start_response)


def behind_proxies(app: App, count: int) -> App:
    """``app`` behind ``count`` proxies whose headers name the client, the scheme and the host; 0 trusts none."""
    wrapped: App = ClientAddress(app)
    return ProxyFix(wrapped, x_for=count, x_proto=count, x_host=count) if count else wrapped


def plain_address(text: str) -> str:
    """The IP address in ``text``, at most 39 characters; "" when there is none. A port and a zone are left out."""
    address = text.strip().partition("%")[0]
    if address.startswith("["):
        address = address[1:].partition("]")[0]
    elif address.count(":") == 1:  # an IPv4 address and a port
        address = address.partition(":")[0]
    try:
        return str(ip_address(address))
    except ValueError:
        return ""


def public_address(endpoint: str, **values: Any) -> str:
    """The whole address of a page, for people and for Microsoft. Raises Refused if it is unknown.

    Without ROLLCALL_BASE_URL a link goes where this request came to; but only when that is this machine, or what
    ``rollcall serve --host`` names: anybody may write anything into a Host header.
    """
    address = public_address_or_none(endpoint, **values)
    if address is None:
        raise Refused(NO_ADDRESS)
    return address


def public_address_or_none(endpoint: str, **values: Any) -> str | None:
    """As ``public_address``, for a page that shows the address and says itself when there is none."""
    base = runtime().settings.base_url
    if base:
        return f"{base}{url_for(endpoint, **values)}"
    return url_for(endpoint, **values, _external=True) if _is_known_host() else None


def _is_known_host() -> bool:
    name = request.host.rpartition(":")[0] if request.host.rpartition(":")[2].isdigit() else request.host
    bound = str(current_app.config.get("ROLLCALL_HOST", "")).lower()
    hosts = _LOCAL | ({bound, f"[{bound}]"} if bound not in {"", "0.0.0.0", "::"} else frozenset())  # noqa: S104
    return name.lower() in hosts
