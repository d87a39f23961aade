"""A User Sync: set up, edit, preview, enable, disable, progress, Sync Now (P7, U1-U13, L5, T5)."""

from portal.user_sync.routes import setup, switch  # noqa: F401 - each adds its pages to the blueprint
from portal.user_sync.routes.blueprint import bp

__all__ = ["bp"]
