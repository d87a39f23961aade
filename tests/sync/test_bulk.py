"""Many rows at once are what few are, whatever they hold, and what a database refuses is refused as always."""

from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from portal.engine.bulk import COPIED_FROM, insert_rows
from portal.models import EndUser, Organization, Tenant

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
