"""Undo of a run: what it changed is back, and whoever was edited since is spared and named."""

from datetime import timedelta

from portal.engine.explain import spared_words
from portal.engine.undo import apply_undo, plan_undo
from portal.models import EndUser
from tests.sync.directory import account
from tests.sync.steps import started
from tests.sync.world import write_session


def test_W7_undoing_a_run_takes_its_marks_away_and_puts_them_back(world):
    started(world, 3)
    world.directory.change("u01", accountEnabled=False)
    marked = world.sync()
    world.directory.change("u01", accountEnabled=True)
    unmarked = world.sync()
    for run, status in ((unmarked, "disabled"), (marked, "active")):
        world.queue("manual", kind="undo", undoes_run_id=run.id)
        world.worker().run_tenant(world.tenant_id, "me")
        assert world.people()["u01@x.example"][2] == status


def test_R5_W7_undo_restores_what_a_run_changed_and_spares_what_was_edited_since(world):
    for n in range(4):
        world.person(f"Old {n}", f"u{n:02}@x.example", department="Before", notes="ours")
    before = world.dump("end_users")
    run = started(world, 8)
    assert run.counts["linked"] == 4 and world.count() == 8
    with world.sessions() as session:
        plan = plan_undo(session, run.id)
        assert (len(plan.restored), plan.spared) == (8, ())
    undo_id = world.queue("manual", kind="undo", undoes_run_id=run.id)
    world.disable()
    world.work()
    assert (world.run(undo_id).status, world.count(), len(world.links())) == ("succeeded", 4, 0)
    assert world.dump("end_users") == before, "to the byte"
    with write_session(world.sessions) as session:
        assert apply_undo(session, undo_id, run.id, world.organization_id, world.now).restored == ()


def test_R5_a_former_address_or_account_that_somebody_else_has_by_now_is_spared(world):
    """M4, M5: what was free when the run wrote it may be taken when the run is undone."""
    run = started(world, 4)
    world.directory.change("u00", mail="new0@x.example", userPrincipalName="new0@x.example")
    world.directory.change("u01", mail="new1@x.example", userPrincipalName="new1@x.example")
    world.directory.drop("u02", reason="deleted")
    world.directory.put(account("v02", mail="u02@x.example"))
    run = world.sync()
    assert (run.counts["updated"], run.counts["linked"]) == (2, 1)
    world.person("Newcomer", "u00@x.example")
    with world.sessions() as session:
        other = session.query(EndUser).filter_by(object_id="u03").one()
        other.object_id = "u02"
        session.commit()
    undo_id = world.queue("manual", kind="undo", undoes_run_id=run.id)
    world.disable()
    world.work()
    undone = world.run(undo_id)
    assert undone.status == "succeeded", undone.error
    assert {"u00@x.example", "new0@x.example", "u01@x.example"} <= set(world.people())
    assert world.people()["u02@x.example"][3] == "v02", (
        "linked as it is: the former account is somebody else's"
    )
    assert any("email" in w for w in undone.warnings) and any(
        "Microsoft account" in w for w in undone.warnings
    )


def test_R5_an_undo_names_what_it_spared_as_the_pages_do(world):
    started(world, 3)
    world.directory.change("u00", jobTitle="First")
    run = world.sync()
    world.directory.change("u00", jobTitle="Second")
    world.sync()
    undo_id = world.queue("manual", kind="undo", undoes_run_id=run.id)
    world.work()
    assert world.run(undo_id).warnings == ["U00 was not restored: Job Title was edited since."]


def test_R5_an_edited_person_is_spared_and_listed(world):
    run = started(world, 3)
    world.edit("u01@x.example", edited_at=world.now + timedelta(minutes=1), notes="keep")
    with world.sessions() as session:
        plan = plan_undo(session, run.id)
    assert len(plan.restored) == 2 and {spared_words(s.reason) for s in plan.spared} == {
        "edited since",
        "has notes",
    }
