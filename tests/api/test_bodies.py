"""Request bodies are taken whole or refused: never cut, and never so large or deep that they cost others their time."""

from __future__ import annotations

import io
import json

import pytest

from portal.http import request_body

LIMIT = 64 * 1024


@pytest.fixture(params=["sqlite"])
def database_url(request, prepared):
    return prepared(request.param)


@pytest.fixture
def small(monkeypatch, app):
    monkeypatch.setattr(request_body, "MOST_BYTES", LIMIT)
    monkeypatch.setattr(request_body, "MOST_FORM_BYTES", LIMIT)
    app.config["MAX_CONTENT_LENGTH"] = LIMIT


@pytest.fixture
def organization(api):
    return api.made("/organizations", {"name": "Reef"})["id"]


def chunked(api, path, data, **more):
    """As a server gives a chunked body: no length, and an end that only reading finds."""
    return api.raw(
        "POST",
        path,
        input_stream=io.BytesIO(data),
        environ_overrides={"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"},
        **more,
    )


def people(size):
    rows = ["display_name,email\n"]
    while sum(map(len, rows)) < size - 60:
        rows.append(f"Person {len(rows)},p{len(rows)}@x.example\n")
    return "".join(rows), len(rows) - 1


def test_a_chunked_file_is_taken_whole(api, small, organization):
    text, number = people(LIMIT)
    data = text.encode().ljust(LIMIT, b"\n")
    assert len(data) == LIMIT
    answer = chunked(api, f"/organizations/{organization}/end-users/import", data, content_type="text/csv")
    assert answer.status_code == 200, answer.text
    assert api("GET", f"/organizations/{organization}/end-users")[1]["total"] == number


def test_a_chunked_file_over_the_limit_is_refused_and_nothing_of_it_stays(api, small, organization):
    data = people(2 * LIMIT)[0].encode()
    answer = chunked(api, f"/organizations/{organization}/end-users/import", data, content_type="text/csv")
    assert answer.status_code == 413
    assert answer.content_type == "application/problem+json"
    assert api("GET", f"/organizations/{organization}/end-users")[1]["total"] == 0


def test_a_file_over_the_limit_is_refused_by_its_length(api, small, organization):
    status, problem = api("POST", f"/organizations/{organization}/end-users/import", data=b"x" * (LIMIT + 1))
    assert (status, problem["detail"]) == (413, "The request is too large: at most 0 MB.")


def test_a_body_that_ends_early_is_refused(api, organization):
    answer = api.raw(
        "POST",
        f"/organizations/{organization}/end-users/import",
        data=b"display_name\nAn",
        environ_overrides={"CONTENT_LENGTH": "100"},
    )
    assert answer.status_code == 400
    assert api("GET", f"/organizations/{organization}/end-users")[1]["total"] == 0


def nested(depth, kind):
    opening, closing = {"list": ("[", "]"), "object": ('{"a":', "}")}[kind]
    return f'{{"name": {opening * depth}1{closing * depth}}}'.encode()


@pytest.mark.parametrize("kind", ["list", "object"])
@pytest.mark.parametrize("depth", [40, 900, 5_000, 100_000])
def test_a_deep_document_is_refused(api, depth, kind):
    status, problem = api("POST", "/organizations", data=nested(depth, kind), content_type="application/json")
    assert status in {400, 422}, problem


@pytest.mark.parametrize(
    "document",
    [
        {f"u{number}": number for number in range(60_000)},
        {"name": {f"u{number}": number for number in range(60_000)}},
        {"name": list(range(200_000))},
    ],
    ids=["names", "deeper", "values"],
)
def test_a_document_of_too_many_values_is_refused_in_one_sentence(api, document):
    status, problem = api("POST", "/organizations", document)
    assert (status, problem["detail"]) == (422, "At most 50,000 names and values at once.")


def test_of_many_wrong_fields_some_are_named(api):
    status, problem = api("POST", "/organizations", {f"unknown {number}": 1 for number in range(10_000)})
    assert status == 422
    assert len(problem["errors"]) == 20
    assert len(json.dumps(problem)) < 10_000


def test_a_document_is_smaller_than_a_file(api, monkeypatch):
    monkeypatch.setattr(request_body, "MOST_FORM_BYTES", 1000)
    assert api("POST", "/organizations", {"name": "x" * 1000})[0] == 413


@pytest.mark.parametrize(
    ("text", "status", "advice"),
    [
        ("name = [" + "[" * 40 + "]" * 40 + "]", 422, "32 levels deep"),
        ("name = " + "[" * 100_000, 422, "cannot be read"),
        ("\n".join(f"u{number} = 1" for number in range(30_000)), 422, "At most 50,000"),
        ("#" * (4 * 1024 * 1024 + 1), 413, "at most 4 MB"),
        ('[[organizations]]\nname = "a\\u0000b"', 422, "NUL"),
    ],
    ids=["deep", "deeper", "names", "bytes", "nul"],
)
def test_toml_has_the_limits_of_json(api, text, status, advice):
    found, problem = api("POST", "/apply?dry_run=true", data=text.encode(), content_type="application/toml")
    assert (found, advice in problem["detail"]) == (status, True), problem


def test_of_many_wrong_entries_of_a_file_some_are_named(api):
    text = "".join(f"u{number} = 1\n" for number in range(5_000))
    status, problem = api("POST", "/apply?dry_run=true", data=text.encode(), content_type="application/toml")
    assert (status, len(problem["errors"])) == (422, 200)


@pytest.mark.parametrize(
    ("data", "advice"),
    [(b"&".join([b"a="] * 20_002), "too many fields"), (b"a=" + b"x" * (4 * 1024 * 1024), "at most 4 MB")],
    ids=["fields", "bytes"],
)
def test_a_form_has_its_limits_too(app, data, advice):
    answer = app.test_client().post("/login", data=data, content_type="application/x-www-form-urlencoded")
    assert answer.status_code == 413
    assert advice in answer.text


def test_a_chunked_form_is_read(app):
    app.config["WTF_CSRF_ENABLED"] = False
    answer = app.test_client().post(
        "/login",
        input_stream=io.BytesIO(b"email=nobody%40x.example&password="),
        content_type="application/x-www-form-urlencoded",
        environ_overrides={"wsgi.input_terminated": True},
    )
    assert answer.status_code == 422
    assert "nobody@x.example" in answer.text
