"""Sync this user now is about one person (P6): nobody else is changed, and no hold is raised or got around (G1)."""

from __future__ import annotations

import re
from typing import Any

import pytest

from simulator.server import SimulatorServer
from tests.system.conftest import Api


@pytest.fixture
def customer(api: Api, simulator: SimulatorServer) -> str:
    """An Organization that was synced once."""
    home = api.connected(simulator.tenant_ids[0])
    organization = api.organization("Harborview", home["id"])
    assert api.enabled(organization)["status"] == "succeeded"
    return organization


def alone(api: Api, organization: str, person: dict[str, Any]) -> dict[str, Any]:
    """Sync one person, to the end of the run."""
    run = api.post(f"/organizations/{organization}/user-sync/runs", {"end_user_id": person["id"]}, status=202)
    return api.finished(run["id"])


def test_P6_one_person_is_synced_and_nobody_else(api: Api, simulator: SimulatorServer, customer: str) -> None:
    directory_id, people = simulator.tenant_ids[0], api.people(customer)
    active = [p for p in people.values() if p["microsoft"]["status"] == "active"]
    renamed, other, leaver, *others = active
    for person in (leaver, *others[: len(active) // 2]):
        simulator.control.disable_user(directory_id, person["microsoft"]["object_id"])
    for person in (renamed, other):
        simulator.control.patch_user(directory_id, person["microsoft"]["object_id"], jobTitle="Harbor Pilot")

    run = alone(api, customer, renamed)
    assert (run["status"], run["held"], run["warnings"]) == ("succeeded", None, [])
    assert {name: number for name, number in run["counts"].items() if number} == {
        "read": 1,
        "in_scope": 1,
        "updated": 1,
    }
    now = api.people(customer)
    assert now[renamed["email"].casefold()]["job_title"] == "Harbor Pilot"
    assert {k for k in now if now[k]["job_title"] != people[k]["job_title"]} == {renamed["email"].casefold()}
    assert {k: p["microsoft"]["status"] for k, p in now.items()} == {
        k: p["microsoft"]["status"] for k, p in people.items()
    }
    changes = api.everything(f"/sync-runs/{run['id']}/changes")
    assert [one["end_user_id"] for one in changes] == [renamed["id"]]

    run = alone(api, customer, leaver)
    assert (run["status"], run["held"], run["counts"]["held"]) == ("succeeded", None, 1)
    assert "asks an administrator" in run["warnings"][0]
    assert api.get(f"/end-users/{leaver['id']}")["microsoft"]["status"] == "active"
    assert api.get(f"/organizations/{customer}/user-sync")["status"] == "enabled"

    held = api.synced(customer)
    assert held["status"] == "held"
    alone(api, customer, renamed)
    alone(api, customer, leaver)
    assert api.get(f"/sync-runs/{held['id']}")["held"]["state"] == "waiting"
    sync = api.get(f"/organizations/{customer}/user-sync")
    assert (sync["status"], sync["last_run"]["id"]) == ("paused", held["id"])


def test_P6_two_who_swap_addresses_are_left_to_a_run_of_all(
    api: Api, simulator: SimulatorServer, customer: str
) -> None:
    directory_id = simulator.tenant_ids[0]
    one, other, *_ = (p for p in api.people(customer).values() if p["microsoft"]["status"] == "active")
    for mine, theirs in ((one, other), (other, one)):
        object_id = mine["microsoft"]["object_id"]
        simulator.control.patch_user(directory_id, object_id, mail=theirs["email"], proxyAddresses=[])
    run = alone(api, customer, one)
    assert run["status"] == "succeeded" and "Sync Now updates both" in run["warnings"][0], run
    assert api.get(f"/end-users/{one['id']}")["email"] == one["email"]
    assert api.synced(customer)["status"] == "succeeded"
    assert api.get(f"/end-users/{one['id']}")["email"] == other["email"]


def test_P6_who_is_nobody_in_microsoft_is_refused(api: Api, customer: str) -> None:
    body = {"display_name": "Entered By Hand", "email": "hand@elsewhere.example"}
    person = api.post(f"/organizations/{customer}/end-users", body)
    path = f"/organizations/{customer}/user-sync/runs"
    refused = api.post(path, {"end_user_id": person["id"]}, status=409)
    assert re.search("Entered By Hand is not linked, and .* has nobody", refused["detail"])
    api.post(path, {"end_user_id": "nobody"}, status=422)
