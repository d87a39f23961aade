"""O2: one message for a cause, whomever it befell; again while it grows or lasts; once more when it is over; tried again."""

from datetime import timedelta

import pytest

from portal.alerts import announcements, delivery, targets
from portal.clock import utcnow
from portal.extensions import db
from portal.models import StoredSetting
from tests.web import customers

REFUSED = "Microsoft does not accept the secret of the portal."


class World:
    """A portal with one target, its clock, and what reaches the target: (title, body)."""

    def __init__(self, app):
        self.app, self.runtime = app, app.extensions["rollcall"]
        self.now, self.is_down, self.sent, self.tries = utcnow(), False, [], 0
        with app.app_context():
            target = targets.parse("jsons://hooks.example")
            delivery.add_target(db.session(), self.runtime.box, target, now=self.now, by="Ada")
            db.session.commit()

    def deliver(self, wanted, notice):
        self.tries += 1
        if not self.is_down:
            self.sent.append((notice.title, notice.body))
        return [delivery.Delivery(one.name, "Down." if self.is_down else "") for one in wanted]

    def breaks(self, *names):
        with self.app.app_context():
            for name in names:
                row = customers.microsoft_tenant(name)
                row.state, row.problem, row.problem_since = "needs_attention", REFUSED, self.now
                row.problem_code = "AADSTS7000222"
            db.session.commit()

    def mends(self):
        with self.app.app_context():
            for row in db.session.query(customers.MicrosoftTenant):
                row.state, row.problem = "connected", None
            db.session.commit()

    def later(self, **by):
        """Look again after that time; gives the titles that reached the target."""
        self.now += timedelta(**by)
        before = len(self.sent)
        announcements.announce(self.runtime)
        return [title for title, _ in self.sent[before:]]


@pytest.fixture
def world(app, monkeypatch):
    made = World(app)
    monkeypatch.setattr(delivery, "deliver", made.deliver)
    monkeypatch.setattr(announcements, "utcnow", lambda: made.now)
    return made


def test_O2_twelve_of_one_cause_are_one_message_that_counts_and_names_them(world):
    world.breaks(*(f"Customer {n:02}" for n in range(12)))
    (title,) = world.later()
    assert title.startswith("12 ")
    assert "Customer 00, Customer 01" in world.sent[0][1] and REFUSED in world.sent[0][1]
    assert world.later(minutes=1) == []


def test_O2_what_grows_is_told_after_an_hour_and_then_daily_and_what_lasts_daily(world):
    world.breaks("One")
    assert world.later() == ["One cannot be read"]
    world.breaks("Two", "Three")
    assert world.later(minutes=50) == []
    (title,) = world.later(minutes=10)
    assert title.startswith("3 ")
    world.breaks("Four")
    assert world.later(hours=23) == []
    (title,) = world.later(hours=1)
    assert title.startswith("4 ")
    assert world.later(hours=23) == [] and len(world.later(hours=1)) == 1


def test_O2_it_is_told_once_that_it_is_over_and_may_come_again(world):
    world.breaks("One")
    world.later()
    world.mends()
    assert world.later(minutes=5) == ["Resolved: One cannot be read"]
    assert world.later(minutes=5) == []
    world.breaks("Two")
    assert world.later(minutes=5) == ["Two cannot be read"]


def test_O2_a_target_that_is_down_is_tried_again_for_a_day_and_gets_each_message_once(world):
    world.is_down = True
    world.breaks("One")
    assert world.later() == [] and world.later(seconds=30) == []
    assert world.tries == 1
    world.later(minutes=1)
    assert world.tries == 2
    world.is_down = False
    assert world.later(minutes=5) == ["One cannot be read"]
    assert world.later(hours=12) == []
    world.is_down = True
    world.breaks("Two")
    for _ in range(20):
        world.later(hours=3)
    with world.app.app_context():
        kept = db.session.get(StoredSetting, announcements.LEFT_KEY).value.get("messages", [])
        assert all(
            "cannot be read" not in one["title"] or one["tries"] <= len(announcements.WAITS) for one in kept
        )
        assert "hooks.example" not in str(kept), "an address holds secrets"
