"""Tenants."""

from __future__ import annotations

from portal.api.documents.base import UUID_EXAMPLE, Document, described


class Tenant(Document):
    """The portal's own tenant: it groups Organizations and is mapped to at most one Microsoft Tenant."""

    id: str = described("Its id.", "5d0f9a52-8d1b-4a86-b6a3-0d6a2f2f8c11")
    name: str = described("Its name.", "Harborview")
    microsoft_tenant_id: str | None = described("The Microsoft Tenant it is mapped to.", UUID_EXAMPLE)
