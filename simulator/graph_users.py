"""``/users`` and its neighbors (docs/microsoft-graph.md, 2 and 5)."""

from __future__ import annotations

import re
from typing import Any

from simulator.calls import Call, not_found, route
from simulator.cursors import Cursor
from simulator.messages import GraphError, Response, iso, json_response
from simulator.objects import Props, User
from simulator.odata import Schema, bad_query, filled, filter_of, page_size
from simulator.paging import counted, page_of, resume

READERS = ("User.Read.All", "Directory.Read.All", "User.ReadWrite.All")
GUID = re.compile(r"^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$")

USERS = Schema.of(
    "user",
    "id accountEnabled ageGroup assignedLicenses assignedPlans authorizationInfo businessPhones city "
    "companyName consentProvidedForMinor country createdDateTime creationType "
    "customSecurityAttributes deletedDateTime department deviceEnrollmentLimit displayName "
    "employeeHireDate employeeId employeeLeaveDateTime employeeOrgData employeeType externalUserState "
    "externalUserStateChangeDateTime faxNumber givenName identities imAddresses "
    "isManagementRestricted isResourceAccount jobTitle lastPasswordChangeDateTime "
    "legalAgeGroupClassification licenseAssignmentStates mail mailNickname mobilePhone officeLocation "
    "onPremisesDistinguishedName onPremisesDomainName onPremisesExtensionAttributes "
    "onPremisesImmutableId onPremisesLastSyncDateTime onPremisesProvisioningErrors "
    "onPremisesSamAccountName onPremisesSecurityIdentifier onPremisesSyncEnabled "
    "onPremisesUserPrincipalName otherMails passwordPolicies passwordProfile postalCode "
    "preferredDataLocation preferredLanguage provisionedPlans proxyAddresses securityIdentifier "
    "serviceProvisioningErrors showInAddressList signInActivity signInSessionsValidFromDateTime state "
    "streetAddress surname usageLocation userPrincipalName userType",
    defaults=(
        "businessPhones displayName givenName jobTitle mail mobilePhone officeLocation "
        "preferredLanguage surname userPrincipalName id"
    ),
    unreadable=(
        "aboutMe birthday hireDate interests mailboxSettings mySite pastProjects preferredName "
        "responsibilities schools skills"
    ),
)


def selects_sign_ins(call: Call) -> bool:
    """True when the request touches signInActivity, which has its own limit and rules."""
    query = call.request.query
    return "signInActivity" in call.selected or "signInActivity" in query.get("$filter", "")


def check_sign_ins(call: Call) -> None:
    """Raise what stands against reading sign-in activity here (docs/microsoft-graph.md, 5.3)."""
    if not call.has("AuditLog.Read.All"):
        raise missing_permission("AuditLog.Read.All")
    if not call.tenant.is_premium:
        raise GraphError(
            403,
            "Authentication_RequestFromNonPremiumTenantOrB2CTenant",
            "Neither tenant is B2C or tenant doesn't have premium license",
        )


def missing_permission(role: str) -> GraphError:
    """The refusal of the sign-in and report endpoints, naming the permission."""
    return GraphError(
        403,
        "Authentication_MSGraphPermissionMissing",
        f"The principal does not have required Microsoft Graph permission(s): {role} to call this API. For more "
        "information about Microsoft Graph permissions, please visit https://learn.microsoft.com/graph/permissions",
    )


def user_row(user: User, selection: list[tuple[str, Any]]) -> Props:
    """One user as lists answer it; signInActivity is left out when there is none."""
    row = filled(user.id, user.props, selection)
    if "signInActivity" in row:
        if user.sign_in is None:
            del row["signInActivity"]
        else:
            row["signInActivity"] = user.sign_in
    return row


@route("GET", "/users", roles=READERS, cost=2)
def list_users(call: Call, _match: re.Match[str]) -> Response:
    """A page of users."""
    with_sign_ins = selects_sign_ins(call)
    if with_sign_ins:
        check_sign_ins(call)
    if cursor := resume(call):
        return page_of(call, cursor)
    size = page_size(call, USERS, 500 if with_sign_ins else None)
    selection = USERS.selection(call)
    users = _queried(call)
    directory = call.tenant.directory

    def render(user: User) -> Props | None:
        return user_row(user, selection) if user.id in directory.users else None

    names = ",".join(call.selected)
    return page_of(
        call,
        Cursor(
            call.tenant.id,
            call.path.lower(),
            users,
            render,
            f"users({names})" if names else "users",
            size,
            f"/v1.0/users?{call.request.raw_query}&" if call.request.raw_query else "/v1.0/users?",
            count=len(users) if call.wants_count and not call.tenant.is_b2c else None,
            needs_header="$search" in call.request.query,
        ),
    )


@route("GET", r"/users/microsoft\.graph\.agentUser", roles=READERS)
def list_agents(call: Call, _match: re.Match[str]) -> Response:
    """A page of the users that are AI agents."""
    if cursor := resume(call):
        return page_of(call, cursor)
    selection = USERS.selection(call)
    return page_of(
        call,
        Cursor(
            call.tenant.id,
            call.path.lower(),
            [user for user in call.tenant.directory.users.values() if user.is_agent],
            lambda user: user_row(user, selection),
            "users/microsoft.graph.agentUser",
            page_size(call, USERS),
            f"/v1.0{call.path}?{call.request.raw_query}&" if call.request.raw_query else f"/v1.0{call.path}?",
        ),
    )


def _queried(call: Call) -> list[User]:
    """The users a query asks for, in its order."""
    query = call.request.query
    users = list(call.tenant.directory.users.values())
    test = filter_of(call, USERS)
    if test is not None:
        matches = test
        users = [u for u in users if matches({**u.props, "id": u.id, "signInActivity": u.sign_in})]
    if "$search" in query:
        users = [user for user in users if matches_search(call, user.props)]
    if order := query.get("$orderby"):
        name, _, direction = order.partition(" ")
        if name not in {"displayName", "userPrincipalName"} or ("$filter" in query and not call.wants_count):
            raise bad_query(f"Sorting by '{name}' is not supported here.")
        users.sort(key=lambda user: str(user.props.get(name)).casefold(), reverse=direction.strip() == "desc")
    return users


def matches_search(call: Call, props: Props) -> bool:
    """``$search="displayName:word"``: a word of the name begins so. Needs the advanced-query header."""
    if not call.is_eventual or call.tenant.is_b2c:
        raise bad_query(
            "Request with $search query parameter only works with a specific header: ConsistencyLevel"
        )
    match = re.match(r'^"(\w+):([^"]*)"$', call.request.query["$search"])
    if match is None:
        raise bad_query('Syntax error: the search clause must look like "displayName:text".')
    text = str(props.get(match[1]) or "").casefold()
    return any(word.startswith(match[2].casefold()) for word in [text, *text.split()])


@route("GET", r"/users/\$count", roles=READERS)
def count_users(call: Call, _match: re.Match[str]) -> Response:
    """How many users there are, as plain text."""
    if not call.is_eventual or call.tenant.is_b2c:
        raise bad_query("$count is not currently supported.")
    number = len(_queried(call))
    struck = call.faults.strike("page", tenant=call.tenant.id, method="GET", path=call.path)
    return Response(200, str(counted(number, struck)).encode(), "text/plain")


@route("GET", "/users/{id}", roles=READERS)
def get_user(call: Call, match: re.Match[str]) -> Response:
    """One user by id or sign-in name."""
    key = match["id"]
    if selects_sign_ins(call):
        check_sign_ins(call)
        if not GUID.match(key):
            raise GraphError(
                400,
                "BadRequest",
                "Get By Key only supports UserId and the key has to be a valid Guid",
            )
    selection = USERS.selection(call)
    row = user_row(find_user(call, key), selection)
    context = f"{call.base}/v1.0/$metadata#users/$entity"
    return json_response({"@odata.context": context, **row})


def find_user(call: Call, key: str) -> User:
    """A user by id or sign-in name. Raises GraphError 404."""
    users = call.tenant.directory.users
    if account := users.get(key.lower()):
        return account
    sign_in_name = key.casefold()
    for user in users.values():
        if str(user.props.get("userPrincipalName", "")).casefold() == sign_in_name:
            return user
    raise not_found(key)


@route("GET", "/users/{id}/mailboxSettings", roles=("MailboxSettings.Read", "MailboxSettings.ReadWrite"))
def mailbox_settings(call: Call, match: re.Match[str]) -> Response:
    """What a mailbox is for; 404 without one."""
    user = find_user(call, match["id"])
    if not user.purpose:
        raise GraphError(
            404,
            "MailboxNotEnabledForRESTAPI",
            "The mailbox is either inactive, soft-deleted, or is hosted on-premise.",
        )
    return json_response({"userPurpose": user.purpose, "timeZone": "W. Europe Standard Time"})


@route("GET", r"/directory/deletedItems/microsoft\.graph\.user", roles=READERS)
def list_deleted(call: Call, _match: re.Match[str]) -> Response:
    """Soft-deleted users; a deleted sign-in name carries the object id in front."""
    if cursor := resume(call):
        return page_of(call, cursor)
    size = page_size(call, USERS)
    selection = USERS.selection(call)

    def render(user: User) -> Props:
        row = filled(user.id, user.props, selection)
        if "userPrincipalName" in row:
            row["userPrincipalName"] = f"{user.id.replace('-', '')}{row['userPrincipalName']}"
        if "deletedDateTime" in row and user.deleted_at is not None:
            row["deletedDateTime"] = iso(user.deleted_at)
        return row

    return page_of(
        call,
        Cursor(
            call.tenant.id,
            call.path.lower(),
            list(call.tenant.directory.deleted.values()),
            render,
            "users",
            size,
            f"/v1.0{call.path}?{call.request.raw_query}&" if call.request.raw_query else f"/v1.0{call.path}?",
        ),
    )


@route("GET", "/directory/deletedItems", roles=READERS)
def list_deleted_uncast(_call: Call, _match: re.Match[str]) -> Response:
    """The type cast is mandatory."""
    raise GraphError(400, "Request_BadRequest", "The type cast of the deleted items is missing.")
