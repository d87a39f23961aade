"""Every route names its permission, and every route × role is proven."""

import re

import pytest

from portal.http import access
from portal.http.access import PUBLIC, required_role
from portal.models import Role

NOWHERE = "00000000-0000-0000-0000-000000000000"


def routes(app):
    for rule in sorted(app.url_map.iter_rules(), key=lambda r: r.rule):
        if rule.endpoint == "static" or rule.rule.startswith("/api/"):
            continue
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
            path = re.sub(r'<any\("([^"]+)"[^>]*>', r"\1", rule.rule)
            yield method, re.sub(r"<(?:[^:>]+:)?[^>]+>", NOWHERE, path), rule.endpoint


def test_every_route_names_its_permission(app):
    unmarked = [rule.rule for rule in app.url_map.iter_rules() if required_role(app, rule.endpoint) is None]
    assert unmarked == []


def test_an_unmarked_route_is_refused(app):
    app.add_url_rule("/forgotten", "forgotten", lambda: "x")
    app.config["PROPAGATE_EXCEPTIONS"] = False
    assert app.test_client().get("/forgotten").status_code == 500


def test_changing_routes_are_never_public_but_for_signing_in(app):
    public = {
        path
        for method, path, endpoint in routes(app)
        if method != "GET" and required_role(app, endpoint) == PUBLIC
    }
    assert public == {
        "/login",
        "/logout",
        "/setup",
        f"/invitations/{NOWHERE}",
        f"/invitations/{NOWHERE}/microsoft",
        "/login/microsoft/code",
    }


@pytest.mark.parametrize("role", [None, *Role])
def test_every_route_for_every_role(app, client_as, role):
    client = client_as(role) if role else app.test_client()
    checked = 0
    for method, path, endpoint in routes(app):
        needed = required_role(app, endpoint)
        if endpoint == "auth.logout" or "/account/sessions" in path:
            continue
        send = client.get if method == "GET" else (client.send if role else client.post)
        status = send(path).status_code
        if needed == PUBLIC:
            assert status not in {401, 403}, (method, path)
        elif role is None:
            assert status in {303, 400}, (
                method,
                path,
                status,
            )  # to the sign-in page; a POST without a token goes nowhere
        elif role.rank < Role(needed).rank:
            assert status == 403, (method, path, status)
        else:
            assert status not in {401, 403, 500}, (method, path, status)
        checked += 1
    assert checked > 80


def test_the_forbidden_page_says_who_may(client_as):
    answer = client_as(Role.READ_ONLY).get("/settings/people")
    assert answer.status_code == 403
    assert "Your role is Read-only." in answer.text and access.ROLE_NAMES[Role.ADMINISTRATOR] in answer.text
