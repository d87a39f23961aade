"""Each audit event carries the hash of the one before it, and a check names the first one that was changed or cut."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from threading import Barrier

import pytest
import sqlalchemy as sa
from sqlalchemy.orm import Session

from portal import audit
from portal.clock import utcnow
from portal.evidence import chain, retention
from portal.evidence.chain import Mark
from portal.evidence.check import verify_database
from portal.extensions import mark_write, tune_engine
from portal.models import AuditEvent, StoredSetting
from portal.operations import backup, schema

WRITERS, EACH = 20, 5


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(request, prepared):
    found = tune_engine(sa.create_engine(prepared(request.param), pool_size=WRITERS))
    yield found
    found.dispose()


def write(engine, *names):
    """One transaction with an event for each of ``names``."""
    with Session(engine) as session:
        mark_write(session)
        for name in names:
            audit.record(session, "tenant_created", object_type="tenant", object_id="1", name=name)
        session.commit()


@pytest.fixture
def six(engine):
    """Six events: three alone, three in one transaction."""
    for name in ("Fabrikam", "Ärzte „Nord“ \U0001f600", "Tailspin"):
        write(engine, name)
    write(engine, "a", "b", "c")
    assert verify_database(engine).problem is None
    return engine


def tamper(engine, statement):
    with engine.begin() as connection:
        connection.execute(sa.text(statement))


def test_events_are_numbered_and_chained_in_the_order_of_their_commits(six):
    with Session(six) as session:
        rows = session.scalars(sa.select(AuditEvent).order_by(AuditEvent.number)).all()
    assert [row.number for row in rows] == [1, 2, 3, 4, 5, 6]
    assert [row.previous_hash for row in rows] == [chain.START, *(row.hash for row in rows[:-1])]
    found = verify_database(six)
    assert (found.events, found.anchor.number, found.head) == (6, 0, Mark(6, rows[-1].hash))


@pytest.mark.parametrize(
    ("statement", "kind", "number"),
    [
        ("UPDATE audit_events SET actor = 'somebody else' WHERE number = 3", "changed", 3),
        ('UPDATE audit_events SET detail = \'{"name": "Contoso"}\' WHERE number = 1', "changed", 1),
        (
            'UPDATE audit_events SET detail = \'{"name": "Fabrikam", "more": 1}\' WHERE number = 1',
            "changed",
            1,
        ),
        ("UPDATE audit_events SET at = '2001-01-01 00:00:00.000000' WHERE number = 6", "changed", 6),
        ("UPDATE audit_events SET ip = '192.0.2.1' WHERE number = 2", "changed", 2),
        ("UPDATE audit_events SET id = 'x' WHERE number = 2", "changed", 2),
        ("UPDATE audit_events SET hash = previous_hash WHERE number = 4", "changed", 4),
        ("DELETE FROM audit_events WHERE number = 3", "cut", 3),
        ("DELETE FROM audit_events WHERE number IN (2, 3)", "cut", 2),
        ("DELETE FROM audit_events WHERE number > 4", "cut", 5),
        ("DELETE FROM audit_events WHERE number <= 2", "cut", 1),
        ("DELETE FROM audit_events", "cut", 1),
        ("UPDATE audit_events SET number = 5 - number WHERE number IN (2, 3)", "changed", 2),
        ("UPDATE audit_events SET number = 7 WHERE number = 6", "inserted", 7),
        ("UPDATE audit_chain SET number = 5", "inserted", 6),
        ("UPDATE audit_chain SET hash = anchor_hash", "changed", 6),
        ("UPDATE audit_chain SET anchor_number = 2", "inserted", 1),
        ("DELETE FROM audit_chain", "inserted", 1),
    ],
)
def test_what_was_done_to_the_table_is_named(six, statement, kind, number):
    tamper(six, statement)
    found = verify_database(six).problem
    assert (found.kind, found.number) == (kind, number), found


def cut_the_beginning(engine, through):
    """As somebody does who knows how the chain is stored: the events go, and the anchor is moved along."""
    with engine.begin() as connection:
        digest = connection.scalar(sa.select(AuditEvent.hash).where(AuditEvent.number == through))
        connection.execute(sa.delete(AuditEvent).where(AuditEvent.number <= through))
        connection.execute(
            sa.text(f"UPDATE audit_chain SET anchor_number = {through}, anchor_hash = '{digest}'")
        )


def keep_a_quarter(engine, later):
    """Settings keep events for 90 days, and ``later`` those that are older go."""
    with Session(engine) as session:
        mark_write(session)
        retention.set_keep_days(session, 90, now=utcnow())
        session.commit()
        mark_write(session)
        assert retention.forget_old(session, utcnow() + later)
        session.commit()


def test_a_cut_at_the_beginning_is_named_though_the_anchor_was_moved_along(six):
    cut_the_beginning(six, 3)
    found = verify_database(six).problem
    assert (found.kind, found.number) == ("cut", 3), found
    assert "no event records" in found.text


def test_what_retention_deleted_is_said_by_an_event_and_a_cut_beyond_it_is_named(six):
    keep_a_quarter(six, timedelta(days=100))
    found = verify_database(six)
    assert found.problem is None and found.anchor.number == 7, found
    write(six, "later", "later still")
    assert verify_database(six).problem is None
    cut_the_beginning(six, 8)
    found = verify_database(six).problem
    assert (found.kind, found.number) == ("cut", 8)


def test_an_event_that_says_otherwise_does_not_excuse_a_cut(six):
    with Session(six) as session:
        mark_write(session)
        audit.record(session, "audit_log_pruned", count=2, through=2)
        session.commit()
    cut_the_beginning(six, 3)
    assert verify_database(six).problem.kind == "cut"


def test_a_head_that_was_noted_and_deleted_since_cannot_be_checked(six):
    with Session(six) as session:
        hashes = dict(session.execute(sa.select(AuditEvent.number, AuditEvent.hash)).all())
    keep_a_quarter(six, timedelta(days=100))
    anchor = verify_database(six).anchor
    assert verify_database(six, anchor).problem is None, "the last one deleted is known"
    assert verify_database(six, Mark(anchor.number, "0" * 64)).problem.kind == "changed"
    for number in (1, anchor.number - 1):
        found = verify_database(six, Mark(number, hashes[number])).problem
        assert (found.kind, found.number) == ("unchecked", number)
        assert "cannot be checked" in found.text and "newer" in found.text


@pytest.mark.parametrize(("number", "kind"), [(7, "inserted"), (4, "inserted"), (0, "inserted")])
def test_a_row_that_was_put_in_is_named_and_stops_nobody_from_writing(six, number, kind):
    columns = ", ".join(c.name for c in AuditEvent.__table__.c if c.name not in {"id", "number"})
    tamper(
        six,
        f"INSERT INTO audit_events (id, number, {columns}) SELECT 'new', {number}, {columns} FROM audit_events WHERE number = 2",
    )
    found = verify_database(six).problem
    assert (found.kind, found.number) == (kind, number)
    write(six, "later")
    assert verify_database(six).problem is not None


@pytest.mark.parametrize(
    "engine", ["sqlite"], indirect=True
)  # PostgreSQL stores nothing that its types do not allow
def test_what_became_unreadable_is_a_change_and_no_crash(six):
    for number, statement in (
        (5, "UPDATE audit_events SET detail = 'no json' WHERE number = 5"),
        (4, "UPDATE audit_events SET at = 'yesterday' WHERE number = 4"),
        (3, "UPDATE audit_events SET actor = 7 WHERE number = 3"),
        (0, "UPDATE audit_events SET number = 'one' WHERE number = 1"),
    ):
        tamper(six, statement)
        found = verify_database(six).problem
        assert (found.kind, found.number) in {("changed", number), ("cut", 1)}


def test_an_event_whose_hash_was_renewed_too_is_named(six):
    with Session(six) as session:
        row = session.scalars(sa.select(AuditEvent).where(AuditEvent.number == 3)).one()
        row.actor = "somebody else"
        row.hash = chain.of_row(row).fingerprint()
        session.commit()
    found = verify_database(six).problem
    assert (found.kind, found.number) == ("changed", 3)


def test_a_chain_that_was_written_anew_does_not_hold_a_head_that_was_noted(six):
    noted = verify_database(six).head
    write(six, "later")
    assert verify_database(six, noted).problem is None
    tamper(six, "DELETE FROM audit_events")
    tamper(six, "DELETE FROM audit_chain")
    assert verify_database(six, noted).problem.kind == "cut"
    for name in "abcdefgh":
        write(six, name)
    assert verify_database(six).problem is None
    found = verify_database(six, noted).problem
    assert (found.kind, found.number) == ("changed", 6)


def test_a_rollback_leaves_no_event_and_no_gap(engine):
    write(engine, "kept")
    with Session(engine) as session:
        mark_write(session)
        audit.record(session, "tenant_created", name="gone")
        session.rollback()
        audit.record(session, "tenant_created", name="outer")
        with pytest.raises(ValueError), session.begin_nested():
            audit.record(session, "tenant_created", name="in a savepoint")
            raise ValueError
        with session.begin_nested():
            audit.record(session, "tenant_created", name="in a kept savepoint")
        session.commit()
        audit.record(session, "tenant_created", name="closed before its commit")
        session.close()
        session.add(StoredSetting(key="x", updated_at=audit.utcnow()))
        session.commit()
        names = [
            row.detail["name"] for row in session.scalars(sa.select(AuditEvent).order_by(AuditEvent.number))
        ]
    assert names == ["kept", "outer", "in a kept savepoint"]
    assert verify_database(engine).problem is None


def test_a_head_that_was_lost_stops_nobody_from_writing(six):
    tamper(six, "DELETE FROM audit_chain")
    write(six, "later")
    assert verify_database(six).head.number == 7


def test_twenty_writers_at_once_make_one_chain(engine):
    """The first write of all among them: nobody made the head before."""
    together = Barrier(WRITERS)

    def work(writer):
        together.wait()
        for turn in range(EACH):
            write(engine, f"{writer}.{turn}", "again")

    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(work, range(WRITERS)))
    found = verify_database(engine)
    assert (found.problem, found.events, found.head.number) == (None, WRITERS * EACH * 2, WRITERS * EACH * 2)


@pytest.mark.postgres
def test_who_has_work_left_holds_up_nobody_who_commits(postgres_url):
    """The head is locked at the commit, not when the event is recorded."""
    engine = sa.create_engine(postgres_url)
    schema.upgrade(engine)
    with Session(engine) as slow:
        audit.record(slow, "tenant_created", name="slow")
        slow.add(StoredSetting(key="x", updated_at=audit.utcnow()))
        slow.flush()
        write(engine, "quick")
        slow.commit()
    with Session(engine) as session:
        names = [
            row.detail["name"] for row in session.scalars(sa.select(AuditEvent).order_by(AuditEvent.number))
        ]
    assert names == ["quick", "slow"]
    engine.dispose()


@pytest.mark.parametrize("count", [1, 500])
def test_a_bulk_of_events_takes_as_many_statements_as_one(engine, count):
    seen = []
    sa.event.listen(engine, "before_cursor_execute", lambda *told: seen.append(told[2]))
    write(engine, "makes the head")
    del seen[:]
    write(engine, *map(str, range(count)))
    assert len(seen) == 4  # the first begins the transaction: BEGIN IMMEDIATE, or the bounds of its waits


@pytest.mark.postgres
def test_a_backup_keeps_the_chain_on_its_way_to_the_other_database_and_back(tmp_path, postgres_url):
    engines = [tune_engine(sa.create_engine(f"sqlite:///{tmp_path}/x.db")), sa.create_engine(postgres_url)]
    for one in engines:
        schema.upgrade(one)
    here, there = engines
    write(here, "Fabrikam", "Ärzte „Nord“ \U0001f600")
    write(there, "goes")
    gone = verify_database(there).head
    backup.backup(here, tmp_path / "file")
    backup.restore(there, tmp_path / "file")
    assert (verify_database(there).problem, verify_database(there).events) == (
        None,
        3,
    )  # and "backup_restored"
    with Session(there) as session:
        told = session.scalars(sa.select(AuditEvent).order_by(AuditEvent.number)).all()[-1]
    assert (told.action, told.detail) == ("backup_restored", {"rows": 3, "replaced_head": str(gone)})
    backup.backup(there, tmp_path / "file")
    backup.restore(here, tmp_path / "file")
    assert (verify_database(here).problem, verify_database(here).events) == (None, 4)
    for one in engines:
        one.dispose()
