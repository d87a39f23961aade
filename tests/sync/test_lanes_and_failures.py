"""When people appear, which run goes first, and what a run that fails leaves behind."""

from datetime import timedelta

from portal.engine.apply import chunks
from portal.engine.apply.chunks import CHUNK
from portal.errors import SourceAuthError, SourceTransient
from portal.models import SyncRun
from tests.sync.steps import staff, started
from tests.unit.engine.builders import only


def test_T2_without_a_group_filter_people_appear_chunk_by_chunk(world, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 5)
    seen = []
    world.watch(lambda label: seen.append(world.count()) if label.startswith("Applying ") else None)
    started(world, 12)
    assert seen == [5, 10, 12]
    assert CHUNK <= 1000, "small enough to be seen, and to let others write"


def test_T3_with_a_group_filter_all_appear_at_once(world, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 4)
    world.directory.put(*staff(12))
    world.directory.group("g1", *[f"u{n:02}" for n in range(10)])
    world.person("Ann", "u01@x.example")
    world.enable(only(group=["g1"]))
    seen = []
    world.watch(lambda _label: seen.append(world.count()))
    run = world.sync("initial", lane="delayed")
    assert set(seen) == {1, 10}, "a reader never sees part of it"
    assert (run.status, run.counts["created"], run.counts["linked"], world.count()) == ("succeeded", 9, 1, 10)


def test_T3_hourly_runs_pass_a_delayed_one_and_it_goes_on_where_it_was(world):
    world.directory.put(*staff(12))
    world.directory.group("g1", *[f"u{n:02}" for n in range(12)])
    world.enable(only(group=["g1"]))
    run_id = world.queue("initial", "delayed")
    world.watch(lambda label: world.queue("manual", "hourly") if label == "Deciding 0" else None)
    world.work(("delayed",))
    assert (world.run(run_id).status, world.count()) == ("running", 0)
    world.unwatch()
    with world.sessions() as session:
        session.query(SyncRun).filter_by(lane="hourly").delete()
        session.commit()
    world.work(("delayed",))
    assert (world.run(run_id).status, world.count()) == ("succeeded", 12)


def test_L5_T3_disabling_before_the_publish_publishes_nothing(world):
    world.directory.put(*staff(6))
    world.directory.group("g1", "u01", "u02")
    world.enable(only(group=["g1"]))
    world.watch(lambda label: world.disable() if label == "Publishing 0" else None)
    run = world.sync("initial", lane="delayed")
    assert (run.status, world.count(), world.changes(run.id)) == ("cancelled", 0, {})


def test_G2_the_third_failure_needs_attention_and_a_good_read_heals_it(world):
    started(world)
    world.directory.fail_page = 1
    waits = []
    for _ in range(5):
        world.sync()
        waits.append(world.tenant().next_run_at - world.now)
    assert world.user_sync().failures_in_row == 5 and world.user_sync().attention
    assert waits[0] <= timedelta(hours=1) < waits[3] < waits[4]
    world.directory.fail_page = None
    assert world.sync().status == "succeeded"
    assert (
        world.user_sync().attention,
        world.user_sync().failures_in_row,
        world.tenant().failures_in_row,
    ) == (None, 0, 0)


def test_G2_a_refused_connection_is_told_once_per_tenant(world, monkeypatch):
    started(world)

    def refuse():
        raise SourceAuthError("The portal's client secret has expired.", code="AADSTS7000222")

    monkeypatch.setattr(world.directory, "organization", refuse)
    run = world.sync()
    assert (run.status, run.error_code) == ("failed", "AADSTS7000222")
    assert (world.tenant().state, world.tenant().problem_code) == ("needs_attention", "AADSTS7000222")


def test_G5_a_throttled_tenant_waits_until_the_time_named(world, monkeypatch):
    started(world)
    until = world.now + timedelta(hours=2)

    def throttle():
        raise SourceTransient("Microsoft asks the portal to slow down.", retry_at=until)

    monkeypatch.setattr(world.directory, "organization", throttle)
    world.sync()
    assert world.tenant().throttled_until == until
