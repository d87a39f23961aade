"""PostgreSQL knows how many people there are as soon as a large sync has ended, and nobody waits for that."""

import pytest
from sqlalchemy import text

from portal.engine import execution
from portal.engine.bulk import count_anew, joining_wholes
from portal.models import EndUser
from tests.sync.directory import account
from tests.sync.world import World

pytestmark = pytest.mark.postgres


PEOPLE = 3


def counted(sessions):
    """How many people PostgreSQL knows of."""
    with sessions() as session:
        return session.scalar(text("SELECT reltuples FROM pg_class WHERE relname = 'end_users'"))


def synced(sessions):
    world = World(sessions)
    for number in range(PEOPLE):
        world.directory.put(account(f"u{number}"))
    world.enable()
    world.queue("initial")
    assert world.work()


@pytest.mark.parametrize(("few", "known"), [(PEOPLE - 1, PEOPLE), (PEOPLE, 0)])
def test_a_run_that_created_many_has_them_counted(postgres_sessions, monkeypatch, few, known):
    monkeypatch.setattr(execution, "FEW", few)
    synced(postgres_sessions)
    assert counted(postgres_sessions) == known


def test_a_table_that_somebody_has_locked_is_not_waited_for(postgres_sessions):
    synced(postgres_sessions)
    with postgres_sessions() as other:
        other.execute(text("LOCK TABLE end_users IN SHARE UPDATE EXCLUSIVE MODE"))
        count_anew(postgres_sessions, EndUser)
        assert counted(postgres_sessions) == 0
    count_anew(postgres_sessions, EndUser)
    assert counted(postgres_sessions) == PEOPLE


def test_a_tenant_that_came_after_the_last_look_is_not_compared_one_with_each(postgres_sessions):
    """Found with 10,000 people: whole tables are joined as wholes, whatever PostgreSQL expects, and only these."""
    with postgres_sessions() as session:
        shown = [session.scalar(text("SHOW enable_nestloop"))]
        with joining_wholes(session):
            shown.append(session.scalar(text("SHOW enable_nestloop")))
        shown.append(session.scalar(text("SHOW enable_nestloop")))
    assert shown == ["on", "off", "on"]
