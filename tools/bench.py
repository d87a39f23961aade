"""Measure a first sync, a second one without changes, and a first sync by Group, from outside, over the REST API.

    python tools/bench.py [--users 20000]

Starts the simulator and the portal on a throw-away SQLite database, connects a tenant of that many people, sets up a
sync that takes everybody, and times both runs; then sets up another Organization of a tenant as big by all its groups.
Prints people per second and what the portal's process used.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

PROGRAM = str(Path(sys.executable).with_name("rollcall"))
SECTIONS = ("user_type", "domain", "office_location", "department", "group")
PATIENCE = 1800  # seconds for one run
HTTP_UNAVAILABLE = 503


class Api:
    """The portal's REST API as one account sees it. Answers are parsed JSON; a refusal raises ``RuntimeError``."""

    def __init__(self, base: str, token: str) -> None:
        self._base, self._token = base, token

    def call(self, method: str, path: str, body: object = None) -> Any:
        """Make one call; one that the portal puts off (503) is repeated for a while."""
        for _ in range(300):
            request = urllib.request.Request(  # noqa: S310  always http on the loopback address
                f"{self._base}/api/v1{path}",
                method=method,
                data=None if body is None else json.dumps(body).encode(),
                headers={"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"},
            )
            try:
                with urllib.request.urlopen(request, timeout=120) as answer:  # noqa: S310
                    return json.loads(answer.read() or b"null")
            except urllib.error.HTTPError as refusal:
                if refusal.code != HTTP_UNAVAILABLE:
                    raise RuntimeError(f"{method} {path}: {refusal.read().decode(errors='replace')}") from refusal
            time.sleep(1)
        raise RuntimeError(f"{method} {path}: still unavailable after five minutes")

    def finished_run(self, run_id: str) -> dict[str, Any]:
        """Wait until a run is over and return it."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            run: dict[str, Any] = self.call("GET", f"/sync-runs/{run_id}")
            if run["status"] not in {"queued", "running"}:
                return run
            time.sleep(0.2)
        raise RuntimeError(f"the run has not ended within {PATIENCE} seconds")


@contextmanager
def started(*arguments: str, environment: dict[str, str], read: bool = False) -> Iterator[subprocess.Popen[str]]:
    """Run one of our commands for as long as the block lasts."""
    output = subprocess.PIPE if read else sys.stderr
    process = subprocess.Popen([PROGRAM, *arguments], env=environment, stdout=output, text=True)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(timeout=60)
        if process.stdout:
            process.stdout.close()


def free_port() -> int:
    """Return a loopback port that nobody uses at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(base: str) -> None:
    """Return when the portal answers ``/readyz``."""
    for _ in range(300):
        try:
            with urllib.request.urlopen(f"{base}/readyz", timeout=5):  # noqa: S310
                return
        except OSError:
            time.sleep(0.2)
    raise RuntimeError("the portal has not come up within a minute")


def megabytes(process: subprocess.Popen[str]) -> int:
    """Return the largest resident size of a process's worker so far, 0 where /proc does not tell."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if not children.exists():
        return 0
    sizes = [0]
    for child in children.read_text(encoding="ascii").split():
        status = Path(f"/proc/{child}/status").read_text(encoding="utf-8").splitlines()
        sizes += [int(line.split()[1]) // 1024 for line in status if line.startswith("VmHWM")]
    return max(sizes)


def measure(users: int) -> None:
    """Do all of it; prints as it goes."""
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rollcall-bench-"))
        plain = {**os.environ, "ROLLCALL_DATA_DIR": folder, "ROLLCALL_DATABASE_URL": ""}
        simulate = ("simulate", "--port", "0", "--tenants", "2", "--users", str(users))
        simulator = stack.enter_context(started(*simulate, environment=plain, read=True))
        facts = json.loads(simulator.stdout.readline() if simulator.stdout else "")
        environment = {
            **plain,
            "MICROSOFT_CLIENT_ID": facts["client_id"],
            "MICROSOFT_CLIENT_SECRET": facts["client_secret"],
            "MICROSOFT_LOGIN_URL": facts["login_url"],
            "MICROSOFT_GRAPH_URL": facts["graph_url"],
            "REQUESTS_CA_BUNDLE": facts["ca_bundle"],
        }
        subprocess.run([PROGRAM, "db", "upgrade"], env=environment, check=True, stdout=subprocess.DEVNULL)
        create = [PROGRAM, "token", "create", "bench", "--role", "administrator"]
        answer = subprocess.run(create, env=environment, check=True, capture_output=True, text=True)
        port = free_port()
        portal = stack.enter_context(started("serve", "--port", str(port), environment=environment))
        base = f"http://127.0.0.1:{port}"
        wait_until_ready(base)
        api = Api(base, answer.stdout.strip().splitlines()[-1])

        everybody = {name: {"all": True, "values": []} for name in SECTIONS}
        plain_sync = mapped(api, "Bench", facts["tenant_ids"][0])
        api.call("GET", f"{plain_sync}/options")  # as the pop-up does; for both, so that they compare
        first = report("first sync", *enable(api, plain_sync, everybody))
        began = time.monotonic()
        run = api.finished_run(api.call("POST", f"{plain_sync}/runs")["id"])
        report("nothing new", run, time.monotonic() - began)
        group_sync = mapped(api, "Bench by Group", facts["tenant_ids"][1])
        offered = [group["value"] for group in api.call("GET", f"{group_sync}/options")["group"] if group["value"]]
        by_group = {**everybody, "group": {"all": False, "values": offered}}
        grouped = report(f"first sync by {len(offered)} groups", *enable(api, group_sync, by_group))
        print(f"a person by Group takes {first / grouped:.2f} times as long; the bar is 1.5")
        print(f"memory of the portal at most {megabytes(portal)} MB")


def mapped(api: Api, name: str, directory_id: str) -> str:
    """Connect a Microsoft tenant, map it to a new Organization's Tenant; gives the path of its User Sync."""
    tenant = api.call("POST", "/microsoft-tenants", {"directory_id": directory_id})
    organization = api.call("POST", "/organizations", {"name": name})
    mapping = {"microsoft_tenant_id": tenant["id"]}
    api.call("PUT", f"/tenants/{organization['tenant_id']}/microsoft-tenant", mapping)
    return f"/organizations/{organization['id']}/user-sync"


def enable(api: Api, sync: str, filters: dict[str, Any]) -> tuple[dict[str, Any], float]:
    """Set up a User Sync; gives its first run and the seconds from the click to its end."""
    began = time.monotonic()
    body = {"filters": filters, "add_disabled_accounts": True, "only_licensed": False}
    run = api.finished_run(api.call("PUT", sync, body)["last_run"]["id"])
    return run, time.monotonic() - began


def report(name: str, run: dict[str, Any], seconds: float) -> float:
    """Print one line about a run and give people read per second.

    Raises RuntimeError when it did not succeed: its time would mean nothing.
    """
    if run["status"] != "succeeded":
        raise RuntimeError(f"{name}: the run is {run['status']}: {run['error']}")
    counts = run["counts"]
    speed: float = counts["read"] / seconds
    print(
        f"{name}: {seconds:.1f} s, {speed:,.0f} people a second "
        f"({counts['read']:,} read, {counts['created']:,} created, {run['graph_requests']} requests)",
        flush=True,
    )
    return speed


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Time a first sync and a second one.")
    parser.add_argument("--users", type=int, default=20_000)
    try:
        measure(parser.parse_args().users)
    except (RuntimeError, subprocess.CalledProcessError) as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
