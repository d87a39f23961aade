"""A pooled connection shows that it lives before it is given out, unless it was used a moment ago."""

import sqlite3

import pytest
from sqlalchemy import create_engine, text

from portal import clock
from portal.operations.liveness import FRESH_SECONDS, ask_when_idle


@pytest.fixture
def engine(tmp_path):
    found = create_engine(f"sqlite:///{tmp_path}/file.db")
    ask_when_idle(found)
    yield found
    found.dispose()


def use(engine):
    with engine.connect() as connection:
        connection.execute(text("SELECT 1"))
        return id(connection.connection.driver_connection)


@pytest.fixture
def asked(engine, monkeypatch):
    found = []

    def ping(connection):
        found.append(connection)
        if len(found) == 2:
            raise sqlite3.OperationalError("the server went away")

    monkeypatch.setattr(engine.dialect, "do_ping", ping)
    return found


def test_one_that_rested_is_asked_and_takes_the_place_of_one_that_is_gone(engine, asked, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(clock, "monotonic", lambda: now[0])
    first = use(engine)
    assert use(engine) == first
    assert asked == []
    now[0] += FRESH_SECONDS
    assert use(engine) == first
    assert len(asked) == 1
    now[0] += FRESH_SECONDS
    made = []
    monkeypatch.setattr(
        engine.pool, "_creator", lambda *_a, _make=engine.pool._creator: made.append(1) or _make()
    )  # noqa: SLF001
    use(engine)
    assert (len(asked), len(made)) == (2, 1)
