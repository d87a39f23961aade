"""The preview says what the next run does; an approved plan is applied exactly or not at all."""

import pytest

from portal.engine.apply import chunks
from portal.engine.preview import explain, preview
from portal.engine.records import FilterSpec, HoldRule
from portal.errors import NotFound, Stopped
from portal.models import MicrosoftTenant
from tests.sync.directory import account
from tests.sync.steps import staff, started
from tests.sync.world import write_session
from tests.unit.engine.builders import only


def test_U5_the_preview_equals_the_next_run_and_writes_nothing(world):
    started(world, 6, only(department=["IT"]))
    world.directory.put(account("new"))
    world.sync()
    world.edit("u01@x.example", city="Elsewhere", department="Other")
    before = world.dump()
    with world.sessions() as session:
        found = preview(session, world.organization_id, only(department=["IT"]), HoldRule(), world.now)
        why = explain(session, world.organization_id, "U01@x.example", world.now)
        with pytest.raises(NotFound):
            explain(session, world.organization_id, "nobody", world.now)
        session.rollback()
    assert world.dump() == before
    run = world.sync()
    assert found.counts_document() == run.counts
    assert {d.object_id: d.action for d in found.decisions} == {
        o: c.decision for o, c in world.changes(run.id).items()
    }
    assert (why["decision"], why["match"]["by"], why["sections"]["department"]["value"]) == (
        "update",
        "link",
        "IT",
    )


def test_U10_U11_the_tenant_guard_and_who_enters_and_leaves(world):
    world.person("A", "a@x.example")
    world.person("B", "b@elsewhere.example")
    world.directory.put(account("u1"), account("u2", department="Sales"))
    world.enable(only(department=["IT"]))
    world.sync("initial")
    with world.sessions() as session:
        found = preview(session, world.organization_id, only(department=["Sales"]), HoldRule(), world.now)
    assert found.domain_overlap == {"known": 3, "matching": 2}
    assert [p["object_id"] for p in found.scope_change["enters"]] == ["u2"]
    assert ([p["object_id"] for p in found.scope_change["leaves"]], found.scope_change["stays"]) == (
        ["u1"],
        0,
    )
    with world.sessions() as session:
        both = preview(session, world.organization_id, FilterSpec(), HoldRule(), world.now).scope_change
    assert ([p["object_id"] for p in both["enters"]], both["leaves"], both["stays"]) == (["u2"], [], 1)


def test_U12_an_approved_plan_is_applied_exactly_or_not_at_all(world):
    started(world, 3)
    world.directory.put(account("new"))
    world.queue("manual")
    world.work()
    with world.sessions() as session:
        approved = preview(session, world.organization_id, FilterSpec(), HoldRule(), world.now).fingerprint
    world.directory.put(account("later"))
    run = world.sync("manual", plan_fingerprint=approved)
    assert (run.status, "changed since" in run.error, world.count()) == ("cancelled", True, 4)


def test_U12_an_approved_plan_that_something_crosses_stops_and_one_that_was_interrupted_goes_on(
    world, monkeypatch
):
    monkeypatch.setattr(chunks, "CHUNK", 4)
    world.person("Kim", "u11@x.example", department="Before")
    world.directory.put(*staff(12))
    world.enable()
    with write_session(world.sessions) as session:
        session.get_one(MicrosoftTenant, world.tenant_id).read_requested_at = world.now
        session.commit()
    world.work()
    with world.sessions() as session:
        approved = preview(session, world.organization_id, FilterSpec(), HoldRule(), world.now).fingerprint
    run_id = world.queue("initial", plan_fingerprint=approved)

    def stop(label):
        world.stop = label == "Applying 4"

    world.watch(stop)
    with pytest.raises(Stopped):
        world.work()
    assert (world.count(), world.run(run_id).status) == (5, "running")
    world.stop = False
    world.watch(
        lambda _label: (
            world.edit("u11@x.example", department="By hand")
            if world.count() == 9 and world.people()["u11@x.example"][1] != "By hand"
            else None
        )
    )
    world.work()
    world.unwatch()
    run = world.run(run_id)
    assert (run.status, "the rest was not applied" in run.error) == ("cancelled", True)
    assert world.count() == 9 and world.people()["u11@x.example"][1] == "By hand", (
        "went on where it was, then stopped"
    )
