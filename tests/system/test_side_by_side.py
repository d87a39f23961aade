"""What one Microsoft tenant holds up no other: the scheduler's threads, without a Microsoft."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from portal import create_app, scheduler
from portal.clock import utcnow
from portal.config import Settings
from portal.extensions import db
from portal.models import MicrosoftTenant
from portal.scheduler import Scheduler
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
            MicrosoftTenant(directory_id=name, name=name, connected_at=utcnow(), checked_at=utcnow(), slow_due_at=utcnow())
            for name in ("large", "small")
        ]
        db.session.add_all(rows)
        db.session.commit()
        large, small = (row.id for row in rows)
    sources = {large: Large(), small: Directory(users={"u1": account("u1")})}
    monkeypatch.setattr(scheduler, "source_factory", lambda *_a, **_k: sources.__getitem__)

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
