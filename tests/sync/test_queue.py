"""T1, T3, T7: which work waits, which goes first, and who takes it when a process dies."""

from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import OperationalError

from portal.models import MicrosoftTenant, Organization, SyncRun, UserSync
from portal.worker import leases, queue
from tests.sync.directory import account
from tests.sync.queued_work import queued, ready, tick, waiting
from tests.sync.world import World, write_session


def test_T1_an_hour_that_was_missed_is_made_up_once(world):
    ready(world)
    world.now += timedelta(hours=7)  # the portal was off
    assert tick(world) == 1
    assert queued(world) == [("hourly", "hourly")]
    assert world.tenant().next_run_at > world.now
    assert tick(world) == 0


def test_T1_a_run_that_waits_or_runs_is_not_queued_twice(world):
    ready(world)
    world.queue("manual")
    world.now += timedelta(hours=2)
    assert tick(world) == 0
    assert queued(world) == [("manual", "hourly")]


def test_T1_of_two_processes_that_look_at_the_same_moment_one_queues(world, monkeypatch):
    ready(world)
    world.now += timedelta(hours=2)
    next_run = queue.schedule.next_run
    with write_session(world.sessions) as session:

        def after_the_other(*arguments):
            """The other process was quicker: between our reading that the hour has come and our taking it."""
            session.execute(
                update(MicrosoftTenant)
                .values(next_run_at=world.now + timedelta(hours=1))
                .execution_options(synchronize_session=False)
            )
            return next_run(*arguments)

        monkeypatch.setattr(queue.schedule, "next_run", after_the_other)
        assert queue.queue_due(session, world.now, 60) == 0
        session.rollback()


def test_L5_nothing_is_queued_for_a_sync_that_is_off(world):
    ready(world)
    world.disable()
    world.now += timedelta(hours=2)
    assert tick(world) == 0


def test_T3_an_initial_sync_past_its_promise_needs_attention_once(world):
    world.enable()
    world.now += timedelta(hours=11, minutes=59)
    with write_session(world.sessions) as session:
        assert queue.flag_overdue(session, world.now) == 0
        world.now += timedelta(minutes=2)
        assert queue.flag_overdue(session, world.now) == 1
        assert queue.flag_overdue(session, world.now) == 0
        session.commit()
    assert "12 hours" in world.user_sync().attention
    world.directory.put(account("u01"))
    assert world.sync("initial").status == "succeeded"
    assert world.user_sync().attention is None


def test_G4_work_of_a_process_that_died_is_handed_out_when_its_lease_has_run_out(world):
    world.enable()
    world.queue("initial")
    with world.sessions() as session:
        tenant = session.get_one(MicrosoftTenant, world.tenant_id)
        tenant.lease_owner, tenant.lease_expires_at = "dead", world.now + leases.TTL
        session.query(SyncRun).update({"status": "running"})
        session.commit()
    assert waiting(world) == []
    world.now += leases.TTL
    assert waiting(world) == [(world.tenant_id, "hourly")]


def test_G4_the_lease_of_a_process_known_to_be_dead_is_freed_at_once(world):
    assert leases.acquire(world.sessions, world.tenant_id, "dead", lambda: world.now)
    assert leases.acquire(world.sessions, world.tenant_id, "alive", lambda: world.now, part="slow")
    assert leases.release_orphaned(world.sessions, lambda owner: owner == "dead") == 1
    assert (world.tenant().lease_owner, world.tenant().slow_lease_owner) == (None, "alive")


def test_G5_a_throttled_tenant_is_left_alone_until_its_time_and_no_other_is(world):
    world.enable()
    world.queue("initial")
    with world.sessions() as session:
        session.get_one(MicrosoftTenant, world.tenant_id).throttled_until = world.now + timedelta(minutes=3)
        other = MicrosoftTenant(
            directory_id="9" * 36, name="Other", connected_at=world.now, read_requested_at=world.now
        )
        session.add(other)
        session.commit()
        other_id = other.id
    assert waiting(world) == [(other_id, "hourly")]
    world.now += timedelta(minutes=3)
    assert (world.tenant_id, "hourly") in waiting(world)


def test_T3_the_hourly_lane_comes_first(world):
    world.enable()
    world.queue("initial", "delayed")
    world.queue("manual", "hourly")
    assert [lane for _, lane in waiting(world)] == ["hourly", "delayed"]
    with world.sessions() as session:
        assert session.query(UserSync).count() == 1


def slow_ones(world):
    with world.sessions() as session:
        return [work.microsoft_tenant_id for work in queue.slow_waiting(session, world.now)]


def test_T7_the_slow_pass_waits_until_a_first_sync_is_over(world):
    world.directory.put(account("u01"))
    world.enable()
    with write_session(world.sessions) as session:
        session.execute(update(MicrosoftTenant).values(slow_due_at=world.now))
        session.commit()
    assert slow_ones(world) == [world.tenant_id]
    world.queue("initial")
    assert slow_ones(world) == []
    with write_session(world.sessions) as session:
        session.execute(update(SyncRun).values(status="running"))
        session.commit()
    assert slow_ones(world) == []
    world.work()
    assert slow_ones(world) == [world.tenant_id]


def test_T7_the_slow_pass_lets_runs_that_wait_go_first_for_an_hour(world):
    """Of any tenant; but not those that Microsoft asked to wait, and not for ever."""
    ready(world)
    with write_session(world.sessions) as session:
        session.execute(update(MicrosoftTenant).values(slow_due_at=world.now))
        session.commit()
    assert slow_ones(world) == [world.tenant_id]
    world.queue("manual")
    assert slow_ones(world) == []
    with write_session(world.sessions) as session:
        session.execute(update(MicrosoftTenant).values(throttled_until=world.now + timedelta(minutes=1)))
        session.commit()
    assert slow_ones(world) == [world.tenant_id]
    world.now += queue.SLOW_PATIENCE
    assert slow_ones(world) == [world.tenant_id], "whoever waits"


@pytest.mark.parametrize("held", [MicrosoftTenant, Organization])
@pytest.mark.postgres
def test_T1_a_tenant_whose_rows_somebody_holds_stops_no_other(postgres_sessions, held):
    """Found in the field: a worker that was stopped in a transaction stopped the schedule of all. SQLite has one writer anyway."""
    worlds = [World(postgres_sessions, directory_id=f"{n}" * 36, name=f"Customer {n}") for n in range(2)]
    for number, world in enumerate(worlds):
        world.directory.directory_id = f"{number}" * 36
        ready(world)
        world.now += timedelta(hours=2)
    with postgres_sessions() as stopped:
        key = worlds[0].tenant_id if held is MicrosoftTenant else worlds[0].organization_id
        stopped.get_one(held, key, with_for_update=True)
        with postgres_sessions() as session:
            assert queue.queue_due(session, worlds[1].now, 60) == 1
            assert session.scalars(
                select(SyncRun.microsoft_tenant_id).where(SyncRun.status == "queued")
            ).all() == [worlds[1].tenant_id]
    with postgres_sessions() as session:
        assert queue.queue_due(session, worlds[1].now, 60) == 1, "the next round makes it up"


def test_G4_who_could_not_give_a_lease_back_takes_it_up_again_at_once(world):
    """Found in the field: after a restart of the database tenants stood still until their leases ran out, though their worker lived."""
    ready(world)
    world.queue()
    assert leases.acquire(world.sessions, world.tenant_id, "me", lambda: world.now)
    with world.sessions() as session:
        assert queue.waiting(session, world.now, "other") == []
        assert [work.microsoft_tenant_id for work in queue.waiting(session, world.now, "me")] == [
            world.tenant_id
        ]


def test_G4_a_database_that_is_away_for_a_moment_ends_no_run(world):
    """A fault of ours ends it as failed, so that it does not run for ever; whoever is next goes on with any other."""
    ready(world)
    run_id = world.queue()
    for error, status in (
        (OperationalError("SELECT", None, psycopg.errors.AdminShutdown()), "running"),
        (KeyError("ours"), "failed"),
    ):
        worker = world.worker()

        def finished(_session, _run, error=error):
            raise error

        worker.finished = finished
        with pytest.raises(type(error)):
            worker.run_tenant(world.tenant_id, "me")
        with world.sessions() as session:
            assert session.get_one(SyncRun, run_id).status == status
