"""The REST API under ``/api/v1`` (interfaces.md): one file per resource on one blueprint, the services below the pages'."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flask import Flask
    from flask_wtf import CSRFProtect


def register(app: Flask, csrf: CSRFProtect) -> None:
    """Add the API to ``app``: its blueprint, its tokens, and no CSRF, since no cookie is looked at."""
    from portal.api import (  # noqa: F401 - each adds its routes to the blueprint
        apply,
        assets,
        audit_events,
        conflicts,
        end_users,
        filter_templates,
        imports,
        microsoft_tenants,
        openapi,
        organizations,
        sync_runs,
        tenants,
        user_sync,
    )
    from portal.api.blueprint import bp, name_principal

    csrf.exempt(bp)  # type: ignore[no-untyped-call]
    app.before_request(name_principal)
    app.register_blueprint(bp)
