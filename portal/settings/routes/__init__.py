"""Settings (P10): Microsoft connection, people and roles, API tokens, audit log, about and health."""

from portal.settings.routes import (  # noqa: F401 - each adds its pages to the blueprint
    about,
    audit_log,
    microsoft,
    people,
    tokens,
)
from portal.settings.routes.blueprint import bp

__all__ = ["bp"]
