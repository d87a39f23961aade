"""PostgreSQL ends a transaction that writes and asks nothing: whoever was stopped in it holds rows that others wait for."""

import contextlib

import psycopg
import pytest
import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import sessionmaker

from portal import transactions
from portal.clock import utcnow
from portal.models import Base, MicrosoftTenant
from portal.transactions import begin_write, connection_arguments, trouble, tune_engine, waiting_for_locks
from portal.worker import leases
from tests.system.conftest import wait_until

pytestmark = pytest.mark.postgres


def build(url):
    engine = sa.create_engine(url)
    Base.metadata.create_all(engine)
    engine.dispose()


@pytest.fixture(params=[False, True], ids=["session", "transaction"])
def sessions(request, postgres_databases, monkeypatch):
    monkeypatch.setattr(transactions, "IDLE_WRITER", 0.3)
    url = postgres_databases.create_database(template="idle", build=build)
    arguments = connection_arguments("test")
    engine = sa.create_engine(url, pool_pre_ping=True, connect_args=arguments)
    tune_engine(engine, is_pooled=request.param)
    found = sessionmaker(engine, expire_on_commit=False)
    with found() as session:
        session.add(MicrosoftTenant(id="m1", directory_id="d" * 36, name="Fabrikam", connected_at=utcnow()))
        session.commit()
    yield found
    engine.dispose()


def rename(sessions, name):
    """False while somebody holds the row."""
    with sessions() as session, waiting_for_locks(0.05):
        begin_write(session)
        try:
            session.execute(sa.update(MicrosoftTenant).values(name=name))
            session.commit()
        except DBAPIError as error:
            assert trouble(error)
            return False
        return True


def test_G4_who_is_stopped_inside_a_transaction_frees_its_rows_and_has_written_nothing(sessions):
    with sessions() as stopped:
        begin_write(stopped)
        stopped.get_one(MicrosoftTenant, "m1", with_for_update=True).name = "Old"
        stopped.flush()
        assert not rename(sessions, "New")
        wait_until(lambda: rename(sessions, "New"), "the row is free")
        with pytest.raises(DBAPIError) as ended:
            stopped.commit()
        assert trouble(ended.value).seconds > 0, "503 and not 500: it may be tried again"
    with sessions() as session:
        assert session.get_one(MicrosoftTenant, "m1").name == "New"


def test_a_transaction_that_only_reads_may_take_its_time(sessions):
    """A run reads in one for as long as it plans. Another, that writes, is ended meanwhile."""
    with sessions() as reading, sessions() as stopped:
        assert reading.get_one(MicrosoftTenant, "m1").name == "Fabrikam"
        begin_write(stopped)
        stopped.get_one(MicrosoftTenant, "m1", with_for_update=True)
        wait_until(lambda: rename(sessions, "New"), "the row is free")
        reading.expire_all()
        assert reading.get_one(MicrosoftTenant, "m1").name == "New"
        with pytest.raises(DBAPIError):
            stopped.rollback()


@pytest.mark.parametrize("is_within", [True, False], ids=["within", "after"])
def test_G4_who_is_stopped_in_a_stream_of_statements_is_ended_by_those_who_take_over(
    sessions, is_within, monkeypatch
):
    """Found when a worker was stopped while it wrote many rows: its tenant stood still, for PostgreSQL took it for busy."""
    update = "UPDATE microsoft_tenants SET name = %s"

    def is_free():
        # After the stream it is a matter of microseconds whether PostgreSQL ends it by itself.
        leases.end_stopped_writers(sessions)
        return rename(sessions, "New")

    with sessions() as stopped:
        begin_write(stopped)
        driver = stopped.connection().connection.driver_connection
        with pytest.raises(psycopg.Error), driver.pipeline() if is_within else contextlib.nullcontext():
            driver.cursor().executemany(update, [("Old",), ("Older",)])
            with monkeypatch.context() as patch:
                patch.setattr(transactions, "IDLE_WRITER", 60.0)
                assert leases.end_stopped_writers(sessions) == 0, "who has just written is not stopped"
            assert wait_until(is_free, "the row is free")
            driver.execute("SELECT 1")
        transactions.roll_back(stopped)
    with sessions() as session:
        assert session.get_one(MicrosoftTenant, "m1").name == "New"
