"""What the OpenAPI document says is declared by the routes, complete, and held to (O2)."""

import jsonschema_rs
import pytest
from pydantic import BaseModel

from portal.api import declaration, openapi, schema
from portal.api.blueprint import bp
from portal.http.access import public
from portal.http.listing import ListSpec


@pytest.fixture
def document(app):
    return openapi.document(app)


@pytest.fixture
def database_url(prepared):
    return prepared("sqlite")  # nothing here asks a database for more


class Fish(schema.Request):
    """A fish."""

    name: str


def operations(document):
    return [
        (path, method, one) for path, methods in document["paths"].items() for method, one in methods.items()
    ]


def test_every_route_declares_itself(app):
    views = {rule.endpoint for rule in app.url_map.iter_rules() if rule.rule.startswith("/api/v1/")}
    assert len(views) > 50
    for endpoint in views:
        assert declaration.declaration_of(app, endpoint).tag.name, endpoint


def test_a_route_that_declares_nothing_is_named(app):
    app.add_url_rule("/api/v1/forgotten", "forgotten", public(lambda: "x"))
    with pytest.raises(RuntimeError, match=r"forgotten.*@documented"):
        openapi.document(app)


@pytest.mark.parametrize(
    "view",
    [
        lambda: schema.body(schema.Request),
        lambda: schema.list_query(ListSpec({}, "")),
        lambda: schema.answer({"openapi": "3.1.0"}, 201),
        lambda: schema.answer({}, 204),
    ],
    ids=["another body", "another query", "another status", "a document with 204"],
)
def test_a_view_is_held_to_what_it_declares(app, view):
    documented = declaration.documented_as(declaration.Tag("Fish", "Fish."))
    app.add_url_rule(
        "/api/v1/fish",
        "fish",
        documented(body=Fish, query=schema.PAGES, answer=Fish)(public(view)),
        methods=["POST"],
    )
    with (
        app.test_request_context("/api/v1/fish", method="POST", json={"name": "Nemo"}),
        pytest.raises(RuntimeError, match="fish"),
    ):
        view()


def test_an_answer_that_fits_no_description_is_given_and_told_to_the_log(app, caplog):
    documented = declaration.documented_as(declaration.Tag("Fish", "Fish."))
    app.add_url_rule(
        "/api/v1/fish", "fish", documented(answer=Fish)(public(lambda: schema.answer({"name": 7})))
    )
    answer = app.test_client().get("/api/v1/fish")
    assert (answer.status_code, answer.get_json()) == (200, {"name": 7})
    assert "action=undescribed_answer endpoint=fish fields=['name']" in caplog.text


def test_the_document_is_valid_openapi_json_schema_and_examples_fit(document):
    components = {"components": document["components"]}
    checked = 0
    for name, found in document["components"]["schemas"].items():
        jsonschema_rs.meta.validate({**found, "$schema": "https://json-schema.org/draft/2020-12/schema"})
        assert found.get("description"), f"{name} says not what it is"
        for field, one in found.get("properties", {}).items():
            assert one.get("description") or "$ref" in one, f"{name}.{field} says not what it is"
            fits = jsonschema_rs.Draft202012Validator({**one, **components}, validate_formats=True)
            examples = one.get("examples", [])
            assert examples or "$ref" in str(one), f"{name}.{field} shows no example"
            for example in examples:
                fits.validate(example)
                checked += 1
    assert checked > 250


def test_names_are_good_method_names_and_each_is_one(document):
    names = [one["operationId"] for _, _, one in operations(document)]
    assert len(set(names)) == len(names) > 50
    verbs = {
        "get",
        "list",
        "create",
        "add",
        "change",
        "delete",
        "remove",
        "export",
        "import",
        "undo",
        "unlink",
        "connect",
        "check",
        "map",
        "unmap",
        "put",
        "disable",
        "preview",
        "explain",
        "sync",
        "apply",
        "dismiss",
        "resolve",
        "reopen",
        "set",
    }
    assert {name.partition("_")[0] for name in names} <= verbs
    tags = {tag["name"] for tag in document["tags"]}
    assert all(set(one["tags"]) <= tags for _, _, one in operations(document))


def test_statuses_and_security_are_declared(document):
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
    for path, method, one in operations(document):
        statuses = set(one["responses"])
        good = {status for status in statuses if status < "300"}
        assert good and "default" not in statuses, (path, method)
        is_public = one.get("security") == []
        assert ("401" in statuses) is not is_public
        assert ("404" in statuses) is ("{" in path)
        assert {"400", "413", "422"} <= statuses or "requestBody" not in one
        for status in statuses - good:
            assert one["responses"][status]["content"]["application/problem+json"]["schema"] == {
                "$ref": "#/components/schemas/Problem"
            }
    tenants = document["paths"]["/tenants"]
    assert {"201", "400", "401", "403", "409", "413", "422", "500", "503"} == set(
        tenants["post"]["responses"]
    )
    assert {"200", "401", "422", "500", "503"} == set(tenants["get"]["responses"])
    assert "204" in document["paths"]["/tenants/{tenant_id}"]["delete"]["responses"]
    assert {"200", "202"} <= set(document["paths"]["/sync-runs/{run_id}/undo"]["post"]["responses"])
    assert "202" in document["paths"]["/organizations/{organization_id}/user-sync/runs"]["post"]["responses"]


def test_answers_are_documents(document):
    for path, method, one in operations(document):
        for status, answer in one["responses"].items():
            for media, content in answer.get("content", {}).items():
                found = content["schema"]
                assert media == "text/csv" or "$ref" in found or "anyOf" in found, (path, method, status)
    people = document["paths"]["/organizations/{organization_id}/end-users"]["get"]["responses"]["200"][
        "content"
    ]["application/json"]["schema"]
    assert people == {"$ref": "#/components/schemas/EndUserList"}
    schemas = document["components"]["schemas"]
    assert schemas["EndUserList"]["properties"]["items"]["items"] == {"$ref": "#/components/schemas/EndUser"}
    # What comes later must not break a program, and what may be missing is told from what may be null.
    assert "additionalProperties" not in schemas["EndUser"] and set(schemas["EndUser"]["required"]) == set(
        schemas["EndUser"]["properties"]
    )
    assert schemas["NewOrganization"]["additionalProperties"] is False


def test_filters_and_sorts_have_types_and_names(document):
    found = {
        one["name"]: one["schema"]
        for one in document["paths"]["/organizations/{organization_id}/end-users"]["get"]["parameters"]
    }
    assert found["licensed"] == {"type": "boolean"}
    assert found["per_page"] == {"type": "integer", "minimum": 1, "maximum": 500, "default": 50}
    sort = found["sort"]
    assert dict(zip(sort["enum"], sort["x-enum-varnames"], strict=True))["-email"] == "EMAIL_DESCENDING"
    assert sort["default"] == "name"


def test_the_document_is_served_without_a_token(as_role, document):
    assert as_role(None)("GET", "/openapi.json") == (200, document)


def test_two_documents_of_one_name_are_refused():
    class Tenant(BaseModel):
        """Another one."""

    from portal.api.documents import tenants

    with pytest.raises(RuntimeError, match="Tenant"):
        openapi._schemas([(Tenant, "serialization"), (tenants.Tenant, "serialization")])


def test_the_blueprint_holds_every_route_of_the_api(app):
    own = {
        rule.endpoint.partition(".")[0]
        for rule in app.url_map.iter_rules()
        if rule.rule.startswith("/api/v1/")
    }
    assert own == {bp.name}
