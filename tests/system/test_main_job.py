"""The main job from end to end: connect, map, filter, enable, follow, and what later runs do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from simulator.server import SimulatorServer
from tests.system.conftest import Api, request, running, settings_for, wait_until

DEPARTMENT = "Deep Sea Laboratory"
OFFICE = "Pier 9"


def staff(simulator: SimulatorServer, name: str, domain: str, **changes: Any) -> str:
    """A person in Microsoft whom all five sections accept unless ``changes`` says otherwise. Gives the object id."""
    address = f"{name.lower()}.reef@{domain}"
    plain = {
        "displayName": f"{name} Reef",
        "givenName": name,
        "surname": "Reef",
        "userPrincipalName": address,
        "mail": address,
        "department": DEPARTMENT,
        "officeLocation": OFFICE,
        "jobTitle": "Diver",
    }
    return simulator.control.create_user(simulator.tenant_ids[0], **{**plain, **changes})


def crew(simulator: SimulatorServer) -> tuple[dict[str, Any], set[str]]:
    """People who fit all five sections and people who each miss exactly one; gives the filter and who fits."""
    home = simulator.world.tenants[simulator.tenant_ids[0]]
    domain, other_domain = home.default_domain, home.initial_domain
    ann = staff(simulator, "Ann", domain)
    bo = staff(simulator, "Bo", domain, department=f"  {DEPARTMENT.upper()} ", userType=None)  # S3, S4
    cy = staff(simulator, "Cy", domain)
    misses = [
        staff(simulator, "Gus", domain, userType="Guest"),
        staff(simulator, "Dom", other_domain),
        staff(simulator, "Off", domain, officeLocation="Pier 10"),
        staff(simulator, "Dep", domain, department=None),
    ]
    staff(simulator, "Loner", domain)  # in no group
    inner = simulator.control.create_group(home.id, "Divers", [cy])
    outer = simulator.control.create_group(home.id, "Everybody at sea", [ann, bo, *misses, inner])
    simulator.control.add_member(home.id, inner, outer)  # a cycle ends (S6)
    filters = {
        "user_type": ["Member"],
        "domain": [domain.upper()],
        "office_location": [OFFICE],
        "department": [DEPARTMENT.lower()],
        "group": [outer],
    }
    return filters, {f"{name}.reef@{domain}".lower() for name in ("Ann", "Bo", "Cy")}


def test_the_main_job_from_connecting_to_the_second_run(
    simulator: SimulatorServer, any_database: str, tmp_path: Path
) -> None:
    """Over 50 lines: the whole job, told in the order in which a technician does it."""
    filters, expected = crew(simulator)
    home = simulator.world.tenants[simulator.tenant_ids[0]]
    with running(settings_for(simulator, tmp_path, database_url=any_database)) as api:
        tenant = api.connected(home.id)
        assert (tenant["name"], tenant["state"], tenant["directory_id"]) == (home.name, "connected", home.id)
        assert set(tenant["domains"]) == set(home.domains)
        assert tenant["users"] == len(simulator.control.users(home.id))
        organization = api.organization("Reef Research", tenant["id"])
        known = api.post(
            f"/organizations/{organization}/end-users",
            {"display_name": "A. Reef", "email": f"ANN.Reef@{home.default_domain}", "notes": "hired in 2019"},
        )
        path = f"/organizations/{organization}/user-sync"
        assert api.get(path)["status"] == "not_set_up"

        options = api.get(f"{path}/options")
        values = {section: {row["value"] for row in rows} for section, rows in options.items()}
        assert set(values) == set(filters)
        assert filters["group"][0] in values["group"]
        assert {"Member", "Guest"} <= values["user_type"]
        assert home.default_domain in {value.lower() for value in values["domain"]}
        assert "" in values["department"]

        preview = api.post(f"{path}/preview", request(department=[DEPARTMENT]), status=200)
        told = {row["email"].lower(): row["decision"] for row in preview["decisions"]}
        assert told[f"ann.reef@{home.default_domain}"] == "link"
        assert told[f"cy.reef@{home.default_domain}"] == "create"
        assert len(api.people(organization)) == 1, "a preview writes nothing"

        document = api.put(path, request(**filters))
        assert document["status"] == "processing"
        assert (document["last_run"]["trigger"], document["last_run"]["lane"]) == ("initial", "delayed")
        run = api.finished(document["last_run"]["id"])
        assert (run["status"], run["error"], run["warnings"]) == ("succeeded", None, [])
        people = api.people(organization)
        assert set(people) == expected
        assert people[f"ann.reef@{home.default_domain}"]["id"] == known["id"], "linked, not doubled"
        assert people[f"ann.reef@{home.default_domain}"]["notes"] == "hired in 2019"
        assert people[f"ann.reef@{home.default_domain}"]["job_title"] == "Diver"
        assert people[f"cy.reef@{home.default_domain}"]["microsoft"]["status"] == "active"
        counts = run["counts"]
        assert (counts["created"], counts["linked"], counts["in_scope"]) == (2, 1, 3)
        assert counts["read"] == counts["in_scope"] + counts["out_of_scope"] + counts["skipped"]
        assert api.get(path)["status"] == "enabled"

        again = api.synced(organization)
        assert (again["status"], again["trigger"], again["lane"]) == ("succeeded", "manual", "hourly")
        assert again["counts"]["unchanged"] == 3
        assert api.everything(f"/sync-runs/{again['id']}/changes?decision=update") == []
        assert api.people(organization).keys() == expected


def test_L1_somebody_disabled_in_microsoft_is_marked_by_the_next_run(
    api: Api, simulator: SimulatorServer
) -> None:
    home = simulator.world.tenants[simulator.tenant_ids[0]]
    ann = staff(simulator, "Ann", home.default_domain)
    bo = staff(simulator, "Bo", home.default_domain)
    organization = api.organization("Reef Research", api.connected(home.id)["id"])
    api.enabled(organization, department=[DEPARTMENT])
    simulator.control.disable_user(home.id, ann)
    simulator.control.delete_user(home.id, bo)
    run = api.synced(organization)
    marked = {row["object_id"]: row["decision"] for row in api.everything(f"/sync-runs/{run['id']}/changes")}
    assert marked == {ann: "mark_disabled", bo: "mark_disabled"}
    assert {row["microsoft"]["status"] for row in api.people(organization).values()} == {"disabled"}
    simulator.control.enable_user(home.id, ann)
    simulator.control.restore_user(home.id, bo)
    api.synced(organization)
    assert {row["microsoft"]["status"] for row in api.people(organization).values()} == {"active"}


def test_U7_edited_filters_start_nothing_and_apply_to_the_next_run(
    api: Api, simulator: SimulatorServer
) -> None:
    home = simulator.world.tenants[simulator.tenant_ids[0]]
    staff(simulator, "Ann", home.default_domain)
    staff(simulator, "Bo", home.default_domain, department="Dry Dock")
    organization = api.organization("Reef Research", api.connected(home.id)["id"])
    first = api.enabled(organization, department=[DEPARTMENT])
    path = f"/organizations/{organization}/user-sync"
    edited = api.put(path, request(department=["Dry Dock"]))
    assert edited["last_run"]["id"] == first["id"]
    assert len(api.everything(f"{path}/runs")) == 1
    api.synced(organization)
    people = api.people(organization)
    assert {row["display_name"]: row["microsoft"]["in_scope"] for row in people.values()} == {
        "Ann Reef": False,  # L3: stays
        "Bo Reef": True,
    }


def test_L5_L6_disable_and_enable_again_doubles_nobody(api: Api, simulator: SimulatorServer) -> None:
    home = simulator.world.tenants[simulator.tenant_ids[0]]
    staff(simulator, "Ann", home.default_domain)
    organization = api.organization("Reef Research", api.connected(home.id)["id"])
    api.enabled(organization, department=[DEPARTMENT])
    path = f"/organizations/{organization}/user-sync"
    before = api.people(organization)
    api.delete(path)
    assert api.get(path)["status"] == "not_set_up"
    assert api.people(organization) == before
    api.post(f"{path}/runs", status=409)
    api.delete(path, status=404)
    run = api.enabled(organization, department=[DEPARTMENT])
    assert (run["trigger"], run["counts"]["unchanged"], run["counts"]["created"]) == ("initial", 1, 0)
    assert api.people(organization).keys() == before.keys()


def test_two_organizations_under_one_tenant_share_one_mirror(api: Api, simulator: SimulatorServer) -> None:
    home = simulator.world.tenants[simulator.tenant_ids[0]]
    staff(simulator, "Ann", home.default_domain)
    tenant = api.connected(home.id)
    first = api.organization("North", tenant["id"])
    shared = api.get(f"/organizations/{first}")["tenant_id"]
    second = api.post("/organizations", {"name": "South", "tenant_id": shared})["id"]
    for organization in (first, second):
        assert api.enabled(organization, department=[DEPARTMENT])["counts"]["created"] == 1
    several = api.get(f"/microsoft-tenants/{tenant['id']}/coverage?taken=several")
    assert [row["display_name"] for row in several["items"]] == ["Ann Reef"]
    assert [row["name"] for row in several["items"][0]["organizations"]] == ["North", "South"]
    api.put(f"/organizations/{second}/user-sync", request(department=["Nobody's"]))
    api.synced(second)  # P13: whom the filters let go is taken no more
    one = api.get(f"/microsoft-tenants/{tenant['id']}/coverage?taken=one")
    assert [[o["name"] for o in row["organizations"]] for row in one["items"]] == [["North"]]


def test_T7_the_slow_pass_follows_by_itself(api: Api, simulator: SimulatorServer) -> None:
    home = simulator.world.tenants[simulator.tenant_ids[0]]
    simulator.control.throttle(sign_ins=1000)
    ann = staff(simulator, "Ann", home.default_domain)
    simulator.control.set_sign_in(home.id, ann, {"lastSignInDateTime": "2026-01-02T03:04:05Z"})
    tenant = api.connected(home.id)
    organization = api.organization("Reef Research", tenant["id"])
    api.enabled(organization, department=[DEPARTMENT])

    def seen() -> Any:
        return next(iter(api.people(organization).values()))["microsoft"]["last_sign_in_at"]

    assert wait_until(seen, "the last sign-in").startswith("2026-01-02T03:04:05")


def test_O4_what_a_sync_changed_is_in_the_audit_log_and_quiet_hours_are_not(
    api: Api, simulator: SimulatorServer
) -> None:
    home = simulator.world.tenants[simulator.tenant_ids[0]]
    staff(simulator, "Ann", home.default_domain)
    organization = api.organization("Reef Research", api.connected(home.id)["id"])
    run = api.enabled(organization, department=[DEPARTMENT])
    (event,) = api.get("/audit-events?action=sync_run_finished")["items"]
    assert (event["source"], event["actor"], event["object_id"]) == ("sync", "Rollcall", run["id"])
    assert (event["detail"]["organization"], event["detail"]["status"]) == ("Reef Research", "succeeded")
    assert event["detail"]["counts"]["created"] == 1
    assert "Ann" not in str(event), "counts, not people"
