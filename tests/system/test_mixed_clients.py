"""Readers, writers, importers, sign-ins and a sync at once, over real connections: nobody is answered with an error of ours.

A fixed number of requests and no measured time: what they answer, and that everything adds up afterwards.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
import requests

from simulator.server import SimulatorServer
from tests.system.conftest import Api, wait_until
from tests.system.test_processes_O1 import PROGRAM, Http

READERS, WRITERS, IMPORTERS, GUESSERS = 4, 4, 2, 2
ROUNDS, ROWS = 5, 60
PASSWORD = "lamp orchid fjord seventeen"


class Portal:
    """``rollcall serve`` as a process, with its scheduler."""

    def __init__(self, stack: ExitStack, environment: dict[str, str], folder: Path) -> None:
        self._environment = environment
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.base = f"http://127.0.0.1:{port}"
        log = stack.enter_context((folder / "serve.log").open("ab"))
        command = [*PROGRAM, "serve", "--port", str(port)]
        self.process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        stack.callback(self.process.wait, timeout=60)
        stack.callback(self.process.terminate)
        wait_until(self._is_ready, "the portal is ready")
        self.run(
            "people",
            "add",
            "ada@x.example",
            "--role",
            "administrator",
            "--password-stdin",
            text=f"{PASSWORD}\n",
        )
        self.token = self.run("token", "create", "mixed", "--role", "administrator").splitlines()[-1]
        self.api = Api(Http(self.base), self.token)  # type: ignore[arg-type]

    def run(self, *arguments: str, text: str = "") -> str:
        command = [*PROGRAM, *arguments]
        done = subprocess.run(
            command, env=self._environment, capture_output=True, text=True, timeout=60, input=text
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def _is_ready(self) -> bool:
        try:
            return requests.get(f"{self.base}/readyz", timeout=5).status_code == 200
        except requests.RequestException:
            return False


@pytest.fixture
def portal(simulator: SimulatorServer, any_database: str, tmp_path: Path) -> Iterator[Portal]:
    environment = {
        **os.environ,
        "ROLLCALL_DATA_DIR": str(tmp_path),
        "ROLLCALL_DATABASE_URL": any_database,
        "ROLLCALL_SECRET_KEY": "a secret key, long enough, for tests only",
        "MICROSOFT_CLIENT_ID": simulator.client_id,
        "MICROSOFT_CLIENT_SECRET": simulator.client_secret,
        "MICROSOFT_LOGIN_URL": simulator.base_url,
        "MICROSOFT_GRAPH_URL": simulator.base_url,
        "REQUESTS_CA_BUNDLE": simulator.ca_file,
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    with ExitStack() as stack:
        yield Portal(stack, environment, tmp_path)


class Crowd:
    """What everybody was answered: (method, path, status)."""

    def __init__(self, portal: Portal) -> None:
        self._portal = portal
        self.answers: list[tuple[str, str, int]] = []
        self.wrong: list[BaseException] = []

    def ask(self, method: str, path: str, **more: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self._portal.token}", **more.pop("headers", {})}
        answer = requests.request(method, self._portal.base + path, headers=headers, timeout=120, **more)
        self.answers.append((method, path, answer.status_code))
        return answer

    def at_once(self, *works: Callable[[], None]) -> None:
        def kept(work: Callable[[], None]) -> None:
            try:
                work()
            except BaseException as error:  # told by the test's own thread
                self.wrong.append(error)

        threads = [threading.Thread(target=kept, args=(work,)) for work in works]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert not self.wrong, [repr(one) for one in self.wrong]


def test_nobody_gets_an_error_of_ours_while_everybody_works(
    portal: Portal, simulator: SimulatorServer
) -> None:
    api, crowd = portal.api, Crowd(portal)
    microsoft = api.connected(simulator.tenant_ids[0])
    synced = api.organization("Synced", microsoft["id"])
    others = api.post("/organizations", {"name": "Others"})["id"]
    people = f"/api/v1/organizations/{others}/end-users"

    def read() -> None:
        for _ in range(ROUNDS):
            for path in (
                "/healthz",
                "/login",
                "/api/v1/organizations",
                f"{people}?q=p&sort=-name",
                f"{people}.csv",
                "/api/v1/audit-events",
            ):
                crowd.ask("GET", path)

    def write(number: int) -> None:
        for n in range(ROUNDS):
            made = crowd.ask(
                "POST",
                people,
                json={"display_name": f"Written {number}-{n}", "email": f"w{number}-{n}@x.example"},
            ).json()
            crowd.ask("PATCH", f"/api/v1/end-users/{made['id']}", json={"phone": f"{number}{n}"})
        crowd.ask("DELETE", f"/api/v1/end-users/{made['id']}")

    def bring(number: int) -> None:
        for n in range(3):
            rows = "".join(f"i{number}-{row}@x.example,Imported {row},{n}{row}\n" for row in range(ROWS))
            told = crowd.ask(
                "POST",
                f"{people}/import",
                data=f"email,display_name,phone\n{rows}".encode(),
                headers={"Content-Type": "text/csv"},
            ).json()
            assert (told["created"], told["updated"], told["rejected"]) == (
                (ROWS, 0, []) if n == 0 else (0, ROWS, [])
            )

    def guess() -> None:
        for n in range(2):
            browser = requests.Session()
            page = browser.get(f"{portal.base}/login", timeout=60)
            csrf = re.search(r'name="csrf_token"[^>]*value="([^"]+)"', page.text)
            assert csrf is not None
            form = {"csrf_token": csrf[1], "email": f"somebody{n}@x.example", "password": "a wrong guess"}
            answer = browser.post(f"{portal.base}/login", data=form, timeout=60, allow_redirects=False)
            crowd.answers.append(("POST", "/login", answer.status_code))

    runs: list[dict[str, Any]] = []

    def sync() -> None:
        runs.append(api.enabled(synced, add_disabled_accounts=True, only_licensed=False))
        runs.append(api.synced(synced))

    works = [*[read] * READERS, *[guess] * GUESSERS, sync]
    works += [lambda n=n: write(n) for n in range(WRITERS)]  # type: ignore[misc]
    works += [lambda n=n: bring(n) for n in range(IMPORTERS)]  # type: ignore[misc]
    crowd.at_once(*works)
    assert [answer for answer in crowd.answers if answer[2] >= 500] == []
    assert (
        len(crowd.answers) == READERS * ROUNDS * 6 + WRITERS * (2 * ROUNDS + 1) + IMPORTERS * 3 + GUESSERS * 2
    )
    found = api.people(others)
    assert len(found) == WRITERS * (ROUNDS - 1) + IMPORTERS * ROWS
    assert {found[f"i{n}-{row}@x.example"]["phone"] for n in range(IMPORTERS) for row in range(ROWS)} == {
        f"2{row}" for row in range(ROWS)
    }
    assert [run["status"] for run in runs] == ["succeeded", "succeeded"]
    assert len(api.people(synced)) == runs[0]["counts"]["created"] > 50
    assert runs[1]["counts"]["created"] == 0
    portal.run("audit", "verify")
