"""What a running Rollcall process holds together, built once by the composition root (``portal.create_app``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from flask import current_app

from portal.config import Settings
from portal.crypto import SecretBox
from portal.extensions import SessionFactory


def _nobody() -> None:
    """No scheduler runs in this process; a worker elsewhere looks at the queue by itself."""


@dataclass
class Runtime:
    """wake: tells the scheduler that work was queued; call it after the commit. sessions: for work outside a request."""

    settings: Settings
    sessions: SessionFactory
    box: SecretBox
    wake: Callable[[], None] = field(default=_nobody)


def runtime() -> Runtime:
    """The Runtime of the present app."""
    found: Runtime = current_app.extensions["rollcall"]
    return found
