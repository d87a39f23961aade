"""The REST API under ``/api/v1``: one file per resource on one blueprint, the services below the pages'.

A new route names its role and declares itself. What it declares is what the OpenAPI document, ``/api/docs`` and generated
clients are made of (decision 010); a route that declares nothing fails the tests::

    documented = documented_as(Tag("Tenants", "They group Organizations."))  # once in a file

    @bp.post("/tenants")
    @requires(Role.ADMINISTRATOR)
    @documented(body=TenantName, answer=documents.Tenant, status=201)
    def create_tenant() -> Response:  # the name is the operationId, the docstring its summary and description
        row = service.create(body(TenantName).name)
        db.session.commit()
        return answer(service.to_document(row))

* ``body``: a ``Request`` beside the route, read by ``body(...)``. ``answer``: a ``Document`` of ``documents/``, or ``Page[...]``
  of it for a list; without one it is 204. ``query``: the list's ``ListSpec``, read by ``list_query(...)``.
* ``also``: other good statuses with their documents. ``parameters``: what else the query or a header may hold.
* ``refusals``: problems that do not follow from the rest. ``openapi.refusals_of`` adds 401, 403, 404, 500 and 503, 409 where
  something is written, 400 and 413 for bodies, 422 for bodies and queries.
"""

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
        docs,
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
    app.register_blueprint(docs.bp)
