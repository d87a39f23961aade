"""Delta queries for users and groups (docs/microsoft-graph.md, 3 and 4.3)."""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

from simulator.calls import Call, Mark, route
from simulator.cursors import Cursor
from simulator.graph_groups import GROUP_READERS, GROUPS, can_see_members
from simulator.graph_users import READERS, USERS
from simulator.messages import GraphError, Response, utc_now
from simulator.objects import Group, Props, User
from simulator.odata import bad_query
from simulator.paging import page_of, resume

LIFE = timedelta(days=7)
MEMBERS_PER_ENTRY = 200
_REFUSED = ("$top", "$count", "$orderby", "$search", "$expand", "$skip")
_IDS = re.compile(r"^\s*id\s+eq\s+'?([0-9a-fA-F-]{36})'?\s*$", re.IGNORECASE)


def _token(call: Call, mark: Mark) -> str:
    token = "oEcOySpF_" + secrets.token_urlsafe(40)
    call.marks[token] = mark
    return token


def _delta_link(call: Call, mark: Mark) -> str:
    return f"{call.base}/v1.0{mark.path}?$deltatoken={_token(call, mark)}"


def _expired(call: Call, options: Mapping[str, Any]) -> GraphError:
    code = str(options.get("code", "syncStateNotFound"))
    status = int(options.get("status", 410))
    headers = {}
    if options.get("location", status == 410):
        headers["Location"] = f"{call.base}/v1.0{call.path}?$deltatoken="
    return GraphError(
        status,
        code,
        "The sync state generation is not found; the data must be synchronized again.",
        headers,
    )


def _mark_of(call: Call) -> Mark | None:
    """The mark a request goes on from; None for a first round. Raises GraphError for one that is too old."""
    token = call.request.query.get("$deltatoken")
    if token in {None, "", "latest"}:
        return None
    for fault in call.faults.strike("delta", tenant=call.tenant.id, method="GET", path=call.path):
        raise _expired(call, fault.options)
    mark = call.marks.get(token)
    if (
        mark is None
        or mark.tenant_id != call.tenant.id
        or mark.path != call.path.lower()
        or mark.epoch != call.tenant.delta_epoch
        or utc_now() - mark.made_at > LIFE
    ):
        raise _expired(call, {})
    return mark


def _check(call: Call) -> None:
    """Refuse what delta does not support, and anything appended to a link."""
    query = call.request.query
    if call.tenant.is_b2c:
        raise bad_query("Change enumeration is not supported for requested tenant.")
    for name in _REFUSED:
        if name in query:
            raise bad_query(f"The query option '{name}' is not supported for delta queries.")
    if "$skiptoken" in query or query.get("$deltatoken", "latest") not in {"latest", ""}:
        extra = set(query) - {"$skiptoken", "$deltatoken"}
        if extra:
            raise bad_query(f"A delta link takes no further parameters: {', '.join(sorted(extra))}.")


def _ids(call: Call) -> frozenset[str]:
    text = call.request.query.get("$filter")
    if not text:
        return frozenset()
    matches = [_IDS.match(part) for part in re.split(r"\s+or\s+", text, flags=re.IGNORECASE)]
    ids = frozenset(match[1].lower() for match in matches if match)
    if len(ids) < len(matches) or len(matches) > 50:
        raise bad_query("A delta query filters by at most 50 ids only.")
    return ids


Entries = Callable[[Call, Mark | None, tuple[str, ...], frozenset[str]], list[Any]]
Render = Callable[[Call, tuple[str, ...]], Callable[[Any], Any]]


def _round(
    call: Call, kind: str, select: tuple[str, ...], entries: Entries, render: Render, size: int
) -> Response:
    """One page of a round: goes on with one, starts one from a token, or starts the first."""
    _check(call)
    if cursor := resume(call):
        return page_of(call, cursor)
    mark = _mark_of(call)
    log = call.tenant.directory.log
    tracked = mark.select if mark else select
    ids = mark.ids if mark else _ids(call)
    ending = Mark(
        call.tenant.id, call.tenant.delta_epoch, call.path.lower(), log.number, tracked, ids, utc_now()
    )
    is_latest = call.request.query.get("$deltatoken") == "latest"
    items = [] if is_latest else entries(call, mark, tracked, ids)
    return page_of(
        call,
        Cursor(
            call.tenant.id,
            call.path.lower(),
            items,
            render(call, tracked),
            f"{kind}({','.join(tracked)})/$delta" if tracked else f"{kind}/$delta",
            size,
            f"/v1.0{call.path}?",
            finish=lambda: {"@odata.deltaLink": _delta_link(call, ending)},
        ),
    )


@route("GET", "/users/delta", roles=READERS)
def users_delta(call: Call, _match: re.Match[str]) -> Response:
    """Changes of users, or all of them at first."""
    names = [name for name in call.selected if name != "manager"]
    if "signInActivity" in names:
        raise GraphError(
            400,
            "BadRequest",
            "Invalid request for delta query: for this entity set, $expand/$select is not supported for the "
            "following properties: signInActivity",
        )
    USERS.check(names)
    select = tuple(dict.fromkeys(names))
    return _round(call, "users", select, _user_entries, _user_render, call.world.delta_page_size)


def _user_entries(call: Call, mark: Mark | None, select: tuple[str, ...], ids: frozenset[str]) -> list[Any]:
    """(id, changed properties or None for all) of everybody a round tells about."""
    directory = call.tenant.directory
    if mark is None:
        every = [*directory.users, *directory.deleted, *directory.purged]
        return [(user_id, None) for user_id in every if not ids or user_id in ids]
    changed: dict[str, frozenset[str] | None] = {}
    for change in directory.log.users:
        if change.number <= mark.number or (ids and change.id not in ids):
            continue
        before = changed.get(change.id, frozenset())
        changed[change.id] = None if change.props is None or before is None else before | change.props
    # Changes of licenseAssignmentStates do not surface, tracked or not.
    tracked = frozenset(select or USERS.properties) - {"licenseAssignmentStates"}
    return [(key, props) for key, props in changed.items() if props is None or props & tracked]


def _user_render(call: Call, select: tuple[str, ...]) -> Callable[[Any], Any]:
    directory = call.tenant.directory
    is_minimal = "return=minimal" in call.request.headers.get("prefer", "").replace(" ", "").lower()

    def render(entry: tuple[str, frozenset[str] | None]) -> Props:
        user_id, changed = entry
        user: User | None = directory.users.get(user_id)
        if user is None:
            reason = "changed" if user_id in directory.deleted else "deleted"
            return {"id": user_id, "@removed": {"reason": reason}}
        props = user.props
        row: Props = {name: props[name] for name in select or props if name in props}
        if is_minimal and changed is not None:
            row = {name: value for name, value in row.items() if name in changed}
        row["id"] = user_id
        return row

    return render


@route("GET", "/groups/delta", roles=GROUP_READERS)
def groups_delta(call: Call, _match: re.Match[str]) -> Response:
    """Changes of groups and of their direct members."""
    names = call.selected
    GROUPS.check([name for name in names if name != "members"])
    select = tuple(dict.fromkeys(names))
    return _round(
        call, "groups", select, _group_entries, _group_render, max(1, call.world.delta_page_size // 10)
    )


def _group_entries(call: Call, mark: Mark | None, select: tuple[str, ...], ids: frozenset[str]) -> list[Any]:
    """Rows, big groups in several with parts of their members."""
    directory = call.tenant.directory
    wants_members = not select or "members" in select
    rows: list[Props] = []
    if mark is None:
        for group in directory.groups.values():
            if ids and group.id not in ids:
                continue
            members = [_member_row(kind, key, is_added=True) for key, kind in group.members.items()]
            rows.extend(_parts(call, group, members if wants_members else [], select))
        gone = [*directory.deleted_groups, *directory.purged_groups]
        return rows + [_group_gone(call, key) for key in gone if not ids or key in ids]
    changed: dict[str, frozenset[str] | None] = {}
    for change in directory.log.groups:
        if change.number > mark.number and (not ids or change.id in ids):
            before = changed.get(change.id, frozenset())
            changed[change.id] = None if change.props is None or before is None else before | change.props
    joined: dict[str, dict[str, Props]] = {}
    for member in directory.log.members:
        if wants_members and member.number > mark.number and (not ids or member.group_id in ids):
            row = _member_row(member.kind, member.member_id, is_added=member.is_added)
            joined.setdefault(member.group_id, {})[member.member_id] = row
    tracked = frozenset(select or GROUPS.properties)
    for key in dict.fromkeys([*changed, *joined]):
        record = directory.groups.get(key)
        if record is None:
            rows.append(_group_gone(call, key))
            continue
        props = changed.get(key, frozenset())
        if props is None and wants_members:
            everybody = {k: _member_row(kind, k, is_added=True) for k, kind in record.members.items()}
            joined[key] = {**everybody, **joined.get(key, {})}
        if key in joined or props is None or props & tracked:
            rows.extend(_parts(call, record, list(joined.get(key, {}).values()), select))
    return rows


def _member_row(kind: str, member_id: str, *, is_added: bool) -> Props:
    row: Props = {"@odata.type": f"#microsoft.graph.{kind}", "id": member_id}
    return row if is_added else {**row, "@removed": {"reason": "deleted"}}


def _group_gone(call: Call, group_id: str) -> Props:
    reason = "changed" if group_id in call.tenant.directory.deleted_groups else "deleted"
    return {"id": group_id, "@removed": {"reason": reason}}


def _parts(call: Call, group: Group, members: list[Props], select: tuple[str, ...]) -> list[Props]:
    base: Props = {name: group.props[name] for name in select or group.props if name in group.props}
    base["id"] = group.id
    if not members or not can_see_members(call, group):
        return [base]
    return [
        {**base, "members@delta": members[start : start + MEMBERS_PER_ENTRY]}
        for start in range(0, len(members), MEMBERS_PER_ENTRY)
    ]


def _group_render(_call: Call, _select: tuple[str, ...]) -> Callable[[Any], Any]:
    return lambda row: row
