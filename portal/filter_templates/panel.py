"""The template card of an Organization's page: where it departs, and what has changed in the template since it was copied."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from portal.filter_templates import documents, service, views
from portal.models import Organization
from portal.user_sync import documents as sync_documents
from portal.user_sync import service as user_sync


@dataclass(frozen=True)
class FollowingPanel:
    """differences: where the Organization has its own filters. drifted: parts in which the template was not copied as it is now."""

    template_id: str
    name: str
    differences: Sequence[views.Difference]
    drifted: Sequence[str]


def following_panel(organization: Organization) -> FollowingPanel | None:
    """The panel of one Organization; None when it follows no template."""
    following = service.followings([organization.id]).get(organization.id)
    if following is None:
        return None
    sync = user_sync.find(organization)
    own = following.applied if sync is None else sync_documents.saved_request(sync)
    tenant_id = organization.tenant.microsoft_tenant_id
    drifted = service.drifted(following, tenant_id) if tenant_id is not None else []
    return FollowingPanel(
        following.template.id,
        following.template.name,
        views.differences(following.departs, own, following.applied),
        [documents.PART_LABELS[part] for part in drifted],
    )
