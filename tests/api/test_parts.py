"""Deleting many is done in short transactions: a lock in between loses nothing, and the answer says how far it came."""

import pytest
import sqlalchemy as sa

from portal.engine import pace
from portal.extensions import db
from portal.models import AuditEvent, EndUser
from tests.api.imports import Elsewhere


@pytest.fixture
def reef(api):
    made = api.made("/organizations", {"name": "Reef"})
    for n in range(10):
        api.made(
            f"/organizations/{made['id']}/end-users", {"display_name": f"P{n}", "email": f"p{n}@x.example"}
        )
    return made


def left(app):
    with app.app_context():
        return db.session.scalar(sa.select(sa.func.count()).select_from(EndUser))


def counted(app):
    with app.app_context():
        events = (
            sa.select(AuditEvent.detail)
            .where(AuditEvent.action == "end_users_deleted")
            .order_by(AuditEvent.number)
        )
        return [detail["count"] for detail in db.session.scalars(events)]


def test_many_are_deleted_part_by_part(app, person, reef, monkeypatch):
    monkeypatch.setattr(pace, "FIRST_ROWS", 4)
    monkeypatch.setattr(pace, "next_size", lambda size, *_told: size)
    answer = person.post(
        f"/organizations/{reef['id']}/end-users/delete", data={"all_filtered": "1", "confirmed": "1"}
    )
    assert answer.status_code == 303
    assert (left(app), counted(app)) == (0, [4, 4, 2])


def test_a_lock_in_between_says_how_far_it_came_and_the_rest_goes_when_sent_again(
    app, person, reef, impatient, monkeypatch, database_url
):
    monkeypatch.setattr(pace, "FIRST_ROWS", 4)
    elsewhere = Elsewhere(database_url)
    monkeypatch.setattr(pace, "next_size", elsewhere.take)
    path, data = f"/organizations/{reef['id']}/end-users/delete", {"all_filtered": "1", "confirmed": "1"}
    answer = person.post(path, data=data)
    assert answer.status_code == 503 and "4 of 10 are deleted" in answer.text
    elsewhere.give_back()
    assert left(app) == 6
    assert person.post(path, data=data).status_code == 303
    assert (left(app), counted(app)) == (0, [4, 4, 2])
