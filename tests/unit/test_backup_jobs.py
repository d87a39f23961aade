"""Jobs are not in a backup: they are made anew from the rows that wait."""

from datetime import timedelta

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import sessionmaker

from portal.models import MicrosoftTenant
from portal.operations import backup, schema
from portal.transactions import tune_engine
from portal.worker import distributed

pytestmark = pytest.mark.postgres
JOBS = sa.text("SELECT queueing_lock, status FROM procrastinate_jobs")


@pytest.fixture
def engine(postgres_url):
    engine = tune_engine(sa.create_engine(postgres_url))
    schema.upgrade(engine)
    yield engine
    engine.dispose()


def test_a_restore_forgets_the_jobs_and_the_next_sweep_adds_those_of_what_waits(engine, now, tmp_path):
    sessions = sessionmaker(engine, expire_on_commit=False)
    with sessions() as session:
        session.add(
            MicrosoftTenant(
                id="reef",
                directory_id="d",
                name="Reef",
                connected_at=now,
                slow_due_at=now - timedelta(hours=1),
            )
        )
        distributed.enqueue(session, "slow", "reef")
        session.commit()
    backup.backup(engine, tmp_path / "file")
    with sessions() as session:
        session.get_one(MicrosoftTenant, "reef").slow_due_at = None
        distributed.enqueue(session, "check", "somebody who is not in the file")
        session.commit()
    backup.restore(engine, tmp_path / "file")
    with sessions() as session:
        assert session.execute(JOBS).all() == []
    assert distributed.sweep(sessions, now) == 1
    with sessions() as session:
        assert session.execute(JOBS).all() == [("slow:reef", "todo")]
