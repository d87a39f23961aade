"""The portal as it is run: ``rollcall serve`` and ``rollcall worker`` as processes, on PostgreSQL, killed in the middle."""

from __future__ import annotations

from pathlib import Path

import pytest

from simulator.server import SimulatorServer
from tests.distributed import quick_worker
from tests.distributed.installation import installed
from tests.postgres import PostgresServer
from tests.system.conftest import FINISHED, request, wait_until


@pytest.mark.postgres
@pytest.mark.crash
def test_O1_G4_two_workers_share_the_tenants_and_others_finish_what_killed_ones_began(
    simulator: SimulatorServer, postgres_databases: PostgresServer, tmp_path: Path
) -> None:
    with installed(simulator, postgres_databases, tmp_path) as one:
        api = one.start().api
        workers = [one.worker(), one.worker()]
        tenants = [api.connected(directory_id) for directory_id in simulator.tenant_ids[:2]]
        organizations = [api.organization(tenant["name"], tenant["id"]) for tenant in tenants]
        offered = api.get(f"/organizations/{organizations[0]}/user-sync/options")["group"]
        group = max((row for row in offered if row["value"]), key=lambda row: row["count"] or 0)["value"]
        # Microsoft asks to wait: nothing can be over before the workers are killed.
        simulator.control.fault("throttle", path="/users/delta", times=None, options={"retry_after": 25})
        runs = [
            api.put(f"/organizations/{organization}/user-sync", body)["last_run"]["id"]
            for organization, body in zip(organizations, (request(group=[group]), request()), strict=True)
        ]
        wait_until(
            lambda: {api.get(f"/sync-runs/{run}")["status"] for run in runs} == {"running"}, "both run"
        )
        for worker in workers:
            worker.kill()
        assert {api.get(f"/sync-runs/{run}")["status"] for run in runs}.isdisjoint(FINISHED)
        simulator.control.clear_faults()
        one.run("worker", program=quick_worker.main)  # which takes them for dead sooner than others would
        ended = [api.finished(run, 180) for run in runs]
        assert [run["status"] for run in ended] == ["succeeded", "succeeded"], ended
        for organization, run in zip(organizations, ended, strict=True):
            people = api.people(organization)
            assert len(people) == run["counts"]["created"] > 0
            again = api.synced(organization)
            assert again["counts"]["unchanged"] == len(people), "nobody is lost, doubled or wrongly marked"
            assert api.everything(f"/sync-runs/{again['id']}/changes?decision=create") == []
