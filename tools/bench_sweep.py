"""The hour of many tenants in which nothing changed: how long one sweep of their syncs takes, with workers and without."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime

from bench_rig import EVERYBODY, PATIENCE, Bench  # a neighbor in this folder
from sqlalchemy import Engine, create_engine, select, update
from sqlalchemy.orm import Session

from portal.models import DirectoryUser, EndUser, MicrosoftTenant, SyncRun

SWEPT_USERS, SWEEP_LATENCY = 200, 0.1
SWEEPING_WORKERS = 3
SWEEP_BARS = {(100, 0): 4.0, (500, 0): 30.0, (500, SWEEPING_WORKERS): 20.0}
"""Seconds, by tenants and workers."""


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
