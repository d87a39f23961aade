"""Holds every request of the suite to it: no write transaction is open while something is waited for.

Loaded as a pytest plugin by ``tests/conftest.py``. While a request is served it watches the database's transactions, and
notes where a socket, an HTTP client, a password's hash or the request's body is touched inside one that writes, or all people
of an Organization are planned for. It also notes a write in a SQLite transaction that began as a reader and has read: such a write is lost when anybody else wrote
in between ("database is locked"), whatever the patience. A test with such notes fails at its end.

``begins_write(statement)`` and ``WriteWatch`` serve programs too: ``tools/bench_load.py`` measures with them.
"""

from __future__ import annotations

import re
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import argon2
import flask
import pytest
import requests
import werkzeug.wrappers.request
from sqlalchemy import Engine, event
from werkzeug.wsgi import get_input_stream

import portal.engine.holds
import portal.engine.plan.preference
import portal.engine.preview
from portal.http.request_body import RECEIVED

_WRITE = re.compile(
    r"\s*(BEGIN IMMEDIATE|INSERT|UPDATE|DELETE|WITH\b.*\b(INSERT|UPDATE|DELETE)\b)|.*\bFOR (NO KEY )?UPDATE\b",
    re.I | re.S,
)
_CHANGE = re.compile(r"\s*(INSERT|UPDATE|DELETE)\b", re.I)
_READ = re.compile(r"\s*(SELECT|WITH)\b", re.I)


def begins_write(statement: str) -> bool:
    """True for a statement that takes a lock which others may want."""
    return _WRITE.match(statement) is not None


class WriteWatch:
    """Knows of each thread whether a connection of its holds a write lock. ``notes`` are the faults that were seen."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self._here = threading.local()

    def holds_lock(self) -> bool:
        return bool(getattr(self._here, "writers", None))

    def touched(self, what: str) -> None:
        """Something that may take long begins on this thread."""
        if self.holds_lock() and flask.has_request_context():
            self._note(f"{what} inside a write transaction")

    def _note(self, what: str) -> None:
        ours = [f for f in traceback.extract_stack() if "/portal/" in f.filename]
        where = " < ".join(f"{f.filename.rpartition('/portal/')[2]}:{f.lineno}" for f in reversed(ours[-6:]))
        self.notes.append(f"{flask.request.method} {flask.request.path}: {what} ({where})")

    # the database's events

    def statement(self, connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        writers = self._sets("writers")
        key = id(connection)
        if connection.dialect.name == "sqlite" and key not in writers and _CHANGE.match(statement):
            if key in self._sets("readers") and flask.has_request_context():
                self._note("a write in a transaction that began as a reader: call begin_write first")
        if begins_write(statement):
            if flask.has_request_context():  # else a test holds it, for somebody else
                writers.add(key)
        elif _READ.match(statement):
            self._sets("readers").add(key)

    def ended(self, connection: Any) -> None:
        for name in ("writers", "readers"):
            self._sets(name).discard(id(connection))

    def _sets(self, name: str) -> set[int]:
        if not hasattr(self._here, name):
            setattr(self._here, name, set())
        return getattr(self._here, name)


def _watched(watch: WriteWatch, what: str, call: Callable[..., Any]) -> Callable[..., Any]:
    def watched(*args: Any, **kwargs: Any) -> Any:
        is_received = call is get_input_stream and RECEIVED in args[0]
        if not is_received:
            watch.touched(what)
        return call(*args, **kwargs)

    return watched


WAITS = (
    (socket.socket, "connect", "a socket is connected"),
    (socket, "getaddrinfo", "a host is looked up"),
    (requests.Session, "send", "an HTTP request is sent"),
    (argon2.PasswordHasher, "hash", "a password is hashed"),
    (argon2.PasswordHasher, "verify", "a password is verified"),
    (werkzeug.wrappers.request, "get_input_stream", "the request's body is read"),
    (portal.engine.preview, "plan", "everybody is planned for"),
    (portal.engine.holds, "plan", "everybody is planned for"),
    (portal.engine.plan.preference, "plan", "everybody is planned for"),
)


@contextmanager
def watching() -> Iterator[WriteWatch]:
    """Watch every engine of this process within the block."""
    watch = WriteWatch()
    listeners = (
        ("before_cursor_execute", watch.statement),
        ("commit", watch.ended),
        ("rollback", watch.ended),
    )
    for name, listener in listeners:
        event.listen(Engine, name, listener)
    try:
        with pytest.MonkeyPatch.context() as patch:
            for owner, name, what in WAITS:
                patch.setattr(owner, name, _watched(watch, what, getattr(owner, name)))
            yield watch
    finally:
        for name, listener in listeners:
            event.remove(Engine, name, listener)


@pytest.fixture(autouse=True)
def write_guard(request: pytest.FixtureRequest) -> Iterator[WriteWatch]:
    """Every test's requests are held to it."""
    with watching() as watch:
        yield watch
    if watch.notes:
        pytest.fail(
            "Nothing waits inside a write transaction:\n" + "\n".join(dict.fromkeys(watch.notes)),
            pytrace=False,
        )
