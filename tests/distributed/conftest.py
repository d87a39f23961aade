"""Real processes on PostgreSQL. Everything here kills, stops or restarts something."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from simulator.server import SimulatorServer
from simulator.world import World
from tests.distributed import quick_worker
from tests.distributed.installation import Installation, Process, installed
from tests.postgres import PostgresServer
from tests.system.conftest import wait_until


@pytest.fixture
def simulator() -> Iterator[SimulatorServer]:
    with SimulatorServer(World(tenants=4, users=24, seed=5, oddities=False, delta_page_size=10)) as server:
        yield server


@pytest.fixture
def one(
    simulator: SimulatorServer, postgres_databases: PostgresServer, tmp_path: Path
) -> Iterator[Installation]:
    """An installation with one web process and no worker yet."""
    with installed(simulator, postgres_databases, tmp_path) as found:
        yield found.start()
    if sys.exc_info()[0] is None:
        postgres_databases.drop_database(found.url)


@pytest.fixture
def worker(one: Installation) -> Callable[..., Process]:
    """Start a quick worker; ``hold`` says where it stops itself. One that does not is waited for."""

    def start(hold: str = "", idle: str = "", concurrency: int = 2) -> Process:
        before = set(known(one))
        given = {"HOLD": hold} | ({"IDLE": idle} if idle else {})
        process = one.run("worker", "--concurrency", str(concurrency), program=quick_worker.main, **given)
        if not hold:
            wait_until(
                lambda: len(set(known(one)) - before) >= 5 or not process.lives(), "the worker is there", 120
            )
            assert process.lives(), process.log.read_text()
        return process

    return start


def known(one: Installation) -> list[int]:
    """Lanes of workers, whether they live or not."""
    return [number for (number,) in one.sql("SELECT id FROM procrastinate_workers")]


def stopped(process: Process) -> None:
    """Wait until a worker has stopped itself where it was told to."""
    wait_until(lambda: not process.lives() or process.is_stopped(), "the worker stops itself", 120)
    assert process.lives(), process.log.read_text()


def went_on(process: Process) -> None:
    """Let a stopped worker go on, until it has seen that the tenant is not its own any more."""
    process.go_on()
    told = ("action=lease_lost", "action=wait ")
    wait_until(
        lambda: any(word in process.log.read_text() for word in told), "it sees that it lost the tenant", 120
    )
