import pytest


@pytest.fixture
def reef(api):
    return api.made("/organizations", {"name": "Reef"})


def person(api, organization, **fields):
    return api.made(f"/organizations/{organization['id']}/end-users", fields)


def test_P3_an_organization_gets_its_own_tenant_or_shares_one(api, reef):
    other = api.made("/organizations", {"name": "Reef Research", "tenant_id": reef["tenant_id"]})
    assert other["tenant_id"] == reef["tenant_id"]
    assert api("GET", f"/tenants/{reef['tenant_id']}")[1] == {
        "id": reef["tenant_id"],
        "name": "Reef",
        "microsoft_tenant_id": None,
    }


def test_P3_organizations_are_renamed_moved_and_deleted(api, reef):
    tenant = api.made("/tenants", {"name": "Shared"})
    status, changed = api(
        "PATCH", f"/organizations/{reef['id']}", {"name": "Reef 2", "tenant_id": tenant["id"]}
    )
    assert (status, changed["name"], changed["tenant_id"]) == (200, "Reef 2", tenant["id"])
    person(api, reef, display_name="Ann", email="ann@x.example")
    assert api("DELETE", f"/organizations/{reef['id']}")[0] == 204
    assert api("GET", f"/organizations/{reef['id']}")[0] == 404


def test_P3_two_organizations_never_share_a_name(api, reef):
    assert list(api("POST", "/organizations", {"name": " REEF "})[1]["errors"]) == ["name"]


def test_R2_nothing_is_moved_deleted_or_unmapped_while_a_sync_is_enabled(api, enabled, microsoft_tenant):
    tenant = f"/tenants/{enabled['tenant_id']}"
    other = api.made("/tenants", {"name": "Other"})
    for method, path, body in (
        ("PATCH", f"/organizations/{enabled['id']}", {"tenant_id": other["id"]}),
        ("DELETE", f"/organizations/{enabled['id']}", None),
        ("DELETE", tenant, None),
        ("DELETE", f"{tenant}/microsoft-tenant", None),
        ("DELETE", f"/microsoft-tenants/{microsoft_tenant}", None),
    ):
        status, document = api(method, path, body)
        assert status == 409, (method, path, document)
    assert api("DELETE", f"/organizations/{enabled['id']}/user-sync")[0] == 204
    assert api("DELETE", f"{tenant}/microsoft-tenant")[0] == 204


def test_C6_mapping_is_one_to_one_and_repeatable(api, reef, microsoft_tenant):
    path, body = f"/tenants/{reef['tenant_id']}/microsoft-tenant", {"microsoft_tenant_id": microsoft_tenant}
    assert api("PUT", path, body)[0] == 200
    assert api("PUT", path, body)[1]["microsoft_tenant_id"] == microsoft_tenant
    other = api.made("/tenants", {"name": "Other"})
    assert api("PUT", f"/tenants/{other['id']}/microsoft-tenant", body)[0] == 409
    assert api("GET", f"/microsoft-tenants/{microsoft_tenant}")[1]["tenant_id"] == reef["tenant_id"]
    assert [api("DELETE", path)[0], api("DELETE", path)[0]] == [204, 409]
    assert api("PUT", path, {"microsoft_tenant_id": "nobody"})[0] == 422


def test_end_users_have_the_document_of_the_interface(api, reef):
    made = person(
        api, reef, first_name="Ann", last_name="Reef", email="Ann@X.example", city="Delft", notes="n"
    )
    assert set(made) == {
        "id",
        "organization_id",
        "display_name",
        "first_name",
        "last_name",
        "email",
        "phone",
        "mobile_phone",
        "street_address",
        "city",
        "state",
        "postal_code",
        "country",
        "job_title",
        "department",
        "office_location",
        "notes",
        "source",
        "assets",
        "microsoft",
    }
    assert (made["display_name"], made["source"], made["microsoft"], made["assets"]) == (
        "Ann Reef",
        "manual",
        None,
        [],
    )
    assert api("GET", f"/end-users/{made['id']}")[1] == made
    assert (
        api("PATCH", f"/end-users/{made['id']}", {"city": "Utrecht", "phone": None})[1]["city"] == "Utrecht"
    )
    assert api("DELETE", f"/end-users/{made['id']}")[0] == 204


def test_M4_an_email_belongs_to_one_end_user(api, reef):
    person(api, reef, display_name="Ann", email="ann@x.example")
    assert list(
        api(
            "POST", f"/organizations/{reef['id']}/end-users", {"display_name": "B", "email": "ANN@x.example"}
        )[1]["errors"]
    ) == ["email"]
    other = api.made("/organizations", {"name": "Other"})
    person(api, other, display_name="Ann", email="ann@x.example")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "display_name"),
        ({"display_name": "A", "email": "no address"}, "email"),
        ({"display_name": "x" * 2000}, "display_name"),
        ({"display_name": 5}, "display_name"),
        ({"source": "sync"}, "source"),
    ],
)
def test_bad_end_user_fields_are_named(api, reef, body, field):
    status, document = api("POST", f"/organizations/{reef['id']}/end-users", body)
    assert (status, list(document["errors"])) == (422, [field])


def test_end_users_are_searched_filtered_and_sorted(api, reef):
    for name in ("Cy", "Ann", "Bo"):
        person(api, reef, display_name=name, email=f"{name}@x.example", phone="+31 20 5")
    path = f"/organizations/{reef['id']}/end-users"
    assert [p["display_name"] for p in api("GET", path)[1]["items"]] == ["Ann", "Bo", "Cy"]
    assert [p["display_name"] for p in api("GET", f"{path}?q=bo@x&sort=-email")[1]["items"]] == ["Bo"]
    assert api("GET", f"{path}?microsoft_status=none&source=manual&licensed=false")[1]["total"] == 3
    assert api("GET", f"{path}?microsoft_status=active")[1]["total"] == 0
    assert api("GET", f"{path}?mfa=maybe")[0] == 422


def test_G7_csv_is_harmless_and_comes_back_as_it_was(api, reef):
    hostile = [
        "=1+1",
        "+31 6",
        "-x",
        "@SUM(A1)",
        "'=quoted",
        'a "b", c',
        "Ünï 😀",
        "plain",
        "''two",
        "'''=three",
        "'one",
    ]
    for number, text in enumerate(hostile):
        person(api, reef, display_name=f"P{number}", email=f"p{number}@x.example", job_title=text)
    csv = api.raw("GET", f"/organizations/{reef['id']}/end-users.csv")
    assert csv.content_type.startswith("text/csv")
    assert "\n'=1+1" not in csv.text and "'=1+1" in csv.text
    assert not any(
        cell.startswith(("=", "+", "-", "@")) for line in csv.text.splitlines() for cell in line.split(",")
    )
    other = api.made("/organizations", {"name": "Copy"})
    status, report = api(
        "POST", f"/organizations/{other['id']}/end-users/import", data=csv.data, content_type="text/csv"
    )
    assert (status, {**report, "import_id": ""}) == (
        200,
        {"import_id": "", "created": len(hostile), "updated": 0, "unchanged": 0, "rejected": []},
    )
    titles = {
        p["display_name"]: p["job_title"]
        for p in api("GET", f"/organizations/{other['id']}/end-users")[1]["items"]
    }
    assert titles == {f"P{number}": text for number, text in enumerate(hostile)}
    again = api(
        "POST", f"/organizations/{other['id']}/end-users/import", data=csv.data, content_type="text/csv"
    )[1]
    assert (again["created"], again["unchanged"]) == (0, len(hostile))


def test_import_lists_bad_lines_and_keeps_the_others(api, reef):
    data = "email,display_name,city\nann@x.example,Ann,Delft\nbroken,Bo,\n,Nobody,\nann@x.example,Ann B,Utrecht\nbo@x.example,Bo,\n"
    report = api("POST", f"/organizations/{reef['id']}/end-users/import", data=data, content_type="text/csv")[
        1
    ]
    assert (report["created"], report["updated"], [r["line"] for r in report["rejected"]]) == (
        2,
        0,
        [3, 4, 5],
    )
    assert "line 2" in report["rejected"][2]["reason"]


def test_import_rejects_a_line_and_not_the_file(api, reef):
    """A comma without quotes moves every later cell; a huge cell is one person's."""
    data = (
        "email,notes,assets,display_name\nann@x.example,Delft, Netherlands,,x\nbo@x.example,"
        + "x" * 200_000
        + ",,Bo\ncy@x.example,ok,,Cy\n"
    )
    report = api("POST", f"/organizations/{reef['id']}/end-users/import", data=data, content_type="text/csv")[
        1
    ]
    assert (report["created"], [r["line"] for r in report["rejected"]]) == (1, [2, 3])
    assert "more cells" in report["rejected"][0]["reason"] and "20,000" in report["rejected"][1]["reason"]


def test_O2_an_export_of_assets_comes_back_unchanged(api, reef):
    path = f"/organizations/{reef['id']}/assets"
    for email in ("ann@x.example", ""):
        owner = person(api, reef, display_name="Ann", email=email)
        api.made(path, {"name": f"-{email}", "mac_addresses": [], "end_user_id": owner["id"]})
    before = api("GET", path)[1]
    report = api("POST", f"{path}/import", data=api.raw("GET", f"{path}.csv").data, content_type="text/csv")[
        1
    ]
    assert (report["created"], report["updated"], report["unchanged"], report["rejected"]) == (0, 0, 2, [])
    assert api("GET", path)[1] == before


@pytest.mark.parametrize(
    "data",
    [b"", b"name\nx", b"email,salary\na@x.example,1", b"\xff\xfe\x00", b"email,email\na,b", b'email\n"x'],
)
def test_a_file_that_is_no_usable_csv_changes_nothing(api, reef, data):
    status, document = api(
        "POST", f"/organizations/{reef['id']}/end-users/import", data=data, content_type="text/csv"
    )
    assert (status, list(document["errors"])) == (422, ["file"])
    assert api("GET", f"/organizations/{reef['id']}/end-users")[1]["total"] == 0


def test_W5_assets_keep_normalised_macs_and_say_who_assigned(api, reef):
    ann = person(api, reef, display_name="Ann", email="ann@x.example")
    path = f"/organizations/{reef['id']}/assets"
    made = api.made(
        path,
        {
            "name": "Laptop",
            "mac_addresses": ["a87e.eabc.6ac9", "A8-7E-EA-BC-6A-C9"],
            "end_user_id": ann["id"],
        },
    )
    assert (made["mac_addresses"], made["assigned_by"]) == (["A8:7E:EA:BC:6A:C9"], "manual")
    assert api("GET", f"/end-users/{ann['id']}")[1]["assets"] == [{"id": made["id"], "name": "Laptop"}]
    assert api("POST", path, {"name": "X", "mac_addresses": ["zz"]})[0] == 422
    assert api("POST", path, {"name": "X", "end_user_id": "nobody"})[0] == 422
    assert api("PATCH", f"/assets/{made['id']}", {"end_user_id": None})[1]["assigned_by"] is None
    assert api("GET", f"{path}?q=a8:7e")[1]["total"] == 1
    csv = api.raw("GET", f"/organizations/{reef['id']}/assets.csv")
    assert csv.text.splitlines()[0] == "id,name,mac_addresses,end_user_email"
    report = api(
        "POST",
        f"{path}/import",
        data="name,mac_addresses,end_user_email\nDock,A87EEABC6ACA,ann@x.example\nBad,xx,\n",
        content_type="text/csv",
    )[1]
    assert (report["created"], [r["line"] for r in report["rejected"]]) == (1, [3])
    assert api("DELETE", f"/assets/{made['id']}")[0] == 204


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("/assets/{asset}", "name"),
        ("/assets/{asset}", "mac_addresses"),
        ("/organizations/{id}", "name"),
        ("/organizations/{id}", "tenant_id"),
    ],
)
def test_null_where_a_value_has_to_be_is_of_the_wrong_type(api, reef, path, field):
    asset = api.made(
        f"/organizations/{reef['id']}/assets", {"name": "NB-1", "mac_addresses": ["A87EEABC6AC9"]}
    )
    path = path.format(asset=asset["id"], id=reef["id"])
    before = api("GET", path)[1]
    status, document = api("PATCH", path, {field: None})
    assert (status, list(document["errors"])) == (422, [field])
    assert api("PATCH", path, {}) == (200, before)
