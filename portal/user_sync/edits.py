"""Whether somebody else changed a User Sync while a form about it was open."""

from __future__ import annotations

import json
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from portal.microsoft import service as microsoft
from portal.models import Organization
from portal.user_sync import documents
from portal.user_sync.documents import saved_request
from portal.user_sync.service import find


def edit_version(organization: Organization) -> str:
    """What a form about a User Sync is opened on: the Microsoft tenant, whether it is enabled, and its filters."""
    row, microsoft_tenant = find(organization), microsoft.mapped_to(organization)
    choice = "" if row is None else json.dumps(saved_request(row), sort_keys=True)
    tenant_id = "" if microsoft_tenant is None else microsoft_tenant.id
    is_on = "on" if row is not None and row.enabled else "off"
    return f"{tenant_id} {is_on} {sha256(choice.encode()).hexdigest()[:16]}"


def conflicting_edit(organization: Organization, body: Mapping[str, Any], opened_on: str) -> str:
    """What somebody else changed since a form was opened, in words; "" if saving is safe.

    Sending the same once more is no change by somebody else.
    """
    microsoft_tenant = microsoft.mapped_to(organization)
    if not opened_on or opened_on == edit_version(organization) or microsoft_tenant is None:
        return ""
    row = find(organization)
    tenant_then, was_on, _ = f"{opened_on}  ".split(" ", 2)
    if tenant_then != microsoft_tenant.id:
        return f"The Tenant is now mapped to another Microsoft tenant, {microsoft_tenant.name}. Choose again from its users."
    if row is None or not row.enabled:
        return "" if was_on == "off" else "Someone else disabled this sync. Enable Sync turns it on again."
    if documents.parse(saved_request(row)) == documents.parse(body):
        return ""
    done = "enabled this sync with other filters" if was_on == "off" else "saved other filters"
    return f"Someone else {done}. Save replaces them with those below."
