"""``rollcall simulate``: the simulator as a process of its own."""

from __future__ import annotations

import json
import signal
import sys
import threading

import click

from simulator.server import SimulatorServer
from simulator.world import World


@click.command()
@click.option(
    "--port",
    default=9443,
    show_default=True,
    type=click.IntRange(0, 65535),
    help="Where to listen on this machine; 0 takes a free port.",
)
@click.option(
    "--tenants",
    default=2,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="How many consented tenants.",
)
@click.option(
    "--users",
    default=400,
    show_default=True,
    type=click.IntRange(1, 1_000_000),
    help="How many users in each.",
)
@click.option("--seed", default=1, show_default=True, type=int, help="The same seed gives the same world.")
def simulate(port: int, tenants: int, users: int, seed: int) -> None:
    """Serve simulated Microsoft tenants over HTTPS. Prints one JSON line with addresses, ids and secrets."""
    stopped = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stopped.set())
    simulator = SimulatorServer(World(tenants=tenants, users=users, seed=seed), port)
    try:
        simulator.start()
    except OSError as error:
        raise click.ClickException(
            f"The simulator cannot listen on port {port} ({error.strerror}). Choose another one with --port."
        ) from None
    try:
        print(json.dumps(simulator.facts()), flush=True)
        stopped.wait()
    finally:
        simulator.stop()
    sys.exit(0)
