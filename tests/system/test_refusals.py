"""C2, C4: what Microsoft refuses is explained, and broken connections heal by themselves."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from simulator.server import SimulatorServer
from tests.system.conftest import Api, running, settings_for, wait_until
from tests.system.test_main_job import DEPARTMENT, staff


def refusal(api: Api, directory_id: str, **more: str) -> str:
    """The explained reason of a connect that Microsoft refuses."""
    answer = api.post("/microsoft-tenants", {"directory_id": directory_id, **more}, status=422)
    assert answer["status"] == 422
    assert api.get("/microsoft-tenants")["total"] == 0
    return " ".join(answer["errors"]["directory_id"])


def test_C4_an_unknown_tenant_is_explained(api: Api) -> None:
    assert "AADSTS90002" in refusal(api, "00000000-1111-4222-8333-444444444444")


def test_C4_a_tenant_without_consent_is_explained(api: Api, simulator: SimulatorServer) -> None:
    reason = refusal(api, simulator.world.customer_ids[0])
    assert "AADSTS7000229" in reason or "AADSTS700016" in reason
    assert "consent" in reason.lower()


def test_C4_a_wrong_secret_is_explained_and_not_shown(simulator: SimulatorServer, tmp_path: Path) -> None:
    with running(settings_for(simulator, tmp_path, client_secret="wr0ng~secret")) as api:
        reason = refusal(api, simulator.tenant_ids[0])
    assert "AADSTS7000215" in reason
    assert "wr0ng" not in reason


def test_C4_an_unreachable_microsoft_is_explained(simulator: SimulatorServer, tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, not listening: refused at once
        closed = f"https://127.0.0.1:{taken.getsockname()[1]}"
        with running(settings_for(simulator, tmp_path, login_url=closed, graph_url=closed)) as api:
            assert "reach" in refusal(api, simulator.tenant_ids[0])


def test_C1_without_an_app_registration_connecting_says_what_to_do(
    simulator: SimulatorServer, tmp_path: Path
) -> None:
    with running(settings_for(simulator, tmp_path, client_id="", client_secret="")) as api:
        assert "MICROSOFT_CLIENT_ID" in refusal(api, simulator.tenant_ids[0])


@pytest.mark.parametrize("bad", ["", "contoso", "../organizations", "common", "x" * 300])
def test_a_directory_id_that_cannot_be_one_is_refused_before_anybody_is_asked(
    api: Api, simulator: SimulatorServer, bad: str
) -> None:
    simulator.control.clear_log()
    assert refusal(api, bad)
    assert simulator.control.log() == []


def test_the_same_directory_is_connected_once(api: Api, simulator: SimulatorServer) -> None:
    first = api.connect(simulator.tenant_ids[0])
    answer = api.post("/microsoft-tenants", {"directory_id": simulator.tenant_ids[0].upper()}, status=409)
    assert first["name"] in answer["detail"]


def test_C4_the_check_names_what_is_missing(api: Api, simulator: SimulatorServer) -> None:
    tenant = api.connected(simulator.tenant_ids[0])
    path = f"/microsoft-tenants/{tenant['id']}/check"
    assert {row["state"] for row in api.post(path, status=200)["checks"]} == {"ok"}
    simulator.control.remove_role(simulator.tenant_ids[0], "AuditLog.Read.All")
    checks = api.post(path, status=200)["checks"]
    missing = [row for row in checks if row["state"] == "missing_permission"]
    assert missing and all("AuditLog.Read.All" in row["detail"] for row in missing)
    assert {"name", "state", "detail"} <= set(missing[0])


def test_D3_a_tenant_without_premium_or_intune_says_missing_license(
    api: Api, simulator: SimulatorServer
) -> None:
    tenant = api.connected(simulator.tenant_ids[1])
    checks = api.post(f"/microsoft-tenants/{tenant['id']}/check", status=200)["checks"]
    assert {row["state"] for row in checks} == {"ok", "missing_license"}


def test_G2_withdrawn_consent_needs_attention_and_heals_after_a_good_check(
    api: Api, simulator: SimulatorServer
) -> None:
    home = simulator.world.tenants[simulator.tenant_ids[0]]
    staff(simulator, "Ann", home.default_domain)
    tenant = api.connected(home.id)
    organization = api.organization("Reef Research", tenant["id"])
    api.enabled(organization, department=[DEPARTMENT])
    before = api.people(organization)
    simulator.control.withdraw_consent(home.id)
    simulator.control.expire_tokens(home.id)
    checks = api.post(f"/microsoft-tenants/{tenant['id']}/check", status=200)["checks"]
    assert "error" in {row["state"] for row in checks}
    broken = api.get(f"/microsoft-tenants/{tenant['id']}")
    assert broken["state"] == "needs_attention"
    assert "consent" in broken["problem"].lower()
    assert api.get(f"/organizations/{organization}/user-sync")["status"] == "needs_attention"
    run = api.synced(organization)
    assert (run["status"], bool(run["error"])) == ("failed", True)
    assert api.people(organization) == before, "nothing is concluded from a refusal (L2)"
    simulator.control.grant_consent(home.id)
    api.post(f"/microsoft-tenants/{tenant['id']}/check", status=200)
    assert api.get(f"/microsoft-tenants/{tenant['id']}")["state"] == "connected"
    assert api.synced(organization)["status"] == "succeeded"
    assert wait_until(
        lambda: api.get(f"/organizations/{organization}/user-sync")["status"] == "enabled", "the sync is well"
    )


def test_a_mapped_tenant_is_not_removed_and_an_unmapped_one_takes_its_mirror_along(
    api: Api, simulator: SimulatorServer
) -> None:
    home = simulator.world.tenants[simulator.tenant_ids[0]]
    staff(simulator, "Ann", home.default_domain)
    tenant = api.connected(home.id)
    organization = api.organization("Reef Research", tenant["id"])
    api.enabled(organization, department=[DEPARTMENT])
    path = f"/microsoft-tenants/{tenant['id']}"
    api.delete(path, status=409)
    owner = api.get(f"/organizations/{organization}")["tenant_id"]
    api.delete(f"/tenants/{owner}/microsoft-tenant", status=409)  # R2: a sync is enabled
    api.delete(f"/organizations/{organization}/user-sync")
    api.delete(f"/tenants/{owner}/microsoft-tenant")
    api.delete(path)
    api.get(path, status=404)
    (ann,) = api.people(organization).values()
    assert ann["microsoft"]["status"] == "active", (
        "the Link stays, for the day the tenant is connected again (L7)"
    )
