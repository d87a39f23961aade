"""What the benches stand on: the simulator and the portal as processes of their own, asked over the REST API as any program would.

Processes are watched from outside, in /proc: their CPU time and the largest size they have had.
"""

from __future__ import annotations

import json
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

PROGRAM = str(Path(sys.executable).with_name("rollcall"))
SECTIONS = ("user_type", "domain", "office_location", "department", "group")
EVERYBODY: dict[str, Any] = {name: {"all": True, "values": []} for name in SECTIONS}
PATIENCE = 3600  # seconds for one run


@contextmanager
def started(
    *arguments: str, environment: dict[str, str], read: bool = False
) -> Iterator[subprocess.Popen[str]]:
    """Run one of our commands for as long as the block lasts; what it logs is thrown away."""
    process = subprocess.Popen(
        [PROGRAM, *arguments],
        env=environment,
        stdout=subprocess.PIPE if read else subprocess.DEVNULL,
        stderr=None if os.environ.get("BENCH_LOG") else subprocess.DEVNULL,
        text=True,
    )
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=120)
        if process.stdout:
            process.stdout.close()


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        try:
            children = Path(f"/proc/{one}/task/{one}/children").read_text(encoding="ascii").split()
        except OSError:
            continue
        todo += [int(child) for child in children]
    return found


def cpu_seconds(pid: int) -> float:
    """CPU time of a process and its descendants so far."""
    ticks = 0
    for one in family(pid):
        try:
            fields = Path(f"/proc/{one}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def peak_megabytes(pid: int) -> int:
    """The largest resident size that one process of a family has had."""
    sizes = [0]
    for one in family(pid):
        try:
            status = Path(f"/proc/{one}/status").read_text(encoding="utf-8").splitlines()
        except OSError:
            continue
        sizes += [int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM")]
    return max(sizes)


def free_port() -> int:
    """A loopback port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Api:
    """The portal's REST API as one account sees it. Answers are parsed JSON; a refusal raises RuntimeError."""

    def __init__(self, base: str, token: str) -> None:
        self._base, self._token = base, token

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Make one call; one that the portal puts off (503) is repeated for a while."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            request = urllib.request.Request(  # noqa: S310  always http on the loopback address
                f"{self._base}/api/v1{path}",
                method=method,
                data=None if body is None else json.dumps(body).encode(),
                headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
            )
            try:
                with urllib.request.urlopen(request, timeout=300) as answer:  # noqa: S310
                    return json.loads(answer.read() or b"null")
            except urllib.error.HTTPError as refusal:
                if refusal.code != 503:
                    raise RuntimeError(
                        f"{method} {path}: {refusal.read().decode(errors='replace')}"
                    ) from refusal
            time.sleep(0.2)
        raise RuntimeError(f"{method} {path}: still unavailable")

    def finished_run(self, run_id: str) -> dict[str, Any]:
        """Wait until a run is over and return it. Raises RuntimeError unless it succeeded: its time would mean nothing."""
        began = time.monotonic()
        while (waited := time.monotonic() - began) < PATIENCE:
            run: dict[str, Any] = self.call("GET", f"/sync-runs/{run_id}")
            if run["status"] not in {"queued", "running"}:
                if run["status"] != "succeeded":
                    raise RuntimeError(f"the run is {run['status']}: {run['error']}")
                return run
            time.sleep(max(0.02, waited / 25))  # an answer costs the portal something too
        raise RuntimeError(f"the run has not ended within {PATIENCE} seconds")


@dataclass
class Bench:
    """A simulator and a portal, and what was measured of them."""

    users: int
    database_url: str
    stack: ExitStack
    tenants: int = 3
    workers: int = 0
    is_hourly: bool = False
    facts: dict[str, Any] = field(default_factory=dict)
    simulator: Any = None
    portal: Any = None
    api: Any = None
    processes: Sequence[subprocess.Popen[str]] = ()
    port: int = 0
    token: str = ""

    def start(self) -> Bench:
        """Start both; the simulated directories are made before anything is timed."""
        folder = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="rollcall-bench-"))
        plain = {**os.environ, "ROLLCALL_DATA_DIR": folder, "ROLLCALL_DATABASE_URL": self.database_url}
        words = ("simulate", "--port", "0", "--tenants", str(self.tenants), "--users", str(self.users))
        self.simulator = self.stack.enter_context(started(*words, environment=plain, read=True))
        self.facts = json.loads(self.simulator.stdout.readline())
        environment = {
            **plain,
            "MICROSOFT_CLIENT_ID": self.facts["client_id"],
            "MICROSOFT_CLIENT_SECRET": self.facts["client_secret"],
            "MICROSOFT_LOGIN_URL": self.facts["login_url"],
            "MICROSOFT_GRAPH_URL": self.facts["graph_url"],
            "REQUESTS_CA_BUNDLE": self.facts["ca_bundle"],
            "ROLLCALL_SCHEDULER": "distributed" if self.workers else "embedded" if self.is_hourly else "off",
        }
        subprocess.run([PROGRAM, "db", "upgrade"], env=environment, check=True, stdout=subprocess.DEVNULL)
        create = [PROGRAM, "token", "create", "bench", "--role", "administrator"]
        answer = subprocess.run(create, env=environment, check=True, capture_output=True, text=True)
        self.port, self.token = free_port(), answer.stdout.strip().splitlines()[-1]
        self.portal = self.stack.enter_context(
            started("serve", "--port", str(self.port), environment=environment)
        )
        self.processes = [self.portal] + [
            self.stack.enter_context(started("worker", environment=environment)) for _ in range(self.workers)
        ]
        base = f"http://127.0.0.1:{self.port}"
        for _ in range(600):
            try:
                with urllib.request.urlopen(f"{base}/readyz", timeout=5):  # noqa: S310
                    break
            except OSError:
                time.sleep(0.1)
        self.api = Api(base, self.token)
        return self

    def cpu_seconds(self) -> float:
        """CPU time of the portal and its workers so far."""
        return sum(cpu_seconds(process.pid) for process in self.processes)

    def control(self, command: str, **arguments: Any) -> Any:
        """Change the simulated world."""
        request = urllib.request.Request(  # noqa: S310  loopback
            f"{self.facts['control_url']}/{command}",
            data=json.dumps(arguments).encode(),
            headers={"X-Control-Token": self.facts["control_token"], "Content-Type": "application/json"},
        )
        context = ssl.create_default_context(cafile=self.facts["ca_file"])
        with urllib.request.urlopen(request, timeout=600, context=context) as answer:  # noqa: S310
            return json.loads(answer.read())["result"]

    def connect(self, directory_id: str, name: str) -> str:
        """Connect a tenant without its first read being timed with a sync's; gives the path of the Organization."""
        tenant = self.api.call("POST", "/microsoft-tenants", {"directory_id": directory_id})
        organization = self.api.call("POST", "/organizations", {"name": name})
        mapping = {"microsoft_tenant_id": tenant["id"]}
        self.api.call("PUT", f"/tenants/{organization['tenant_id']}/microsoft-tenant", mapping)
        return f"/organizations/{organization['id']}"

    def switch_on(self, path: str, filters: dict[str, Any]) -> str:
        """Enable a User Sync; gives the id of its first run, which goes on."""
        body = {"filters": filters, "add_disabled_accounts": True, "only_licensed": False}
        return str(self.api.call("PUT", f"{path}/user-sync", body)["last_run"]["id"])

    def enable(self, path: str, filters: dict[str, Any]) -> dict[str, Any]:
        """Enable a User Sync; gives its first run once it is over."""
        return self.api.finished_run(self.switch_on(path, filters))

    def sync_now(self, path: str) -> tuple[dict[str, Any], float, float]:
        """One more run; gives it, its seconds and the portal's CPU seconds."""
        before, began = cpu_seconds(self.portal.pid), time.monotonic()
        run = self.api.finished_run(self.api.call("POST", f"{path}/user-sync/runs")["id"])
        return run, time.monotonic() - began, cpu_seconds(self.portal.pid) - before
