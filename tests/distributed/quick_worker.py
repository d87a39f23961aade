"""``rollcall worker`` with short deadlines, which can stop itself at one place.

HOLD="<where> <part> <number>" in its environment: at the number-th transaction of a lease of that part (run or slow), SIGSTOP
itself: ``before`` it begins, which is a commit boundary, ``inside``, with everything written and nothing committed, or
``midway``, where many rows have been written together; or ``check``: between Microsoft's answer and keeping it. Whoever waits sees the process stopped. IDLE: seconds, instead of 2, after
which PostgreSQL ends what it was inside of.
"""

import os
import signal
import threading
from contextlib import contextmanager

from portal import transactions
from portal.cli import app
from portal.microsoft import check
from portal.worker import attendance, distributed_worker, leases

STALLED, IDLE = 4.0, 2.0


def hurry() -> None:
    """Everything that is waited for is a few times shorter; what is between them stays."""
    attendance.HEARTBEAT_SECONDS, attendance.STALLED_SECONDS = STALLED / 5, STALLED
    transactions.IDLE_WRITER = float(os.environ.get("IDLE", IDLE))
    distributed_worker.POLL_SECONDS = distributed_worker.AWAY_SECONDS = 0.5
    distributed_worker.ROUNDS, distributed_worker.SLOW_ROUNDS = "* * * * * *", "* * * * * */2"


class Hold:
    """Counts, and stops the process once."""

    def __init__(self, asked: str) -> None:
        self.where, self.part, number = asked.split()
        self.left = int(number)
        self.lock = threading.Lock()

    def pass_by(self, where: str, part: str) -> None:
        if (where, part) != (self.where, self.part):
            return
        with self.lock:
            self.left -= 1
            is_here = self.left == 0
        if is_here:
            os.kill(os.getpid(), signal.SIGSTOP)
            threading.Event().wait(
                0.5
            )  # another thread may be the one that takes the signal: this one shall not get further

    def install(self) -> None:
        transaction, examine = leases.Lease.transaction, check.examine

        @contextmanager
        def held(lease):
            self.pass_by("before", lease.part)
            with transaction(lease) as session:
                yield session
                session.flush()
                self.pass_by("inside", lease.part)
                if self.where == "midway":
                    driver = session.connection().connection.driver_connection
                    with driver.cursor() as cursor:
                        cursor.executemany("SELECT %s", [(1,), (2,)])
                    self.pass_by("midway", lease.part)

        def examined(*arguments, **named):
            report = examine(*arguments, **named)
            self.pass_by("check", "check")
            return report

        def daily(*arguments):
            check_daily(*arguments)
            print("check over", flush=True)

        leases.Lease.transaction = held  # type: ignore[method-assign]
        check_daily, check.check_daily, check.examine = check.check_daily, daily, examined


def main() -> None:
    """``rollcall``, in a hurry."""
    hurry()
    if os.environ.get("HOLD"):
        Hold(os.environ["HOLD"]).install()
    app.main()
