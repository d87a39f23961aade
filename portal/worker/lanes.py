"""What is done in each lane, for the embedded scheduler's threads and a distributed worker's jobs alike."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from sqlalchemy.exc import SQLAlchemyError

from portal.alerts import announcements
from portal.clock import utcnow
from portal.engine.ports import SourceFactory
from portal.errors import Stopped
from portal.imports import runner as imports
from portal.microsoft import check
from portal.microsoft.gateway import source_factory
from portal.runs import history
from portal.runtime import Runtime
from portal.transactions import trouble
from portal.worker.slots import WorkerSlots, wait_alive
from portal.worker.slow_pass import SlowPass
from portal.worker.tenant_worker import TenantWorker

log = logging.getLogger(__name__)


@dataclass
class Lanes:
    """Works in the lanes of one process. Threads share it.

    stopping: set when the process ends. slots: of each lane of syncs, how many work at once; the others wait for Microsoft,
    which throttles them, or for a slot (G5).
    """

    runtime: Runtime
    stopping: threading.Event
    slots: dict[str, int]
    _slots: dict[str, WorkerSlots] = field(init=False)

    def __post_init__(self) -> None:
        self._slots = {lane: WorkerSlots(number, self.stopping) for lane, number in self.slots.items()}

    def work(self, lane: str, key: str, owner: str, should_stop: Callable[[], bool]) -> None:
        """Do the queued work for ``key``, the id of a Microsoft Tenant or an import, as ``owner``. Raises Stopped and any failure."""
        if lane == "check":
            check.check_daily(self.runtime, key)
        elif lane == "import":
            imports.work_on(self.runtime.sessions, key, owner, should_stop)
        elif lane == "slow":
            wait = partial(wait_alive, self.stopping)
            SlowPass(self.runtime.sessions, self._sources(wait, should_stop), utcnow, should_stop).run(
                key, owner
            )
        else:
            slots = self._slots[lane]
            with slots.acquire():
                self._worker(slots, should_stop).run_tenant(key, owner, (lane,))

    def announce(self, lane: str) -> None:
        """Announce what may need people now. A slow pass never does."""
        if lane not in {"slow", "import"} and not self.stopping.is_set():
            safely(lambda: announcements.announce(self.runtime))

    def _worker(self, slots: WorkerSlots, should_stop: Callable[[], bool]) -> TenantWorker:
        return TenantWorker(
            sessions=self.runtime.sessions,
            source_factory=self._sources(slots.sleep_released, should_stop),
            now=utcnow,
            interval_minutes=self.runtime.settings.sync_interval_minutes,
            should_stop=should_stop,
            finished=history.record_finished,
        )

    def _sources(
        self, wait: Callable[[float, Callable[[], object]], None], should_stop: Callable[[], bool]
    ) -> SourceFactory:
        """``wait``: seconds, and what keeps the lease meanwhile (G5): another process would read all again."""
        return source_factory(self.runtime, wait=wait, should_stop=should_stop)


def safely(job: Callable[[], object]) -> None:
    """Call it and log a failure: a timer or a thread must outlive any fault, such as a database that is away."""
    try:
        job()
    except Stopped:
        log.info("action=stopped")
    except SQLAlchemyError as error:
        log.warning("action=tick error=%s", type(error).__name__)
    except Exception as error:
        if trouble(error) is None:
            log.exception("action=tick")
