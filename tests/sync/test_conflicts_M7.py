"""Conflicts of a run: they change nothing, go away by themselves, and stay as they were settled."""

import pytest

from portal.engine.undo import put_link_back
from portal.models import Conflict, EndUser
from tests.sync.directory import account
from tests.sync.steps import started
from tests.unit.engine.builders import only


def test_M5_M7_a_conflict_changes_nothing_is_listed_and_goes_away_by_itself(world):
    started(world, 2)
    world.directory.put(account("twin", mail="u00@x.example"))
    run = world.sync()
    (conflict,) = world.conflicts()
    assert (run.counts["conflicts"], conflict.object_id, conflict.other_object_id) == (1, "twin", "u00")
    assert world.sync().counts["conflicts"] == 1 and len(world.conflicts()) == 1
    world.directory.change("twin", mail="twin@x.example")
    assert world.sync().counts["created"] == 1
    assert world.conflicts() == []


def test_M6_who_won_an_address_keeps_it_whatever_the_order_would_say_later(world):
    world.directory.put(
        account("u1", mail="two@x.example", createdDateTime="2024-01-01T00:00:00Z"),
        account("u2", mail="two@x.example", createdDateTime="2020-01-01T00:00:00Z"),
    )
    world.enable()
    world.sync("initial")
    assert world.people()["two@x.example"][3] == "u2"
    world.directory.change("u2", accountEnabled=False)
    world.directory.put(account("u0", mail="TWO@x.example", createdDateTime="2010-01-01T00:00:00Z"))
    for _ in range(3):
        run = world.sync()
        assert (world.people()["two@x.example"][3], run.counts["conflicts"]) == ("u2", 2)
    assert world.count() == 1


def test_M7_what_was_ignored_after_the_first_run_is_not_raised_by_the_second(world):
    world.directory.put(account("twin", mail="u00@x.example", createdDateTime="2021-01-01T00:00:00Z"))
    started(world, 2)
    (row,) = world.conflicts()
    assert row.end_user_id is not None, "the winner became an End User by this very run"
    assert world.sync(anew=True).counts["conflicts"] == 1
    (again,) = world.conflicts()
    assert (again.id, again.end_user_id) == (row.id, row.end_user_id)
    with world.sessions() as session:
        found = session.get_one(Conflict, row.id)
        found.resolution, found.resolved_at = "ignore", world.now
        session.commit()
    run = world.sync()
    assert (run.counts["conflicts"], world.conflicts()) == (0, [])


def test_M7_ignore_and_link_settle_a_conflict(world):
    started(world, 2)
    other = world.person("Other", "other@x.example")
    world.directory.put(account("twin", mail="u00@x.example"))
    world.sync()
    with world.sessions() as session:
        row = session.query(Conflict).one()
        row.resolution, row.resolved_at = "ignore", world.now
        session.commit()
    assert world.sync().counts["conflicts"] == 0
    with world.sessions() as session:
        row = session.query(Conflict).one()
        row.resolution = row.resolved_at = None  # opened again
        session.commit()
    assert world.sync().counts["conflicts"] == 1 and len(world.conflicts()) == 1
    with world.sessions() as session:
        row = session.query(Conflict).one()
        row.resolution, row.resolved_end_user_id = "link", other
        session.commit()
    assert world.sync().counts["linked"] == 1


@pytest.mark.parametrize("is_held", [True, False], ids=["still linked", "let go at once"])
def test_M7_who_lost_the_address_by_a_settlement_is_settled_with_it(world, is_held):
    """Settling unlinks the other side at once (``settlement.give``), so that the next run meets somebody new."""
    started(world, 2)
    world.directory.put(account("twin", mail="u00@x.example"))
    world.sync()
    with world.sessions() as session:
        row = session.query(Conflict).one()
        row.resolution, row.resolved_at = "link", world.now
        row.resolved_end_user_id = row.end_user_id
        if not is_held:
            put_link_back(session.get_one(EndUser, row.end_user_id), None)
        session.commit()
    run = world.sync()
    assert (run.counts["linked"], run.counts["conflicts"]) == (1, 0)
    assert (world.people()["u00@x.example"][3], world.conflicts()) == ("twin", [])
    assert (world.sync().counts["conflicts"], world.conflicts()) == (0, [])
    world.directory.put(account("third", mail="u00@x.example"))
    assert (world.sync().counts["conflicts"], [row.object_id for row in world.conflicts()]) == (1, ["third"])


def test_M7_L1_who_has_an_ignored_clash_of_addresses_still_gets_marks_and_licenses(world):
    started(world, 2)
    world.person("Kim", "taken@x.example")
    world.directory.change("u00", mail="taken@x.example")
    assert world.sync().counts["conflicts"] == 1
    with world.sessions() as session:
        session.query(Conflict).update({"resolution": "ignore", "resolved_at": world.now})
        session.commit()
    world.directory.change("u00", assignedLicenses=[{"skuId": "05e9a617-0261-4cee-bb44-138d3ef5d965"}])
    assert world.sync().counts["conflicts"] == 0
    with world.sessions() as session:
        assert session.query(EndUser).filter_by(object_id="u00").one().is_licensed
    world.directory.change("u00", accountEnabled=False)
    assert (world.sync().counts["disabled"], world.people()["u00@x.example"][2]) == (1, "disabled")
    assert world.sync().counts["unchanged"] == 2


def test_M7_a_settled_link_holds_against_somebody_outside_the_filters_who_has_the_address(world):
    started(world, 2, only(department=["IT"]))
    other = world.person("Other", "other@x.example")
    world.directory.change("u00", department="Sales")
    world.directory.put(account("twin", mail="u00@x.example"))
    assert world.sync().counts["conflicts"] == 1
    with world.sessions() as session:
        row = session.query(Conflict).one()
        row.resolution, row.resolved_end_user_id, row.resolved_at = "link", other, world.now
        session.commit()
    assert world.sync().counts["linked"] == 1
    assert world.people()["other@x.example"][3] == "twin"
    assert world.sync().counts["conflicts"] == 0 and world.conflicts() == []
