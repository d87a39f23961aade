"""Many rows at once are what few are, whatever they hold, and what a database refuses is refused as always."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, IntegrityError

from portal.engine.bulk import COPIED_FROM, insert_rows
from portal.models import EndUser, Organization, Tenant
from portal.transactions import trouble
from tests.system.conftest import wait_until

NOW = datetime(2026, 3, 29, 1, 30, 15, 250_000, tzinfo=UTC)
HARD = (
    "tab\there",
    "line\nbreak\r\n",
    "back\\slash \\N \\.",
    "\\N",
    "é ß 💡 \u200f",
    '"quoted", {json}',
    " ",
    "",
)


@pytest.fixture
def organization(sessions):
    with sessions() as session:
        session.add(Tenant(id="t", name="T", created_at=NOW))
        session.flush()
        session.add(Organization(id="o", name="O", name_key="o", tenant_id="t", created_at=NOW))
        session.commit()


DEFAULTS = {
    column.name: column.default.arg
    for column in EndUser.__table__.columns
    if column.default is not None and column.default.is_scalar
}


def rows(start, number):
    return [
        {
            **DEFAULTS,
            "id": f"{n:04}",
            "organization_id": "o",
            "display_name": HARD[n % len(HARD)],
            "email_key": f"p{n}@x.example" if n % 2 else None,
            "notes": HARD[(n + 1) % len(HARD)],
            "is_licensed": n % 3 == 0,
            "mfa_registered": (True, False, None)[n % 3],
            "mfa_methods": [HARD[n % len(HARD)], "mobilePhone"] if n % 2 else [],
            "written": {"city": HARD[n % len(HARD)]},
            "last_sign_in_at": NOW if n % 2 else None,
            "created_at": NOW,
            "updated_at": NOW,
        }
        for n in range(start, start + number)
    ]


def stored(sessions, names):
    with sessions() as session:
        people = session.scalars(select(EndUser).order_by(EndUser.id)).all()
        return [{name: getattr(person, name) for name in names} for person in people]


def test_many_rows_at_once_are_what_few_are(sessions, organization):
    some, many = rows(0, COPIED_FROM - 1), rows(1000, COPIED_FROM + 20)
    with sessions() as session:
        insert_rows(session, EndUser, some)
        insert_rows(session, EndUser, many)
        session.commit()
    assert stored(sessions, some[0]) == some + many


def test_of_many_rows_that_are_refused_none_is_there(sessions, organization):
    with sessions() as session, pytest.raises(IntegrityError):
        insert_rows(session, EndUser, [*rows(0, COPIED_FROM), *rows(0, 1)])
    assert stored(sessions, ["id"]) == []


@pytest.mark.postgres
@pytest.mark.parametrize("number", [COPIED_FROM - 1, COPIED_FROM])
def test_G4_a_database_that_goes_away_under_many_rows_is_waited_for_as_ever(postgres_sessions, number):
    with postgres_sessions() as session, postgres_sessions() as other:
        pid = session.scalar(text("SELECT pg_backend_pid()"))
        other.execute(text("SELECT pg_terminate_backend(:pid)"), {"pid": pid})
        other.commit()
        there = text("SELECT count(*) FROM pg_stat_activity WHERE pid = :pid")
        wait_until(lambda: other.scalar(there, {"pid": pid}) == 0, "it is gone")
        with pytest.raises(DBAPIError) as away:
            insert_rows(session, EndUser, rows(0, number))
        assert trouble(away.value)
        session.rollback()
        assert session.scalar(text("SELECT 1")) == 1, "the next transaction has a connection of its own"
