"""A portal of a few pages under ``portal.operations.server``, with a scheduler that only writes down what it is told.

    python -m tests.tooling.server_trial [NAME=VALUE ...]

Sets the named constants of ``portal.operations.server`` first, such as HEADER_SECONDS=1. Prints its port, and what happens, a line
each. Started by test_server.py.
"""

import os
import sys
import threading
from types import ModuleType

from flask import Flask, request


def tell(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


told_to_stop = threading.Event()


def stop(wait: float = 0.0) -> None:
    tell("stop", wait)
    told_to_stop.set()


fake = ModuleType("portal.worker.scheduler")
fake.start = lambda app: tell("start", app.name)
fake.stop = stop
sys.modules["portal.worker.scheduler"] = fake

from portal.operations import server  # noqa: E402  the fake comes first

app = Flask("trial")


@app.get("/healthz")
def healthz() -> str:
    return "ok"


@app.post("/length")
def length() -> str:
    return str(len(request.get_data()))


@app.get("/slow")
def slow() -> str:
    """Until the signal has arrived, and a moment more."""
    tell("asked")
    told_to_stop.wait(30)
    tell("answered")
    return large()


@app.get("/large")
def large() -> str:
    return "done" * 500_000


if __name__ == "__main__":
    for pair in sys.argv[1:]:
        name, _, value = pair.partition("=")
        setattr(server, name, int(value))
    server.SETTINGS["channel_timeout"] = server.IDLE_SECONDS
    trial = server.Server(app, "127.0.0.1", 0)
    tell(trial.port)
    trial.run()
