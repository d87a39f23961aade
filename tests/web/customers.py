"""A customer with a mapped Microsoft tenant and a mirror that was read, built from the models."""

import json

from portal.clock import utcnow
from portal.extensions import db
from portal.models import (
    DirectoryGroup,
    DirectoryUser,
    EndUser,
    GroupMembership,
    MicrosoftTenant,
    Organization,
    Tenant,
)
from portal.models.customers import refresh_search


def microsoft_tenant(name="Harborview Health", *, is_read=True, domains=("harborview.example",)):
    row = MicrosoftTenant(
        directory_id=f"{abs(hash(name)) % 10**12:012d}-0000-4000-8000-000000000000"[:36],
        name=name,
        connected_at=utcnow(),
        domains=[{"name": d, "is_default": i == 0, "is_initial": False} for i, d in enumerate(domains)],
        last_synced_at=utcnow() if is_read else None,
        is_complete=is_read,
    )
    db.session.add(row)
    db.session.flush()
    return row


def organization(name="Harborview Foundation", microsoft=None, tenant=None):
    if tenant is None:
        tenant = Tenant(
            name=f"{name}", microsoft_tenant_id=microsoft.id if microsoft else None, created_at=utcnow()
        )
        db.session.add(tenant)
        db.session.flush()
    row = Organization(name=name, name_key=name.casefold(), tenant_id=tenant.id, created_at=utcnow())
    db.session.add(row)
    db.session.flush()
    return row


def directory_user(microsoft, name, email="", *, department="", office="", user_type="Member", enabled=True):
    object_id = f"{name.casefold().replace(' ', '-')}-{len(name)}"
    raw = {
        "id": object_id,
        "displayName": name,
        "userPrincipalName": email or f"{object_id}@harborview.example#EXT#",
        "mail": email or None,
        "department": department,
        "officeLocation": office,
        "userType": user_type,
        "accountEnabled": enabled,
    }
    row = DirectoryUser(
        microsoft_tenant_id=microsoft.id,
        object_id=object_id,
        raw=json.dumps(raw),
        row_hash=object_id[:40],
        content_hash=object_id[:40],
        user_principal_name=raw["userPrincipalName"],
        display_name=name,
        email=email,
        email_key=email.casefold(),
        user_type=user_type,
        office_location=office,
        office_key=office.casefold(),
        department=department,
        department_key=department.casefold(),
        domain=email.rpartition("@")[2],
        account_enabled=enabled,
    )
    db.session.add(row)
    db.session.flush()
    return row


def group(microsoft, name, members=None, *, mail="", kind="Security"):
    """members: None for a group whose members were never read ("not counted yet")."""
    object_id = f"group-{name.casefold().replace(' ', '-')}-{len(mail)}"
    row = DirectoryGroup(
        microsoft_tenant_id=microsoft.id,
        object_id=object_id,
        display_name=name,
        mail=mail,
        kind=kind,
        members_read_at=None if members is None else utcnow(),
        member_count=None if members is None else len(members),
    )
    db.session.add(row)
    for user in members or ():
        db.session.add(
            GroupMembership(
                microsoft_tenant_id=microsoft.id, group_object_id=object_id, user_object_id=user.object_id
            )
        )
    db.session.flush()
    return row


def end_user(organization_row, name, email="", *, source="manual", linked_to=None, run_id=None, **fields):
    row = EndUser(
        organization_id=organization_row.id,
        display_name=name,
        email=email,
        email_key=email.casefold() or None,
        source=source,
        created_by_run_id=run_id,
        created_at=utcnow(),
        updated_at=utcnow(),
        **fields,
    )
    refresh_search(row)
    db.session.add(row)
    db.session.flush()
    if linked_to is not None:
        link(row, linked_to.microsoft_tenant_id, linked_to.object_id, linked_to.user_principal_name)
        db.session.flush()
    return row


def link(row, microsoft_tenant_id, object_id, user_principal_name="", **values):
    """Link somebody, without a flush; values: further columns of the Link."""
    found = {"microsoft_status": "active", "in_scope": True, "linked_at": utcnow(), **values}
    found.update(
        microsoft_tenant_id=microsoft_tenant_id, object_id=object_id, user_principal_name=user_principal_name
    )
    for name, value in found.items():
        setattr(row, name, value)
