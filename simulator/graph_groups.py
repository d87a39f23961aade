"""``/groups``, members and asking per user (docs/microsoft-graph.md, 4)."""

from __future__ import annotations

import re
from typing import Any

from simulator.calls import Call, not_found, route
from simulator.cursors import Cursor
from simulator.graph_users import GUID, USERS, find_user, matches_search
from simulator.messages import GraphError, Response, json_response
from simulator.objects import Directory, Group, Props
from simulator.odata import Schema, bad_query, filled, filter_of, page_size
from simulator.paging import page_of, resume

GROUP_READERS = ("GroupMember.Read.All", "Group.Read.All", "Directory.Read.All")
_DETAILS = ("User.Read.All", "Directory.Read.All", "Group.Read.All")

GROUPS = Schema.of(
    "group",
    "id assignedLabels assignedLicenses classification createdDateTime deletedDateTime description "
    "displayName expirationDateTime groupTypes hasMembersWithLicenseErrors isAssignableToRole "
    "isManagementRestricted licenseProcessingState mail mailEnabled mailNickname membershipRule "
    "membershipRuleProcessingState onPremisesDomainName onPremisesLastSyncDateTime "
    "onPremisesNetBiosName onPremisesProvisioningErrors onPremisesSamAccountName "
    "onPremisesSecurityIdentifier onPremisesSyncEnabled preferredDataLocation preferredLanguage "
    "proxyAddresses renewedDateTime resourceBehaviorOptions resourceProvisioningOptions "
    "securityEnabled securityIdentifier theme uniqueName visibility",
    defaults=(
        "id createdDateTime description displayName groupTypes isAssignableToRole mail mailEnabled "
        "mailNickname membershipRule membershipRuleProcessingState onPremisesSyncEnabled "
        "proxyAddresses securityEnabled visibility"
    ),
)


def find_group(call: Call, key: str) -> Group:
    """A group by id. Raises GraphError 404, or 400 for what is no GUID."""
    if not GUID.match(key):
        raise GraphError(400, "Request_BadRequest", f"Invalid object identifier '{key}'.")
    group = call.tenant.directory.groups.get(key.lower())
    if group is None:
        raise not_found(key)
    return group


def can_see_members(call: Call, group: Group) -> bool:
    """False for hidden membership without the role that opens it."""
    return not group.is_hidden or call.has("Member.Read.Hidden")


@route("GET", "/groups", roles=GROUP_READERS)
def list_groups(call: Call, _match: re.Match[str]) -> Response:
    """A page of groups."""
    if cursor := resume(call):
        return page_of(call, cursor)
    size = page_size(call, GROUPS)
    selection = GROUPS.selection(call)
    directory = call.tenant.directory
    groups = list(directory.groups.values())
    test = filter_of(call, GROUPS)
    if test is not None:
        matches = test
        groups = [group for group in groups if matches({**group.props, "id": group.id})]
    if "$search" in call.request.query:
        groups = [group for group in groups if matches_search(call, group.props)]
    if order := call.request.query.get("$orderby"):
        if order.split()[0] != "displayName":
            raise bad_query("Groups are sorted by displayName only.")
        groups.sort(key=lambda group: str(group.props.get("displayName")).casefold())

    def render(group: Group) -> Props | None:
        return filled(group.id, group.props, selection) if group.id in directory.groups else None

    return page_of(
        call,
        Cursor(
            call.tenant.id,
            call.path.lower(),
            groups,
            render,
            "groups",
            size,
            _stem(call),
            count=len(groups) if call.wants_count else None,
            needs_header="$search" in call.request.query,
        ),
    )


def _stem(call: Call) -> str:
    query = call.request.raw_query
    return f"/v1.0{call.path}?{query}&" if query else f"/v1.0{call.path}?"


@route("GET", "/groups/{id}", roles=GROUP_READERS)
def get_group(call: Call, match: re.Match[str]) -> Response:
    """One group by id."""
    group = find_group(call, match["id"])
    row = filled(group.id, group.props, GROUPS.selection(call))
    return json_response({"@odata.context": f"{call.base}/v1.0/$metadata#groups/$entity", **row})


def transitive(directory: Directory, group: Group) -> dict[str, str]:
    """Everything below a group, each once, whatever circles there are; id -> kind."""
    members: dict[str, str] = {}
    waiting = [group]
    while waiting:
        for member, kind in waiting.pop().members.items():
            if member in members or member == group.id:
                continue
            members[member] = kind
            if kind == "group" and member in directory.groups:
                waiting.append(directory.groups[member])
    return members


@route("GET", r"/groups/{id}/members(?P<cast>/microsoft\.graph\.\w+)?", roles=GROUP_READERS, cost=3)
def list_members(call: Call, match: re.Match[str]) -> Response:
    """A page of direct members."""
    return _members(call, match, is_transitive=False)


@route("GET", r"/groups/{id}/transitiveMembers(?P<cast>/microsoft\.graph\.\w+)?", roles=GROUP_READERS, cost=5)
def list_transitive_members(call: Call, match: re.Match[str]) -> Response:
    """A page of members of all levels; the cast needs the advanced-query header and a count."""
    return _members(call, match, is_transitive=True)


def _members(call: Call, match: re.Match[str], *, is_transitive: bool) -> Response:
    group = find_group(call, match["id"])
    cast = (match["cast"] or "").removeprefix("/microsoft.graph.").lower()
    needs_header = bool(cast) and is_transitive
    if cursor := resume(call):
        return page_of(call, cursor)
    if needs_header and not call.wants_count:
        raise bad_query(
            "The specified cast requires the 'ConsistencyLevel: eventual' header and the '$count=true' parameter."
        )
    size = page_size(call, USERS)
    USERS.check([name for name in call.selected if name not in GROUPS.properties])
    directory = call.tenant.directory
    members = dict(group.members) if not is_transitive else transitive(directory, group)
    if not can_see_members(call, group):
        members = {}
    items = [(key, kind) for key, kind in members.items() if not cast or kind.lower() == cast]
    return page_of(
        call,
        Cursor(
            call.tenant.id,
            call.path.lower(),
            items,
            _member_render(call, is_cast=bool(cast)),
            "users" if cast == "user" else "directoryObjects",
            size,
            _stem(call),
            count=len(items) if call.wants_count else None,
            needs_header=needs_header,
        ),
    )


def _member_render(call: Call, *, is_cast: bool) -> Any:
    directory = call.tenant.directory
    selected = call.selected
    has_details = call.has(*_DETAILS)

    def render(entry: tuple[str, str]) -> Props | None:
        member_id, kind = entry
        props = member_props(directory, member_id, kind)
        if props is None:
            return None
        schema = GROUPS if kind == "group" else USERS
        names = selected or list(schema.defaults)
        row: Props = {} if is_cast else {"@odata.type": f"#microsoft.graph.{kind}"}
        # Without a permission on the object itself it comes as a shell.
        properties = props if has_details or kind == "group" else {}
        row.update((name, properties.get(name)) for name in names if name in schema.properties)
        row["id"] = member_id
        return row

    return render


def member_props(directory: Directory, member_id: str, kind: str) -> Props | None:
    """The properties of any directory object; None when it is gone."""
    match kind:
        case "user":
            user = directory.users.get(member_id)
            return user.props if user else None
        case "group":
            group = directory.groups.get(member_id)
            return group.props if group else None
        case "device":
            return directory.devices.get(member_id)
        case _:
            return directory.others.get(member_id)


def groups_of(directory: Directory, user_id: str) -> list[str]:
    """The ids of every group a user is in, nested ones included."""
    groups: list[str] = []
    waiting = [user_id]
    visited = {user_id}
    while waiting:
        current = waiting.pop()
        for group in directory.groups.values():
            if current in group.members and group.id not in visited:
                visited.add(group.id)
                groups.append(group.id)
                waiting.append(group.id)
    return groups


@route("POST", "/users/{id}/checkMemberGroups", roles=GROUP_READERS, cost=4)
def check_member_groups(call: Call, match: re.Match[str]) -> Response:
    """Which of at most 20 groups a user is in."""
    group_ids = call.document().get("groupIds")
    if not isinstance(group_ids, list) or not group_ids or len(group_ids) > 20:
        raise GraphError(400, "Request_BadRequest", "groupIds must hold between 1 and 20 ids.")
    held = set(groups_of(call.tenant.directory, find_user(call, match["id"]).id))
    return json_response({"value": [key for key in group_ids if str(key).lower() in held]})


@route("POST", "/users/{id}/getMemberGroups", roles=GROUP_READERS, cost=2)
def get_member_groups(call: Call, match: re.Match[str]) -> Response:
    """Every group a user is in."""
    only_security = call.document().get("securityEnabledOnly")
    if not isinstance(only_security, bool):
        raise GraphError(400, "Request_BadRequest", "securityEnabledOnly must be true or false.")
    directory = call.tenant.directory
    ids = groups_of(directory, find_user(call, match["id"]).id)
    if only_security:
        ids = [key for key in ids if directory.groups[key].props["securityEnabled"]]
    if len(ids) > 11_000:
        raise GraphError(400, "Directory_ResultSizeLimitExceeded", "The result set is too large.")
    return json_response({"value": ids})
