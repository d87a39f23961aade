"""Measure imports: rows per second, the longest transaction, and how long another client's writes wait meanwhile.

    python tools/bench_imports.py [--rows 20000] [--database-url URL]

Imports a file of new End Users into a throw-away database, the same file again, the file with one field changed, takes both
back, and does the same with Assets. The bars: 5,000 rows a second, 100 ms for a transaction, 500 ms for the other client.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import func, select, update

from portal import create_app
from portal.clock import utcnow
from portal.config import Settings
from portal.engine import pace
from portal.extensions import SessionFactory, db, mark_write
from portal.imports import runner
from portal.models import Asset, EndUser, Import, Organization, Tenant
from portal.operations import schema
from portal.operations.server import keep_loaded_code
from portal.transactions import REQUEST_PATIENCE, checkpoint, waiting_for_locks, write_session
from portal.worker import scheduler

BAR_ROWS, BAR_TRANSACTION, BAR_WAIT = 5000, 0.1, 0.5
HEADER = (
    "display_name,first_name,last_name,email,phone,mobile_phone,street_address,city,state,postal_code,country,job_title,"
    "department,office_location,notes\n"
)


def people(rows: int, word: str) -> str:
    """A file of that many End Users, in no order; ``word`` is in a field of each."""
    lines = (
        f"Person {i} Example,Person{i},Example,person.{(i * 7919) % rows}@customer.example,+31 20 {i:07d},,Long Street {i},"
        f"Delft,ZH,26{i % 100:02d} AB,NL,{word},Dept {i % 20},Office {i % 7},\n"
        for i in range(rows)
    )
    return HEADER + "".join(lines)


def devices(rows: int) -> str:
    """A file of that many Assets of one name."""
    lines = (f"MacBook Pro,A8:7E:EA:{i >> 16:02X}:{i >> 8 & 255:02X}:{i & 255:02X}\n" for i in range(rows))
    return "name,mac_addresses\n" + "".join(lines)


class Bench:
    """One throw-away Organization, and somebody else who writes every 20 ms."""

    def __init__(self, sessions: SessionFactory) -> None:
        self.sessions = sessions
        self.transactions: list[float] = []
        self.waits: list[float] = []
        self.over = threading.Event()
        with sessions() as session:
            mark_write(session)
            tenant = Tenant(name="Bench", created_at=utcnow())
            session.add(tenant)
            session.flush()
            organization = Organization(
                name="Bench", name_key="bench", tenant_id=tenant.id, created_at=utcnow()
            )
            session.add(organization)
            session.commit()
            self.organization_id, self.tenant_id = organization.id, tenant.id
        following = pace.next_size

        def measured(size: int, seconds: float, target: float) -> int:
            self.transactions.append(seconds)
            return following(size, seconds, target)

        pace.next_size = measured

    def write_beside(self) -> None:
        """Write one row again and again, and note how long each time takes; now and then what the scheduler does."""
        looked = began = time.monotonic()
        while not self.over.wait(0.02):
            if began > looked + scheduler.CHECKPOINT_SECONDS:
                checkpoint(self.sessions)
                looked = began
            began = time.monotonic()
            with waiting_for_locks(REQUEST_PATIENCE), write_session(self.sessions) as session:
                session.execute(update(Tenant).where(Tenant.id == self.tenant_id).values(name="Bench"))
            self.waits.append(time.monotonic() - began)

    def timed(self, name: str, rows: int, work: Callable[[], object]) -> None:
        """Do it beside the other client and print a line."""
        self.transactions, self.waits = [], []
        self.over.clear()
        other = threading.Thread(target=self.write_beside)
        other.start()
        began, used = time.monotonic(), time.process_time()
        work()
        seconds, used = time.monotonic() - began, time.process_time() - used
        self.over.set()
        other.join()
        longest, waited = max(self.transactions, default=0.0), sorted(self.waits)
        p95 = waited[int(len(waited) * 0.95)] if waited else 0.0
        good = rows / seconds >= BAR_ROWS and longest <= BAR_TRANSACTION and p95 <= BAR_WAIT
        print(
            f"{name:<28}{rows / seconds:>8,.0f} rows a second ({used:.1f} s of processor), longest of {len(self.transactions)} "
            f"transactions {longest * 1000:.0f} ms, another client waits {p95 * 1000:.0f} ms (p95)"
            f"{'' if good else '  MISSED'}",
            flush=True,
        )

    def keep_and_run(self, kind: str, text: str) -> str:
        """Import a file; gives the import's id. Raises RuntimeError when it fails."""
        import_id = runner.store(
            self.sessions,
            organization_id=self.organization_id,
            kind=kind,
            data=text.encode(),
            file_name="bench.csv",
            status="queued",
            owner="bench",
        )
        runner.run(self.sessions, import_id, "bench")
        self.expect(import_id, "succeeded")
        return import_id

    def undo(self, import_id: str) -> None:
        """Take it back."""
        with self.sessions() as session:
            mark_write(session)
            session.get_one(Import, import_id).status = "undoing"
            session.commit()
        runner.undo(self.sessions, import_id, "bench")
        self.expect(import_id, "undone")

    def expect(self, import_id: str, status: str) -> None:
        """Raise RuntimeError when the import is not in this state: its time would mean nothing."""
        with self.sessions() as session:
            row = session.get_one(Import, import_id)
            if row.status != status:
                raise RuntimeError(f"the import is {row.status}: {row.error}")


def measure(rows: int, url: str) -> None:
    """Do all of it; prints as it goes."""
    with tempfile.TemporaryDirectory(prefix="rollcall-bench-") as folder:
        found = {"database_url": url} if url else {}
        app = create_app(Settings(data_dir=Path(folder), secret_key="b" * 40, scheduler="off", **found))
        with app.app_context():
            schema.upgrade(db.engine)
            keep_loaded_code()  # as the server does
            bench = Bench(app.extensions["rollcall"].sessions)
            done: list[str] = []
            first, second, assets = people(rows, "Engineer"), people(rows, "Manager"), devices(rows)
            bench.timed("new End Users", rows, lambda: done.append(bench.keep_and_run("end_users", first)))
            bench.timed("the same file again", rows, lambda: bench.keep_and_run("end_users", first))
            bench.timed(
                "one field changed", rows, lambda: done.append(bench.keep_and_run("end_users", second))
            )
            for import_id in reversed(done):
                bench.timed("undo", rows, lambda one=import_id: bench.undo(one))  # type: ignore[misc]
            bench.timed("new Assets", rows, lambda: bench.keep_and_run("assets", assets))
            bench.timed("the same file again", rows, lambda: bench.keep_and_run("assets", assets))
            with bench.sessions() as session:
                left = [session.scalar(select(func.count()).select_from(model)) for model in (EndUser, Asset)]
            if left != [0, rows]:
                raise RuntimeError(f"{left} End Users and Assets are left")
            db.session.remove()
            db.engine.dispose()


def main() -> int:
    """Command line."""
    parser = argparse.ArgumentParser(description="Time imports of CSV files.")
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--database-url", default="")
    arguments = parser.parse_args()
    try:
        measure(arguments.rows, arguments.database_url)
    except RuntimeError as problem:
        print(f"bench: {problem}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
