import copy

import pytest

from portal.clock import utcnow
from portal.extensions import db
from portal.models import DirectoryGroup, EndUser, MicrosoftTenant, SyncException, SyncRun, new_id
from portal.models.customers import refresh_search
from tests.web import customers

ALL = {
    name: {"all": True, "values": []}
    for name in ("user_type", "domain", "office_location", "department", "group")
}


def filters(**sections):
    found = copy.deepcopy(ALL)
    for name, values in sections.items():
        found[name] = {"all": False, "values": values}
    return {"filters": found}


@pytest.fixture
def reef(api, microsoft_tenant):
    found = api.made("/organizations", {"name": "Reef"})
    api("PUT", f"/tenants/{found['tenant_id']}/microsoft-tenant", {"microsoft_tenant_id": microsoft_tenant})
    return found


def test_a_sync_that_was_never_set_up_shows_the_defaults(api, reef):
    status, document = api("GET", f"/organizations/{reef['id']}/user-sync")
    assert (status, document["status"], document["last_run"], document["filters"]) == (
        200,
        "not_set_up",
        None,
        ALL,
    )
    assert (document["hold"], document["add_disabled_accounts"], document["only_licensed"]) == (
        {"percent": 25, "minimum": 10},
        False,
        False,
    )
    assert document["include_agents"] is False


def test_enabling_needs_a_mapped_tenant(api):
    organization = api.made("/organizations", {"name": "Loose"})
    assert api("PUT", f"/organizations/{organization['id']}/user-sync", filters())[0] == 409


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "filters"),
        ({"filters": {}}, "filters.user_type"),
        (filters(department=[]), "filters.department"),
        ({**filters(), "hold": {"percent": 101}}, "hold.percent"),
        ({**filters(), "hold": {"minimum": -1}}, "hold.minimum"),
        ({**filters(), "hold": {"percent": "x"}}, "hold.percent"),
        ({**filters(), "only_licensed": "yes"}, "only_licensed"),
        ({**filters(), "include_agents": "yes"}, "include_agents"),
        ({**filters(), "color": 1}, "color"),
        (filters(group=["no-such-group"]), "filters.group"),
        ({"filters": {**ALL, "color": {"all": True}}}, "filters.color"),
    ],
)
def test_U3_each_bad_part_is_named_and_nothing_is_enabled(api, reef, body, field):
    status, document = api("PUT", f"/organizations/{reef['id']}/user-sync", body)
    assert status == 422 and field in document["errors"], document
    assert api("GET", f"/organizations/{reef['id']}/user-sync")[1]["status"] == "not_set_up"


def test_S8_agents_are_left_out_unless_the_sync_says_otherwise(api, reef):
    path = f"/organizations/{reef['id']}/user-sync"
    assert api("PUT", path, {**filters(), "include_agents": True})[1]["include_agents"] is True
    assert api("PUT", path, filters())[1]["include_agents"] is False


def test_U7_the_first_put_enables_and_queues_a_later_one_edits_and_starts_nothing(api, reef):
    path = f"/organizations/{reef['id']}/user-sync"
    status, document = api("PUT", path, filters(department=["Nobody has this"]))
    assert (status, document["status"], document["last_run"]["trigger"], document["last_run"]["status"]) == (
        200,
        "processing",
        "initial",
        "queued",
    )
    first = document["last_run"]["id"]
    status, document = api(
        "PUT", path, {**filters(user_type=["Member"]), "hold": {"percent": 50, "minimum": 5.0}}
    )
    assert (status, document["last_run"]["id"], document["hold"]["percent"]) == (200, first, 50)
    assert document["filters"]["user_type"] == {"all": False, "values": ["Member"]}


def test_T3_a_group_filter_takes_the_delayed_lane(app, api, reef, microsoft_tenant):
    with app.app_context():
        db.session.add(
            DirectoryGroup(microsoft_tenant_id=microsoft_tenant, object_id="g1", display_name="All staff")
        )
        db.session.commit()
    document = api("PUT", f"/organizations/{reef['id']}/user-sync", filters(group=["g1"]))[1]
    assert document["last_run"]["lane"] == "delayed"


def test_T5_sync_now_shows_the_run_that_is_there(api, enabled):
    path = f"/organizations/{enabled['id']}/user-sync/runs"
    status, run = api("POST", path)
    assert (status, run["trigger"], run["status"]) == (202, "manual", "queued")
    assert api("POST", path)[1]["id"] == run["id"]
    assert [r["id"] for r in api("GET", path)[1]["items"]] == [run["id"]]
    assert api("GET", f"/sync-runs?organization_id={enabled['id']}&status=queued")[1]["total"] == 1


def test_L5_disabling_cancels_what_waits_and_keeps_everybody(api, enabled):
    run = api("POST", f"/organizations/{enabled['id']}/user-sync/runs")[1]
    assert api("DELETE", f"/organizations/{enabled['id']}/user-sync")[0] == 204
    assert api("GET", f"/sync-runs/{run['id']}")[1]["status"] == "cancelled"
    assert api("GET", f"/organizations/{enabled['id']}/user-sync")[1]["status"] == "not_set_up"
    assert api("DELETE", f"/organizations/{enabled['id']}/user-sync")[0] == 404
    assert api("POST", f"/organizations/{enabled['id']}/user-sync/runs")[0] == 409


def test_options_preview_and_explain_answer_from_the_mirror(api, enabled):
    path = f"/organizations/{enabled['id']}/user-sync"
    status, options = api("GET", f"{path}/options")
    assert (status, set(options)) == (200, set(ALL))
    status, preview = api("POST", f"{path}/preview", filters())
    assert (status, preview["total"], preview["counts"]["read"]) == (200, 0, 0)
    assert set(preview) >= {"plan_id", "counts", "total", "decisions", "domain_overlap", "scope_change"}
    assert [
        api("POST", f"{path}/preview?{query}", filters())[0]
        for query in ("page=2&per_page=500", "per_page=501", "sort=email", "q=a", "color=red")
    ] == [200, 422, 422, 422, 422]
    assert api("GET", f"{path}/explain?user=nobody@x.example")[0] == 404
    assert api("GET", f"{path}/explain?user=%00")[0] == 422
    assert api("GET", f"{path}/explain")[0] == 422
    assert api("POST", f"{path}/runs", {"plan_id": "made up"})[0] == 422
    assert api("POST", f"{path}/runs", {"plan_id": preview["plan_id"]})[0] == 202


def test_before_the_first_read_503_says_when_to_come_back(app, api, reef, microsoft_tenant):
    from portal.models import MicrosoftTenant

    with app.app_context():
        db.session.get_one(MicrosoftTenant, microsoft_tenant).last_synced_at = None
        db.session.commit()
    answer = api.raw("GET", f"/organizations/{reef['id']}/user-sync/options")
    assert answer.status_code == 503 and int(answer.headers["Retry-After"]) >= 1


@pytest.fixture
def linked(app, enabled, microsoft_tenant):
    with app.app_context():
        person = EndUser(
            id=new_id(),
            organization_id=enabled["id"],
            display_name="Ann",
            email="ann@fabrikam.example",
            source="sync",
            created_at=utcnow(),
            updated_at=utcnow(),
        )
        refresh_search(person)
        db.session.add(person)
        customers.link(
            person,
            microsoft_tenant,
            "o1",
            license_sku_ids=["cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46"],
            is_licensed=True,
            mfa_registered=True,
        )
        db.session.commit()
        return person.id


def test_W6_a_field_that_microsoft_manages_is_refused_until_it_is_pinned(api, enabled, linked):
    status, document = api("PATCH", f"/end-users/{linked}", {"city": "Delft", "notes": "ours"})
    assert (status, list(document["errors"])) == (422, ["city"])
    assert api("PATCH", f"/end-users/{linked}", {"notes": "ours"})[0] == 200
    path = f"/organizations/{enabled['id']}/exceptions"
    pin = api.made(
        path,
        {
            "kind": "pin",
            "end_user_id": linked,
            "field": "city",
            "reason": "moved",
            "expires_at": "2099-01-01T00:00:00Z",
        },
    )
    assert api("PATCH", f"/end-users/{linked}", {"city": "Delft"})[1]["city"] == "Delft"
    assert api("GET", path)[1]["items"][0]["reason"] == "moved"
    assert api("DELETE", f"/exceptions/{pin['id']}")[0] == 204
    assert api("PATCH", f"/end-users/{linked}", {"city": "Utrecht"})[0] == 422
    for bad in (
        {"kind": "x"},
        {"kind": "pin", "end_user_id": linked, "field": "salary"},
        {"kind": "never_sync", "object_id": "nobody", "reason": "r"},
        {"kind": "pin", "end_user_id": linked, "field": "city", "expires_at": "soon"},
    ):
        assert api("POST", path, bad)[0] == 422


def test_P6_an_end_user_is_unlinked_once_and_stays(api, linked):
    status, document = api("POST", f"/end-users/{linked}/unlink")
    assert (status, document["id"], document["microsoft"]) == (200, linked, None)
    status, document = api("POST", f"/end-users/{linked}/unlink")
    assert (status, document["detail"]) == (409, "Ann is not linked to a Microsoft user.")
    assert api("GET", f"/end-users/{linked}")[1]["display_name"] == "Ann"
    assert api("POST", "/end-users/nobody/unlink")[0] == 404


def test_D3_the_microsoft_part_names_licenses_and_mfa(api, linked, enabled):
    microsoft = api("GET", f"/end-users/{linked}")[1]["microsoft"]
    assert microsoft["licenses"] == [
        {"sku_id": "cbdc14ab-d96c-4c30-b9f4-6ada7cdc1d46", "name": "Microsoft 365 Business Premium"}
    ]
    assert (microsoft["status"], microsoft["in_scope"], microsoft["mfa"]) == (
        "active",
        True,
        {"registered": True, "methods": []},
    )
    path = f"/organizations/{enabled['id']}/end-users"
    assert [
        api("GET", f"{path}?{q}")[1]["total"]
        for q in ("licensed=true", "licensed=false", "mfa=true", "in_scope=true", "microsoft_status=active")
    ] == [1, 0, 1, 1, 1]


def test_holds_and_undo_refuse_when_there_is_nothing(app, api, enabled):
    with app.app_context():
        run = SyncRun(
            organization_id=enabled["id"], trigger="hourly", status="succeeded", created_at=utcnow()
        )
        db.session.add(run)
        db.session.commit()
        run_id = run.id
    assert api("POST", f"/sync-runs/{run_id}/held/apply")[0] == 409
    assert api("POST", f"/sync-runs/{run_id}/held/dismiss")[0] == 409
    assert api("POST", f"/sync-runs/{run_id}/undo", {"dry_run": True}) == (
        200,
        {"restored": [], "spared": []},
    )
    assert api("GET", f"/sync-runs/{run_id}/changes")[1]["total"] == 0


def test_C1_connecting_without_an_app_registration_says_what_to_do(api):
    status, document = api(
        "POST", "/microsoft-tenants", {"directory_id": "6b1f0f5e-2222-4c2a-9d1e-0a1b2c3d4e5f"}
    )
    assert (
        status == 422
        and "MICROSOFT_CLIENT_ID" in document["detail"] + str(document["errors"])
        or "Settings" in str(document)
    )
    assert api("POST", "/microsoft-tenants", {"directory_id": "not a guid!"})[0] == 422
    assert (
        api(
            "POST",
            "/microsoft-tenants",
            {"directory_id": "6b1f0f5e-2222-4c2a-9d1e-0a1b2c3d4e5f", "cloud": "moon"},
        )[0]
        == 422
    )


def test_W6_an_exception_remembers_whom_it_is_about_beyond_the_object(app, api, enabled, microsoft_tenant):
    with app.app_context():
        tenant = db.session.get_one(MicrosoftTenant, microsoft_tenant)
        user = customers.directory_user(tenant, "Ada Obi", "Ada@fabrikam.example")
        user.immutable_id = "im"
        db.session.commit()
        object_id = user.object_id
    path = f"/organizations/{enabled['id']}/exceptions"
    assert (
        api("POST", path, {"kind": "never_sync", "object_id": object_id, "reason": "shared mailbox"})[0]
        == 201
    )
    with app.app_context():
        row = db.session.query(SyncException).one()
        assert (row.object_id, row.immutable_id, row.email_key) == (object_id, "im", "ada@fabrikam.example")


def test_W6_before_the_first_read_nobody_is_unknown(app, api, enabled, microsoft_tenant):
    with app.app_context():
        db.session.get_one(MicrosoftTenant, microsoft_tenant).last_synced_at = None
        db.session.commit()
    body = {"kind": "never_sync", "object_id": "somebody", "reason": "r"}
    status, _ = api("POST", f"/organizations/{enabled['id']}/exceptions", body)
    assert status == 503
