"""What waits for a person: marks and new people in mass, applied, dismissed or overtaken."""

import pytest

from portal.alerts import announcements
from portal.engine import execution
from portal.engine.holds import dismiss_held
from portal.engine.organization_context import spec_of
from portal.engine.preview import explain, preview
from portal.engine.records import Action, Counts, HoldRule
from portal.errors import Invalid, Refused
from portal.models import EndUser, MicrosoftTenant, SyncRun
from portal.transactions import WRITES
from tests.sync.directory import account
from tests.sync.steps import apply_held, check_sums, started
from tests.sync.world import write_session


def test_G1_a_mass_disable_waits_and_is_applied_or_dismissed(world):
    started(world, 40)
    for n in range(20):
        world.directory.change(f"u{n:02}", accountEnabled=False)
    world.directory.change("u39", department="Sales")
    run = world.sync()
    assert (run.status, run.held, run.counts["held"], run.counts["updated"]) == (
        "held",
        {"kind": "disable", "count": 20, "state": "waiting"},
        20,
        1,
    )
    assert world.user_sync().hold_run_id == run.id
    assert {p[2] for p in world.people().values()} == {"active"}
    with write_session(world.sessions) as session:
        apply_held(session, session.get_one(SyncRun, run.id), "ada", world.now)
        session.commit()
    run = world.run(run.id)
    assert (run.status, run.held["state"], run.counts["disabled"], run.counts["held"]) == (
        "succeeded",
        "applied",
        20,
        0,
    )
    assert world.user_sync().hold_run_id is None
    assert sum(1 for p in world.people().values() if p[2] == "disabled") == 20
    with world.sessions() as session, pytest.raises(Refused):
        apply_held(session, session.get_one(SyncRun, run.id), "ada", world.now)


def test_G1_who_is_held_is_decided_on_before_the_lock_is_taken(world, monkeypatch):
    started(world, 40)
    for n in range(20):
        world.directory.change(f"u{n:02}", accountEnabled=False)
    inside, decide_all = [], execution.decide_all

    def deciding(session, *given):
        inside.append(bool(session.connection().get_execution_options().get(WRITES)))
        return decide_all(session, *given)

    monkeypatch.setattr(execution, "decide_all", deciding)
    run = world.sync()
    assert (run.status, run.counts["held"], inside) == ("held", 20, [False])


def test_G1_W4_who_is_held_is_held_whole_and_keeps_the_address(world):
    """Who is to get it clashes meanwhile; each later run takes the hold over, without applying or losing anything of it."""
    started(world, 40)
    for n in range(20):
        world.directory.change(f"u{n:02}", accountEnabled=False)
    world.directory.change("u00", mail="old@x.example", department="Sales")
    world.directory.change("u39", mail="u00@x.example", jobTitle="Chief")
    world.directory.put(account("new", mail="u39@x.example"))
    first = world.sync()
    assert (first.status, first.counts["held"], first.counts["conflicts"], first.counts["created"]) == (
        "held",
        20,
        2,
        0,
    )
    people = world.people()
    assert people["u00@x.example"][1:4] == ("IT", "active", "u00") and people["u39@x.example"][3] == "u39"
    with world.sessions() as session:
        assert session.query(EndUser).filter_by(object_id="u39").one().job_title == "Chief"
        told = announcements.needs(session)
    assert "Reef: 20 people held back" in [need.notice.title for need in told.values()]
    second = world.sync()
    with world.sessions() as session:
        assert announcements.needs(session).keys() == told.keys(), (
            "no news, so nobody is told again every hour"
        )
    assert (second.status, second.counts["held"], world.run(first.id).held["state"]) == (
        "held",
        20,
        "dismissed",
    )
    assert world.run(first.id).held["replaced_by"] == second.id
    assert (world.user_sync().hold_run_id, world.user_sync().dismissed) == (second.id, [])
    with world.writing() as session:
        apply_held(session, session.get_one(SyncRun, second.id), "ada", world.now)
        session.commit()
    assert check_sums(Counts(**world.run(second.id).counts))
    assert sorted(p[3] for p in world.people().values() if p[2] == "disabled") == [
        f"u{n:02}" for n in range(20)
    ]
    assert world.people()["old@x.example"][1:4] == ("Sales", "disabled", "u00")
    after = world.sync().counts
    assert (after["updated"], after["created"], after["held"], after["conflicts"]) == (1, 1, 0, 0)
    people = world.people()
    assert (people["u00@x.example"][3], people["u39@x.example"][3]) == ("u39", "new")
    after = world.sync().counts
    assert sum(after[word] for word in ("held", "updated", "disabled", "created", "conflicts")) == 0


def test_G1_some_are_applied_and_others_dismissed_by_name(world):
    started(world, 40)
    for n in range(20):
        world.directory.change(f"u{n:02}", accountEnabled=False)
    run = world.sync()
    with world.writing() as session:
        apply_held(session, session.get_one(SyncRun, run.id), "ada", world.now, ["u00", "u01"])
        session.commit()
    waiting = world.run(run.id)
    assert (waiting.status, waiting.held["state"], waiting.held["count"], waiting.counts["disabled"]) == (
        "held",
        "waiting",
        18,
        2,
    )
    assert world.user_sync().hold_run_id == run.id and check_sums(Counts(**waiting.counts))
    with world.writing() as session:
        with pytest.raises(Invalid):
            dismiss_held(session, session.get_one(SyncRun, run.id), "ada", world.now, ["u00"])
        dismiss_held(session, session.get_one(SyncRun, run.id), "ada", world.now, ["u02"])
        session.commit()
    assert sorted(p[3] for p in world.people().values() if p[2] == "disabled") == ["u00", "u01"]
    with world.writing() as session:
        apply_held(session, session.get_one(SyncRun, run.id), "ada", world.now)
        session.commit()
    over = world.run(run.id)
    assert (over.status, over.held["state"], over.counts["disabled"], over.counts["held"]) == (
        "succeeded",
        "applied",
        19,
        0,
    )
    assert check_sums(Counts(**over.counts)) and len(world.user_sync().dismissed) == 1
    assert world.people()["u02@x.example"][2] == "active" and world.sync().status == "succeeded"


def test_G1_G8_who_is_gone_or_left_the_filters_is_in_no_sum_whatever_the_order_they_are_decided_in(world):
    started(world, 40)
    for n in range(12):
        world.directory.change(f"u{n:02}", accountEnabled=False)
    for n in range(12, 20):
        world.directory.drop(f"u{n:02}")
    run = world.sync()
    assert (run.held["count"], run.counts["held"]) == (20, 12) and check_sums(Counts(**run.counts))
    steps = [
        (dismiss_held, ["u12", "u13"], 12),
        (apply_held, ["u14", "u00"], 11),
        (dismiss_held, ["u01", "u02"], 9),
        (apply_held, None, 0),
    ]
    for decide, ids, held in steps:
        with world.writing() as session:
            decide(session, session.get_one(SyncRun, run.id), "ada", world.now, ids)
            session.commit()
        counts = world.run(run.id).counts
        assert counts["held"] == held and min(counts.values()) >= 0 and check_sums(Counts(**counts))
    assert (counts["disabled"], counts["unchanged"], counts["gone"], counts["in_scope"]) == (10, 22, 6, 32)
    assert world.run(run.id).held["dismissed"] == 4 and world.user_sync().hold_run_id is None


def test_G1_applying_checks_again_what_microsoft_says_by_then(world):
    started(world, 40)
    for n in range(20):
        world.directory.change(f"u{n:02}", accountEnabled=False)
    run = world.sync()
    world.directory.change("u00", accountEnabled=True)
    with write_session(world.sessions) as session:
        session.get_one(MicrosoftTenant, world.tenant_id).read_requested_at = world.now
        session.commit()
    world.work()
    with write_session(world.sessions) as session:
        apply_held(session, session.get_one(SyncRun, run.id), "ada", world.now)
        session.commit()
    assert sorted(p[3] for p in world.people().values() if p[2] == "disabled") == [
        f"u{n:02}" for n in range(1, 20)
    ]
    assert (world.changes(run.id)["u00"].state, "changed since" in world.changes(run.id)["u00"].note) == (
        "dismissed",
        True,
    )
    assert check_sums(Counts(**world.run(run.id).counts))


def test_G1_dismissed_people_are_not_held_again_until_they_change(world):
    started(world, 40)
    for n in range(20):
        world.directory.change(f"u{n:02}", accountEnabled=False)
    run = world.sync()
    with write_session(world.sessions) as session:
        dismiss_held(session, session.get_one(SyncRun, run.id), "ada", world.now)
        session.commit()
    assert world.run(run.id).held["state"] == "dismissed" and len(world.user_sync().dismissed) == 20
    again = world.sync()
    assert (again.status, again.counts["disabled"]) == ("succeeded", 0)
    assert {c.state for c in world.changes(run.id).values() if c.decision == "mark_disabled"} == {"dismissed"}


def dismissed(world, run):
    with write_session(world.sessions) as session:
        dismiss_held(session, session.get_one(SyncRun, run.id), "ada", world.now)
        session.commit()


def test_G1_L1_who_was_enabled_after_a_dismissal_is_marked_when_disabled_again(world):
    started(world, 40)
    for n in range(20):
        world.directory.change(f"u{n:02}", accountEnabled=False)
    dismissed(world, world.sync())
    world.directory.change("u00", accountEnabled=True)
    world.sync()
    assert len(world.user_sync().dismissed) == 19
    world.directory.change("u00", accountEnabled=False)
    assert world.sync().counts["disabled"] == 1
    assert [p[3] for p in world.people().values() if p[2] == "disabled"] == ["u00"]


def test_G1_L2_a_read_that_is_not_complete_forgets_no_dismissal(world):
    started(world, 40)
    for n in range(20):
        world.directory.change(f"u{n:02}", accountEnabled=False)
    dismissed(world, world.sync())
    world.directory.tokens_expired, world.directory.counted = True, 60
    assert world.sync().status == "partial"
    assert len(world.user_sync().dismissed) == 20


def test_G1_G8_a_dismissed_creation_is_listed_as_skipped_and_why_says_so(world):
    started(world, 10)
    world.directory.put(*[account(f"new{n}") for n in range(30)])
    dismissed(world, world.sync())
    run = world.sync()
    skips = {
        c.object_id for c in world.changes(run.id).values() if (c.decision, c.reason) == ("skip", "dismissed")
    }
    assert (run.counts["skipped"], len(skips), world.count()) == (30, 30, 10)
    with world.sessions() as session:
        told = explain(session, world.organization_id, "new3", world.now)
        listed = preview(
            session, world.organization_id, spec_of(world.user_sync()), HoldRule(), world.now
        ).decisions
    assert (told["decision"], "dismissed" in told["reason"]) == ("skip", True)
    assert {d.action for d in listed} == {Action.SKIP}


def test_G1_many_creations_wait_after_the_initial_sync(world):
    started(world, 10)
    world.directory.put(*[account(f"new{n}") for n in range(30)])
    run = world.sync()
    assert (run.status, run.held["kind"], run.held["count"], world.count()) == ("held", "create", 30, 10)
