from datetime import timedelta

from portal.models import Change, SyncRun
from portal.runs.retention import forget_old
from tests.sync.directory import account
from tests.sync.test_runs import started


def forget(world):
    with world.sessions() as session:
        number = forget_old(session, world.now)
        session.commit()
        return number


def test_W7_what_a_run_changed_is_kept_and_old_skips_and_quiet_runs_go(world):
    world.directory.put(account("nomail", mail=None, userPrincipalName="n#EXT#@t"))
    run = started(world, 3)
    quiet = world.sync()
    assert (len(world.changes(run.id)), len(world.changes(quiet.id))) == (4, 1)
    world.now += timedelta(days=29)
    assert forget(world) == 0
    world.now += timedelta(days=2)
    assert forget(world) == 2
    assert sorted(world.changes(run.id)) == ["u00", "u01", "u02"]
    world.now += timedelta(days=60)
    assert forget(world) == 1
    assert (world.count(SyncRun), world.count(Change)) == (1, 3)
    assert forget(world) == 0
