"""The OpenAPI document itself."""

from __future__ import annotations

from typing import Any

from portal.api.documents.base import Document, described


class OpenApi(Document):
    """An OpenAPI 3.1 document."""

    openapi: str = described("The version of OpenAPI.", "3.1.0")
    info: dict[str, Any] = described("Which API it is.", {"title": "Rollcall", "version": "1"})
    servers: list[dict[str, Any]] = described("Its address.", [{"url": "/api/v1"}])
    security: list[dict[str, Any]] = described("How to send a token.", [{"bearer": []}])
    tags: list[dict[str, Any]] = described("Its resources.", [{"name": "Tenants"}])
    paths: dict[str, Any] = described("Its operations.", {})
    components: dict[str, Any] = described("Its schemas.", {})
