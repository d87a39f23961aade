"""End Users: the subtab with search, filters, export, import and bulk delete (P5); one person's page (P6)."""

from portal.end_users.routes import person, subtab  # noqa: F401 - each adds its pages to the blueprint
from portal.end_users.routes.blueprint import bp

__all__ = ["bp"]
