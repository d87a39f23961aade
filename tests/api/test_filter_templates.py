"""F2, F3, F5 by API: filter templates, their bulk set-up, and a whole fleet from one file."""

import pytest

from portal.extensions import db
from portal.models import DirectoryGroup, MicrosoftTenant
from portal.user_sync.documents import default_request

SECTIONS = ("user_type", "domain", "office_location", "department")


def filters(**changes):
    found = {name: {"all": True, "values": []} for name in SECTIONS}
    return {**found, "group": {"all": True, "name_patterns": []}, **changes}


@pytest.fixture
def mapped(api, microsoft_tenant):
    organization = api.made("/organizations", {"name": "Reef"})
    api(
        "PUT",
        f"/tenants/{organization['tenant_id']}/microsoft-tenant",
        {"microsoft_tenant_id": microsoft_tenant},
    )
    return organization


def test_F2_templates_are_made_listed_changed_and_deleted(api):
    made = api.made("/filter-templates", {"name": "Members", "filters": filters(), "only_licensed": True})
    assert (
        made["only_licensed"]
        and made["organizations"] == 0
        and made["hold"] == {"percent": 25, "minimum": 10}
    )
    assert (
        api("GET", "/filter-templates")[1]["items"]
        == [made]
        == [api("GET", f"/filter-templates/{made['id']}")[1]]
    )
    status, document = api(
        "POST", "/filter-templates", {"name": "members", "filters": filters(department={"all": False})}
    )
    assert status == 422 and set(document["errors"]) == {"name", "filters.department"}
    status, changed = api(
        "PATCH", f"/filter-templates/{made['id']}", {"name": "Licensed", "hold": {"percent": 5, "minimum": 3}}
    )
    assert (
        status == 200
        and changed["name"] == "Licensed"
        and changed["only_licensed"]
        and changed["results"] == []
    )
    assert api("PATCH", f"/filter-templates/{made['id']}", {"filters": None})[0] == 422
    assert api("DELETE", f"/filter-templates/{made['id']}")[0] == 204
    assert api("GET", f"/filter-templates/{made['id']}")[0] == 404


def test_F3_many_are_set_up_with_a_template_each_with_its_outcome(app, api, mapped, microsoft_tenant):
    unmapped = api.made("/organizations", {"name": "Alone"})
    template = api.made("/filter-templates", {"name": "All", "filters": filters()})
    ask = {"organization_ids": [mapped["id"], unmapped["id"]], "template_id": template["id"]}
    status, dry = api("POST", "/user-syncs/bulk", {**ask, "dry_run": True})
    assert status == 200 and [one["outcome"] for one in dry["items"]] == ["enable", "refused"]
    assert "not mapped" in dry["items"][1]["problem"] and dry["items"][0]["counts"]["read"] == 0
    assert api("GET", f"/organizations/{mapped['id']}/user-sync")[1]["status"] == "not_set_up"
    status, done = api("POST", "/user-syncs/bulk", ask)
    assert status == 202 and [one["outcome"] for one in done["items"]] == ["enabled", "refused"]
    assert api("GET", f"/organizations/{mapped['id']}/user-sync")[1]["status"] == "processing"
    assert api("POST", "/user-syncs/bulk", ask)[1]["items"][0]["outcome"] == "unchanged"
    assert api("GET", f"/filter-templates/{template['id']}")[1]["organizations"] == 1
    assert api("POST", "/user-syncs/bulk", {**ask, "organization_ids": ["nobody"]})[0] == 422
    assert api("POST", "/user-syncs/bulk", {**ask, "template_id": "none"})[0] == 422

    changes = {"filters": filters(department={"all": False, "values": ["Sales"]})}
    path = f"/filter-templates/{template['id']}"
    assert api("PATCH", f"{path}?dry_run=true", changes)[1]["results"][0]["outcome"] == "edit"
    assert api("GET", path)[1]["filters"]["department"]["all"]
    assert api("PATCH", path, changes)[1]["results"][0]["outcome"] == "edited"
    assert api("GET", f"/organizations/{mapped['id']}/user-sync")[1]["filters"]["department"]["values"] == [
        "Sales"
    ]


def test_F2_a_group_that_does_not_exist_there_refuses_by_name(app, api, mapped):
    staff = filters(group={"all": False, "name_patterns": ["Staff*"]})
    template = api.made("/filter-templates", {"name": "Staff", "filters": staff})
    ask = {"organization_ids": [mapped["id"]], "template_id": template["id"]}
    assert "Staff*" in api("POST", "/user-syncs/bulk", ask)[1]["items"][0]["problem"]
    with app.app_context():
        tenant = db.session.query(MicrosoftTenant).one()
        db.session.add(
            DirectoryGroup(microsoft_tenant_id=tenant.id, object_id="g1", display_name="Staff of Reef")
        )
        db.session.commit()
    assert api("POST", "/user-syncs/bulk", ask)[1]["items"][0]["outcome"] == "waiting", (
        "its members are read first"
    )


FILE = """
[[filter_templates]]
name = "Members"
only_licensed = true
[filter_templates.filters]
user_type = ["Member"]

[[organizations]]
name = "Reef"
microsoft_tenant = "fabrikam.example"
filter_template = "members"
enabled = true

[[organizations]]
name = "Untouched"
"""


def toml(api, text, query=""):
    answer = api.raw("POST", f"/apply{query}", data=text.encode(), content_type="application/toml")
    return answer.status_code, answer.get_json()


def test_F5_a_file_shows_its_plan_does_just_that_and_then_has_nothing_to_do(api, microsoft_tenant):
    kept = api.made("/organizations", {"name": "Not named"})
    status, plan = toml(api, FILE, "?dry_run=true")
    assert status == 200 and [change["sign"] for change in plan["changes"]] == ["+"] * 5
    assert [change["action"] for change in plan["changes"]] == [
        "template",
        "organization",
        "map",
        "enable",
        "organization",
    ]
    assert api("GET", "/organizations")[1]["total"] == 1, "a plan changes nothing"
    assert toml(api, FILE, "?plan_id=another")[0] == 409
    status, done = toml(api, FILE, f"?plan_id={plan['plan_id']}")
    assert status == 200 and {change["outcome"] for change in done["changes"]} == {"done"}
    reef = next(one for one in api("GET", "/organizations")[1]["items"] if one["name"] == "Reef")
    sync = api("GET", f"/organizations/{reef['id']}/user-sync")[1]
    assert (
        sync["status"] == "processing"
        and sync["only_licensed"]
        and sync["filters"]["user_type"]["values"] == ["Member"]
    )
    assert toml(api, FILE)[1]["changes"] == []
    assert api("GET", f"/organizations/{kept['id']}")[0] == 200, "what the file does not name stays"
    off = FILE.replace("enabled = true", "enabled = false").replace('["Member"]', '"all"')
    status, done = toml(api, off)
    assert [(c["sign"], c["action"], c["outcome"]) for c in done["changes"]] == [
        ("~", "template", "done"),
        ("-", "disable", "done"),
    ]
    assert api("GET", f"/organizations/{reef['id']}/user-sync")[1]["status"] == "not_set_up"


def test_F5_each_bad_entry_is_named_by_its_key_path_and_nothing_is_done(api, microsoft_tenant):
    bad = {
        "organizations": [
            {"name": "A", "enabled": "yes"},
            {"name": "a", "colour": 1},
            {"microsoft_tenant": "x"},
            {"name": "T", "tags": [1]},
        ],
        "filter_templates": [{"name": "X", "filters": {"department": []}, "hold": {"percent": 101}}],
        "people": [],
    }
    status, document = api("POST", "/apply", bad)
    assert status == 422
    assert set(document["errors"]) == {
        "organizations[1].enabled", "organizations[2].colour", "organizations[3].name", "organizations[4].tags",
        "filter_templates[1].filters.department", "filter_templates[1].hold.percent", "people",
    }  # fmt: skip
    assert toml(api, "[[organizations]\n")[1]["errors"]["file"][0].startswith("This is not TOML")
    unknown = {
        "organizations": [
            {"name": "A", "microsoft_tenant": "fabrikam.example", "filter_template": "None", "enabled": True}
        ]
    }
    assert set(api("POST", "/apply", unknown)[1]["errors"]) == {"organizations[1].filter_template"}
    twice = {"organizations": [{"name": n, "microsoft_tenant": "fabrikam.example"} for n in "AB"]}
    assert set(api("POST", "/apply", twice)[1]["errors"]) == {"organizations[2].microsoft_tenant"}
    assert api("GET", "/organizations")[1]["total"] == 0


def test_F5_a_tenant_of_other_domains_is_not_enabled_unless_the_file_says_so(app, api, mapped):
    for number in range(6):
        api.made(
            f"/organizations/{mapped['id']}/end-users",
            {"display_name": f"P{number}", "email": f"p{number}@other.example"},
        )
    wanted = {"name": "Reef", "enabled": True}
    status, document = api("POST", "/apply", {"organizations": [wanted]})
    assert (
        status == 422
        and "wrong Microsoft tenant" in document["errors"]["organizations[1].microsoft_tenant"][0]
    )
    done = api("POST", "/apply", {"organizations": [{**wanted, "accept_other_domains": True}]})[1]
    assert done["changes"][0]["outcome"] == "done"
    assert (
        api("GET", f"/organizations/{mapped['id']}/user-sync")[1]["filters"] == default_request()["filters"]
    )
