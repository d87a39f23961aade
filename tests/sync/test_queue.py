from datetime import timedelta

from portal.engine import claims
from portal.engine.claims import write_session
from portal.models import MicrosoftTenant, SyncRun, UserSync
from portal.user_sync import queue
from tests.sync.directory import account


def queued(world):
    with world.sessions() as session:
        return [(run.trigger, run.lane) for run in session.query(SyncRun).filter_by(status="queued")]


def tick(world):
    with write_session(world.sessions) as session:
        number = queue.queue_due(session, world.now, 60)
        session.commit()
        return number


def waiting(world):
    with world.sessions() as session:
        return [(work.microsoft_tenant_id, work.lane) for work in queue.waiting(session, world.now)]


def ready(world):
    world.directory.put(account("u01"))
    world.enable()
    assert world.sync("initial").status == "succeeded"


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
        tenant.lease_owner, tenant.lease_expires_at = "dead", world.now + timedelta(seconds=90)
        session.query(SyncRun).update({"status": "running"})
        session.commit()
    assert waiting(world) == []
    world.now += timedelta(seconds=91)
    assert waiting(world) == [(world.tenant_id, "hourly")]


def test_G4_the_lease_of_a_process_known_to_be_dead_is_freed_at_once(world):
    assert claims.claim(world.sessions, world.tenant_id, "dead", world.now)
    assert claims.claim(world.sessions, world.tenant_id, "alive", world.now, part="slow")
    assert claims.release_dead(world.sessions, lambda owner: owner == "dead") == 1
    assert (world.tenant().lease_owner, world.tenant().slow_lease_owner) == (None, "alive")


def test_G5_a_throttled_tenant_is_left_alone_until_its_time_and_no_other_is(world):
    world.enable()
    world.queue("initial")
    with world.sessions() as session:
        session.get_one(MicrosoftTenant, world.tenant_id).throttled_until = world.now + timedelta(minutes=3)
        other = MicrosoftTenant(directory_id="9" * 36, name="Other", connected_at=world.now, read_requested_at=world.now)
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
