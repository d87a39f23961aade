"""Organizations."""

from __future__ import annotations

from portal.api.documents.base import TIME_EXAMPLE, UUID_EXAMPLE, Document, Time, described


class Organization(Document):
    """A customer. It belongs to exactly one Tenant."""

    id: str = described("Its id.", "3c2d7f0a-6b8e-4f57-9a0d-1d2e3f405162")
    name: str = described("Its name; unique among Organizations.", "Harborview Clinic")
    tenant_id: str = described("The Tenant it belongs to.", UUID_EXAMPLE)
    tags: list[str] = described("Its tags, by name.", ["gold"])
    created_at: Time = described("When it was created.", TIME_EXAMPLE)
