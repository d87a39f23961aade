"""What a run writes: only what differs, marks as Microsoft has them, nothing outside the filters."""

from datetime import timedelta
from random import Random

import pytest

from portal.engine.apply import chunks
from portal.engine.records import Counts
from portal.models import EndUser
from portal.worker import leases
from tests.sync.directory import account
from tests.sync.steps import check_sums, staff, started
from tests.unit.engine.builders import only


def test_W3_a_second_run_writes_nothing(world):
    world.person("Ann", "U01@x.example", notes="ours")
    run = started(world)
    assert (run.counts["created"], run.counts["linked"], world.count()) == (11, 1, 12)
    before = world.dump("end_users", "conflicts", "directory_users")
    again = world.sync(anew=True)
    assert world.dump("end_users", "conflicts", "directory_users") == before
    assert again.counts["unchanged"] == 12
    assert world.directory.reads == ["full", "delta"]


@pytest.mark.parametrize("seed", range(4))
def test_W3_G8_whatever_happens_in_between_a_second_run_writes_nothing_and_the_counts_add_up(world, seed):
    """The property of the pure engine, through the real reader and writer."""
    random = Random(seed)
    addresses = [f"p{n}@x.example" for n in range(14)]
    for n in range(5):
        world.person(f"Here {n}", addresses[n], phone="+31 1")
    world.enable(only(department=["IT", "Sales"]), hold_minimum=99)
    for step in range(5):
        for name in random.sample([f"u{n}" for n in range(12)], 6):
            if name in world.directory.users and random.random() < 0.3:
                world.directory.drop(name, random.choice(["changed", "deleted"]))
            else:
                world.directory.put(
                    account(
                        name, mail=random.choice([*addresses, None]), department=random.choice(["IT", "sales ", "Hall", None]),
                        accountEnabled=random.random() < 0.8, onPremisesImmutableId=random.choice([None, "i1", "i2"]),
                        proxyAddresses=[f"smtp:{random.choice(addresses)}"], jobTitle=random.choice(["", "Chief", 7 if step == 3 else "Cook"]),
                    )
                )  # fmt: skip
        run = world.sync("initial" if step == 0 else "hourly")
        assert run.status in {"succeeded", "held"}, run.error
        assert check_sums(Counts(**run.counts))
        before = world.dump("end_users", "conflicts")
        again = world.sync(anew=True)
        assert world.dump("end_users", "conflicts") == before
        assert {
            word: again.counts[word] for word in ("created", "linked", "updated", "disabled", "enabled")
        } == dict.fromkeys(("created", "linked", "updated", "disabled", "enabled"), 0)
    with world.sessions() as session:
        keys = [key for (key,) in session.query(EndUser.email_key) if key]
    assert len(keys) == len(set(keys))


def test_W2_W1_other_fields_and_values_that_the_sync_did_not_write_stay(world):
    world.person("Ann", "u01@x.example", notes="ours", city="Delft", department="Old")
    started(world)
    with world.sessions() as session:
        row = session.query(EndUser).filter_by(email_key="u01@x.example").one()
        assert (row.notes, row.city, row.department, row.display_name, row.source) == (
            "ours",
            "Delft",
            "IT",
            "U01",
            "manual",
        )


def test_L1_marks_come_and_go_with_microsoft(world):
    started(world)
    world.directory.change("u01", accountEnabled=False)
    world.directory.drop("u02")
    world.directory.drop("u03", reason="deleted")
    run = world.sync()
    assert (run.counts["disabled"], run.counts["gone"]) == (1, 2)
    assert {world.people()[f"u0{n}@x.example"][2] for n in (1, 2, 3)} == {"disabled"} and world.count() == 12
    world.directory.change("u01", accountEnabled=True)
    world.directory.put(account("u02"))
    assert world.sync().counts["enabled"] == 2
    assert world.people()["u02@x.example"][2] == "active"


def test_L3_leaving_the_filters_stops_updates_and_coming_back_resumes_them(world):
    started(world, 3, only(department=["IT"]))
    world.directory.change("u01", department="Sales", displayName="Changed")
    run = world.sync()
    assert run.counts["out_of_scope"] == 1
    assert world.people()["u01@x.example"] == ("U01", "IT", "active", "u01", False)
    world.directory.change("u01", department="IT")
    assert world.sync().counts["updated"] == 1
    assert world.people()["u01@x.example"] == ("Changed", "IT", "active", "u01", True)


def test_L4_somebody_deleted_here_comes_back_and_L6_enabling_again_duplicates_nobody(world):
    started(world, 3)
    with world.sessions() as session:
        session.delete(session.query(EndUser).filter_by(email_key="u01@x.example").one())
        session.commit()
    assert world.sync().counts["created"] == 1
    world.disable()
    world.enable()
    run = world.sync("initial")
    assert (run.counts["unchanged"], world.count()) == (3, 3)


def test_L5_a_run_in_progress_stops_at_its_next_chunk(world, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 4)
    world.directory.put(*staff(12))
    world.enable()
    world.watch(lambda label: world.disable() if label == "Applying 4" else None)
    run = world.sync("initial")
    assert (run.status, world.count()) == ("cancelled", 4)


def test_T1_one_run_at_a_time_per_microsoft_tenant(world):
    world.directory.put(*staff(3))
    world.enable()
    world.queue("initial")
    assert leases.acquire(world.sessions, world.tenant_id, "other", lambda: world.now + timedelta(minutes=5))
    assert world.work() is False and world.count() == 0
    world.now += leases.TTL
    assert world.work() is True and world.count() == 3


def test_T1_the_next_turn_is_set_and_within_the_hour(world):
    started(world)
    assert world.now < world.tenant().next_run_at <= world.now + timedelta(hours=1)
