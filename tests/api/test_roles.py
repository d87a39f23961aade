"""The roles, written out: every route of the API × anonymous, read-only, technician, administrator."""

from __future__ import annotations

import re

import pytest

NOWHERE = "00000000-0000-0000-0000-000000000000"
PREFIX = "/api/v1"

# "technician also edits and deletes End Users and Assets, imports, makes exceptions, runs a sync now, settles conflicts, disables a
# sync, renames, maps, unmaps, remaps, checks connections, recovers and undoes"
TECHNICIAN = {
    ("POST", "/organizations/{}/end-users"), ("PATCH", "/end-users/{}"), ("DELETE", "/end-users/{}"),
    ("POST", "/end-users/{}/unlink"),
    ("POST", "/organizations/{}/assets"), ("PATCH", "/assets/{}"), ("DELETE", "/assets/{}"),
    ("POST", "/organizations/{}/end-users/import"), ("POST", "/organizations/{}/assets/import"),
    ("POST", "/imports/{}/undo"),
    ("POST", "/organizations/{}/user-sync/runs"), ("POST", "/conflicts/{}/resolve"), ("POST", "/conflicts/{}/reopen"),
    ("DELETE", "/organizations/{}/user-sync"), ("POST", "/sync-runs/{}/undo"),
    ("PATCH", "/tenants/{}"), ("PUT", "/tenants/{}/microsoft-tenant"), ("DELETE", "/tenants/{}/microsoft-tenant"),
    ("PATCH", "/organizations/{}"),  # R1: assigning it to another Tenant is a step of the recovery
    ("POST", "/microsoft-tenants/{}/check"),  # the troubleshooting flow begins with it
    ("POST", "/organizations/{}/exceptions"), ("DELETE", "/exceptions/{}"),  # P14: about single people
}  # fmt: skip
# "the rest (connecting, enabling and editing a sync, people, tokens, settings, applying a hold)"
ADMINISTRATOR = {
    ("POST", "/microsoft-tenants"), ("DELETE", "/microsoft-tenants/{}"), ("POST", "/microsoft-tenants/{}/customers/check"),
    ("POST", "/tenants"), ("DELETE", "/tenants/{}"),
    ("POST", "/organizations"), ("DELETE", "/organizations/{}"),
    ("PUT", "/organizations/{}/user-sync"), ("POST", "/user-syncs/bulk"), ("POST", "/apply"),
    ("POST", "/filter-templates"), ("PATCH", "/filter-templates/{}"), ("DELETE", "/filter-templates/{}"),
    ("POST", "/sync-runs/{}/held/apply"), ("POST", "/sync-runs/{}/held/dismiss"),
}  # fmt: skip
WRITES_NOTHING = {("POST", "/organizations/{}/user-sync/preview")}
PUBLIC = {("GET", "/openapi.json")}
RANKS = {None: 0, "read-only": 1, "technician": 2, "administrator": 3}


def needed(method: str, path: str) -> int:
    if (method, path) in PUBLIC:
        return 0
    if (method, path) in TECHNICIAN:
        return 2
    return 3 if (method, path) in ADMINISTRATOR else 1


def routes(app):
    for rule in app.url_map.iter_rules():
        if rule.rule.startswith(PREFIX):
            path = re.sub(r"<[^>]+>", "{}", rule.rule.removeprefix(PREFIX))
            for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
                yield method, path


def test_whatever_is_no_get_has_its_place_in_the_table(app):
    changing = {(method, path) for method, path in routes(app) if method != "GET"}
    assert changing == TECHNICIAN | ADMINISTRATOR | WRITES_NOTHING


@pytest.mark.parametrize("role", RANKS)
def test_every_route_for_every_role(app, as_role, role):
    api, checked = as_role(role), 0
    for method, path in routes(app):
        status = api(method, path.replace("{}", NOWHERE), None if method == "GET" else {})[0]
        if RANKS[role] >= needed(method, path):
            assert status not in {401, 403, 500}, (method, path, status)
        else:
            assert status == (401 if role is None else 403), (method, path, status)
        checked += 1
    assert checked > 40
