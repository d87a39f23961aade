from datetime import timedelta

import psycopg
import pytest
from sqlalchemy import event, select, update
from sqlalchemy.exc import OperationalError

from portal.clock import utcnow
from portal.errors import NeedsAdmin, SourcePermissionMissing
from portal.microsoft import check
from portal.microsoft import service as microsoft
from portal.models import MicrosoftTenant, Organization, SyncRun, UserSync
from portal.worker import leases, queue
from tests.sync.directory import account
from tests.sync.world import World, write_session
from tests.unit.engine.builders import only


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


def promised(world):
    with world.sessions() as session:
        return queue.next_turn(
            session, session.query(UserSync).one(), session.query(MicrosoftTenant).one(), 60
        )


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


def test_G2_a_sync_that_keeps_failing_is_tried_ever_more_rarely_and_at_once_when_the_connection_was_checked(
    world,
):
    """Its tenant can be read, its group cannot: other syncs of the tenant keep their hour."""
    ready(world)
    world.directory.group("g1", "u01")
    world.enable(only(group=["g1"]), initial_done_at=world.now)
    world.directory.group_errors["g1"] = SourcePermissionMissing("An application permission is missing.")
    for _ in range(3):
        assert world.sync().status == "failed"
    assert world.tenant().failures_in_row == 0 and world.user_sync().attention

    def tries(hours):
        found = 0
        for _ in range(hours):
            world.now = world.tenant().next_run_at
            if tick(world):
                found += 1
                world.worker().run_tenant(world.tenant_id, "me")
        return found

    assert (tries(24), tries(24), tries(24)) == (3, 1, 1), "2, 4, 8, 16 hours, then daily"
    assert tick(world) == 0
    shown = promised(world)
    assert shown > world.tenant().next_run_at, (
        "the turn at which it is tried again is shown, not the tenant's next"
    )
    while not tick(world):
        assert world.now < shown and promised(world) == shown
        world.now = world.tenant().next_run_at
    assert world.now == shown
    world.worker().run_tenant(world.tenant_id, "me")
    with world.sessions() as session:
        session.get_one(MicrosoftTenant, world.tenant_id).failures_in_row = 1
        session.flush()
        sync = session.query(UserSync).one()
        tenant = session.get_one(MicrosoftTenant, world.tenant_id)
        assert queue.next_turn(session, sync, tenant, 60) == tenant.next_run_at, (
            "the tenant's own back-off holds"
        )
    with write_session(world.sessions) as session:
        microsoft.mark_working(session, session.get_one(MicrosoftTenant, world.tenant_id))
        session.commit()
    world.now = max(world.now, utcnow())
    assert tick(world) == 1
    world.directory.group_errors.clear()
    world.worker().run_tenant(world.tenant_id, "me")
    assert (world.user_sync().failures_in_row, world.user_sync().attention) == (0, None)


def check_line(name, state="ok"):
    return {"name": name, "state": state, "detail": "", "permission": ""}


def test_G2_C4_only_a_check_that_could_read_people_puts_a_connection_right(world):
    """Not one for which there is no app registration, nor one that Microsoft answered with errors."""
    ready(world)
    fine = [check_line(name) for name in sorted(check.CORE)]
    failing = [check_line("Token"), check_line("People", "error")]
    with write_session(world.sessions) as session:
        row = session.get_one(MicrosoftTenant, world.tenant_id)
        for report, state, failures in (
            (check.unregistered(NeedsAdmin("Enter the app registration.")), "needs_attention", 4),
            (check.Report(tuple(failing)), "needs_attention", 4),
            (check.Report(tuple(fine)), "connected", 0),
            (check.Report(tuple(failing)), "connected", 4),
        ):
            if report.problem is None:
                row.state = "needs_attention" if state == "needs_attention" or failures == 0 else "connected"
            row.failures_in_row = 4
            check.save(session, row, report)
            assert (row.state, row.failures_in_row) == (state, failures)
        check.save(session, row, check.unregistered(NeedsAdmin("Enter the app registration.")))
        assert (row.checks[0]["state"], row.problem) == ("error", "Enter the app registration.")
        session.rollback()


def test_G2_a_read_that_worked_locks_the_tenant_before_its_syncs_as_a_check_does(world):
    """On PostgreSQL the other order lets a check and a run wait for each other, until one of them is killed."""
    ready(world)
    world.directory.fail_page = 1
    for _ in range(4):
        world.sync()
    world.directory.fail_page = None
    written = []

    def note(_connection, _cursor, statement, *_rest):
        if statement.startswith("UPDATE"):
            written.append(statement.split()[1])

    engine = world.sessions.kw["bind"]
    event.listen(engine, "before_cursor_execute", note)
    event.listen(engine, "commit", lambda _connection: written.append("commit"))
    world.sync()
    forgiven = next(n for n, table in enumerate(written) if table == "user_syncs")
    assert written[forgiven - 1] == "microsoft_tenants"


def test_G2_a_tenant_that_can_be_read_again_brings_all_its_syncs_back(world):
    ready(world)
    world.directory.fail_page = 1
    for _ in range(6):
        world.sync()
    assert world.user_sync().failures_in_row == world.tenant().failures_in_row == 6
    with write_session(world.sessions) as session:
        session.get_one(MicrosoftTenant, world.tenant_id).read_requested_at = world.now  # somebody else's
        session.commit()
    world.directory.fail_page = None
    world.worker().run_tenant(world.tenant_id, "me")
    world.now = world.tenant().next_run_at
    assert tick(world) == 1


def test_U5_a_read_asked_for_while_another_goes_on_follows_it(world):
    def ask():
        with write_session(world.sessions) as session:
            session.get_one(MicrosoftTenant, world.tenant_id).read_requested_at = utcnow()
            session.commit()

    def groups():
        if world.directory.reads.count("delta") + world.directory.reads.count("full") == before + 1:
            ask()
        return []

    ready(world)
    before = len([read for read in world.directory.reads if read in {"full", "delta"}])
    ask()
    world.directory.group("g9")  # the list is read again
    world.directory.groups = groups
    world.worker().run_tenant(world.tenant_id, "me")
    reads = [read for read in world.directory.reads if read in {"full", "delta"}]
    assert (len(reads) - before, world.tenant().read_requested_at) == (2, None)


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
