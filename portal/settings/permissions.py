"""The app registration's permissions, and what is lost without each (C1; docs/microsoft-graph.md, 0.1 and 0.2)."""

from __future__ import annotations

import json
from dataclasses import dataclass

GRAPH_APP_ID = "00000003-0000-0000-c000-000000000000"


@dataclass(frozen=True)
class Permission:
    """An app role of Microsoft Graph."""

    name: str
    id: str
    use: str
    is_optional: bool = False

    @property
    def needed(self) -> str:
        """Whether the portal needs it, in a word."""
        return "Optional" if self.is_optional else "Yes"


PERMISSIONS = (
    Permission(
        "User.Read.All", "df021288-bdef-4463-88db-98f22de89214", "People: without it nothing can be synced."
    ),
    Permission(
        "Organization.Read.All", "498476ce-e0fe-48b0-b801-37ba7e2685c6", "The tenant itself and its licenses."
    ),
    Permission(
        "GroupMember.Read.All",
        "98830695-27a2-44f7-8c18-0c3ebc9698f6",
        "Groups. Without it there is no Group filter.",
        is_optional=True,
    ),
    Permission(
        "Domain.Read.All",
        "dbb9058a-0e50-45d7-ae91-66909b5d4664",
        "All domains; the verified ones are known without it.",
        is_optional=True,
    ),
    Permission(
        "AuditLog.Read.All",
        "b0afded3-3588-46d8-8b3d-9842eff778da",
        "Last sign-in and MFA. Without it they stay empty.",
        is_optional=True,
    ),
    Permission(
        "DeviceManagementManagedDevices.Read.All",
        "2f51be20-0bb4-4fed-bf7b-db946066c75e",
        "Intune devices. Without it Assets are not assigned by MAC address.",
        is_optional=True,
    ),
    Permission(
        "Member.Read.Hidden",
        "658aa5d8-239f-45c4-aa12-864f4fc7e490",
        "Members of groups whose membership is hidden.",
        is_optional=True,
    ),
)

PARTNER_PERMISSIONS = (
    Permission(
        "DelegatedAdminRelationship.Read.All",
        "f6e9e124-4586-492f-adc0-c6f96e4823fd",
        "Only for Discover customers, in a partner's own tenant: customers by delegated admin relationship, and when those "
        "end. Without it contracts are listed, and nobody is warned of an end.",
        is_optional=True,
    ),
    Permission(
        "Directory.Read.All",
        "7ab1d382-f21e-4acd-a863-ba3e13f7da61",
        "Only for Discover customers, in a partner's own tenant: customers by reseller contract. Without it only those with "
        "a delegated admin relationship are listed.",
        is_optional=True,
    ),
)
"""Not in the manifest: once they are on the registration, every customer is asked to consent to them too."""


def manifest() -> str:
    """The ``requiredResourceAccess`` part of the app's manifest."""
    access = [{"id": permission.id, "type": "Role"} for permission in PERMISSIONS]
    return json.dumps(
        {"requiredResourceAccess": [{"resourceAppId": GRAPH_APP_ID, "resourceAccess": access}]}, indent=2
    )
