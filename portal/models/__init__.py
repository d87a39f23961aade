"""All models, importable from here. Models import nothing from features or engine."""

from portal.models import words as _words  # noqa: F401 - tables bring their indexes of words along
from portal.models.audit import AuditChain, AuditEvent
from portal.models.base import Base, new_id, new_ids
from portal.models.customers import Asset, AssetMac, EndUser, Organization, OrganizationTag, Tag, Tenant
from portal.models.imports import UNDER_WAY, Import, ImportPart, ImportRow
from portal.models.microsoft import (
    DeltaCursor,
    DirectoryGroup,
    DirectoryUser,
    GroupMembership,
    ManagedDevice,
    MicrosoftTenant,
    SignInTurns,
    SubscribedSku,
)
from portal.models.people import (
    Account,
    AccountSession,
    ApiToken,
    Invitation,
    Role,
    SavedView,
    SignInAttempts,
)
from portal.models.rollouts import FilterTemplate, PartnerCustomer, Rollout, RolloutRow, TemplateFollower
from portal.models.settings import ConsentRequest, StoredSetting
from portal.models.user_sync import ACTIVE, AssetReport, Change, Conflict, SyncException, SyncRun, UserSync

__all__ = [
    "ACTIVE",
    "UNDER_WAY",
    "Account",
    "AccountSession",
    "ApiToken",
    "Asset",
    "AssetMac",
    "AssetReport",
    "AuditChain",
    "AuditEvent",
    "Base",
    "Change",
    "Conflict",
    "ConsentRequest",
    "DeltaCursor",
    "DirectoryGroup",
    "DirectoryUser",
    "EndUser",
    "FilterTemplate",
    "GroupMembership",
    "Import",
    "ImportPart",
    "ImportRow",
    "Invitation",
    "ManagedDevice",
    "MicrosoftTenant",
    "Organization",
    "OrganizationTag",
    "PartnerCustomer",
    "Role",
    "Rollout",
    "RolloutRow",
    "SavedView",
    "SignInAttempts",
    "SignInTurns",
    "StoredSetting",
    "SubscribedSku",
    "SyncException",
    "SyncRun",
    "Tag",
    "TemplateFollower",
    "Tenant",
    "UserSync",
    "new_id",
    "new_ids",
]
