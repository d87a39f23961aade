"""The MFA registration report (docs/microsoft-graph.md, 6)."""

from __future__ import annotations

import re
from datetime import timedelta

from simulator.calls import Call, route
from simulator.cursors import Cursor
from simulator.graph_users import check_sign_ins
from simulator.messages import Response, iso, utc_now
from simulator.objects import Props, User
from simulator.odata import Schema, filter_of, page_size
from simulator.paging import page_of, resume

RESET_ONLY = frozenset({"email", "securityQuestion"})
PASSWORDLESS = frozenset(
    {
        "fido2SecurityKey",
        "windowsHelloForBusiness",
        "passKeyDeviceBoundAuthenticator",
        "microsoftAuthenticatorPasswordless",
    }
)
DETAILS = Schema.of(
    "userRegistrationDetails",
    "id userPrincipalName userDisplayName userType isAdmin isSsprRegistered isSsprEnabled "
    "isSsprCapable isMfaRegistered isMfaCapable isPasswordlessCapable methodsRegistered "
    "isSystemPreferredAuthenticationMethodEnabled systemPreferredAuthenticationMethods "
    "userPreferredMethodForSecondaryAuthentication lastUpdatedDateTime",
    default_top=1000,
)


@route("GET", "/reports/authenticationMethods/userRegistrationDetails", roles=(), family="reports")
def list_registration_details(call: Call, _match: re.Match[str]) -> Response:
    """A page of the report; disabled and deleted users are not in it."""
    check_sign_ins(call)
    if cursor := resume(call):
        return page_of(call, cursor)
    size = page_size(call, DETAILS)
    names = call.selected
    DETAILS.check(names)
    test = filter_of(call, DETAILS)
    updated = iso(utc_now() - timedelta(hours=4))
    directory = call.tenant.directory
    users = [user for user in directory.users.values() if user.props.get("accountEnabled") is not False]
    if test is not None:
        matches = test
        users = [user for user in users if matches(_row(user, updated))]

    def render(user: User) -> Props | None:
        if user.id not in directory.users:
            return None
        row = _row(user, updated)
        return {"id": user.id, **{name: row[name] for name in names}} if names else row

    context = "reports/authenticationMethods/userRegistrationDetails"
    query = call.request.raw_query
    stem = f"/v1.0{call.path}?{query}&" if query else f"/v1.0{call.path}?"
    return page_of(call, Cursor(call.tenant.id, call.path.lower(), users, render, context, size, stem))


def _row(user: User, updated: str) -> Props:
    methods = set(user.methods)
    is_registered = bool(methods - RESET_ONLY)
    is_push = "microsoftAuthenticatorPush" in methods
    return {
        "id": user.id,
        "userPrincipalName": user.props.get("userPrincipalName"),
        "userDisplayName": user.props.get("displayName"),
        "userType": str(user.props.get("userType") or "member").lower(),
        "isAdmin": user.is_admin,
        "isSsprRegistered": bool(methods),
        "isSsprEnabled": True,
        "isSsprCapable": bool(methods),
        "isMfaRegistered": is_registered,
        "isMfaCapable": is_registered,
        "isPasswordlessCapable": bool(methods & PASSWORDLESS),
        "methodsRegistered": list(user.methods),
        "isSystemPreferredAuthenticationMethodEnabled": True,
        "systemPreferredAuthenticationMethods": ["push"] if is_push else [],
        "userPreferredMethodForSecondaryAuthentication": "push"
        if is_push
        else "none"
        if is_registered
        else "",
        "lastUpdatedDateTime": updated,
    }
