"""How gunicorn runs the portal: one process with threads, and the scheduler inside it.

``rollcall serve`` takes its settings from here; ``gunicorn -c python:portal.gunicorn_conf wsgi:app`` does the same.

One process, because the embedded scheduler, the rate limits and the progress of a run live in it; threads, because
requests only queue work and wait for the database. Larger installations add ``rollcall worker`` processes instead
(``ROLLCALL_SCHEDULER=distributed``).

What it needs of ``portal.scheduler``:

``start(app)``
    Starts the timer and its threads unless the settings say otherwise. Called once, in the worker process after the
    fork: threads do not survive a fork, so nothing may start at import or in ``create_app``.
``stop(wait=0.0)``
    Asks the timer and running syncs to end, then waits up to ``wait`` seconds for them. May be called again. With
    ``wait=0.0`` it returns at once and only sets flags, because a signal handler calls it.

Order at SIGTERM: ``stop()`` first, so that work winds down while gunicorn lets the open requests finish (up to
``graceful_timeout`` seconds), then ``stop(wait=...)``, then exit.
"""

from __future__ import annotations

import ctypes
import gc
import os
import signal
import sys
from types import FrameType
from typing import Any

from portal import scheduler

worker_class = "gthread"
workers = 1
threads = 16
timeout = 120  # seconds without a sign of life from the main thread, which a heavy sync may keep waiting
graceful_timeout = 20
keepalive = 5
max_requests = 0  # a worker replaced on its own would take the scheduler's runs with it
control_socket_disable = True  # it would write below the home folder, which a container may not have
accesslog = None  # addresses of pages name people's ids; the portal keeps an audit log instead

_PR_SET_PDEATHSIG = 1  # prctl(2)
STOP_WAIT = 10.0  # seconds for running syncs to reach the end of their chunk


def on_starting(server: Any) -> None:
    """Refuse more than one web process, whoever asked for it (command line, ``WEB_CONCURRENCY``)."""
    if server.cfg.workers != 1:
        raise SystemExit(
            "Rollcall runs as one web process: leave out --workers. For more, start 'rollcall worker'."
        )


def post_fork(server: Any, worker: Any) -> None:  # noqa: ARG001  gunicorn fixes the signature
    """Have the kernel end this process when the one above it dies (``kill -9``): it would keep the port and sync on unseen.

    Linux only; elsewhere gunicorn's own watch ends it within seconds. A sync that is cut short so is taken up again (G4).
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != server.pid:  # it died in between
        os.kill(os.getpid(), signal.SIGKILL)


def post_worker_init(worker: Any) -> None:
    """Start the scheduler, and have SIGTERM tell it before gunicorn begins to wait for open requests."""
    keep_loaded_code()
    scheduler.start(worker.wsgi)
    finish = signal.getsignal(signal.SIGTERM)

    def tell_then_finish(number: int, frame: FrameType | None) -> None:
        scheduler.stop()
        if callable(finish):
            finish(number, frame)

    signal.signal(signal.SIGTERM, tell_then_finish)


def keep_loaded_code() -> None:
    """Spare Python from searching the loaded program for garbage: it takes 50 ms in the middle of somebody's page."""
    gc.collect()
    gc.freeze()


def worker_exit(server: Any, worker: Any) -> None:  # noqa: ARG001  gunicorn fixes the signature
    """Give running syncs a moment to end at a place where nothing is half-done."""
    scheduler.stop(wait=STOP_WAIT)
