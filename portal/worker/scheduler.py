"""The scheduler: a timer that queues what is due, and a few threads that work on the queue. It decides nothing.

``start(app)`` and ``stop(wait)`` are the web server's (portal.operations.server), ``run_worker(app)`` is ``rollcall worker``'s.
The queue is in the database, so several processes may look at it: each tenant is leased (T1, ``worker.leases``).
"""

from __future__ import annotations

import logging
import signal
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from functools import partial

from apscheduler.schedulers.background import BackgroundScheduler
from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from portal import clock
from portal.alerts import announcements
from portal.clock import utcnow
from portal.engine import failures
from portal.engine.ports import SourceFactory
from portal.errors import NeedsAdmin, RetryLater, Stopped
from portal.evidence import retention as audit_retention
from portal.extensions import mark_write
from portal.imports import runner as imports
from portal.microsoft import check, credentials
from portal.microsoft.gateway import source_factory
from portal.models import MicrosoftTenant, SyncRun
from portal.operations import retention
from portal.rollouts import worker as rollouts
from portal.runs import history
from portal.runtime import Runtime
from portal.search import index as search_index
from portal.worker import leases, processes, queue
from portal.worker.queue import QueuedTask
from portal.worker.slots import WorkerSlots, wait_alive
from portal.worker.slow_pass import SlowPass
from portal.worker.tenant_worker import TenantWorker

log = logging.getLogger(__name__)

LOOK_SECONDS = 2  # how soon work queued by another process is seen; our own wakes us at once
SCHEDULE_SECONDS = 5
CHECK_SECONDS = 600
INDEX_SECONDS, INDEX_BATCHES = 2, 4  # at most 1,000 people a second, on a tenth of a core
THREADS = {"hourly": 64, "delayed": 16, "slow": 6, "check": 1, "import": 1, "rollout": 4}
"""Slow passes mostly wait for their turns: side by side, so that a large tenant and small ones take theirs page by page (T7)."""
SLOTS = {"hourly": 8, "delayed": 2}
"""How many of a lane's threads work at once; the others wait for Microsoft, which throttles them, or for a slot (G5)."""
FIRST_PAUSE, LONGEST_PAUSE = timedelta(seconds=1), timedelta(hours=1)
BROKEN = (
    "Something went wrong inside Rollcall, so this run ended early. The next run heals it; the log says more."
)


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
        self._slots = {lane: WorkerSlots(number, self._stopping) for lane, number in SLOTS.items()}
        self._importing = threading.Lock()
        self._jobs: BackgroundScheduler | None = None
        self._dispatcher: threading.Thread | None = None

    def start(self) -> None:
        """Start the threads; work that waits is taken up at once. To be called once, after any fork."""
        for lane, size in THREADS.items():
            if self._timer or lane in {"hourly", "delayed"}:
                self._pools[lane] = ThreadPoolExecutor(size, thread_name_prefix=f"sync-{lane}")
        self._safely(lambda: leases.release_orphaned(self._runtime.sessions, processes.is_dead))
        if self._timer:
            self._safely(lambda: imports.release_dead(self._runtime.sessions, processes.is_dead))
        self._runtime.wake = self.wake
        self._dispatcher = threading.Thread(target=self._dispatch, name="sync-dispatcher", daemon=True)
        self._dispatcher.start()
        self._jobs = self._clockwork()
        self._jobs.start()
        self.wake()

    def stop(self, wait: float = 0.0) -> None:
        """Ask everything to end at a place where nothing is half-done, and wait up to ``wait`` seconds. May be repeated."""
        self._stopping.set()
        self._look.set()
        if wait <= 0:
            return
        end = clock.monotonic() + wait
        if self._jobs is not None and self._jobs.running:
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
                jobs.add_job(self._safely, "interval", [self.queue_due], seconds=SCHEDULE_SECONDS)
            jobs.add_job(self._safely, "interval", [self.look_after], seconds=CHECK_SECONDS)
            jobs.add_job(self._safely, "interval", [self.index_words], seconds=INDEX_SECONDS)
        return jobs

    def queue_due(self) -> None:
        """Queue the hourly runs that are due (T1). Writes only when some are."""
        now = utcnow()
        with self._runtime.sessions() as session:
            if session.scalar(queue.due_tenants(now).with_only_columns(MicrosoftTenant.id).limit(1)) is None:
                return
        with self._runtime.sessions() as session:
            mark_write(session)
            number = queue.queue_due(session, now, self._runtime.settings.sync_interval_minutes)
            session.commit()
        if number:
            log.info("action=queue trigger=hourly runs=%d", number)
            self.wake()

    def look_after(self) -> None:
        """The slow rounds: connections not checked for a day (C4), initial syncs past 12 hours (T3), what is too old to keep."""
        now = utcnow()
        with self._runtime.sessions() as session:
            mark_write(session)
            queue.flag_overdue(session, now)
            retention.forget_old(session, now)
            session.commit()
            mark_write(session)
            audit_retention.forget_old(session, now)
            session.commit()
            if self._runtime.settings.scheduler != "off":
                self._submit(queue.checks_waiting(session, now))
        imports.forget_abandoned(self._runtime.sessions, now)
        search_index.start_anew_if_worn(self._runtime.sessions)
        announcements.announce(self._runtime)

    def index_words(self) -> None:
        """Put who is new or was changed into the indexes of words, a little at a time: searches look at the others one by one."""
        search_index.index_some(self._runtime.sessions, INDEX_BATCHES)

    def _dispatch(self) -> None:
        while not self._stopping.is_set():
            self._look.wait()
            self._look.clear()
            if not self._stopping.is_set():
                self._safely(self._hand_out)

    def _hand_out(self) -> None:
        now = utcnow()
        with self._runtime.sessions() as session:
            found = queue.waiting(session, now)
            if self._timer:
                found += queue.slow_waiting(session, now)
        self._submit(found)
        if (
            self._timer
            and imports.waiting(self._runtime.sessions)
            and self._importing.acquire(blocking=False)
        ):
            self._pools["import"].submit(self._import)
        if self._timer:
            self._roll_out(rollouts.waiting(self._runtime.sessions))

    def _roll_out(self, number: int) -> None:
        """Give so many rows of roll-outs to threads, as far as there are any; each takes one after the other."""
        for thread in range(min(number, THREADS["rollout"])):
            key = (str(thread), "rollout")
            with self._lock:
                if key in self._active:
                    continue
                self._active.add(key)
            self._pools["rollout"].submit(self._work_rows, key)

    def _work_rows(self, key: tuple[str, str]) -> None:
        try:
            self._safely(lambda: rollouts.work_off(self._app, self._stopping.is_set))
        finally:
            with self._lock:
                self._active.discard(key)

    def _import(self) -> None:
        """QueuedTask on the files that wait; what a stop interrupts goes on at the next start."""
        try:
            self._safely(self._work_off)
        finally:
            self._importing.release()
            self.wake()

    def _work_off(self) -> None:
        imports.work_off(self._runtime.sessions, self._owner, self._stopping.is_set)

    def _submit(self, found: list[QueuedTask]) -> None:
        now = utcnow()
        for work in found:
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
        try:
            if not self._stopping.is_set():
                self._work(work)
        except Stopped:
            log.info("action=stopped lane=%s microsoft_tenant=%s", work.lane, work.microsoft_tenant_id)
        except Exception:
            log.exception("action=failed lane=%s microsoft_tenant=%s", work.lane, work.microsoft_tenant_id)
            self._safely(lambda: self._mark_broken(work))
        finally:
            self._pause_if_undone(work)
            with self._lock:
                self._active.discard(_key(work))
            self.wake()
        if work.lane != "slow" and not self._stopping.is_set():
            self._safely(lambda: announcements.announce(self._runtime))

    def _work(self, work: QueuedTask) -> None:
        if work.lane == "check":
            self._check(work.microsoft_tenant_id)
        elif work.lane == "slow":
            self._slow_pass(work)
        else:
            slots = self._slots[work.lane]
            with slots.acquire():
                self._worker(slots).run_tenant(work.microsoft_tenant_id, self._owner, (work.lane,))

    def _worker(self, slots: WorkerSlots) -> TenantWorker:
        return TenantWorker(
            sessions=self._runtime.sessions,
            source_factory=self._sources(slots.sleep_released),
            now=utcnow,
            interval_minutes=self._runtime.settings.sync_interval_minutes,
            should_stop=self._stopping.is_set,
            finished=history.record_finished,
        )

    def _slow_pass(self, work: QueuedTask) -> None:
        wait = partial(wait_alive, self._stopping)
        SlowPass(self._runtime.sessions, self._sources(wait), utcnow, self._stopping.is_set).run(
            work.microsoft_tenant_id, self._owner
        )

    def _sources(self, wait: Callable[[float, Callable[[], object]], None]) -> SourceFactory:
        """``wait``: seconds, and what keeps the lease meanwhile (G5): another process would read all again."""
        return source_factory(self._runtime, wait=wait, should_stop=self._stopping.is_set)

    def _check(self, microsoft_tenant_id: str) -> None:
        """The daily check of one connection; a fixed one brings its syncs back at once (G2)."""
        runtime = self._runtime
        with runtime.sessions() as session:
            row = session.get(MicrosoftTenant, microsoft_tenant_id)
            if row is None or row.is_removed:
                return
            directory_id, cloud = row.directory_id, row.cloud
            try:
                registration = credentials.load(session, runtime.settings, runtime.box, cloud)
            except NeedsAdmin as error:
                registration, report = None, check.unregistered(error)
        if registration is not None:
            report = check.look(runtime.settings, registration, directory_id=directory_id, cloud=cloud)
        with runtime.sessions() as session:
            mark_write(session)
            row = session.get(MicrosoftTenant, microsoft_tenant_id)
            if row is not None and not row.is_removed:
                check.keep(session, row, report)
                session.commit()

    def _pause_if_undone(self, work: QueuedTask) -> None:
        """The same ticket again right after a try would be a storm: each time it waits longer, up to an hour."""
        if work.lane == "check":
            return
        with self._lock:
            self._pauses = {w: p for w, p in self._pauses.items() if p[0] > utcnow() - LONGEST_PAUSE}
            _, last = self._pauses.get(work, (None, timedelta()))
            pause = min(max(last * 2, FIRST_PAUSE), LONGEST_PAUSE)
            self._pauses[work] = (utcnow() + pause, pause)

    def _mark_broken(self, work: QueuedTask) -> None:
        """A fault of ours must not leave a run that runs for ever."""
        if work.lane not in {"hourly", "delayed"}:
            return
        with self._runtime.sessions() as session:
            mark_write(session)
            mine = session.scalar(
                select(MicrosoftTenant.id).where(
                    MicrosoftTenant.id == work.microsoft_tenant_id,
                    (MicrosoftTenant.lease_owner.is_(None)) | (MicrosoftTenant.lease_owner == self._owner),
                )
            )
            if mine is None:
                return
            now = utcnow()
            runs = session.scalars(
                select(SyncRun).where(
                    SyncRun.microsoft_tenant_id == mine,
                    SyncRun.status == "running",
                    SyncRun.lane == work.lane,
                )
            )
            for run in runs.all():
                run.status, run.error, run.finished_at = "failed", BROKEN, now
                if run.kind == "sync":
                    failures.count(session, run.organization_id, BROKEN, now)
            session.commit()

    def _safely(self, job: Callable[[], object]) -> None:
        """A timer or a thread outlives any one fault, above all a database that is away for a moment."""
        try:
            job()
        except Stopped:
            log.info("action=stopped")
        except RetryLater as later:
            self._stopping.wait(later.seconds)
        except SQLAlchemyError as error:
            log.warning("action=tick error=%s", type(error).__name__)
        except Exception:
            log.exception("action=tick")


def _key(work: QueuedTask) -> tuple[str, str]:
    """One thing at a time per tenant; the slow pass and the check beside it (T7)."""
    return work.microsoft_tenant_id, "run" if work.lane in {"hourly", "delayed"} else work.lane


_present: Scheduler | None = None


def start(app: Flask) -> None:
    """Start the scheduler of a web process; with ROLLCALL_SCHEDULER=distributed it only queues, workers do the work."""
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


def run_worker(app: Flask) -> None:
    """QueuedTask on the queue until SIGTERM or SIGINT, then finish the chunk at hand and return (``rollcall worker``)."""
    ending = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, ending)  # before any thread starts: they inherit it
    worker = Scheduler(app)
    worker.start()
    signal.sigwait(ending)
    worker.stop(wait=30.0)
