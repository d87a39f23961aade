"""What must hold for every world: not examples, but the promises themselves."""

import random as random_module
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.engine.records import Action, HoldRule, Kind, Presence, Reason, SectionFilter
from tests.unit.engine import worlds
from tests.unit.engine.builders import adds_up, applied, counted, decided, planned, same

FEW = settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
# Hypothesis makes few worlds, which it can make smaller; plain seeds make many.
made = st.randoms(use_true_random=False).map(worlds.small)
SEEDS = range(300)


def every_world(test):
    """Run a promise over the worlds that hypothesis makes and over seeded ones."""

    @pytest.mark.parametrize("source", ["made", "seeded"])
    def run(source):
        if source == "made":
            FEW(given(made)(test))()
            return
        for seed in SEEDS:
            try:
                test(worlds.small(random_module.Random(seed)))
            except Exception as error:
                raise AssertionError(f"seed {seed}") from error

    run.__name__ = test.__name__
    return run


def plan_of(world, **values):
    options = {**world.options, **values}
    return planned(world.users, world.people, rule=world.rule, is_initial=world.is_initial, **options)


def decisions_of(world, **values):
    return decided(plan_of(world, **values), world.users, world.people)


@every_world
def test_W3_deciding_after_writing_yields_nothing(world):
    free = replace(world, rule=HoldRule(100, 10**9, 10**9))
    after = replace(free, people=applied(plan_of(free), free.users, free.people))
    for decision in decisions_of(after).values():
        assert decision.action in {Action.LEAVE, Action.SKIP, Action.CONFLICT}, decision
        assert decision.changes == (), decision
        assert decision.columns == {}, decision


@every_world
def test_W3_who_is_only_counted_has_nothing_to_write(world):
    """The keys alone settle whom it is worth to look at: everybody else comes to nothing."""
    brief, full = plan_of(world, always=()), plan_of(world)
    told = {a.object_id for a in brief.assignments}
    assert [a for a in full.assignments if a.object_id in told] == list(brief.assignments)
    for object_id, decision in decided(full, world.users, world.people).items():
        if object_id not in told:
            assert (decision.action, decision.changes, decision.columns) == (Action.LEAVE, (), {})


@every_world
def test_G1_W3_what_is_held_is_untouched_and_the_rest_is_done(world):
    found = plan_of(world)
    held = {a.end_user_id for a in found.assignments if a.is_held} - {None}
    before = {state.id: state for state in world.people}
    after = {state.id: state for state in applied(found, world.users, world.people)}
    assert all(after[end_user_id] == before[end_user_id] for end_user_id in held)


@every_world
def test_M2_the_order_of_pages_and_rows_does_not_matter(world):
    random = random_module.Random(len(world.users))
    shuffled = replace(
        world,
        users=random.sample(world.users, len(world.users)),
        people=random.sample(world.people, len(world.people)),
    )
    assert plan_of(shuffled) == plan_of(world)


@every_world
def test_S1_a_tighter_filter_never_adds_anyone(world):
    def accepted(**values):
        return {
            a.object_id for a in plan_of(world, **values).assignments if a.is_in_scope or a.kind is Kind.SKIP
        }

    tighter = replace(world.options["filters"], domain=SectionFilter(all=False, values=("x.example",)))
    assert accepted(filters=tighter) <= accepted()


@every_world
def test_M3_nobody_outside_the_organization_is_named(world):
    known = {state.id for state in world.people}
    for decision in decisions_of(world).values():
        assert {decision.end_user_id, decision.other_end_user_id} - {None} <= known


@every_world
def test_M4_one_decision_an_object_and_one_link_an_end_user(world):
    found = plan_of(world).assignments
    assert len({a.object_id for a in found}) == len(found)
    takers = [a.end_user_id for a in found if a.end_user_id and a.kind not in {Kind.CONFLICT, Kind.SKIP}]
    assert len(takers) == len(set(takers))
    after = [
        s.link.object_id
        for s in applied(plan_of(world), world.users, world.people)
        if s.link and not s.link.is_foreign
    ]
    assert len(after) == len(set(after))


@every_world
def test_M4_emails_stay_unique_after_the_run(world):
    keys = [s.email_key for s in applied(plan_of(world), world.users, world.people) if s.email_key]
    assert len(keys) == len(set(keys))


@every_world
def test_L2_a_partial_read_marks_nobody(world):
    found = plan_of(world, is_complete=False)
    for assignment in found.assignments:
        if assignment.kind in {Kind.LINKED, Kind.OUT_OF_SCOPE, Kind.ABSENT}:
            assert not assignment.sets_disabled or assignment.was_disabled
    assert all(d.action is not Action.MARK_DISABLED for d in decisions_of(world, is_complete=False).values())


@every_world
def test_W6_a_pinned_field_is_never_written(world):
    pinned = {state.id: state.pinned for state in world.people}
    for decision in decisions_of(world).values():
        assert pinned.get(decision.end_user_id, frozenset()).isdisjoint(decision.columns)


@every_world
def test_G8_the_counts_add_up(world):
    for always in (None, ()):
        found = plan_of(world, always=always)
        counts = counted(found, world.users, world.people)
        assert adds_up(counts)
        assert counts.read == sum(1 for u in world.users if u.presence is Presence.PRESENT)


@every_world
def test_M7_an_ignored_conflict_stays_ignored_and_nothing_else_changes(world):
    keys = frozenset(a.conflict_key for a in plan_of(world).assignments if a.conflict_key)
    again = plan_of(world, ignored_conflicts=keys)
    assert all(a.kind is not Kind.CONFLICT or a.reason is Reason.CONFLICT_IGNORED for a in again.assignments)
    assert not any(a.is_clash for a in again.assignments if not a.is_held)
    assert applied(again, world.users, world.people) == applied(plan_of(world), world.users, world.people)


def test_W3_a_run_over_people_who_are_up_to_date_tells_of_nobody():
    world = worlds.small(random_module.Random(1))
    people = [
        same(user, f"e{n}") for n, user in enumerate({u.email: u for u in world.users if u.email}.values())
    ]
    users = [
        replace(u, presence=Presence.PRESENT, problem="", account_enabled=True, is_agent=False)
        for u in world.users
    ]
    users = [u for u in users if any(state.link.object_id == u.object_id for state in people)]
    people = [same(u, f"e{n}") for n, u in enumerate(users)]
    found = planned(users, people, always=())
    assert (found.assignments, found.unchanged) == ((), len(users))
