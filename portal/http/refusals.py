"""Refused sign-ins and requests: one line each in the process log, and coalesced events in the audit log.

A line reads ``action=sign_in_failed client=203.0.113.9 reason=password`` (docs/sign-in-log.md). Nothing in it was typed by
anybody: programs such as fail2ban act on it. Who sends a thousand wrong tokens does not fill the audit log with them: the
first is recorded at once, those of the minute after it as one event with their number.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.exc import SQLAlchemyError

from portal import audit
from portal.clock import utcnow
from portal.extensions import SessionFactory, begin_write
from portal.http.throttle import client

WINDOW = timedelta(minutes=1)
MOST_WINDOWS = 1000
"""So many kinds of refusals are told apart at a time; what comes on top of that is in the process log only."""
_LOG = logging.getLogger("portal.sign_in")


def log(action: str, *, reason: str = "", level: int = logging.WARNING) -> None:
    """Write one line about a sign-in, a link, a token or a role. ``reason``: words of ours, never what was typed."""
    more = f" reason={reason.replace(', ', '_').replace(' ', '_')}" if reason else ""
    _LOG.log(level, "action=%s client=%s%s", action, client(audit.current_actor().ip), more)


@dataclass
class _Window:
    """One kind of refusal since ``began``; ``more`` were not recorded yet."""

    actor: audit.Actor
    action: str
    object_type: str
    object_id: str
    detail: dict[str, Any]
    began: datetime
    more: int = 0


@dataclass
class Refusals:
    """Records refusals in the audit log, in transactions of their own: call it with no other transaction open."""

    sessions: SessionFactory
    _windows: dict[object, _Window] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def note(self, action: str, *, object_type: str = "", object_id: str = "", **detail: Any) -> None:
        """Record a refusal: at once the first of its kind, by the same actor from the same address, later the others."""
        actor, now = audit.current_actor(), utcnow()
        kind = (actor, action, object_id, tuple(sorted(detail.items())))
        with self._lock:
            over = self._take_over(now)
            window = self._windows.get(kind)
            is_first = window is None and len(self._windows) < MOST_WINDOWS
            if is_first:
                self._windows[kind] = window = _Window(actor, action, object_type, object_id, detail, now)
            elif window is not None:
                window.more += 1
                if window.more == 1:
                    _later(WINDOW, self.flush)
        for ended in over:
            self._record(ended, ended.more)
        if is_first and window is not None:
            self._record(window, 1)

    def flush(self) -> None:
        """Record the refusals that were counted in windows that have ended."""
        with self._lock:
            over = self._take_over(utcnow())
        for kind in over:
            self._record(kind, kind.more)

    def _take_over(self, now: datetime) -> list[_Window]:
        over = [kind for kind, window in self._windows.items() if now - window.began >= WINDOW]
        over_windows = [self._windows.pop(kind) for kind in over]
        return [window for window in over_windows if window.more]

    def _record(self, window: _Window, count: int) -> None:
        try:
            with self.sessions() as session, audit.acting_as(window.actor):
                begin_write(session)
                audit.record(
                    session,
                    window.action,
                    object_type=window.object_type,
                    object_id=window.object_id,
                    count=count,
                    **window.detail,
                )
                session.commit()
        except SQLAlchemyError as error:  # a refusal stays one, whether it can be recorded or not
            _LOG.error("action=not_recorded event_kind=%s", window.action, exc_info=error)


def _later(delay: timedelta, call: Callable[[], None]) -> None:
    timer = threading.Timer(delay.total_seconds(), call)
    timer.daemon = True
    timer.start()
