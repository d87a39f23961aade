"""A row that waits and its job are one: in the same transaction, once, and added again where one was lost."""

import threading

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import sessionmaker

from portal.clock import utcnow
from portal.extensions import tune_engine
from portal.models import Base, MicrosoftTenant, Organization, SyncRun, Tenant
from portal.operations import job_tables
from portal.worker import dispatch, distributed, queue

pytestmark = pytest.mark.postgres


def build(url):
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        Base.metadata.create_all(connection)
        job_tables.create(connection)
    engine.dispose()


@pytest.fixture
def sessions(postgres_databases):
    url = postgres_databases.create_database(template="jobs", build=build)
    engine = tune_engine(sa.create_engine(url))
    dispatch.use(engine, distributed.enqueue)
    found = sessionmaker(engine, expire_on_commit=False)
    with found() as session:
        session.add(MicrosoftTenant(id="m1", directory_id="d" * 36, name="Fabrikam", connected_at=utcnow()))
        session.flush()
        session.add(Tenant(id="t1", name="Reef", microsoft_tenant_id="m1", created_at=utcnow()))
        session.flush()
        session.add(Organization(id="o1", name="Reef", name_key="reef", tenant_id="t1", created_at=utcnow()))
        session.commit()
    yield found
    engine.dispose()


def run(lane="hourly"):
    return SyncRun(
        organization_id="o1",
        microsoft_tenant_id="m1",
        generation=0,
        trigger="manual",
        lane=lane,
        created_at=utcnow(),
    )


def jobs(sessions):
    with sessions() as session:
        asked = sa.text(
            "SELECT queue_name, lock, queueing_lock, status::text FROM procrastinate_jobs ORDER BY id"
        )
        return [tuple(row) for row in session.execute(asked)]


WAITS = ("hourly", "run:m1", "hourly:m1", "todo")


def test_a_run_and_its_job_are_committed_together_or_not_at_all(sessions):
    with sessions() as session:
        session.add(run())
        session.flush()
        session.rollback()
        session.commit()
    assert jobs(sessions) == []
    with sessions() as session:
        session.add(run())
        session.commit()
    assert jobs(sessions) == [WAITS]


def test_a_savepoint_that_is_undone_takes_nothing_else_with_it(sessions):
    with sessions() as session:
        session.add(run())
        with session.begin_nested():
            session.add(run("delayed"))
        session.commit()
    assert [job[0] for job in jobs(sessions)] == ["delayed", "hourly"]


def test_a_read_that_is_asked_for_has_a_job_too_once(sessions):
    for _ in range(2):
        with sessions() as session:
            session.get_one(MicrosoftTenant, "m1").read_requested_at = utcnow()
            session.add(run())
            session.commit()
    assert jobs(sessions) == [WAITS]


def test_of_many_that_are_queued_at_once_one_that_waits_already_leaves_none_without_a_job(sessions):
    with sessions() as session:
        dispatch.enqueue(session, "hourly", "m2")
        session.commit()
    with sessions() as session:
        dispatch.enqueue(session, "hourly", "m1", "m2", "m3")
        session.commit()
    assert sorted(job[2] for job in jobs(sessions)) == ["hourly:m1", "hourly:m2", "hourly:m3"]


def take(sessions):
    """What a worker does: take the first job that it may."""
    with sessions() as session:
        worker = session.scalar(sa.text("SELECT worker_id FROM procrastinate_register_worker_v1()"))
        found = session.execute(
            sa.text("SELECT id, queueing_lock FROM procrastinate_fetch_job_v2(NULL, :w)"), {"w": worker}
        ).one()
        session.commit()
        return found


def test_nobody_takes_the_job_that_waits_before_the_new_row_is_there(sessions):
    """Otherwise it would be over before the commit, and the row waits without a job."""
    with sessions() as session:
        session.add(run())
        session.commit()
    with sessions() as session:
        session.add(run())
        session.flush()
        dispatch.enqueue(session, "hourly", "m1")
        assert take(sessions).id is None
        session.commit()
    assert take(sessions).queueing_lock == "hourly:m1"


def test_while_one_runs_another_waits_for_its_lock(sessions):
    for _ in range(2):
        with sessions() as session:
            session.add(run())
            session.commit()
        first = take(sessions)
        assert (first.id is None) == (len(jobs(sessions)) == 2)
    assert [job[3] for job in jobs(sessions)] == ["doing", "todo"]


def test_T3_an_hourly_job_goes_before_the_delayed_one_of_its_tenant(sessions):
    with sessions() as session:
        session.add(run("delayed"))
        session.commit()
    with sessions() as session:
        session.add(run("hourly"))
        session.commit()
    assert take(sessions).queueing_lock == "hourly:m1"
    assert take(sessions).id is None, "one at a time (T1)"


def test_a_job_that_failed_and_waits_is_brought_forward_by_new_work(sessions):
    with sessions() as session:
        session.add(run())
        session.flush()
        distributed.enqueue_again(session, "hourly", "m1", at=utcnow().replace(year=2099), tries=5)
        session.info.clear()
        session.commit()
    assert take(sessions).id is None
    with sessions() as session:
        dispatch.enqueue(session, "hourly", "m1")
        session.commit()
    assert take(sessions).queueing_lock == "hourly:m1"


def test_the_sweep_adds_what_is_missing_and_nothing_else(sessions):
    with sessions() as session:
        session.add(run())
        session.get_one(MicrosoftTenant, "m1").slow_due_at = utcnow() - queue.SLOW_PATIENCE
        session.commit()
        session.execute(sa.text("DELETE FROM procrastinate_jobs"))
        session.commit()
    assert distributed.sweep(sessions, utcnow()) == 2
    assert distributed.sweep(sessions, utcnow()) == 0
    assert {job[2] for job in jobs(sessions)} == {"hourly:m1", "slow:m1"}
    take(sessions)
    assert distributed.sweep(sessions, utcnow()) == 0, "one that runs is there"


def test_many_who_queue_at_once_add_one_job_and_nobody_fails(sessions):
    failed, together = [], threading.Barrier(6)

    def press():
        together.wait()
        try:
            with sessions() as session:
                session.add(run())
                session.commit()
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=press) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (failed, jobs(sessions)) == ([], [WAITS])
    with sessions() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(SyncRun)) == 6
