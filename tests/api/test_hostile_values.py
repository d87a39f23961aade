"""What no database takes (NUL, half surrogates, numbers beyond 64 bits) is refused at every door, and is no error of ours."""

from __future__ import annotations

import re
from pathlib import Path
from urllib.parse import urlencode

import pytest

import portal
from tests.templates import migrate

NOWHERE = "00000000-0000-0000-0000-000000000000"
HUGE = "9" * 40
# Every name that some page asks a query or a form for, and those of lists.
NAMES = sorted(
    {
        name
        for path in Path(portal.__file__).parent.rglob("*.py")
        for name in re.findall(
            r'request\.(?:form|args)\.get(?:list)?\(\s*"(\w+)"', path.read_text(encoding="utf-8")
        )
    }
    | {"q", "sort", "page", "per_page", "name", "email", "token"}
)
LEAVES = re.compile("/logout|/account/sessions|/openapi|/login|/setup")


def rules(app, method):
    """(address, the same with the ids of something that is there)."""
    for rule in sorted(app.url_map.iter_rules(), key=lambda one: one.rule):
        if method in rule.methods and rule.endpoint != "static" and not LEAVES.search(rule.rule):
            yield re.sub(r'<any\("([^"]+)"[^>]*>', r"\1", rule.rule)


def filled(path, organization_id, value=""):
    path = path.replace("<organization_id>", organization_id)
    return re.sub(r"<(?:[^:>]+:)?[^>]+>", value or NOWHERE, path)


@pytest.fixture
def database_url(postgres_copy):
    """The stricter of the two; test_fuzzing.py asks both."""
    return postgres_copy("prepared", migrate)


@pytest.fixture
def organization(api):
    return api.made("/organizations", {"name": "Reef"})["id"]


@pytest.mark.parametrize("value", ["a\x00b", HUGE], ids=["nul", "huge"])
def test_a_query_that_no_database_takes_is_no_error(app, api, person, organization, value):
    for path in rules(app, "GET"):
        to = filled(path, organization)
        if path.startswith("/api/v1/"):
            for name in ("q", "page", "per_page", "sort", "user", "bom"):
                status, answer = api("GET", to.removeprefix("/api/v1"), query_string={name: value})
                assert status < 500, (path, name, answer)
                assert "\x00" not in value or status in {404, 422}, (path, name)
        else:
            answer = person.get(to, query_string=dict.fromkeys(NAMES, value))
            assert answer.status_code < 500, (path, answer.text[:300])
            assert "\x00" not in value or answer.status_code in {302, 303, 404, 422}, path
    assert len(NAMES) > 25


@pytest.mark.parametrize("value", ["a\x00b", HUGE, "\ud800"], ids=["nul", "huge", "half"])
def test_a_form_that_no_database_takes_is_no_error(app, person, organization, value):
    checked = 0
    for path in rules(app, "POST"):
        if path.startswith("/api/"):
            continue
        text = value.encode("utf-8", "surrogatepass")
        for data in (dict.fromkeys(NAMES, text), {"id": [text, text], f"ends_{NOWHERE}": text}):
            answer = person.post(
                filled(path, organization),
                data=urlencode(data, doseq=True),
                content_type="application/x-www-form-urlencoded",
            )
            assert answer.status_code < 500, (path, data, answer.text[:300])
            if "\x00" in value:
                assert answer.status_code in {404, 422}, path
            checked += 1
    assert checked > 60


@pytest.mark.parametrize(
    "value", ["a\x00b", "\ud800", -int(HUGE), 1e300], ids=["nul", "half", "huge", "float"]
)
def test_a_document_that_no_database_takes_is_no_error(app, api, organization, value):
    checked, openapi = 0, api("GET", "/openapi.json")[1]
    for method in ("POST", "PUT", "PATCH"):
        for path in rules(app, method):
            if not path.startswith("/api/v1/"):
                continue
            to = filled(path, organization).removeprefix("/api/v1")
            documented = re.sub(r"<(?:[^:>]+:)?([^>]+)>", r"{\1}", path.removeprefix("/api/v1"))
            fields = _fields(openapi["paths"][documented][method.lower()], openapi)
            bodies = (
                [{name: value} for name in fields] if "organization_id" in path or "<" not in path else []
            )
            for body in (*bodies, dict.fromkeys(fields, value), [value]):
                status, answer = api(method, to, body)
                assert status < 500, (method, path, body, answer)
                checked += 1
    assert checked > 60


def _fields(document, whole):
    schema = document.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    while "$ref" in schema:
        found = whole
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return list(schema.get("properties", {}))


@pytest.mark.parametrize("value", ["%00", HUGE, "%ED%A0%80", "a" * 300], ids=["nul", "huge", "half", "long"])
def test_an_address_that_no_database_takes_is_nobodys(app, api, person, organization, value):
    for path in rules(app, "GET"):
        if "<" not in path:
            continue
        to = filled(path, NOWHERE, value)
        answer = api.raw("GET", to.removeprefix("/api/v1")) if path.startswith("/api/v1/") else person.get(to)
        assert answer.status_code < 500, (path, answer.text[:300])
