"""What a running Rollcall process holds together, built once by the composition root (``portal.create_app``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from flask import current_app

from portal.auth.discovery import Discovery, Once
from portal.config import Settings
from portal.crypto import SecretBox
from portal.extensions import SessionFactory
from portal.http.refusals import Refusals


def _nobody() -> None:
    """No scheduler runs in this process; a worker elsewhere looks at the queue by itself."""


SIGN_IN_LIFE = 15 * 60
"""Seconds that somebody may take on Microsoft's sign-in page."""


@dataclass
class Runtime:
    """wake: tells the scheduler that work was queued; call it after the commit. sessions: for work outside a request.

    discovery: what Microsoft's sign-in publishes. sign_ins: which sign-ins with Microsoft came back already.
    refusals: what the audit log has of refused sign-ins, tokens and roles.
    """

    settings: Settings
    sessions: SessionFactory
    box: SecretBox
    wake: Callable[[], None] = field(default=_nobody)
    discovery: Discovery = field(default_factory=Discovery)
    sign_ins: Once = field(default_factory=lambda: Once(SIGN_IN_LIFE))
    refusals: Refusals = field(init=False)

    def __post_init__(self) -> None:
        self.refusals = Refusals(self.sessions)


def runtime() -> Runtime:
    """The Runtime of the present app."""
    parts: Runtime = current_app.extensions["rollcall"]
    return parts
