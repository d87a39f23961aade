"""The portal as it is run: ``rollcall serve`` and ``rollcall worker`` as processes, on PostgreSQL, killed in the middle."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from simulator.server import SimulatorServer
from tests.system.conftest import FINISHED, Api, request, wait_until

PROGRAM = [sys.executable, "-m", "portal.cli"]


class Http:
    """What ``Api`` needs of a client, over a real connection."""

    application = None  # it is in another process

    def __init__(self, base: str) -> None:
        self._base = base

    def open(self, path: str, *, method: str, json: Any, headers: dict[str, str]) -> Any:
        answer = requests.request(method, f"{self._base}{path}", json=json, headers=headers, timeout=60)
        answer.get_json = lambda silent=False: answer.json() if answer.content else None  # type: ignore[attr-defined]
        return answer


class Installation:
    """One database, one web process that only queues, and workers that come and go."""

    def __init__(self, stack: ExitStack, environment: dict[str, str], folder: Path) -> None:
        self._stack, self._environment, self._folder = stack, environment, folder
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        base = f"http://127.0.0.1:{port}"
        self._start("serve", "--port", str(port))
        wait_until(lambda: self._is_ready(base), "the portal is ready")
        command = [*PROGRAM, "token", "create", "system", "--role", "administrator"]
        said = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=True, timeout=60
        )
        self.api = Api(Http(base), said.stdout.splitlines()[-1])  # type: ignore[arg-type]

    def worker(self) -> subprocess.Popen[bytes]:
        return self._start("worker")

    def _start(self, *arguments: str) -> subprocess.Popen[bytes]:
        log = self._stack.enter_context((self._folder / f"{arguments[0]}.log").open("ab"))
        process = subprocess.Popen([*PROGRAM, *arguments], env=self._environment, stdout=log, stderr=log)
        self._stack.callback(process.wait, timeout=30)
        self._stack.callback(process.terminate)
        return process

    @staticmethod
    def _is_ready(base: str) -> bool:
        try:
            return requests.get(f"{base}/readyz", timeout=5).status_code == 200
        except requests.ConnectionError:
            return False


@pytest.fixture
def installation(simulator: SimulatorServer, postgres_url: str, tmp_path: Path) -> Iterator[Installation]:
    environment = {
        **os.environ,
        "ROLLCALL_DATA_DIR": str(tmp_path),
        "ROLLCALL_DATABASE_URL": postgres_url,
        "ROLLCALL_SECRET_KEY": "a secret key, long enough, for tests only",
        "ROLLCALL_SCHEDULER": "distributed",
        "MICROSOFT_CLIENT_ID": simulator.client_id,
        "MICROSOFT_CLIENT_SECRET": simulator.client_secret,
        "MICROSOFT_LOGIN_URL": simulator.base_url,
        "MICROSOFT_GRAPH_URL": simulator.base_url,
        "REQUESTS_CA_BUNDLE": simulator.ca_file,
    }
    with ExitStack() as stack:
        yield Installation(stack, environment, tmp_path)


@pytest.mark.postgres
@pytest.mark.crash
def test_O1_G4_two_workers_share_the_tenants_and_others_finish_what_killed_ones_began(
    installation: Installation, simulator: SimulatorServer
) -> None:
    api = installation.api
    workers = [installation.worker(), installation.worker()]
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
    wait_until(lambda: {api.get(f"/sync-runs/{run}")["status"] for run in runs} == {"running"}, "both run")
    for worker in workers:
        worker.send_signal(signal.SIGKILL)
        worker.wait(timeout=30)
    assert {api.get(f"/sync-runs/{run}")["status"] for run in runs}.isdisjoint(FINISHED)
    simulator.control.clear_faults()
    installation.worker()
    ended = [api.finished(run, 180) for run in runs]
    assert [run["status"] for run in ended] == ["succeeded", "succeeded"], ended
    for organization, run in zip(organizations, ended, strict=True):
        people = api.people(organization)
        assert len(people) == run["counts"]["created"] > 0
        again = api.synced(organization)
        assert again["counts"]["unchanged"] == len(people), "nobody is lost, doubled or wrongly marked"
        assert api.everything(f"/sync-runs/{again['id']}/changes?decision=create") == []
