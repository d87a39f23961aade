"""``rollcall worker``: Procrastinate's workers, one for each lane, in one process that outlives the database (decision 009).

A lane is a queue with its own number of threads, so that long jobs hold up no short ones. Where PostgreSQL is away its worker ends,
and is begun anew until it answers. What Procrastinate leaves open is done here: jobs of workers that died are given to others
(``_recover``), and so are our own that it has lost sight of (``_strays``). Both may be wrong about a worker that was only stopped:
its lease is taken over then, and its fence keeps it from writing (``worker.leases``).
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import secrets
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import procrastinate
import psycopg_pool
from flask import Flask
from procrastinate import exceptions, jobs
from procrastinate.worker import Worker
from sqlalchemy.exc import SQLAlchemyError

from portal.clock import utcnow
from portal.config import Settings
from portal.errors import RetryLater, Stopped
from portal.imports import runner as imports
from portal.rollouts import worker as rollouts
from portal.runtime import Runtime
from portal.transactions import IDLE_WRITER, WORK_PATIENCE, connection_arguments, postgres_bounds, trouble
from portal.worker import attendance, distributed, leases, processes, upkeep
from portal.worker.lanes import Lanes, safely

log = logging.getLogger(__name__)

POLL_SECONDS = 2.0
"""How soon a lane sees a job that it was not told of: one that was given back, or became due."""
GRACE_SECONDS = 10.0
"""How long a lane that ends waits before it asks its jobs to stop. When the process ends they are asked at once."""
AGAIN_SECONDS, LONGEST_SECONDS, AWAY_SECONDS = 2.0, 600.0, 2.0
"""Between the tries of a job that fails: twice as long each time, but for a lock or a database that cannot be had."""
ROUNDS, SLOW_ROUNDS = "* * * * * */5", "*/10 * * * *"
"""How often what is due is queued and what is stalled recovered: every 5 seconds, which come last; the rest: every 10 minutes."""
WAITING = 2
"""Jobs that a lane takes for each that works: the others wait for Microsoft, which throttles them (G5)."""
SLOW, OTHERS, UPKEEP = 3, 2, 5
CONNECTIONS = 4
"""Of Procrastinate's pool. One more listens for new jobs."""


def connections_needed(concurrency: int) -> int:
    """How many connections of ours all threads can use at once: a run reads in one and writes in another."""
    return 2 * (concurrency + delayed(concurrency)) + SLOW + OTHERS + UPKEEP


def delayed(concurrency: int) -> int:
    """How many initial syncs with a Group filter work at once (T3)."""
    return max(1, concurrency // 4)


@dataclass(frozen=True)
class Lane:
    """One worker of Procrastinate. size: jobs at once; listens: is told of new jobs at once, for a connection of its own."""

    name: str
    app: procrastinate.App
    queues: tuple[str, ...]
    size: int
    listens: bool = False


class DistributedWorker:
    """Works on the queue until ``stop``. concurrency: how many Microsoft Tenants are synced at once."""

    def __init__(self, app: Flask, concurrency: int) -> None:
        self._app = app
        self._runtime: Runtime = app.extensions["rollcall"]
        self._stopping = threading.Event()
        self._suffix = secrets.token_hex(4)
        self._running: set[int] = set()
        self._workers: dict[str, Worker] = {}
        self._is_over = asyncio.Event()
        slots = {"hourly": concurrency, "delayed": delayed(concurrency)}
        self._work = Lanes(self._runtime, self._stopping, slots)
        connector = _connector(self._runtime.settings)
        self._jobs = procrastinate.App(connector=connector)
        self._upkeep = procrastinate.App(connector=connector)
        self._define_tasks()
        self._lanes = (
            Lane("hourly", self._jobs, ("hourly",), WAITING * slots["hourly"], listens=True),
            Lane("delayed", self._jobs, ("delayed",), WAITING * slots["delayed"]),
            Lane("slow", self._jobs, ("slow",), SLOW),
            Lane("others", self._jobs, ("import", "check"), OTHERS),
            Lane("upkeep", self._upkeep, ("upkeep",), UPKEEP),
        )

    async def run(self) -> None:
        """Work until ``stop``; returns when everything has ended where nothing is half-done."""
        loop = asyncio.get_running_loop()
        loop.set_default_executor(ThreadPoolExecutor(sum(lane.size for lane in self._lanes) + UPKEEP))
        loop.set_exception_handler(_tell)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.stop)
        sessions = self._runtime.sessions
        await asyncio.to_thread(
            safely, lambda: leases.release_orphaned(sessions, processes.is_dead)
        )  # of a time when this machine ran embedded
        await self._open()
        await asyncio.gather(*(self._run_lane(lane) for lane in self._lanes), self._strays())
        with contextlib.suppress(exceptions.ConnectorException, psycopg_pool.PoolTimeout):
            await self._jobs.close_async()

    def stop(self) -> None:
        """Stop where nothing is half-done. Called again, stop at once, which loses nothing either (G4)."""
        if self._stopping.is_set():
            os._exit(1)
        log.info("action=stopping")
        self._stopping.set()
        self._is_over.set()
        for worker in self._workers.values():
            worker.stop()  # type: ignore[no-untyped-call]

    async def _open(self) -> None:
        """The pool goes on trying by itself, so this is only about the first time."""
        while not self._stopping.is_set():
            try:
                await self._jobs.open_async()
                await self._upkeep.open_async()
            except (exceptions.ConnectorException, psycopg_pool.PoolTimeout) as error:
                log.warning("action=wait_for_database error=%s", type(error).__name__)
                continue
            return

    async def _run_lane(self, lane: Lane) -> None:
        while not self._stopping.is_set():
            worker = self._workers[lane.name] = Worker(
                lane.app,
                queues=list(lane.queues),
                name=lane.name,
                concurrency=lane.size,
                fetch_job_polling_interval=POLL_SECONDS,
                abort_job_polling_interval=60.0,  # nobody aborts jobs
                shutdown_graceful_timeout=GRACE_SECONDS,
                listen_notify=lane.listens and not self._runtime.settings.is_pooled,
                delete_jobs="always",
                install_signal_handlers=False,
                update_heartbeat_interval=attendance.HEARTBEAT_SECONDS,
                stalled_worker_timeout=4 * attendance.STALLED_SECONDS,
            )
            try:
                await worker.run()  # type: ignore[no-untyped-call]
            except Exception as error:  # whatever the error, the lane continues
                log.warning(
                    "action=lane_ended lane=%s error=%s", lane.name, type(error.__cause__ or error).__name__
                )
            await self._sleep(AWAY_SECONDS)

    async def _sleep(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._is_over.wait(), seconds)

    # -- what the jobs do ----------------------------------------------------------------------------------------

    def _define_tasks(self) -> None:
        self._jobs.task(name=distributed.WORK, pass_context=True)(self._do)
        for name, cron, job in (
            ("schedule", ROUNDS, self._schedule),
            ("look_after", SLOW_ROUNDS, self._look_after),
            ("roll_out", ROUNDS, self._roll_out),
            ("index_words", ROUNDS, self._index_words),
        ):
            task = self._upkeep.task(
                name=f"rollcall.{name}", queue="upkeep", queueing_lock=name, pass_context=True
            )
            self._upkeep.periodic(cron=cron)(task(self._noted(job)))
        recover = self._upkeep.task(name="rollcall.recover", queue="upkeep", queueing_lock="recover")
        self._upkeep.periodic(cron=ROUNDS)(
            recover(self._recover)
        )  # without lock: it would wait for a dead one

    def _do(self, context: procrastinate.JobContext, lane: str, key: str, tries: int = 0) -> None:
        """Run one job. If it fails or cannot run now, a new job is added and this one ends.

        A retried job could stay ``doing`` if another one for the same tenant waits already.
        """
        owner = attendance.owner_name(context.job.id, context.job.worker_id, self._suffix)
        with self._running_job(context):
            try:
                self._work.work(lane, key, owner, lambda: self._stopping.is_set() or context.should_abort())
            except Stopped:
                log.info("action=given_back lane=%s key=%s", lane, key)
                self._again(lane, key, 0.0, 0)
            except Exception as error:
                later = error if isinstance(error, RetryLater) else trouble(error)
                if later is not None:
                    log.warning("action=wait lane=%s key=%s error=%s", lane, key, type(error).__name__)
                    self._again(lane, key, AWAY_SECONDS, tries)
                else:
                    log.exception("action=failed lane=%s key=%s", lane, key)
                    seconds = min(AGAIN_SECONDS * 2**tries, LONGEST_SECONDS)
                    self._again(lane, key, seconds, min(tries + 1, 20))
            self._work.announce(lane)

    def _again(self, lane: str, key: str, seconds: float, tries: int) -> None:
        at = utcnow() + timedelta(seconds=seconds) if seconds else None
        with self._runtime.sessions() as session:
            distributed.enqueue_again(session, lane, key, at=at, tries=tries)
            session.commit()

    def _schedule(self) -> None:
        safely(lambda: upkeep.queue_due(self._runtime))
        safely(lambda: distributed.sweep(self._runtime.sessions, utcnow()))

    def _roll_out(self) -> None:
        safely(lambda: rollouts.work_off(self._app, self._stopping.is_set))

    def _index_words(self) -> None:
        safely(lambda: upkeep.index_words(self._runtime))

    def _look_after(self) -> None:
        for check in upkeep.look_after(self._runtime):
            self._again(check.lane, check.microsoft_tenant_id, 0.0, 0)

    async def _recover(self, timestamp: int) -> None:
        """Give what dead workers were at to others: their rows, leases and imports first, then their jobs.

        Leases of jobs that are over too: they could not be given back while the database was away.
        """
        del timestamp
        sessions = self._runtime.sessions
        is_over = attendance.is_over(sessions)
        await asyncio.to_thread(safely, lambda: leases.end_stopped_writers(sessions))
        await asyncio.to_thread(safely, lambda: leases.release_orphaned(sessions, is_over))
        await asyncio.to_thread(safely, lambda: imports.release_dead(sessions, is_over))
        stalled = await self._jobs.job_manager.get_stalled_jobs(
            seconds_since_heartbeat=attendance.STALLED_SECONDS
        )
        for job in stalled:
            log.warning("action=take_over job=%s worker=%s", job.id, job.worker_id)
            await self._give_back(job)

    async def _strays(self) -> None:
        """Give back what is down as ours and is not done here: PostgreSQL went away when we took it, or ended it."""
        before: set[int] = set()
        while not self._stopping.is_set():
            await self._sleep(attendance.HEARTBEAT_SECONDS)
            try:
                down = await self._down_as_ours()
                strays = down.keys() - self._running
                for number in strays & before:
                    log.warning("action=give_back_stray job=%s", number)
                    await self._give_back(down[number])
                before = strays
                await self._renew_forgotten()
            except (exceptions.ConnectorException, psycopg_pool.PoolTimeout, SQLAlchemyError) as error:
                log.warning("action=strays error=%s", type(error).__name__)

    async def _renew_forgotten(self) -> None:
        """Restart lanes that others took for dead while they were stopped: their heartbeat is no longer read."""
        living = await asyncio.to_thread(attendance.known_workers, self._runtime.sessions)
        for worker in list(self._workers.values()):
            if worker.worker_id is not None and worker.worker_id not in living:
                worker.stop()  # type: ignore[no-untyped-call]

    async def _down_as_ours(self) -> dict[int, jobs.Job]:
        jobs_by_id: dict[int, jobs.Job] = {}
        for worker in list(self._workers.values()):
            if worker.worker_id is None:
                continue
            listed = await self._jobs.job_manager.list_jobs_async(status="doing", worker_id=worker.worker_id)
            jobs_by_id.update({job.id: job for job in listed if job.id is not None})
        return jobs_by_id

    async def _give_back(self, job: jobs.Job) -> None:
        manager = self._jobs.job_manager
        try:
            await manager.retry_job(job)
        except exceptions.UniqueViolation:  # another for the same waits already
            await manager.finish_job(job, jobs.Status.FAILED, delete_job=True)
        except (
            exceptions.ConnectorException
        ):  # somebody else was quicker, or the database is away: the next round looks again
            log.info("action=not_given_back job=%s", job.id)

    def _noted(self, job: Any) -> Any:
        def do(context: procrastinate.JobContext, timestamp: int) -> None:
            del timestamp
            with self._running_job(context):
                job()

        return do

    @contextlib.contextmanager
    def _running_job(self, context: procrastinate.JobContext) -> Iterator[None]:
        number = context.job.id or 0
        self._running.add(number)
        try:
            yield
        finally:
            self._running.discard(number)


def _connector(settings: Settings) -> procrastinate.PsycopgConnector:
    async def bound(connection: Any) -> None:
        if settings.is_pooled:  # it would be set for whoever has the connection next
            return
        await connection.execute(postgres_bounds(WORK_PATIENCE, IDLE_WRITER))
        if not connection.autocommit:
            await connection.commit()

    return procrastinate.PsycopgConnector(
        conninfo=settings.database_url.replace("+psycopg", "", 1),
        kwargs={**connection_arguments("queue"), "prepare_threshold": None},
        configure=bound,
        min_size=1,
        max_size=CONNECTIONS,
        timeout=10.0,
    )


def _tell(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Such as the end of a job that could not be written down while the database was away: ``_strays`` sees to it."""
    log.warning("action=job_not_ended error=%s", type(context.get("exception")).__name__)


def run(app: Flask, concurrency: int) -> None:
    """Work until SIGTERM or SIGINT, then finish the current chunk and release the rest."""
    logging.getLogger("procrastinate").setLevel(logging.CRITICAL)  # it logs every job; we log what matters

    gc.collect()
    gc.freeze()  # or the end of the process goes through all of the loaded program for seconds

    async def main() -> None:
        await DistributedWorker(app, concurrency).run()

    asyncio.run(main())
