"""The tags of an Organization, as far as a declarative file sets them (F1): one place to join both."""

from __future__ import annotations

from collections.abc import Sequence

from portal.models import Organization

NOT_KEPT = "tags are not kept by this version; this key changes nothing."


def current(organization: Organization) -> Sequence[str] | None:
    """Its tags; None while Organizations have none."""
    del organization
    return None


def change(organization: Organization, tags: Sequence[str]) -> None:
    """Give it these tags and no others. Only called where ``current`` knows some."""
    raise NotImplementedError(f"{organization.name} cannot have {len(tags)} tags")
