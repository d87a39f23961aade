"""The open connections to Microsoft, which all readers of a process share.

To read the list of authorities and to shake hands costs more processor time than an hour's requests of a small tenant that has
not changed, so a connection that one tenant has used is there for the next.
"""

from __future__ import annotations

import socket
from functools import lru_cache
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPSConnection

AT_ONCE = 128
"""Connections to one host that are kept: more than there are threads that read."""
IDLE_SECONDS, EVERY_SECONDS, MISSED = 30, 10, 3
"""When an idle connection is tried, how often again, and after how many tries without an answer it is dropped: a firewall on the
way forgets it without a word, and a request on it would wait for a minute."""


class KeptConnections(HTTPAdapter):
    """Connections that say now and then that they are alive. Threads share it; nobody closes it."""

    def __init__(self, retries: int = 0) -> None:
        super().__init__(pool_maxsize=AT_ONCE, max_retries=retries)

    def init_poolmanager(self, *arguments: Any, **options: Any) -> None:
        """As requests does it, with options for each connection's socket."""
        alive = [
            *HTTPSConnection.default_socket_options,
            (socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1),
            (socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, IDLE_SECONDS),
            (socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, EVERY_SECONDS),
            (socket.IPPROTO_TCP, socket.TCP_KEEPCNT, MISSED),
        ]
        super().init_poolmanager(*arguments, socket_options=alive, **options)


_GRAPH, _LOGIN = KeptConnections(), KeptConnections(retries=1)  # as MSAL's own has it


@lru_cache(16)
def _settings(origin: str) -> Any:
    """Proxies and certificates for an origin, as requests finds them in the environment: that takes it as long as half a request."""
    return requests.Session().merge_environment_settings(origin, {}, None, None, None)


class _Session(requests.Session):
    """A session that remembers what the environment says."""

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """As requests does it, remembered for requests that say nothing themselves."""
        if proxies or verify is not None or cert is not None:
            return super().merge_environment_settings(url, proxies, stream, verify, cert)
        parts = urlsplit(url)
        environment = _settings(f"{parts.scheme}://{parts.netloc}/")
        return {
            **environment,
            "proxies": dict(environment["proxies"]),
            "stream": stream or environment["stream"],
        }


def start_afresh() -> None:
    """Forget what the environment says."""
    _settings.cache_clear()


def graph_session() -> requests.Session:
    """A session for Graph on the shared connections. Not to be closed: that would close them for everybody."""
    return _on(_GRAPH)


def login_session() -> requests.Session:
    """The same for Microsoft's login page."""
    return _on(_LOGIN)


def _on(connections: HTTPAdapter) -> requests.Session:
    session = _Session()
    session.mount("https://", connections)
    return session
