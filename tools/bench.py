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
import sqlite3
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import orjson
import requests

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench_rig import EVERYBODY, Bench, cpu_seconds, peak_megabytes
from bench_sweep import SWEEP_BARS, SWEEPING_WORKERS, sweep

ROOT = Path(__file__).resolve().parent.parent
NESTED_GROUPS = 20
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
        path = first_sync(bench, plain, figures)
        unchanged(bench, path, figures)
        changed(bench, plain, path, figures)
        began = time.monotonic()
        body = {"filters": EVERYBODY, "add_disabled_accounts": False, "only_licensed": False}
        bench.api.call("POST", f"{path}/user-sync/preview", body)
        figures["preview_seconds"] = time.monotonic() - began
        with_groups(bench, grouped, figures)
        # Pages are watched during a first sync of its own: each one read takes time from the run beside it.
        idle = page_times(bench, path, lambda: False)
        during = watched_pages(bench, watched)
        figures["page_p95_idle_ms"], figures["page_p95_during_ms"] = p95(idle) * 1000, p95(during) * 1000
        figures["page_p95_during_to_idle"] = p95(during) / p95(idle)
        return figures


def first_sync(bench: Bench, tenant: str, figures: dict[str, float]) -> str:
    """Measure the first sync of everybody, against the floor in ``figures``; gives the path of its Organization."""
    before, theirs = cpu_seconds(bench.portal.pid), cpu_seconds(bench.simulator.pid)
    began = time.monotonic()
    path = bench.connect(tenant, "Plain")
    run = bench.enable(path, EVERYBODY)
    figures["first_seconds"] = time.monotonic() - began
    figures["first_cpu_seconds"] = cpu_seconds(bench.portal.pid) - before
    figures["first_to_floor"] = figures["first_seconds"] / figures["floor_seconds"]
    # Where others use the machine meanwhile this says more: what both cost, whoever had to wait.
    both = figures["first_cpu_seconds"] + cpu_seconds(bench.simulator.pid) - theirs
    figures["first_cpu_to_floor_cpu"] = both / figures["floor_cpu_seconds"]
    figures["people"] = run["counts"]["read"]
    figures["peak_megabytes"] = peak_megabytes(bench.portal.pid)
    return path


def unchanged(bench: Bench, path: str, figures: dict[str, float]) -> None:
    """Measure syncs in which nothing changed, after one that reads again what the first one left open."""
    bench.sync_now(path)
    quiet = [bench.sync_now(path) for _ in range(3)]
    figures["unchanged_seconds"] = statistics.median(seconds for _, seconds, _ in quiet)
    figures["unchanged_cpu_seconds"] = statistics.median(cpu for _, _, cpu in quiet)
    figures["unchanged_requests"] = max(run["graph_requests"] for run, _, _ in quiet)
    figures["first_to_unchanged_at_least"] = figures["first_seconds"] / figures["unchanged_seconds"]


def changed(bench: Bench, tenant: str, path: str, figures: dict[str, float]) -> None:
    """Measure a sync before which one in a hundred changed."""
    listed = bench.control("users", tenant=tenant)
    for user in listed[: max(1, len(listed) // 100)]:
        bench.control(
            "patch_user", tenant=tenant, user=user["id"], props={"jobTitle": "Changed by the bench"}
        )
    run, seconds, _cpu = bench.sync_now(path)
    figures["changed_people"] = run["counts"]["updated"]
    figures["changed_seconds"], figures["changed_to_floor"] = seconds, seconds / figures["floor_seconds"]


def with_groups(bench: Bench, tenant: str, figures: dict[str, float]) -> None:
    """Measure a first sync that filters by groups, against the one without."""
    began = time.monotonic()
    path = bench.connect(tenant, "Grouped")
    options = bench.api.call("GET", f"{path}/user-sync/options")["group"]
    offered = [group["value"] for group in options if group["value"]]
    bench.enable(path, {**EVERYBODY, "group": {"all": False, "values": offered[:NESTED_GROUPS]}})
    figures["groups_seconds"] = time.monotonic() - began
    figures["groups_to_plain"] = figures["groups_seconds"] / figures["first_seconds"]


def watched_pages(bench: Bench, tenant: str) -> list[float]:
    """How long pages take while a first sync goes on, in seconds."""
    path = bench.connect(tenant, "Watched")
    during: list[float] = []
    done = threading.Event()
    watcher = threading.Thread(
        target=lambda: during.extend(page_times(bench, path, lambda: not done.is_set(), 1))
    )
    watcher.start()
    bench.enable(path, EVERYBODY)
    done.set()
    watcher.join()
    return during


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


def on_database(
    database: str, new_url: Callable[[], str], sizes: list[int], sweeps: list[int]
) -> dict[str, Any]:
    """All that is measured on one database, reported as it comes; ``new_url`` makes an empty one."""
    found: dict[str, Any] = {}
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
    for tenants in sweeps:
        title = f"{database}, one sweep of {tenants} tenants"
        found[title] = sweep(new_url(), tenants, workers)
        report(title, found[title], {"sweep_seconds": SWEEP_BARS.get((tenants, workers), math.inf)})
    return found


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
            found |= on_database(database, new_url, sizes, asked.sweeps)
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    asked.json.write_text(json.dumps(found, indent=2), encoding="utf-8")
    print(f"\nwritten to {asked.json}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
