from dataclasses import replace

import pytest

from portal.engine.guards import check_sums, guard, hold_key
from portal.engine.records import Action, Decision, FieldChange, HoldKind, HoldRule, Plan, Reason


def disables(number, **values):
    return [Decision(f"d{n}", Action.MARK_DISABLED, Reason.ACCOUNT_DISABLED, end_user_id=f"e{n}", **values) for n in range(number)]


def creates(number):
    return [Decision(f"c{n}", Action.CREATE, Reason.NEW_IN_SCOPE, email=f"c{n}@x.example") for n in range(number)]


def guarded(decisions, *, linked=100, is_initial=False, rule=HoldRule(), dismissed=frozenset()):
    return guard(Plan(tuple(decisions)), linked=linked, is_initial=is_initial, rule=rule, dismissed=dismissed)


@pytest.mark.parametrize(("number", "linked", "held"), [(26, 100, True), (25, 100, False), (9, 20, False), (10, 20, True), (10, 40, False), (11, 40, True)])
def test_G1_more_than_a_quarter_and_at_least_ten_disables_are_held(number, linked, held):
    found = guarded(disables(number), linked=linked)
    assert (HoldKind.DISABLE in found.held) is held
    assert len(found.apply) == (0 if held else number)
    assert check_sums(found.counts)


@pytest.mark.parametrize(("number", "linked", "initial", "held"), [(26, 100, False, True), (25, 100, False, False), (24, 10, False, False), (25, 10, False, True), (500, 0, True, False), (500, 0, False, True)])
def test_G1_many_creations_are_held_after_the_initial_sync_only(number, linked, initial, held):
    found = guarded(creates(number), linked=linked, is_initial=initial)
    assert (HoldKind.CREATE in found.held) is held


def test_G1_the_threshold_is_settable():
    assert guarded(disables(3), linked=100, rule=HoldRule(percent=1, minimum=2)).held
    assert not guarded(disables(99), linked=100, rule=HoldRule(percent=100, minimum=1)).held


def test_G1_the_rest_is_applied_and_counted():
    found = guarded([*disables(30), *creates(1)], linked=100)
    assert [d.object_id for d in found.apply] == ["c0"]
    assert (found.counts.held, found.counts.created, found.counts.disabled) == (30, 1, 0)


def test_G1_dismissed_people_are_not_held_again_until_they_change():
    decisions = disables(30)
    keys = frozenset(hold_key(d) for d in decisions)
    found = guarded(decisions, dismissed=keys)
    assert (found.held, found.apply, found.counts.unchanged) == ({}, (), 30)
    changed = disables(30, email="new@x.example")
    assert guarded(changed, dismissed=keys).held


def test_G1_dismissed_creations_count_as_skipped():
    decisions = creates(30)
    found = guarded(decisions, dismissed=frozenset(hold_key(d) for d in decisions))
    assert (found.counts.skipped, found.counts.created) == (30, 0) and check_sums(found.counts)


def test_G1_what_was_dismissed_is_told_as_what_it_comes_to():
    decisions = [*disables(1), *creates(1)]
    keys = frozenset(map(hold_key, decisions))
    found = guarded(decisions, dismissed=keys | {"of somebody who changed"})
    assert [(d.action, d.reason) for d in found.waived] == [(Action.LEAVE, Reason.DISMISSED), (Action.SKIP, Reason.DISMISSED)]
    assert found.over == {"of somebody who changed"}


def test_G8_people_who_are_gone_stand_outside_the_sums():
    found = guarded(disables(3, is_absent=True))
    assert (found.counts.gone, found.counts.read, found.counts.disabled) == (3, 0, 0)


def test_G8_out_of_scope_marks_count_as_out_of_scope():
    found = guarded(disables(2, is_in_scope=False))
    assert (found.counts.out_of_scope, found.counts.disabled) == (2, 0) and check_sums(found.counts)


def moved(decision, old, new):
    return replace(decision, changes=(FieldChange("email", old, new), FieldChange("city", "Reef", "Bay")))


def test_G1_who_is_held_back_is_held_with_all_that_changes_of_them():
    decisions = [moved(d, f"a{n}@x.example", f"b{n}@x.example") for n, d in enumerate(disables(30))]
    found = guarded(decisions)
    assert (found.apply, found.held[HoldKind.DISABLE]) == ((), tuple(decisions))
    assert found.counts.held == 30 and check_sums(found.counts)


def test_G1_a_dismissed_mark_leaves_the_details_to_go_on():
    decisions = [moved(d, "a@x.example", "b@x.example") if d.object_id == "d3" else d for d in disables(30)]
    found = guarded(decisions, dismissed=frozenset(map(hold_key, decisions)))
    (update,) = found.apply
    assert (update.action, update.changes, update.sets_disabled) == (Action.UPDATE, decisions[3].changes, False)
    assert (found.held, found.counts.updated, found.counts.unchanged) == ({}, 1, 29) and check_sums(found.counts)


def test_G1_W4_an_address_that_somebody_needs_is_given_up_and_only_that_mark_waits_longer():
    """c0 gets the address of d3, who gets that of d4; d5 moves too, and nobody asks for their old one."""
    decisions = disables(30)
    for number, old, new in ((3, "C0@x.example", "d4@x.example"), (4, "d4@x.example", "new@x.example"), (5, "d5@x.example", "five@x.example")):
        decisions[number] = moved(decisions[number], old, new)
    found = guarded([*decisions, *creates(1)])
    assert {(d.object_id, d.action) for d in found.apply} == {("d3", Action.UPDATE), ("d4", Action.UPDATE), ("c0", Action.CREATE)}
    assert not any(d.sets_disabled for d in found.apply)
    assert {d.object_id for d in found.held[HoldKind.DISABLE]} == {f"d{n}" for n in range(30)} - {"d3", "d4"}
    assert (found.counts.held, found.counts.updated) == (28, 2) and check_sums(found.counts)


def test_G1_W4_nothing_is_given_up_for_somebody_who_waits_too():
    decisions = [moved(d, "c0@x.example", "b@x.example") if d.object_id == "d3" else d for d in disables(30)]
    found = guarded([*decisions, *creates(30)])
    assert found.apply == () and found.counts.held == 60


def test_G8_the_counts_add_up_whatever_was_held_dismissed_skipped_or_absent():
    odd = [
        *disables(12),
        *[replace(d, object_id=f"o{d.object_id}", is_in_scope=False) for d in disables(3)],
        *[replace(d, object_id=f"g{d.object_id}", is_absent=True) for d in disables(4)],
        *creates(30),
        Decision("s", Action.SKIP, Reason.BAD_RECORD),
        Decision("o", Action.LEAVE, Reason.OUT_OF_SCOPE, is_in_scope=False),
        Decision("i", Action.LEAVE, Reason.CONFLICT_IGNORED),
        Decision("x", Action.CONFLICT, Reason.EMAIL_CLASH),
    ]
    for dismissed in (frozenset(), frozenset(map(hold_key, odd)), frozenset(map(hold_key, odd[::2]))):
        for linked in (10, 1000):
            counts = guarded(odd, linked=linked, dismissed=dismissed).counts
            assert check_sums(counts) and counts.read == len(odd) - 4
