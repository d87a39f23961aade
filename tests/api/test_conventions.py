import pytest

NOWHERE = "00000000-0000-0000-0000-000000000000"


def test_without_a_token_401_says_bearer(as_role):
    answer = as_role(None).raw("GET", "/organizations")
    assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
    assert answer.content_type == "application/problem+json"
    assert set(answer.get_json()) >= {"type", "title", "status", "detail"}


def test_a_wrong_or_revoked_token_is_401(app, as_role):
    assert as_role(None)("GET", "/tenants", headers={"Authorization": "Bearer rc_nonsense"})[0] == 401
    assert as_role(None)("GET", "/tenants", headers={"Authorization": "Basic x"})[0] == 401


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/organizations"),
        ("DELETE", f"/organizations/{NOWHERE}"),
        ("POST", "/microsoft-tenants"),
        ("PUT", f"/organizations/{NOWHERE}/user-sync"),
        ("POST", f"/sync-runs/{NOWHERE}/held/apply"),
    ],
)
def test_a_technician_may_not_do_what_administrators_do(as_role, method, path):
    assert as_role("technician")(method, path, {})[0] == 403


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", f"/organizations/{NOWHERE}/end-users"),
        ("DELETE", f"/organizations/{NOWHERE}/user-sync"),
        ("PUT", f"/tenants/{NOWHERE}/microsoft-tenant"),
        ("POST", f"/organizations/{NOWHERE}/user-sync/runs"),
        ("POST", f"/conflicts/{NOWHERE}/resolve"),
        ("POST", f"/sync-runs/{NOWHERE}/undo"),
    ],
)
def test_read_only_may_write_nothing_and_technicians_may(as_role, method, path):
    assert as_role("read-only")(method, path, {})[0] == 403
    assert as_role("technician")(method, path, {})[0] == 404


def test_read_only_may_preview(as_role):
    assert as_role("read-only")("POST", f"/organizations/{NOWHERE}/user-sync/preview", {})[0] == 404


@pytest.mark.parametrize(
    "path",
    [
        "/nothing",
        "/organizations/x/y/z",
        f"/end-users/{NOWHERE}",
        f"/sync-runs/{NOWHERE}",
        "/organizations/" + "x" * 500,
    ],
)
def test_unknown_addresses_and_ids_are_404_problems(api, path):
    answer = api.raw("GET", path)
    assert (answer.status_code, answer.content_type) == (404, "application/problem+json")


def test_a_wrong_method_is_a_405_problem_that_says_which(api):
    answer = api.raw("PATCH", "/organizations")
    assert (answer.status_code, answer.content_type) == (405, "application/problem+json")
    assert {"GET", "POST"} <= {m.strip() for m in answer.headers["Allow"].split(",")}


@pytest.mark.parametrize("body", [b"{", b"[1", b"\xff\xfe", b"nul", b'{"name": NaN}', b'{"name": -Infinity}'])
def test_malformed_json_is_400(api, body):
    assert api("POST", "/organizations", data=body, content_type="application/json")[0] == 400


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "name"),
        ({"name": 5}, "name"),
        ({"name": ""}, "name"),
        ({"name": "x" * 300}, "name"),
        ({"name": "a", "color": 1}, "color"),
        ({"name": "a", "tenant_id": "nobody"}, "tenant_id"),
        ({"name": "a\x00b"}, "body"),
        ({"name": "a\ud83db"}, "body"),
        ({"\udc00": 1}, "body"),
        ([], "body"),
    ],
)
def test_each_bad_field_is_named(api, body, field):
    status, document = api(
        "POST", "/organizations", data=__import__("json").dumps(body), content_type="application/json"
    )
    assert (status, list(document["errors"])) == (422, [field])


@pytest.mark.parametrize(
    "query", ["per_page=501", "per_page=0", "page=x", "sort=colour", "color=red", "q=a%00b"]
)
@pytest.mark.parametrize(
    "path", ["/organizations", "/tenants", "/microsoft-tenants", "/sync-runs", "/audit-events"]
)
def test_bad_list_parameters_are_422(api, path, query):
    status, document = api("GET", f"{path}?{query}")
    assert status == 422 and document["errors"]


def test_O2_lists_page_search_and_sort(api):
    for name in ("Beta", "alpha", "Gamma"):
        api.made("/organizations", {"name": name})
    status, page = api("GET", "/organizations?per_page=2&sort=-name")
    assert (status, [o["name"] for o in page["items"]]) == (200, ["Gamma", "Beta"])
    assert (page["total"], page["page"], page["per_page"]) == (3, 1, 2)
    assert [o["name"] for o in api("GET", "/organizations?q=ALP")[1]["items"]] == ["alpha"]
    assert [o["name"] for o in api("GET", "/organizations?page=2&per_page=2&sort=name")[1]["items"]] == [
        "Gamma"
    ]


@pytest.mark.parametrize(
    "path", ["/organizations", "/audit-events", "/organizations/{id}/end-users", "/organizations/{id}/assets"]
)
def test_a_page_past_the_end_is_empty(api, path):
    """A program that reads until nothing comes must come to an end."""
    organization = api.made("/organizations", {"name": "Reef"})["id"]
    api.made(f"/organizations/{organization}/end-users", {"display_name": "Nemo"})
    api.made(f"/organizations/{organization}/assets", {"name": "NB-1"})
    status, document = api("GET", f"{path.format(id=organization)}?page=7&per_page=1")
    assert (status, document["items"], document["page"]) == (200, [], 7) and document["total"] >= 1


@pytest.mark.parametrize("query", ["q=%ff%fe", "q=%25_%5C"])
@pytest.mark.parametrize(
    "path",
    [
        "/organizations",
        "/tenants",
        "/microsoft-tenants",
        "/sync-runs",
        "/audit-events",
        "/organizations/{id}/end-users",
        "/organizations/{id}/assets",
        "/organizations/{id}/conflicts",
        "/organizations/{id}/exceptions",
    ],
)
def test_any_search_text_is_only_searched_for(api, path, query):
    organization = api.made("/organizations", {"name": "Reef"})["id"]
    status, document = api("GET", f"{path.format(id=organization)}?{query}")
    assert (status, document["items"]) == (200, [])


@pytest.mark.parametrize(
    "path",
    [
        "/organizations/%00",
        "/end-users/a%00b",
        "/sync-runs/%ed%a0%80",
        "/sync-runs?organization_id=%00",
        "/organizations/{id}/assets?end_user_id=%00",
    ],
)
def test_an_id_that_no_database_takes_is_nobodys(api, path):
    organization = api.made("/organizations", {"name": "Reef"})["id"]
    status, document = api("GET", path.format(id=organization))
    assert status in {404, 422}, document


def test_O2_openapi_lists_every_route_with_its_role(app, as_role):
    status, document = as_role(None)("GET", "/openapi.json")
    assert (status, document["openapi"]) == (200, "3.1.0")
    routes = {r.rule for r in app.url_map.iter_rules() if r.rule.startswith("/api/v1")}
    assert len(document["paths"]) == len(routes)
    assert document["paths"]["/organizations"]["post"]["requestBody"]["content"]["application/json"][
        "schema"
    ] == {"$ref": "#/components/schemas/NewOrganization"}
    for operations in document["paths"].values():
        for operation in operations.values():
            assert operation["summary"] and operation["responses"]


def test_O2_openapi_names_every_parameter_that_a_list_takes(api):
    paths = api("GET", "/openapi.json")[1]["paths"]

    def parameters(path, method="get"):
        return {p["name"]: p for p in paths[path][method]["parameters"]}

    people = parameters("/organizations/{organization_id}/end-users")
    assert set(people) == {
        "organization_id",
        "q",
        "sort",
        "page",
        "per_page",
        "microsoft_status",
        "licensed",
        "mfa",
        "source",
        "in_scope",
    }
    assert people["microsoft_status"]["schema"]["enum"] == ["active", "disabled", "none", "not_disabled"]
    assert "-email" in people["sort"]["schema"]["enum"]
    assert {"organization_id", "status"} <= set(parameters("/sync-runs"))
    assert "taken" in parameters("/microsoft-tenants/{microsoft_tenant_id}/coverage")
    assert parameters("/organizations/{organization_id}/user-sync/explain")["user"]["required"]
    assert {"page", "per_page"} <= set(
        parameters("/organizations/{organization_id}/user-sync/preview", "post")
    )
    assert (
        "text/csv"
        in paths["/organizations/{organization_id}/end-users.csv"]["get"]["responses"]["200"]["content"]
    )
    assert {"200", "202", "401", "403", "404", "409", "422", "503"} <= set(
        paths["/sync-runs/{run_id}/undo"]["post"]["responses"]
    )
    assert "404" not in paths["/sync-runs"]["get"]["responses"]


def test_O4_what_the_api_changes_is_in_the_audit_log(api):
    api.made("/organizations", {"name": "Reef"})
    event = api("GET", "/audit-events?action=organization_created")[1]["items"][0]
    assert (event["actor"], event["source"], event["detail"]) == (
        "token test administrator",
        "api",
        {"name": "Reef"},
    )
    assert event["at"].endswith("Z")
