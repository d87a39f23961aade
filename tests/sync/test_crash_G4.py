"""G4: killed at every commit boundary, and at 25 random statements, the next run comes to the end of an undisturbed one."""

import random
import shutil

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import sessionmaker

from portal.engine.apply import chunks
from portal.extensions import tune_engine
from portal.models import Base, Change, SyncRun
from tests.sync import crash_child, scenario

KINDS = ("initial", "delayed", "hourly")


def sessions_of(path):
    engine = tune_engine(sa.create_engine(f"sqlite:///{path}"))
    return engine, sessionmaker(engine, expire_on_commit=False)


@pytest.fixture(scope="module", params=KINDS)
def undisturbed(request, tmp_path_factory):
    """The database before the run, the end state of a run that nobody killed, and how many boundaries it has."""
    kind, folder = request.param, tmp_path_factory.mktemp(request.param)
    start = folder / "start.db"
    engine, sessions = sessions_of(start)
    Base.metadata.create_all(engine)
    scenario.prepare(sessions, kind)
    with engine.connect() as connection:
        connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
    engine.dispose()
    end = folder / "end.db"
    shutil.copy(start, end)
    code, passed = crash_child.run(end, kind)
    assert code == 0
    engine, sessions = sessions_of(end)
    state = (scenario.reopen(sessions, kind).end_state(), *told(sessions))
    engine.dispose()
    return kind, start, state, passed


def told(sessions):
    """What the last run says it did, and its records: interrupted or not, it tells the same."""
    with sessions() as session:
        run = session.query(SyncRun).order_by(SyncRun.created_at.desc()).first()
        records = session.query(Change.object_id, Change.decision, Change.state).filter_by(run_id=run.id)
        return run.counts, sorted(map(tuple, records))


def finish(path, kind):
    """What the next process makes of the database: the run that was cut short, taken up again."""
    engine, sessions = sessions_of(path)
    try:
        world = scenario.reopen(sessions, kind)
        if kind == "delayed":
            visible = world.count()
            assert visible in {4, 22}, "a reader sees everybody or nobody of a staged sync (T3)"
        assert world.work()
        with sessions() as session:
            assert {run.status for run in session.query(SyncRun)} <= {"succeeded"}
        return world.end_state(), *told(sessions)
    finally:
        engine.dispose()


@pytest.fixture(autouse=True)
def small_chunks(monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 12)


@pytest.mark.crash
def test_G4_killed_at_every_commit_boundary(undisturbed, tmp_path):
    kind, start, expected, passed = undisturbed
    assert passed["commits"] >= 10
    for boundary in range(1, passed["commits"] + 1):
        path = tmp_path / f"{boundary}.db"
        shutil.copy(start, path)
        assert crash_child.run(path, kind, boundary=boundary)[0] == -9
        assert finish(path, kind) == expected, f"{kind}, killed at boundary {boundary}"


@pytest.mark.crash
def test_G4_killed_at_random_moments(undisturbed, tmp_path):
    kind, start, expected, passed = undisturbed
    moments = random.Random(f"rollcall {kind}").sample(
        range(1, passed["statements"]), 9 if kind == "hourly" else 8
    )
    for moment in moments:
        path = tmp_path / f"{moment}.db"
        shutil.copy(start, path)
        assert crash_child.run(path, kind, statement=moment)[0] == -9
        assert finish(path, kind) == expected, f"{kind}, killed at statement {moment}"
