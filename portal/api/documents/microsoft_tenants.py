"""Microsoft Tenants, Check connection, and coverage (C2, C4, P13)."""

from __future__ import annotations

from typing import Literal

from portal.api.documents.base import (
    OBJECT_ID_EXAMPLE,
    TIME_EXAMPLE,
    UUID_EXAMPLE,
    Document,
    Time,
    described,
)


class SlowPassProblem(Document):
    """A part of the slow pass that Microsoft did not answer."""

    part: str = described("sign_ins, mfa or devices.", "devices")
    state: str = described("missing_license, missing_permission or error.", "missing_license")
    detail: str = described("What to do about it.", "Microsoft Intune is not licensed in this tenant.")
    retry_at: Time = described("When it is tried again.", TIME_EXAMPLE, default=None)


class SlowPass(Document):
    """Last sign-ins, MFA and devices, which are read at their own pace."""

    running: bool = described("Whether it is running.", False)
    sign_ins_at: Time | None = described("The age of the last sign-ins.", TIME_EXAMPLE)
    mfa_at: Time | None = described("The age of the MFA figures.", TIME_EXAMPLE)
    devices_at: Time | None = described("The age of the devices.", TIME_EXAMPLE)
    assets_assigned: int = described("How many Assets the last pass assigned.", 12)
    problems: list[SlowPassProblem] = described("What Microsoft did not answer.", [])


class MicrosoftTenant(Document):
    """A connected Microsoft Entra directory."""

    id: str = described("Its id.", UUID_EXAMPLE)
    directory_id: str = described("Microsoft's tenant ID.", "6b1f0f5e-1111-4c2a-9d1e-0a1b2c3d4e5f")
    name: str = described("What it is called in Microsoft.", "Fabrikam")
    domains: list[str] = described("Its verified domains.", ["fabrikam.example"])
    cloud: str = described("The Microsoft cloud: global, us_gov, us_dod or china.", "global")
    state: Literal["connected", "needs_attention"] = described("Whether it can be read.", "connected")
    problem: str | None = described("Why it cannot be read, and what to do.", None)
    problem_code: str | None = described("Microsoft's code for the problem.", None)
    tenant_id: str | None = described("The Tenant that is mapped to it.", UUID_EXAMPLE)
    users: int = described("How many users it has.", 214)
    last_synced_at: Time | None = described(
        "When it was last read; null before the first read.", TIME_EXAMPLE
    )
    slow_pass: SlowPass


class PartnerCustomer(Document):
    """A customer of a partner tenant."""

    directory_id: str = described("Microsoft's tenant ID.", "6b1f0f5e-1111-4c2a-9d1e-0a1b2c3d4e5f")
    name: str = described("What it is called in Microsoft.", "Fabrikam")
    domain: str = described(
        "Its default domain, if a contract provides it; blank otherwise.", "fabrikam.example"
    )
    state: Literal["offered", "connected", "mapped", "ended"] = described(
        "offered: it can be connected; connected: not mapped yet; ended: the relationship has ended.",
        "offered",
    )
    relationship_ends_at: Time | None = described("When the delegated admin relationship ends.", TIME_EXAMPLE)
    microsoft_tenant_id: str | None = described("The Microsoft Tenant, once connected.", UUID_EXAMPLE)


class CustomerCounts(Document):
    """How many customers a partner tenant has; those that end within 60 days count among the others too."""

    all: int = described("All of them.", 120)
    offered: int = described("Those that can be connected.", 80)
    connected: int = described("Connected and not mapped yet.", 4)
    mapped: int = described("Connected and mapped.", 30)
    ending: int = described("Those whose relationship ends within 60 days.", 3)
    ended: int = described("Those whose relationship has ended.", 6)


class Check(Document):
    """One line of Check connection."""

    name: str = described("What was checked.", "People")
    state: Literal["ok", "missing_permission", "missing_license", "error"] = described("The result.", "ok")
    detail: str = described("What to do; blank when it works.", "")
    permission: str = described("The Graph permission it needs; blank for none.", "User.Read.All")


class ConnectionCheck(Document):
    """Everything the sync needs of Microsoft, and what of it works."""

    checks: list[Check] = described(
        "One entry for each call.",
        [{"name": "People", "state": "ok", "detail": "", "permission": "User.Read.All"}],
    )


class AssigningOrganization(Document):
    """An Organization that a Microsoft user is assigned to."""

    id: str = described("Its id.", UUID_EXAMPLE)
    name: str = described("Its name.", "Harborview Clinic")
    end_user_id: str = described("The End User there.", UUID_EXAMPLE)


class CoveredUser(Document):
    """A Microsoft user, and the Organizations that have them."""

    object_id: str = described("Microsoft's id of the user.", OBJECT_ID_EXAMPLE)
    user_principal_name: str = described("The UPN.", "finn.greco@fabrikam.example")
    display_name: str = described("The name.", "Finn Greco")
    email: str = described("The email address; blank for none.", "finn.greco@fabrikam.example")
    user_type: str = described("Member, Guest, or another type that Microsoft returns.", "Member")
    account_enabled: bool | None = described(
        "Whether they may sign in; null when Microsoft does not say.", True
    )
    taken: Literal["none", "one", "several"] = described("How many Organizations have them.", "one")
    organizations: list[AssigningOrganization] = described(
        "Those Organizations, by name.",
        [{"id": UUID_EXAMPLE, "name": "Harborview Clinic", "end_user_id": UUID_EXAMPLE}],
    )
