"""Microsoft Tenants (P1): the list; connect by consent or by id, discover customers, check, reconnect, remove (C2-C4)."""

from portal.microsoft.routes import (  # noqa: F401 - each adds its pages to the blueprint
    connecting,
    customers,
    tenants,
)
from portal.microsoft.routes.blueprint import bp

__all__ = ["bp"]
