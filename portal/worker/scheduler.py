"""The embedded scheduler: a timer that queues what is due, and a few threads that work on the queue. It decides nothing.

``start(app)`` and ``stop(wait)`` are the web server's (portal.operations.server). The queue is in the database, so several
processes may look at it: each tenant is leased (T1, ``worker.leases``). ``rollcall worker`` is ``distributed_worker``.
"""

from __future__ import annotations

import logging
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial

from apscheduler.schedulers.background import BackgroundScheduler
from flask import Flask

from portal import clock
from portal.clock import utcnow
from portal.errors import RetryLater, Stopped
from portal.imports import runner as imports
from portal.rollouts import claims
from portal.rollouts import worker as rollouts
from portal.runtime import Runtime
from portal.transactions import checkpoint, trouble
from portal.worker import leases, processes, queue, upkeep
from portal.worker.lanes import Lanes, safely
from portal.worker.queue import QueuedTask

log = logging.getLogger(__name__)

LOOK_SECONDS = 2  # how soon work queued by another process is seen; our own wakes us at once
LULL_SECONDS = 0.1  # at least between two looks: what arrives in between is handled together
LOOKING = 0.05  # the most of the time that is spent looking: with hundreds of tenants a look takes long
SCHEDULE_SECONDS = 5
CHECK_SECONDS = 600
INDEX_SECONDS = 2
CHECKPOINT_SECONDS = 0.5  # what it brings to the disk at once keeps others from it as long
THREADS = {"hourly": 64, "delayed": 16, "slow": 6, "check": 1, "import": 1, "rollout": 4}
"""Slow passes mostly wait for their turns: side by side, so that a large tenant and small ones take theirs page by page (T7)."""
SLOTS = {"hourly": 24, "delayed": 2}
"""How many of a lane's threads work at once; the others wait for Microsoft, which throttles them, or for a slot (G5)."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(hours=1)
AWAY_PAUSE = timedelta(seconds=2)
"""After a lock or a database that could not be had: that is no fault of the work."""


class Scheduler:
    """Works on the queue of one app. ``timer=False`` leaves out the schedule, the slow pass and the daily checks."""

    def __init__(self, app: Flask, *, timer: bool = True) -> None:
        self._app = app
        self._runtime: Runtime = app.extensions["rollcall"]
        self._timer = timer
        self._owner = processes.own_name()
        self._look = threading.Event()
        self._stopping = threading.Event()
        self._lock = threading.Lock()
        self._active: set[tuple[str, str]] = set()
        self._pauses: dict[QueuedTask, tuple[datetime, timedelta]] = {}
        self._pools: dict[str, ThreadPoolExecutor] = {}
        self._lanes = Lanes(self._runtime, self._stopping, SLOTS)
        self._importing = threading.Lock()
        self._jobs: BackgroundScheduler | None = None
        self._dispatcher: threading.Thread | None = None

    def start(self) -> None:
        """Start the threads, which begin with the queued work. Call it once, after any fork."""
        for lane, size in THREADS.items():
            if self._timer or lane in {"hourly", "delayed"}:
                self._pools[lane] = ThreadPoolExecutor(size, thread_name_prefix=f"sync-{lane}")
        safely(lambda: leases.release_orphaned(self._runtime.sessions, processes.is_dead))
        if self._timer:
            safely(lambda: imports.release_dead(self._runtime.sessions, processes.is_dead))
        self._runtime.wake = self.wake
        self._dispatcher = threading.Thread(target=self._dispatch, name="sync-dispatcher", daemon=True)
        self._dispatcher.start()
        self._jobs = self._clockwork()
        self._jobs.start()
        self.wake()

    def stop(self, wait: float = 0.0) -> None:
        """Ask everything to stop where nothing is half-done, and wait up to ``wait`` seconds. May be repeated."""
        self._stopping.set()
        self._look.set()
        if wait <= 0:
            return
        end = clock.monotonic() + wait
        if self._jobs is not None and self._jobs.running:
            self._jobs.remove_all_jobs()  # a job due in this moment would go to threads that have ended
            self._jobs.shutdown(wait=False)
        if self._dispatcher is not None:
            self._dispatcher.join(timeout=wait)
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)
        idle = threading.Event()
        while (self._active or self._importing.locked()) and clock.monotonic() < end:
            idle.wait(0.05)

    def wake(self) -> None:
        """Look at the queue now. Cheap; from any thread."""
        self._look.set()

    def _clockwork(self) -> BackgroundScheduler:
        jobs = BackgroundScheduler(
            timezone="UTC",
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        jobs.add_job(self.wake, "interval", seconds=LOOK_SECONDS)
        if self._timer:
            if self._runtime.settings.scheduler != "off":
                jobs.add_job(safely, "interval", [self.queue_due], seconds=SCHEDULE_SECONDS)
            jobs.add_job(safely, "interval", [self.look_after], seconds=CHECK_SECONDS)
            jobs.add_job(safely, "interval", [self.index_words], seconds=INDEX_SECONDS)
            jobs.add_job(
                safely, "interval", [partial(checkpoint, self._runtime.sessions)], seconds=CHECKPOINT_SECONDS
            )
        return jobs

    def queue_due(self) -> None:
        """Queue the hourly runs that are due (T1)."""
        if upkeep.queue_due(self._runtime):
            self.wake()

    def look_after(self) -> None:
        """The slow rounds (``upkeep.look_after``)."""
        self._submit(upkeep.look_after(self._runtime))

    def index_words(self) -> None:
        """A little of the indexes of words (``upkeep.index_words``)."""
        upkeep.index_words(self._runtime)

    def _dispatch(self) -> None:
        while not self._stopping.is_set():
            self._look.wait()
            self._look.clear()
            if not self._stopping.is_set():
                began = time.thread_time()  # of the processor: another thread may have it meanwhile for long
                safely(self._hand_out)
                self._stopping.wait(max(LULL_SECONDS, (time.thread_time() - began) / LOOKING))

    def _hand_out(self) -> None:
        now = utcnow()
        with self._runtime.sessions() as session:
            tasks = queue.waiting(session, now, self._owner)
            if self._timer:
                tasks += queue.slow_waiting(session, now, self._owner)
        self._submit(tasks)
        if (
            self._timer
            and imports.waiting(self._runtime.sessions)
            and self._importing.acquire(blocking=False)
        ):
            self._pools["import"].submit(self._import)
        if self._timer:
            self._roll_out(claims.waiting(self._runtime.sessions))

    def _roll_out(self, number: int) -> None:
        """Start threads for up to so many rows of roll-outs; each works on one after the other."""
        for thread in range(min(number, THREADS["rollout"])):
            key = (str(thread), "rollout")
            with self._lock:
                if key in self._active:
                    continue
                self._active.add(key)
            self._pools["rollout"].submit(self._work_rows, key)

    def _work_rows(self, key: tuple[str, str]) -> None:
        try:
            safely(lambda: rollouts.work_off(self._app, self._stopping.is_set))
        finally:
            with self._lock:
                self._active.discard(key)

    def _import(self) -> None:
        """Work on the queued files; what a stop interrupts continues at the next start."""
        try:
            safely(self._work_off)
        finally:
            self._importing.release()
            self.wake()

    def _work_off(self) -> None:
        try:
            imports.work_off(self._runtime.sessions, self._owner, self._stopping.is_set)
        except RetryLater as later:
            self._stopping.wait(later.seconds)

    def _submit(self, tasks: list[QueuedTask]) -> None:
        now = utcnow()
        for work in tasks:
            if work.lane not in self._pools:
                continue
            key = _key(work)
            with self._lock:
                until, _ = self._pauses.get(work, (now, timedelta()))
                if key in self._active or until > now:
                    continue
                self._active.add(key)
            self._pools[work.lane].submit(self._do, work)

    def _do(self, work: QueuedTask) -> None:
        is_away = False
        try:
            if not self._stopping.is_set():
                self._lanes.work(work.lane, work.microsoft_tenant_id, self._owner, self._stopping.is_set)
        except Stopped:
            log.info("action=stopped lane=%s microsoft_tenant=%s", work.lane, work.microsoft_tenant_id)
        except Exception as error:
            is_away = trouble(error) is not None
            log.log(
                logging.WARNING if is_away else logging.ERROR,
                "action=failed lane=%s microsoft_tenant=%s",
                work.lane,
                work.microsoft_tenant_id,
                exc_info=None if is_away else error,
            )
        finally:
            self._pause_if_undone(work, is_away=is_away)
            with self._lock:
                self._active.discard(_key(work))
            self.wake()
        self._lanes.announce(work.lane)

    def _pause_if_undone(self, work: QueuedTask, *, is_away: bool) -> None:
        """Delay a task whose version has not changed since the last try: each time longer, up to an hour."""
        if work.lane == "check":
            return
        with self._lock:
            self._pauses = {w: p for w, p in self._pauses.items() if p[0] > utcnow() - LONGEST_PAUSE}
            _, last = self._pauses.get(work, (None, timedelta()))
            pause = AWAY_PAUSE if is_away else min(max(last * 2, FIRST_PAUSE), LONGEST_PAUSE)
            self._pauses[work] = (utcnow() + pause, pause)


def _key(work: QueuedTask) -> tuple[str, str]:
    """The key of work that runs one at a time per tenant; the slow pass and the check apart (T7)."""
    return work.microsoft_tenant_id, "run" if work.lane in {"hourly", "delayed"} else work.lane


_present: Scheduler | None = None


def start(app: Flask) -> None:
    """Start the scheduler of a web process. With ROLLCALL_SCHEDULER=distributed it only queues, and workers do the work."""
    global _present
    runtime: Runtime = app.extensions["rollcall"]
    if _present is not None or runtime.settings.scheduler == "distributed":
        return
    _present = Scheduler(app)
    _present.start()


def stop(wait: float = 0.0) -> None:
    """Stop what ``start`` started; see ``Scheduler.stop``. Safe in a signal handler with ``wait=0.0``."""
    if _present is not None:
        _present.stop(wait)
