"""F1, F4 over the API: tags on Organizations, everybody of all Organizations, on both databases."""

import pytest


@pytest.fixture
def fleet(api):
    """Two Organizations, one tagged, with three people."""
    gold = api.made("/organizations", {"name": "Customer 10", "tags": ["Gold", " pod  A"]})
    other = api.made("/organizations", {"name": "Customer 2"})
    for organization, name in ((gold, "Ada Lovelace"), (gold, "Émile Zola"), (other, "Ada Other")):
        email = f"{name.split()[1].lower()}@people.example"
        api.made(
            f"/organizations/{organization['id']}/end-users",
            {
                "display_name": name,
                "email": email,
                "department": "Sales" if name == "Ada Other" else "Sales Support",
            },
        )
    return gold, other


def test_F1_tags_are_set_replaced_filtered_and_kept_as_written(api, fleet):
    gold, other = fleet
    assert (gold["tags"], other["tags"]) == (["Gold", "pod A"], [])
    assert [o["name"] for o in api("GET", "/organizations")[1]["items"]] == ["Customer 2", "Customer 10"]
    assert [o["tags"] for o in api("GET", "/organizations?tag=GOLD")[1]["items"]] == [["Gold", "pod A"]]
    status, changed = api("PATCH", f"/organizations/{other['id']}", {"tags": ["GOLD", "pod 10", "pod 9"]})
    assert (status, changed["tags"]) == (200, ["Gold", "pod 9", "pod 10"])
    assert api("PATCH", f"/organizations/{other['id']}", {"tags": []})[1]["tags"] == []
    event = api("GET", "/audit-events?action=organization_tagged")[1]["items"][0]
    assert event["detail"] == {"name": "Customer 2", "added": [], "removed": ["Gold", "pod 9", "pod 10"]}


def test_F3_organizations_sort_by_how_many_people_they_have_now(api, fleet):
    def shown(query="?sort=-end_users"):
        return [o["name"] for o in api("GET", f"/organizations{query}")[1]["items"]]

    assert shown() == ["Customer 10", "Customer 2"]
    for name in "abc":
        person = {"display_name": name, "email": f"{name}@people.example"}
        api.made(f"/organizations/{fleet[1]['id']}/end-users", person)
    assert shown() == ["Customer 2", "Customer 10"]
    assert shown("?sort=end_users&per_page=1&page=2") == ["Customer 2"]
    assert shown("?sort=end_users&page=9") == []


@pytest.mark.parametrize(
    "tags", ["Gold", [1], [""], ["a,b"], ["x" * 51], [f"t{n}" for n in range(21)], ["\u200b"], None]
)
def test_F1_bad_tags_are_refused_and_change_nothing(api, fleet, tags):
    gold, _ = fleet
    status, document = api("PATCH", f"/organizations/{gold['id']}", {"name": "Renamed", "tags": tags})
    assert status == 422 and any(name.startswith("tags") for name in document["errors"])
    assert api("GET", f"/organizations/{gold['id']}")[1]["name"] == "Customer 10"


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("", ["Ada Lovelace", "Ada Other", "Émile Zola"]),
        ("tag=gold", ["Ada Lovelace", "Émile Zola"]),
        ("q=ÉMILE", ["Émile Zola"]),
        ("q=ada&tag=gold", ["Ada Lovelace"]),
        ("department=sales", ["Ada Other"]),
        ("organization_id=nobody", []),
        ("sort=-name&per_page=1", ["Émile Zola"]),
        ("page=2&per_page=2", ["Émile Zola"]),
        ("page=9", []),
        ("microsoft_status=none&source=manual&mfa=true", []),
        ("inactive_days=30", []),
    ],
)
@pytest.mark.parametrize("path", ["/end-users"])
def test_F4_everybody_by_search_and_filters(api, fleet, path, query, names):
    status, document = api("GET", f"{path}?{query}")
    assert (status, [one["display_name"] for one in document["items"]]) == (200, names)


@pytest.mark.parametrize(
    "query",
    [
        "inactive_days=0",
        "inactive_days=x",
        "nonsense=1",
        "sort=nonsense",
        "per_page=501",
        "mfa=maybe",
        "page=0",
    ],
)
def test_F4_what_cannot_be_used_is_422(api, fleet, query):
    status, document = api("GET", f"/end-users?{query}")
    assert status == 422 and document["errors"]


def test_F4_everybody_and_organizations_as_csv(as_role, api, fleet):
    reader = as_role("read-only")
    lines = reader.raw("GET", "/end-users.csv?tag=gold").text.splitlines()
    assert len(lines) == 3 and ',Customer 10,"Gold, pod A",Ada Lovelace,' in lines[1]
    lines = reader.raw("GET", "/organizations.csv").text.splitlines()
    assert "Customer 2," in lines[1] and '"Gold, pod A"' in lines[2]
    assert as_role(None)("GET", "/end-users")[0] == 401
    assert reader("PATCH", f"/organizations/{fleet[0]['id']}", {"tags": []})[0] == 403
