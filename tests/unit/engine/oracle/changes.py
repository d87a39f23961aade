"""Which fields differ and may be written (W1, W3, W6). Pure."""

from __future__ import annotations

from portal.engine.records import D1_FIELDS, EndUserState, FieldChange, RemoteUser


def wanted(user: RemoteUser) -> dict[str, str]:
    """The D1 fields as Microsoft has them. A person without a display name is shown by UPN or e-mail."""
    values = {field: str(getattr(user, field)) for field in D1_FIELDS}
    values["display_name"] = user.display_name or user.user_principal_name or user.email
    return values


def field_changes(
    user: RemoteUser, end_user: EndUserState, *, keep_email: bool = False
) -> tuple[FieldChange, ...]:
    """What an update of ``end_user`` from ``user`` writes; ``keep_email`` leaves the address alone (W4)."""
    found = []
    for field, new in wanted(user).items():
        old = end_user.fields.get(field, "")
        if new == old or field in end_user.pinned or (field == "email" and (keep_email or not new)):
            continue
        if not new and not _written_by_sync(end_user, field, old):
            continue
        found.append(FieldChange(field, old, new))
    return tuple(found)


def _written_by_sync(end_user: EndUserState, field: str, old: str) -> bool:
    """W1: a blank erases only what the sync with this Microsoft Tenant wrote (R4) and nobody changed since."""
    link = end_user.link
    return link is not None and not link.is_foreign and link.written.get(field) == old
