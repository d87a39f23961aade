"""The web server of ``rollcall serve``: waitress in one process, with the scheduler inside it and deadlines for slow clients.

Requests are received by one thread that waits for all connections at once; a thread of the pool sees a request only when
it is there whole. So a client that sends slowly, or half a request, costs a connection and nothing else, and ``Deadlines``
ends it (docs/decisions/006-a-server-that-waits-for-nobody.md).

One process, because the embedded scheduler, the rate limits and the progress of a run live in it. Larger installations add
``rollcall worker`` processes (``ROLLCALL_SCHEDULER=distributed``).

Order at SIGTERM or SIGINT: the scheduler is told first, so that work winds down while open requests are finished, for up
to ``DRAIN_SECONDS``; then running syncs get ``STOP_SECONDS`` to end where nothing is half-done. A second signal ends at once.
"""

from __future__ import annotations

import gc
import logging
import signal
import sys
from types import FrameType
from typing import Any

from flask import Flask
from waitress import wasyncore
from waitress.adjustments import Adjustments
from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser
from waitress.server import TcpWSGIServer
from waitress.task import ThreadedTaskDispatcher

from portal import clock
from portal.http import request_body
from portal.operations.computing import one_of_few
from portal.worker import scheduler

THREADS = 32
"""Requests at work at once. Most wait for the database, or for a password's hash, of which two run at a time."""
CONNECTIONS = 1000
HEADER_SECONDS = 15
"""From a request's first byte to the end of its headers, and of a connection without any request."""
IDLE_SECONDS = 30
"""Between requests, and for a client that takes nothing of its answer."""
BODY_SECONDS, BODY_BYTES_A_SECOND = 30, 16 * 1024
"""A body may take so long, and so much longer as it brought bytes at that pace."""
DRAIN_SECONDS = 20.0
YOUNG = 50_000, 20, 50
"""When Python looks for garbage: a sync makes many objects that live for a while, and a seventh of its time went into that."""
SWITCH_SECONDS = 0.0005
STOP_SECONDS = 10.0

SETTINGS: dict[str, Any] = {
    "threads": THREADS,
    "connection_limit": CONNECTIONS,
    "channel_timeout": IDLE_SECONDS,
    "cleanup_interval": 1,
    "asyncore_use_poll": True,  # select() knows 1,024 files and no more
    "max_request_header_size": 64 * 1024,
    # A little more than the portal takes, so that it is the one who refuses, in its own words.
    "max_request_body_size": request_body.MOST_BYTES + 4 * 1024 * 1024,
    # An answer waits in a file, not in a thread, for a client that takes it slowly.
    "outbuf_high_watermark": 1024 * 1024 * 1024,
    "clear_untrusted_proxy_headers": False,  # ROLLCALL_PROXIES says how many to believe (portal.http.proxies)
    "ident": None,
}


class TimedRequest(HTTPRequestParser):  # type: ignore[misc]  # waitress is untyped
    """A request that is being received; knows when it began."""

    def __init__(self, adjustments: Adjustments) -> None:
        super().__init__(adjustments)
        self.began = clock.monotonic()

    def is_late(self, now: float) -> bool:
        """True when no honest client would take that long."""
        took = now - self.began
        if not self.headers_finished:
            return took > HEADER_SECONDS
        received = int(self.body_bytes_received)
        return took > BODY_SECONDS + received / BODY_BYTES_A_SECOND


class Channel(HTTPChannel):  # type: ignore[misc]  # waitress is untyped
    """One connection."""

    parser_class = TimedRequest

    def is_busy(self) -> bool:
        """True while a request is at work, or its answer on its way."""
        return bool(self.requests or self.total_outbufs_len)


class Listener(TcpWSGIServer):  # type: ignore[misc]  # waitress is untyped
    """Waitress at one address, with deadlines."""

    channel_class = Channel

    def maintenance(self, now: float) -> None:
        """Have connections closed that are idle, or whose request is late. Called once a second."""
        super().maintenance(now)
        present = clock.monotonic()
        for channel in list(self.active_channels.values()):
            began = channel.request
            if isinstance(began, TimedRequest) and not channel.requests and began.is_late(present):
                channel.will_close = True

    def stop_listening(self) -> None:
        """Accept no more connections; open ones continue. Another process may listen at the address at once."""
        self.accepting = False
        self.del_channel()
        self.socket.close()


class Server:
    """Serves ``app`` at ``host`` and ``port`` until a signal. ``listening`` in the log when it does."""

    def __init__(self, app: Flask, host: str, port: int) -> None:
        shown_host = f"[{host}]" if ":" in host else host
        adjustments = Adjustments(listen=f"{shown_host}:{port}", **SETTINGS)
        self._app = app
        self._map: dict[int, Any] = {}
        self._dispatcher = ThreadedTaskDispatcher()
        self._dispatcher.set_thread_count(adjustments.threads)
        self._listeners = [
            Listener(
                one_of_few(app), self._map, dispatcher=self._dispatcher, adj=adjustments, sockinfo=listener
            )
            for listener in adjustments.listen
        ]
        self._is_stopping = False

    @property
    def port(self) -> int:
        """Where it listens, also when any free port was asked for."""
        return int(self._listeners[0].effective_port)

    def run(self) -> None:
        """Serve until SIGTERM or SIGINT, then stop in order."""
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)  # waiting for a thread is no news
        allow_many_files()
        keep_loaded_code()
        share_fairly()
        before = {number: signal.signal(number, self._stop) for number in (signal.SIGTERM, signal.SIGINT)}
        scheduler.start(self._app)
        try:
            while not self._is_stopping:
                self._turn()
            self._drain()
        finally:
            scheduler.stop(wait=STOP_SECONDS)
            for number, handler in before.items():
                signal.signal(number, handler)

    def _stop(self, _number: int, _frame: FrameType | None) -> None:
        if self._is_stopping:
            raise SystemExit(1)
        self._is_stopping = True
        scheduler.stop()
        self._listeners[0].pull_trigger()

    def _drain(self) -> None:
        """Finish the requests in progress; others are not started."""
        for listener in self._listeners:
            listener.stop_listening()
        end = clock.monotonic() + DRAIN_SECONDS
        while clock.monotonic() < end and any(channel.is_busy() for channel in self._channels()):
            self._turn(0.1)
        self._dispatcher.shutdown(timeout=1)
        for channel in self._channels():
            channel.handle_close()

    def _channels(self) -> list[Channel]:
        return [channel for listener in self._listeners for channel in listener.active_channels.values()]

    def _turn(self, seconds: float = 1.0) -> None:
        wasyncore.loop(timeout=seconds, use_poll=True, map=self._map, count=1)


def keep_loaded_code() -> None:
    """Exclude the loaded program from garbage collection, which would delay a page by 50 ms."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*YOUNG)


def share_fairly() -> None:
    """Let a page that wants Python have it soon: a sync beside it would else keep it ten times as long, each time it reads a row."""
    sys.setswitchinterval(SWITCH_SECONDS)


def allow_many_files() -> None:
    """Each connection is an open file, and up to two more for its body and answer; many systems allow 1,024 at first."""
    if sys.platform == "win32":
        return
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    files = 4 * CONNECTIONS
    if soft != resource.RLIM_INFINITY and soft < files:
        most = files if hard == resource.RLIM_INFINITY else min(files, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
