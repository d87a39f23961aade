"""The whole trial: 2 web processes, 3 workers and 30 Microsoft tenants on one PostgreSQL, and everything that goes wrong.

    python -m tests.distributed.trial [--times N] [--minutes M] [--tenants N] [--seed N]

For some minutes people come, go and change in Microsoft, syncs are pressed and due, pages are looked at, while workers are killed
(kill -9), stopped past every deadline and woken again, stopped inside transactions, and PostgreSQL is restarted. At the end
everybody is compared: nobody may be lost, doubled, mismarked or stale, no answer may be 500, and each worker killed has to be
replaced within 30 s. Ends with 1 when anything is wrong.
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path

from simulator.server import SimulatorServer
from simulator.world import World
from tests.distributed import customers
from tests.distributed.customers import Customer, add, change, differences, finished, press
from tests.distributed.installation import Installation, Process, installed
from tests.distributed.test_databases_away import Visitors
from tests.postgres import running_server
from tests.system.conftest import wait_until

FAULTS = ("kill", "kill", "stop", "stop inside", "restart", "end")
RECOVERED = 30.0
REFUSED = 1  # how a worker ends that was started while PostgreSQL was away


class Trial:
    """One trial. ``wrong``: what must not be."""

    def __init__(
        self, one: Installation, simulator: SimulatorServer, rng: random.Random, tenants: int
    ) -> None:
        self.one, self.simulator, self.rng, self.tenants = one, simulator, rng, tenants
        self.wrong: list[str] = []
        self.seen: Counter[str] = Counter()
        self.waits: list[float] = []
        self.workers: list[Process] = []
        self.asleep: list[tuple[float, Process]] = []
        self.connections = 0

    def run(self, seconds: float) -> None:
        """From an empty database to the last comparison."""
        self.one.start(webs=2)
        self.workers = [self.one.worker() for _ in range(3)]
        found = customers.connect(self.one, self.simulator, self.tenants)
        self.tell(f"{len(found)} tenants, {sum(len(c.truth) for c in found)} people")
        visitors = Visitors(self.one)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            self.change(found)
            self.replace_refused()
            try:
                self.fault()
            except ProcessLookupError:  # refused to start, just now
                continue
            self.wake()
            self.connections = max(self.connections, self.count_connections())
        self.wake(everybody=True)
        visitors.leave()
        self.wrong += [f"{path}: {what}" for path, what in visitors.bad]
        self.wrong += [
            f"{what}: {status}" for what, status in self.one.answers if status >= 500 and status != 503
        ]
        self.compare(found)
        self.tell(
            f"{visitors.asked} answers, {visitors.unavailable} of them 503; {dict(self.seen)}; "
            f"free again after {max(self.waits, default=0):.1f} s at most; {self.connections} connections at most"
        )

    def change(self, found: list[Customer]) -> None:
        for customer in self.rng.sample(found, k=max(1, len(found) // 4)):
            change(
                self.simulator, customer, f"Title {self.rng.randrange(10_000)}", leavers=self.rng.randrange(3)
            )
            if self.rng.random() < 0.5:
                add(self.simulator, customer, f"new{self.rng.randrange(10**9)}")
            press(self.one, customer)

    def replace_refused(self) -> None:
        """A worker that is started while PostgreSQL is away says so in one line and ends; whoever keeps it starts it again."""
        for worker in [w for w in self.workers if not w.lives()]:
            if worker.wait(0) != REFUSED:
                self.wrong.append(f"a worker ended by itself: {worker.log}")
            self.workers.remove(worker)
            self.workers.append(self.one.worker())
            self.seen["refused"] += 1

    def fault(self) -> None:
        kind = self.rng.choice(FAULTS)
        self.seen[kind] += 1
        if kind == "restart":
            self.one.restart(self.rng.choice(("fast", "immediate")))
            return
        worker = self.rng.choice(self.workers)
        if kind == "kill":
            mine = self.leases()
            worker.kill()
            self.workers.remove(worker)
            began = time.monotonic()
            self.workers.append(self.one.worker())
            self.freed(mine, began)
        elif kind == "end":
            if worker.end() not in {0, -signal.SIGTERM, REFUSED}:  # the second: it had not begun yet
                self.wrong.append(f"a worker did not end well: {worker.log}")
            self.workers.remove(worker)
            self.workers.append(self.one.worker())
        else:
            if kind == "stop inside":
                threading.Event().wait(self.rng.random() / 50)  # wherever it happens to be
            worker.stop()
            self.workers.remove(worker)
            self.asleep.append((time.monotonic() + self.rng.uniform(5, 40), worker))
            self.workers.append(self.one.worker())

    def leases(self) -> set[tuple[object, ...]]:
        """Who is being synced, and until when that is promised: a worker that lives says so again and again."""
        held = "SELECT id, fence, lease_expires_at FROM microsoft_tenants WHERE lease_owner IS NOT NULL"
        return {tuple(row) for row in self.one.sql(held)}

    def freed(self, before: set[tuple[object, ...]], began: float) -> None:
        """Wait until whoever was being synced is free, or somebody works on them."""

        def held() -> bool:
            return not before & self.leases()

        try:
            wait_until(held, "a killed worker's tenants are free again", RECOVERED)
        except AssertionError as error:
            self.wrong.append(str(error))
        self.waits.append(time.monotonic() - began)

    def wake(self, *, everybody: bool = False) -> None:
        for at, worker in list(self.asleep):
            if everybody or at <= time.monotonic():
                worker.go_on()
                self.asleep.remove((at, worker))
                self.seen["woken"] += 1

    def count_connections(self) -> int:
        return int(
            self.one.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()")[0][0]
        )

    def compare(self, found: list[Customer]) -> None:
        """Everybody goes on for a while; then one last sync of each, and all must be as in Microsoft."""
        wait_until(
            lambda: not self.one.sql("SELECT 1 FROM sync_runs WHERE status IN ('queued', 'running')"),
            "all runs end",
            300,
        )
        broken = self.one.sql(
            "SELECT status, error FROM sync_runs WHERE status NOT IN ('succeeded', 'cancelled')"
        )
        self.wrong += [f"a run {status}: {error}" for status, error in broken]
        runs = [(customer, press(self.one, customer)) for customer in found]
        for customer, run in runs:
            status = finished(self.one, run, 300)["status"]
            self.wrong += [] if status == "succeeded" else [f"the last run {status}"]
            self.wrong += differences(self.one, customer)
        self.wrong += [
            f"state {s}"
            for (s,) in self.one.sql("SELECT state FROM microsoft_tenants WHERE state <> 'connected'")
        ]

    @staticmethod
    def tell(line: str) -> None:
        print(line, flush=True)


def once(seed: int, seconds: float, tenants: int) -> bool:
    """One trial; says what was wrong, and where the logs are then."""
    folder = Path(tempfile.mkdtemp(prefix="rollcall-trial-"))
    world = World(tenants=tenants, users=24, seed=seed, oddities=False, delta_page_size=10)
    began = time.monotonic()
    with running_server() as server, SimulatorServer(world) as simulator:
        settings = {"ROLLCALL_SYNC_INTERVAL_MINUTES": "1"}
        with installed(simulator, server, folder, **settings) as one:
            trial = Trial(one, simulator, random.Random(seed), tenants)
            trial.run(seconds)
    for line in trial.wrong:
        print("WRONG", line)
    print(
        f"trial {seed}: {'failed, logs in ' + str(folder) if trial.wrong else 'passed'} in {time.monotonic() - began:.0f} s",
        flush=True,
    )
    return not trial.wrong


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--times", type=int, default=1)
    parser.add_argument("--minutes", type=float, default=3.0)
    parser.add_argument("--tenants", type=int, default=30)
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    passed = [once(given.seed + n, given.minutes * 60, given.tenants) for n in range(given.times)]
    print(f"{sum(passed)} of {len(passed)} passed")
    return 0 if all(passed) else 1


if __name__ == "__main__":
    sys.exit(main())
