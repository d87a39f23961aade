"""Rollcall. ``create_app`` builds the portal; the composition root itself is ``portal/app.py``.

It is imported when called, so that the engine's pure modules can be used without Flask.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask

    from portal.config import Settings


def create_app(settings: Settings | None = None, *, worker_connections: int | None = None) -> Flask:
    """Build the WSGI app; settings come from the environment when none are given. Raises ConfigError.

    worker_connections: see ``portal.app.build``.
    """
    from portal import app

    return app.build(settings, worker_connections=worker_connections)
