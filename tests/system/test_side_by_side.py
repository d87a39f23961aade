"""What one Microsoft tenant holds up no other: the scheduler's threads, without a Microsoft."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from apscheduler.executors.pool import BasePoolExecutor

from portal import create_app
from portal.clock import utcnow
from portal.config import Settings
from portal.extensions import db, mark_write
from portal.models import MicrosoftTenant
from portal.worker import lanes, scheduler
from portal.worker.scheduler import Scheduler
from tests.sync.directory import Directory, account
from tests.system.conftest import wait_until


@pytest.fixture
def app(tmp_path: Path) -> Any:
    app = create_app(Settings(data_dir=tmp_path, secret_key="a secret key for tests only", scheduler="off"))
    with app.app_context():
        db.create_all()
    yield app
    with app.app_context():
        db.engine.dispose()


def test_T7_a_large_tenant_does_not_keep_the_small_ones_from_their_slow_pass(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_is_done = threading.Event()

    class Large(Directory):
        def sign_ins(self, since: Any) -> Any:
            yield [{"id": "u1"}]
            assert small_is_done.wait(30)
            yield [{"id": "u2"}]

    with app.app_context():
        rows = [
            MicrosoftTenant(
                directory_id=name, name=name, connected_at=utcnow(), checked_at=utcnow(), slow_due_at=utcnow()
            )
            for name in ("large", "small")
        ]
        db.session.add_all(rows)
        db.session.commit()
        large, small = (row.id for row in rows)
    sources = {large: Large(), small: Directory(users={"u1": account("u1")})}
    monkeypatch.setattr(lanes, "source_factory", lambda *_a, **_k: lambda lease: sources[lease.tenant_id])

    def age(tenant_id: str) -> Any:
        with app.app_context():
            return db.session.get_one(MicrosoftTenant, tenant_id).sign_ins_at

    working = Scheduler(app)
    working.start()
    try:
        wait_until(lambda: age(small), "the small tenant's pass")
        assert age(large) is None
        small_is_done.set()
        wait_until(lambda: age(large), "the large tenant's pass")
    finally:
        small_is_done.set()
        working.stop(wait=20)


def two_tenants(app: Any) -> list[str]:
    """The ids of "throttled", whose read is asked for, and of "quick"."""
    with app.app_context():
        rows = [
            MicrosoftTenant(directory_id=name, name=name, connected_at=utcnow(), read_requested_at=asked)
            for name, asked in (("throttled", utcnow()), ("quick", None))
        ]
        db.session.add_all(rows)
        db.session.commit()
        return [row.id for row in rows]


def test_G5_tenants_that_wait_for_microsoft_leave_their_slots_to_the_others(
    app: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With one seat: a tenant is throttled for as long as the other one is not done."""
    throttled, quick = two_tenants(app)
    begun, quick_is_done = threading.Event(), threading.Event()

    class Throttled(Directory):
        wait: Any = None

        def organization(self) -> Any:
            begun.set()
            while not quick_is_done.is_set():
                self.wait(0.1)
            return super().organization()

    def sources(*_args: Any, wait: Any, **_options: Any) -> Any:
        slow = Throttled(users={"u1": account("u1")}, directory_id="throttled")
        slow.wait = lambda seconds: wait(seconds, lambda: None)
        found = {throttled: slow, quick: Directory(users={"u2": account("u2")}, directory_id="quick")}
        return lambda lease: found[lease.tenant_id]

    monkeypatch.setattr(lanes, "source_factory", sources)
    monkeypatch.setattr(scheduler, "SLOTS", {"hourly": 1, "delayed": 1})

    def read_at(tenant_id: str) -> Any:
        with app.app_context():
            return db.session.get_one(MicrosoftTenant, tenant_id).last_synced_at

    working = Scheduler(app)
    working.start()
    try:
        assert begun.wait(30)
        with app.app_context():
            mark_write(db.session())  # beside the one that writes that it waits
            db.session.get_one(MicrosoftTenant, quick).read_requested_at = utcnow()
            db.session.commit()
        working.wake()
        wait_until(lambda: read_at(quick), "the quick tenant's read")
        assert read_at(throttled) is None
        quick_is_done.set()
        wait_until(lambda: read_at(throttled), "the throttled tenant's read")
    finally:
        quick_is_done.set()
        working.stop(wait=20)


def test_a_job_that_is_due_while_the_scheduler_stops_is_no_error(
    app: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    end_threads = BasePoolExecutor.shutdown

    def end_threads_as_a_job_is_due(pool: BasePoolExecutor, wait: bool = True) -> None:
        end_threads(pool, wait)
        pool._scheduler._process_jobs()

    monkeypatch.setattr(BasePoolExecutor, "shutdown", end_threads_as_a_job_is_due)
    monkeypatch.setattr(scheduler, "LOOK_SECONDS", 0.001)
    stopping = Scheduler(app)
    stopping.start()
    stopping.stop(wait=10)
    assert "Error submitting job" not in caplog.text
