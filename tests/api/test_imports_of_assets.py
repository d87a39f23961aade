"""Imports of Assets: which one a row means, and what it leaves as it is."""

import pytest

from tests.api.imports import assets, told, upload


def test_numbers_in_the_names_of_assets_are_in_order(api, reef):
    """However the name came: by hand, by a file, by a change."""
    made = api.made(f"/organizations/{reef['id']}/assets", {"name": "PC-10"})
    upload(api, reef, "name\npc-9\nPC-100\n", "assets")
    assert [one["name"] for one in assets(api, reef)] == ["pc-9", "PC-10", "PC-100"]
    api("PATCH", f"/assets/{made['id']}", {"name": "PC-200"})
    assert [one["name"] for one in assets(api, reef)] == ["pc-9", "PC-100", "PC-200"]
    upload(api, reef, f"id,name\n{made['id']},PC-2\n", "assets")
    assert [one["name"] for one in assets(api, reef)] == ["PC-2", "pc-9", "PC-100"]


def test_two_assets_of_one_name_stay_two_through_export_and_import(api, reef):
    owners = [
        api.made(f"/organizations/{reef['id']}/end-users", {"display_name": n, "email": f"{n}@x.example"})
        for n in ("ann", "bo")
    ]
    for number, owner in enumerate(owners):
        body = {"name": "MacBook Pro", "mac_addresses": [f"A87EEABC6AC{number}"], "end_user_id": owner["id"]}
        api.made(f"/organizations/{reef['id']}/assets", body)
    before = sorted(assets(api, reef), key=lambda one: one["id"])
    sheet = api.raw("GET", f"/organizations/{reef['id']}/assets.csv").data
    assert told(upload(api, reef, sheet, "assets")) == (0, 0, 2, [])
    without_ids = b"\n".join(line.split(b",", 1)[1] for line in sheet.splitlines())
    assert told(upload(api, reef, without_ids, "assets")) == (0, 0, 2, [])
    assert sorted(assets(api, reef), key=lambda one: one["id"]) == before


@pytest.mark.parametrize(
    ("text", "second"),
    [
        ("name,mac_addresses\niPhone,A87EEABC6AC1\niPhone,A87EEABC6AC2\nDock,A87EEABC6AC3\n", (0, 0, 3, [])),
        ("name\niPhone\niPhone\nDock\n", (0, 0, 1, [2, 3])),  # nobody can tell them apart any more
        ("name,mac_addresses\niPhone,A87EEABC6AC1\niPhone,\nDock,\n", (0, 0, 3, [])),
    ],
)
def test_a_new_file_makes_as_many_assets_as_it_has_rows_and_nothing_the_second_time(api, reef, text, second):
    assert told(upload(api, reef, text, "assets")) == (3, 0, 0, [])
    before = assets(api, reef)
    assert told(upload(api, reef, text, "assets")) == second
    assert assets(api, reef) == before


def test_an_asset_is_found_by_id_then_by_mac_then_by_a_name_that_only_one_has(api, reef):
    path = f"/organizations/{reef['id']}/assets"
    first, second, third = (
        api.made(path, {"name": n, "mac_addresses": m})
        for n, m in (("PC", ["A87EEABC6AC1"]), ("PC", ["A87EEABC6AC2"]), ("Dock", []))
    )
    text = (
        "id,name,mac_addresses\n"
        f"{first['id']},Renamed,A87EEABC6AC9\n"
        ",By its MAC,A8-7E-EA-BC-6A-C2\n"
        ",dock,A87EEABC6AC3\n"
    )
    assert told(upload(api, reef, text, "assets")) == (0, 3, 0, [])
    found = {one["id"]: (one["name"], one["mac_addresses"]) for one in assets(api, reef)}
    assert found == {
        first["id"]: ("Renamed", ["A8:7E:EA:BC:6A:C9"]),
        second["id"]: ("By its MAC", ["A8:7E:EA:BC:6A:C2"]),
        third["id"]: ("dock", ["A8:7E:EA:BC:6A:C3"]),
    }


@pytest.mark.parametrize(
    ("present", "rows", "rejected", "word"),
    [
        ([("PC", []), ("PC", [])], "PC,\n", [2], "2 Assets have this name"),
        ([("PC", [])], "PC,A87EEABC6AC1\nPC,A87EEABC6AC2\n", [2, 3], "Line 3"),
        (
            [("PC", ["A87EEABC6AC1"]), ("NB", ["A87EEABC6AC2"])],
            "Other,A87EEABC6AC1 A87EEABC6AC2\n",
            [2],
            "2 Assets have these MAC",
        ),
        ([("PC", ["A87EEABC6AC1"])], "PC,A87EEABC6AC1\nNB,A87EEABC6AC1\n", [3], "line 2"),
        ([], "PC,A87EEABC6AC1\nNB,A87EEABC6AC1\n", [3], "line 2"),
        ([], ",A87EEABC6AC1\n", [2], "Enter a name"),
        ([], "PC,zz\n", [2], "zz is not"),
        ([], "PC\n", [2], "cells"),
    ],
)
def test_an_ambiguous_row_is_rejected_with_its_line(api, reef, present, rows, rejected, word):
    for name, macs in present:
        api.made(f"/organizations/{reef['id']}/assets", {"name": name, "mac_addresses": macs})
    before = assets(api, reef)
    report = upload(api, reef, f"name,mac_addresses\n{rows}", "assets")
    assert [one["line"] for one in report["rejected"]] == rejected
    assert word in report["rejected"][0]["reason"]
    assert [one for one in assets(api, reef) if one["id"] in {b["id"] for b in before}] == before


def test_a_dock_that_two_laptops_were_seen_with_is_told_by_the_name(api, reef):
    for name, own in (("One", "A87EEABC6AC1"), ("Two", "A87EEABC6AC2")):
        api.made(
            f"/organizations/{reef['id']}/assets", {"name": name, "mac_addresses": [own, "A87EEABC6ACF"]}
        )
    sheet = api.raw("GET", f"/organizations/{reef['id']}/assets.csv").data
    assert told(upload(api, reef, sheet, "assets")) == (0, 0, 2, [])


def test_names_that_look_alike_are_one_asset_whatever_their_blanks_and_form(api, reef):
    text = "name\nCafe\u0301  du\u00a0Nord\n"
    assert told(upload(api, reef, text, "assets")) == (1, 0, 0, [])
    assert told(upload(api, reef, text, "assets")) == (0, 0, 1, [])
    assert told(upload(api, reef, "name\n Caf\u00e9 du Nord \n", "assets")) == (0, 0, 1, [])
    assert [one["name"] for one in assets(api, reef)] == ["Café du Nord"]


def test_a_short_row_and_a_blank_cell_wipe_nothing_of_an_asset(api, reef):
    owner = api.made(
        f"/organizations/{reef['id']}/end-users", {"display_name": "Ann", "email": "ann@x.example"}
    )
    api.made(
        f"/organizations/{reef['id']}/assets",
        {"name": "PC-1", "mac_addresses": ["A87EEABC6AC1"], "end_user_id": owner["id"]},
    )
    before = assets(api, reef)
    head = "name,mac_addresses,end_user_email\n"
    assert told(upload(api, reef, head + "PC-1\n", "assets")) == (0, 0, 0, [2])
    assert told(upload(api, reef, head + "PC-1,,\n", "assets")) == (0, 0, 1, [])
    assert assets(api, reef) == before
    assert told(upload(api, reef, head + "PC-1,<empty>,<empty>\n", "assets")) == (0, 1, 0, [])
    (row,) = assets(api, reef)
    assert (row["mac_addresses"], row["end_user_id"], row["assigned_by"]) == ([], None, None)
