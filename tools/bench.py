"""Measure the engine from outside, each figure as a ratio to a floor measured in the same run, and write them as JSON.

    python tools/bench.py [--sizes 1000,10000,100000] [--database sqlite|postgresql|both] [--json FILE]

Starts the simulator and the portal as processes of their own, on a throw-away database, and asks over the REST API as any
program would. The floor is what nobody can do without: everybody read over TLS once and inserted once into SQLite.
BENCH=full adds 500,000 people. The machine should do nothing else meanwhile; ratios are what counts.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import socket
import sqlite3
import ssl
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import requests
from sqlalchemy import Engine, create_engine, select, update
from sqlalchemy.orm import Session

from portal.models import DirectoryUser, EndUser, MicrosoftTenant, SyncRun

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

PROGRAM = str(Path(sys.executable).with_name("rollcall"))
SECTIONS = ("user_type", "domain", "office_location", "department", "group")
EVERYBODY: dict[str, Any] = {name: {"all": True, "values": []} for name in SECTIONS}
PATIENCE = 3600  # seconds for one run
NESTED_GROUPS = 20
SWEPT_USERS, SWEEP_LATENCY = 200, 0.1
BARS = {
    "first_to_floor": 4.0,
    "groups_to_plain": 1.3,
    "unchanged_seconds": 0.5,
    "unchanged_requests": 5,
    "first_to_unchanged_at_least": 100.0,
    "changed_to_floor": 0.4,
    "growth_exponent": 1.05,
    "page_p95_during_to_idle": 2.0,
    "ring_seconds": 0.2,
    "preview_20000_seconds": 1.0,
}

SWEEPING_WORKERS = 3
SWEEP_BARS = {(100, 0): 4.0, (500, 0): 30.0, (500, SWEEPING_WORKERS): 20.0}
"""Seconds, by tenants and workers."""


# -- processes -------------------------------------------------------------------------------------------------------


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


# -- the portal's API ------------------------------------------------------------------------------------------------


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


# -- figures ---------------------------------------------------------------------------------------------------------


def floor(bench: Bench, directory_id: str) -> tuple[float, float]:
    """Read everybody over TLS as the portal does, parse, and insert once into SQLite, one commit a page.

    Gives the seconds it took, and the CPU seconds of reader and simulator together.
    """
    facts = bench.facts
    session = requests.Session()
    session.trust_env = False  # a CA bundle or proxy of the environment must not stand in the way of loopback
    session.verify = facts["ca_file"]
    token = session.post(
        f"{facts['login_url']}/{directory_id}/oauth2/v2.0/token",
        data={
            "grant_type": "client_credentials",
            "client_id": facts["client_id"],
            "client_secret": facts["client_secret"],
            "scope": f"{facts['graph_url']}/.default",
        },
        timeout=60,
    ).json()["access_token"]
    from portal.graph.queries import USERS_DELTA

    headers = {"Authorization": f"Bearer {token}", "Accept-Encoding": "gzip"}
    with tempfile.TemporaryDirectory(prefix="rollcall-floor-") as folder:
        database = sqlite3.connect(f"{folder}/floor.db")
        database.execute("PRAGMA journal_mode=WAL")
        database.execute("PRAGMA synchronous=NORMAL")
        columns = ", ".join(f"c{n}" for n in range(25))
        database.execute(f"CREATE TABLE people (id TEXT PRIMARY KEY, {columns})")
        places = ", ".join("?" * 26)
        link = f"{facts['graph_url']}/v1.0{USERS_DELTA}"
        began, before = time.monotonic(), time.process_time() + cpu_seconds(bench.simulator.pid)
        while link:
            page = orjson.loads(session.get(link, headers=headers, timeout=120).content)
            rows = []
            for item in page["value"]:
                values = [v if isinstance(v, str) else orjson.dumps(v).decode() for v in item.values()]
                rows.append((item["id"], *(values + [""] * 25)[:25]))
            with database:
                database.executemany(f"INSERT OR REPLACE INTO people VALUES ({places})", rows)  # noqa: S608
            link = page.get("@odata.nextLink")
        seconds = time.monotonic() - began
        used = time.process_time() + cpu_seconds(bench.simulator.pid) - before
        database.close()
    return seconds, used


def page_times(bench: Bench, path: str, while_true: Callable[[], bool], at_least: int = 30) -> list[float]:
    """How long the list of End Users takes, again and again, as a page of 50."""
    found: list[float] = []
    while while_true() or len(found) < at_least:
        began = time.monotonic()
        bench.api.call("GET", f"{path}/end-users?per_page=50&page=1&sort=name")
        found.append(time.monotonic() - began)
        time.sleep(0.02)
    return found


def p95(values: list[float]) -> float:
    """The 95th percentile."""
    return sorted(values)[max(0, math.ceil(len(values) * 0.95) - 1)]


def measure(users: int, database_url: str) -> dict[str, float]:
    """All figures of one size on one database."""
    with ExitStack() as stack:
        bench = Bench(users, database_url, stack).start()
        bench.control("delta_page_size", size=999)
        plain, grouped, watched = bench.facts["tenant_ids"][:3]
        for tenant in (plain, grouped, watched):
            bench.control("users", tenant=tenant)  # makes the directory
        floor_seconds, floor_cpu = floor(bench, plain)
        figures: dict[str, float] = {"floor_seconds": floor_seconds, "floor_cpu_seconds": floor_cpu}

        before, theirs = cpu_seconds(bench.portal.pid), cpu_seconds(bench.simulator.pid)
        began = time.monotonic()
        path = bench.connect(plain, "Plain")
        run = bench.enable(path, EVERYBODY)
        figures["first_seconds"] = time.monotonic() - began
        figures["first_cpu_seconds"] = cpu_seconds(bench.portal.pid) - before
        figures["first_to_floor"] = figures["first_seconds"] / floor_seconds
        # Where others use the machine meanwhile this says more: what both cost, whoever had to wait.
        both = figures["first_cpu_seconds"] + cpu_seconds(bench.simulator.pid) - theirs
        figures["first_cpu_to_floor_cpu"] = both / floor_cpu
        figures["people"] = run["counts"]["read"]
        figures["peak_megabytes"] = peak_megabytes(bench.portal.pid)
        bench.sync_now(path)
        quiet = [bench.sync_now(path) for _ in range(3)]
        figures["unchanged_seconds"] = statistics.median(seconds for _, seconds, _ in quiet)
        figures["unchanged_cpu_seconds"] = statistics.median(cpu for _, _, cpu in quiet)
        figures["unchanged_requests"] = max(run["graph_requests"] for run, _, _ in quiet)
        figures["first_to_unchanged_at_least"] = figures["first_seconds"] / figures["unchanged_seconds"]

        listed = bench.control("users", tenant=plain)
        for user in listed[: max(1, len(listed) // 100)]:
            bench.control(
                "patch_user", tenant=plain, user=user["id"], props={"jobTitle": "Changed by the bench"}
            )
        run, seconds, _cpu = bench.sync_now(path)
        figures["changed_people"] = run["counts"]["updated"]
        figures["changed_seconds"], figures["changed_to_floor"] = seconds, seconds / floor_seconds

        began = time.monotonic()
        body = {"filters": EVERYBODY, "add_disabled_accounts": False, "only_licensed": False}
        bench.api.call("POST", f"{path}/user-sync/preview", body)
        figures["preview_seconds"] = time.monotonic() - began

        began = time.monotonic()
        other = bench.connect(grouped, "Grouped")
        offered = [
            g["value"] for g in bench.api.call("GET", f"{other}/user-sync/options")["group"] if g["value"]
        ]
        chosen = {**EVERYBODY, "group": {"all": False, "values": offered[:NESTED_GROUPS]}}
        bench.enable(other, chosen)
        figures["groups_seconds"] = time.monotonic() - began
        figures["groups_to_plain"] = figures["groups_seconds"] / figures["first_seconds"]

        # Pages are watched during a first sync of its own: each one read takes time from the run beside it.
        idle = page_times(bench, path, lambda: False)
        path = bench.connect(watched, "Watched")
        during: list[float] = []
        done = threading.Event()
        watcher = threading.Thread(
            target=lambda: during.extend(page_times(bench, path, lambda: not done.is_set(), 1))
        )
        watcher.start()
        bench.enable(path, EVERYBODY)
        done.set()
        watcher.join()
        figures["page_p95_idle_ms"], figures["page_p95_during_ms"] = p95(idle) * 1000, p95(during) * 1000
        figures["page_p95_during_to_idle"] = p95(during) / p95(idle)
        return figures


def sweep(database_url: str, tenants: int, workers: int = 0) -> dict[str, float]:
    """The hour of many tenants in which nothing changed, all due at once, each answer of Graph taking a while.

    From the first that is queued to the last that has ended; workers: processes beside the portal's own, 0 for none.
    """
    with ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="rollcall-bench-"))
        url = database_url or f"sqlite:///{folder}/sweep.db"
        bench = Bench(SWEPT_USERS, url, stack, tenants=tenants, workers=workers, is_hourly=True).start()
        paths = [bench.connect(one, f"Customer {n}") for n, one in enumerate(bench.facts["tenant_ids"])]
        for run in [bench.switch_on(path, EVERYBODY) for path in paths]:
            bench.api.finished_run(run)
        engine = stack.enter_context(closing_engine(url))
        hour(engine, tenants)  # who reads again what the first one left open
        indexed(engine)
        bench.control("fault", kind="slow", times=None, options={"seconds": SWEEP_LATENCY})
        before = bench.cpu_seconds()
        seconds = hour(engine, tenants)
        return {
            "sweep_tenants": tenants,
            "sweep_workers": workers,
            "sweep_seconds": seconds,
            "sweep_cpu_seconds": bench.cpu_seconds() - before,
        }


def indexed(engine: Engine) -> None:
    """Wait until everybody is in SQLite's indexes of words, which are filled after a first sync and not in each hour."""
    end = time.monotonic() + PATIENCE
    for model in (EndUser, DirectoryUser) if engine.dialect.name == "sqlite" else ():
        waiting = select(model.search_row).where(model.search_row.is_(None)).limit(1)
        while time.monotonic() < end:
            with Session(engine) as session:
                if session.execute(waiting).first() is None:
                    break
            time.sleep(0.25)


def hour(engine: Engine, tenants: int) -> float:
    """Make every tenant due now; gives the seconds from the first run that is queued to the end of the last."""
    due = datetime.now(UTC)
    with Session(engine) as session:
        session.execute(update(MicrosoftTenant).values(next_run_at=due))
        session.commit()
    queued = select(SyncRun.created_at, SyncRun.finished_at, SyncRun.status).where(
        SyncRun.trigger == "hourly", SyncRun.created_at >= due
    )
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        with Session(engine) as session:
            runs = session.execute(queued).all()
        if len(runs) >= tenants and all(run.finished_at is not None for run in runs):
            if {run.status for run in runs} != {"succeeded"}:
                raise RuntimeError("not every run of the sweep succeeded")
            times = [(run.created_at, run.finished_at) for run in runs]
            return (max(ended for _, ended in times) - min(began for began, _ in times)).total_seconds()
        time.sleep(0.25)
    raise RuntimeError(f"the sweep has not ended within {PATIENCE} seconds")


@contextmanager
def closing_engine(url: str) -> Iterator[Engine]:
    """To look into the portal's database from outside."""
    engine = create_engine(url)
    try:
        yield engine
    finally:
        engine.dispose()


def ring(people: int = 2_000) -> dict[str, float]:
    """Deciding alone, for people who all swap addresses."""
    from portal.engine.plan import plan
    from portal.engine.records import EndUserKeys, FilterSpec, HoldRule, PersonKeys, Snapshot

    persons = tuple(
        PersonKeys(
            f"u{n}", "present", f"p{(n + 1) % people}@x.example", (), "x.example", "Member", "", "", True, None, "",
            False, False, False, "new",
        )
        for n in range(people)
    )  # fmt: skip
    rows = [
        EndUserKeys(f"e{n}", f"p{n}@x.example", f"u{n}", False, False, True, "", "old", ())
        for n in range(people)
    ]
    shot = Snapshot("o", "m", FilterSpec(), persons, rows)
    began = time.monotonic()
    found = plan(shot, is_initial=False, rule=HoldRule(), dismissed=frozenset())
    seconds = time.monotonic() - began
    if len(found.assignments) != people:
        raise RuntimeError("the ring is not decided as one")
    return {"ring_people": people, "ring_seconds": seconds}


# -- the whole -------------------------------------------------------------------------------------------------------


def report(title: str, figures: dict[str, float], bars: dict[str, float] | None = None) -> None:
    """Print figures, each with its bar where it has one: ``BARS``, or ``bars``."""
    print(f"\n{title}")
    for name, value in figures.items():
        bar = (BARS if bars is None else bars).get(name)
        told = ""
        if bar is not None:
            is_met = value >= bar if name.endswith("at_least") else value <= bar
            told = f"   bar {bar:g}{'' if is_met else '   MISSED'}"
        print(f"  {name:32} {value:12,.3f}{told}", flush=True)


def numbers(given: str) -> list[int]:
    """Of a text with commas between; none of an empty one."""
    return [int(number) for number in given.split(",") if number]


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Measure the engine against a floor of the same run.")
    parser.add_argument(
        "--sizes", type=numbers, default=[1000, 10_000, 100_000], help="how many people; empty for none"
    )
    parser.add_argument("--database", choices=("sqlite", "postgresql", "both"), default="both")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "bench.json")
    parser.add_argument(
        "--sweeps",
        type=numbers,
        default=[100, 500],
        help="of how many tenants; empty for none",
    )
    asked = parser.parse_args()
    sizes = [*asked.sizes]
    if os.environ.get("BENCH") == "full":
        sizes.append(500_000)
    found: dict[str, Any] = {"machine": {"cores": os.cpu_count(), "python": sys.version.split()[0]}}
    found["ring"] = ring()
    report("plan", found["ring"])
    with ExitStack() as stack:
        urls = {"sqlite": lambda: ""}
        if asked.database != "sqlite":
            from tests.postgres import running_server

            server = stack.enter_context(running_server())
            urls["postgresql"] = server.create_database
        if asked.database == "postgresql":
            del urls["sqlite"]
        for database, new_url in urls.items():
            of_size = {}
            for size in sizes:
                of_size[size] = measure(size, new_url())
                report(f"{database}, {size:,} people", of_size[size])
            if len(sizes) > 1:
                small, large = of_size[sizes[-2]], of_size[sizes[-1]]
                times = large["first_seconds"] / small["first_seconds"]
                growth = {"growth_exponent": math.log(times) / math.log(large["people"] / small["people"])}
                report(f"{database}, growth from {sizes[-2]:,} to {sizes[-1]:,}", growth)
                found[f"{database} growth"] = growth
            found[database] = of_size
            workers = SWEEPING_WORKERS if database == "postgresql" else 0
            for tenants in asked.sweeps:
                title = f"{database}, one sweep of {tenants} tenants"
                found[title] = sweep(new_url(), tenants, workers)
                report(title, found[title], {"sweep_seconds": SWEEP_BARS.get((tenants, workers), math.inf)})
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(found, indent=2), encoding="utf-8")
    print(f"\nwritten to {asked.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
