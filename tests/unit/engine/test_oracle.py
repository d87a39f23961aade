"""The plan against the engine's first way of deciding: over random worlds both come to the same, person by person."""

import random as random_module
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from portal.engine.plan import hold_key, hold_kind
from portal.engine.records import Action, Kind
from tests.unit.engine import worlds
from tests.unit.engine.builders import d1, decided, planned
from tests.unit.engine.oracle.guards import guard
from tests.unit.engine.oracle.records import Snapshot

PARTS = 20  # of 500 small worlds each
CROWDS = ({}, {"ids": 4, "addresses": 3}, {"ids": 5, "addresses": 2})  # the denser, the rarer the cases


def check(world, random):
    """Compare everything that is decided, first as it is, then with some conflicts ignored."""
    world = compare(world)
    keys = {d.conflict_key for d in world[1].values() if d.conflict_key and random.random() < 0.5}
    if keys:
        options = {**world[0].options, "ignored_conflicts": frozenset(keys)}
        compare(replace(world[0], options=options))


def compare(world):
    users, people = world.users, world.people
    unguarded = planned(users, people, **world.options)
    dismissed = {
        a.object_id: hold_key(a)
        for a in unguarded.assignments
        if a.object_id in world.dismissed and hold_kind(a)
    }
    found = planned(
        users,
        people,
        rule=world.rule,
        is_initial=world.is_initial,
        dismissed=frozenset(dismissed.values()),
        **world.options,
    )
    told = decided(found, users, people)
    shot = Snapshot(
        "org", "mt", users=tuple(users), end_users=tuple(people), **{"filters": None, **world.options}
    )
    expected, held, kinds = guard(
        shot, is_initial=world.is_initial, rule=world.rule, dismissed=dismissed.keys()
    )
    assert {a.object_id for a in found.assignments if a.is_held} == held
    assert found.held == kinds
    mine = {a.object_id: ours(a, told[a.object_id]) for a in found.assignments}
    assert mine == {object_id: theirs(decision) for object_id, decision in expected.items()}
    return world, told


def ours(assignment, decision):
    writes = assignment.end_user_id is not None and assignment.kind not in {Kind.SKIP, Kind.CONFLICT}
    return {
        "said": (decision.action, decision.reason),
        "end_user": (decision.end_user_id, decision.match, decision.moves_link_from),
        "changes": d1(decision),
        "marks": (assignment.sets_disabled, assignment.sets_in_scope) if writes else None,
        "counts": (decision.is_in_scope, decision.is_absent) if decision.action is not Action.SKIP else None,
        "conflict": (decision.other_object_id, decision.other_end_user_id, decision.conflict_key),
        "note": decision.note,
    }


def theirs(decision):
    writes = decision.end_user_id is not None and decision.match is not None
    return {
        "said": (decision.action, decision.reason),
        "end_user": (decision.end_user_id, decision.match, decision.moves_link_from),
        "changes": {c.field: c.new for c in decision.changes},
        "marks": (decision.sets_disabled, decision.sets_in_scope) if writes else None,
        "counts": (decision.is_in_scope, decision.is_absent) if decision.action is not Action.SKIP else None,
        "conflict": (decision.other_object_id, decision.other_end_user_id, decision.conflict_key),
        "note": decision.note,
    }


@pytest.mark.parametrize("part", range(PARTS))
def test_small_worlds(part):
    for seed in range(part * 500, (part + 1) * 500):
        random = random_module.Random(seed)
        world = worlds.small(random, **CROWDS[seed % len(CROWDS)])
        try:
            check(world, random)
        except Exception as error:
            raise AssertionError(f"seed {seed}") from error


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.randoms(use_true_random=False))
def test_small_worlds_that_hypothesis_makes(random):
    check(worlds.small(random, ids=4, addresses=3), random)


@pytest.mark.parametrize("part", range(10))
def test_whole_organizations(part):
    for seed in range(part * 5, (part + 1) * 5):
        random = random_module.Random(seed)
        check(worlds.big(random), random)
