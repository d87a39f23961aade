"""SQLite's write lock is had in the order of asking, within a process."""

import threading
from pathlib import Path

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import sessionmaker

from portal.engine.pace import FEWEST_ROWS, MOST_ROWS, next_size
from portal.operations.write_queue import WriteQueue
from portal.transactions import (
    REQUEST_PATIENCE,
    checkpoint,
    is_wanted,
    mark_write,
    trouble,
    tune_engine,
    waiting_for_locks,
)


@pytest.fixture
def sessions(tmp_path):
    engine = tune_engine(sa.create_engine(f"sqlite:///{tmp_path}/x.db"))
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE notes (name TEXT)")
    yield sessionmaker(engine)
    engine.dispose()


def write(sessions, name):
    with sessions() as session:
        mark_write(session)
        session.execute(sa.text("INSERT INTO notes VALUES (:name)"), {"name": name})
        session.commit()


def let_in(asking):
    """The order in which those who ask are let in; of each whether it is a request."""
    queue, order, threads = WriteQueue(), [], []
    assert queue.enter(1, is_request=True)
    for n, is_request in enumerate(asking):

        def work(n=n, is_request=is_request):
            assert queue.enter(30, is_request=is_request)
            order.append(n)
            queue.leave()

        thread = threading.Thread(target=work)
        thread.start()
        threads.append(thread)
        while len(queue._requests) + len(queue._work) < n + 1:  # noqa: SLF001
            pass
    queue.leave()
    for thread in threads:
        thread.join()
    assert queue.enter(0.01, is_request=True)  # nobody holds it any more
    return order


@pytest.mark.parametrize("is_request", [True, False])
def test_who_asked_first_writes_first(is_request):
    assert let_in([is_request] * 5) == [0, 1, 2, 3, 4]


def test_requests_go_before_long_work_which_gets_its_turn_though():
    assert let_in([False, False, *[True] * 6]) == [2, 3, 4, 5, 0, 6, 7, 1]


def test_who_gives_up_waiting_is_told_as_sqlite_would_and_holds_nothing_up(sessions):
    with sessions() as holder:
        mark_write(holder)
        with pytest.raises(sa.exc.OperationalError) as raised, waiting_for_locks(0.01):
            write(sessions, "late")
        assert trouble(raised.value).seconds == 5
        holder.rollback()
    write(sessions, "again")


@pytest.mark.parametrize("end", ["commit", "rollback", "close", "error", "invalidate"])
def test_the_next_one_is_let_in_however_a_transaction_ends(sessions, end):
    with sessions() as session:
        mark_write(session)
        if end == "error":
            with pytest.raises(sa.exc.OperationalError):
                session.execute(sa.text("SELECT * FROM nowhere"))
            session.rollback()
        else:
            getattr(session, end)()
        with waiting_for_locks(0.01):
            write(sessions, end)


def test_reading_waits_for_nobody(sessions):
    with sessions() as writer, sessions() as reader:
        mark_write(writer)
        assert reader.scalar(sa.text("SELECT count(*) FROM notes")) == 0


def test_a_commit_leaves_the_log_for_the_checkpoint_which_empties_it(sessions):
    log = Path(sessions.kw["bind"].url.database + "-wal")
    for n in range(3):
        write(sessions, str(n))
    with sessions() as reader:
        file = Path(reader.get_bind().url.database)
        before = file.read_bytes()
        checkpoint(sessions)
        assert file.read_bytes() != before and log.stat().st_size
    write(sessions, "from its beginning")
    size = log.stat().st_size
    write(sessions, "and on")
    assert log.stat().st_size == size


def test_whether_a_request_waits_is_known_to_who_has_the_lock(sessions):
    def request():
        with waiting_for_locks(REQUEST_PATIENCE):
            write(sessions, "looked at")

    with sessions() as work:
        mark_write(work)
        assert not is_wanted(work)
        other = threading.Thread(target=request)
        other.start()
        while not is_wanted(work):
            pass
        work.rollback()
    other.join()
    with sessions() as work:
        mark_write(work)
        assert not is_wanted(work)


def test_so_many_rows_as_the_last_ones_say_and_at_most_twice_as_many():
    assert [next_size(100, seconds, 0.07) for seconds in (0.007, 0.05, 0.14, 7)] == [
        200,
        140,
        50,
        FEWEST_ROWS,
    ]
    assert next_size(100, 0.05, 0.03) == 60
    assert next_size(MOST_ROWS, 0.001, 0.07) == MOST_ROWS
