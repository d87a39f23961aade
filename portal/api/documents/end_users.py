"""End Users."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from portal.api.documents.base import (
    OBJECT_ID_EXAMPLE,
    TIME_EXAMPLE,
    UUID_EXAMPLE,
    Document,
    License,
    Time,
    described,
)


class OwnedAsset(Document):
    """An Asset of an End User."""

    id: str = described("Its id.", UUID_EXAMPLE)
    name: str = described("Its name.", "NB-0231")


class Mfa(Document):
    """Whether somebody is registered for multifactor authentication."""

    registered: bool | None = described("Null when Microsoft does not say.", True)
    methods: list[str] = described("Microsoft's names of the methods.", ["microsoftAuthenticatorPush"])


class LinkedAccount(Document):
    """The Microsoft account that an End User is linked to."""

    object_id: str = described("Microsoft's id of the account.", OBJECT_ID_EXAMPLE)
    user_principal_name: str = described("The UPN.", "finn.greco@fabrikam.example")
    status: Literal["active", "disabled"] = described("disabled: Disabled in Microsoft, or gone.", "active")
    in_scope: bool | None = described("Whether they matched the filters in the last run.", True)
    licenses: list[License] = described(
        "Their license products.",
        [{"sku_id": "06ebc4ee-1bb5-47dd-8120-11324bc54e06", "name": "Microsoft 365 E5"}],
    )
    last_sign_in_at: Time | None = described(
        "The last sign-in; null when Microsoft does not say.", TIME_EXAMPLE
    )
    mfa: Mfa
    last_synced_at: Time | None = described("When their Microsoft Tenant was last read.", TIME_EXAMPLE)


class EndUser(Document):
    """A person of an Organization. Texts are blank where nothing is known."""

    id: str = described("Its id.", "1f8a3c5e-7b90-4d2f-8e6a-9c0b1d2e3f40")
    organization_id: str = described("The Organization they belong to.", UUID_EXAMPLE)
    display_name: str = described("The name.", "Finn Greco")
    first_name: str = described("The first name.", "Finn")
    last_name: str = described("The last name.", "Greco")
    email: str = described(
        "The email address; unique within the Organization.", "finn.greco@fabrikam.example"
    )
    phone: str = described("The phone number.", "+1 206 555 0100")
    mobile_phone: str = described("The mobile phone number.", "+1 206 555 0101")
    street_address: str = described("The street address.", "12 Harbor Way")
    city: str = described("The city.", "Seattle")
    state: str = described("The state.", "WA")
    postal_code: str = described("The postal code.", "98101")
    country: str = described("The country.", "United States")
    job_title: str = described("The job title.", "Nurse")
    department: str = described("The department.", "Ward 3")
    office_location: str = described("The office location.", "Main building")
    notes: str = described("Notes kept in the portal only; Microsoft has none.", "")
    source: Literal["manual", "import", "sync"] = described("How they were added.", "sync")
    assets: list[OwnedAsset] = described("Their Assets.", [{"id": UUID_EXAMPLE, "name": "NB-0231"}])
    microsoft: LinkedAccount | None = Field(description="Null for an End User who is not linked.")
