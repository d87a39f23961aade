"""A person's press asks Microsoft anew, and the slow pass follows the next run (C4, G2, T7)."""

from __future__ import annotations

from typing import Any

import pytest

from simulator.server import SimulatorServer
from tests.system.conftest import Api, wait_until

MAC = "3A87EEABC6AC"


@pytest.fixture
def customer(api: Api, simulator: SimulatorServer) -> str:
    """An Organization that was synced once."""
    home = api.connected(simulator.tenant_ids[0])
    organization = api.organization("Harborview", home["id"])
    assert api.enabled(organization)["status"] == "succeeded"
    return organization


def test_C4_a_repaired_consent_is_believed_at_once(
    api: Api, simulator: SimulatorServer, customer: str
) -> None:
    directory_id = simulator.tenant_ids[0]
    simulator.control.withdraw_consent(directory_id)
    refused = api.synced(customer)
    assert refused["status"] == "failed", refused
    simulator.control.grant_consent(directory_id)
    assert api.synced(customer)["status"] == "succeeded"


def test_C4_a_permission_that_was_added_is_there_for_the_next_press(
    api: Api, simulator: SimulatorServer, customer: str
) -> None:
    """A token of before the repair carries the permission as little as it did then, and lives for an hour."""
    directory_id = simulator.tenant_ids[0]
    simulator.control.remove_role(directory_id, "User.Read.All")
    refused = api.synced(customer)
    assert refused["status"] == "failed", refused
    simulator.control.add_role(directory_id, "User.Read.All", at_once=False)
    assert api.synced(customer)["status"] == "succeeded"


def test_C4_each_press_asks_for_a_token_anew(api: Api, simulator: SimulatorServer, customer: str) -> None:
    """Another process may hold a token of before a repair that this one never saw refused."""
    for _ in range(2):
        simulator.control.clear_log()
        assert api.synced(customer)["status"] == "succeeded"
        assert any("/oauth2/v2.0/token" in str(line) for line in simulator.control.log())


def test_T7_a_device_and_a_method_that_are_new_come_with_the_next_run(
    api: Api, simulator: SimulatorServer, customer: str
) -> None:
    directory_id = simulator.tenant_ids[0]
    tenant = f"/microsoft-tenants/{api.get('/microsoft-tenants')['items'][0]['id']}"

    def passed() -> Any:
        slow = api.get(tenant)["slow_pass"]
        return not slow["running"] and slow["devices_at"]

    wait_until(passed, "the first slow pass")
    person = next(p for p in api.people(customer).values() if p["microsoft"]["status"] == "active")
    asset = api.post(f"/organizations/{customer}/assets", {"name": "LAPTOP-7", "mac_addresses": [MAC]})
    object_id = person["microsoft"]["object_id"]
    simulator.control.set_device(directory_id, userId=object_id, wiFiMacAddress=MAC, deviceName="LAPTOP-7")
    simulator.control.set_methods(directory_id, object_id, ["fido2"])
    assert api.synced(customer)["status"] == "succeeded"
    wait_until(lambda: api.get(f"/assets/{asset['id']}")["end_user_id"] == person["id"], "the Asset's owner")
    wait_until(
        lambda: api.get(f"/end-users/{person['id']}")["microsoft"]["mfa"]["methods"] == ["fido2"],
        "the method",
    )
