"""G1: who waits for an administrator, and G8's sums, whatever is held, dismissed, skipped or absent."""

from dataclasses import replace

import pytest

from portal.engine.plan import hold_key
from portal.engine.plan.guard import guard
from portal.engine.records import Action, Assignment, HoldKind, HoldRule, Kind, Reason
from tests.unit.engine.builders import (
    GONE,
    adds_up,
    counted,
    d1,
    decided,
    marks,
    only,
    person,
    planned,
    remote,
    same,
)

HOLD = {"rule": HoldRule()}


def disables(number, **values):
    values = {"kind": Kind.LINKED, "reason": Reason.ACCOUNT_DISABLED, "sets_disabled": True, **values}
    return [Assignment(object_id=f"d{n}", end_user_id=f"e{n}", **values) for n in range(number)]


def creates(number):
    return [Assignment(f"c{n}", Kind.CREATE, Reason.NEW_IN_SCOPE, f"c{n}@x.example") for n in range(number)]


def guarded(assignments, *, linked=100, is_initial=False, rule=HoldRule(), dismissed=frozenset()):
    return guard(assignments, linked=linked, is_initial=is_initial, rule=rule, dismissed=dismissed)


def team(number, off=(), **values):
    """People who are linked and up to date, but those in ``off`` whom Microsoft disabled meanwhile."""
    users = [remote(f"u{n:02}", f"u{n:02}@x.example", **values) for n in range(number)]
    people = [same(user, f"e{n:02}") for n, user in enumerate(users)]
    return [replace(u, account_enabled=False) if n in off else u for n, u in enumerate(users)], people


@pytest.mark.parametrize(
    ("number", "linked", "held"),
    [(26, 100, True), (25, 100, False), (9, 20, False), (10, 20, True), (10, 40, False), (11, 40, True)],
)
def test_G1_more_than_a_quarter_and_at_least_ten_disables_are_held(number, linked, held):
    found = guarded(disables(number), linked=linked)
    assert (HoldKind.DISABLE in found.kinds) is held
    assert len(found.held) == (number if held else 0)


@pytest.mark.parametrize(
    ("number", "linked", "initial", "held"),
    [
        (26, 100, False, True),
        (25, 100, False, False),
        (24, 10, False, False),
        (25, 10, False, True),
        (500, 0, True, False),
        (500, 0, False, True),
    ],
)
def test_G1_many_creations_are_held_after_the_initial_sync_only(number, linked, initial, held):
    found = guarded(creates(number), linked=linked, is_initial=initial)
    assert (HoldKind.CREATE in found.kinds) is held


def test_G1_the_threshold_is_settable():
    assert guarded(disables(3), linked=100, rule=HoldRule(percent=1, minimum=2)).held
    assert not guarded(disables(99), linked=100, rule=HoldRule(percent=100, minimum=1)).held
    assert not guarded([], rule=HoldRule(percent=0, minimum=0, create_minimum=0)).kinds, "nobody is no hold"


def test_G1_who_is_marked_already_or_gets_a_link_is_no_new_mark():
    links = disables(30, kind=Kind.LINK, reason=Reason.MATCHED_BY_EMAIL)
    assert guarded([*links, *disables(30, was_disabled=True)]).held == frozenset()


def test_G1_the_rest_is_applied_and_counted():
    users, people = team(40, off=range(30))
    users.append(remote("new", "new@x.example"))
    found = planned(users, people, **HOLD)
    assert [a.object_id for a in found.assignments if not a.is_held and a.kind is Kind.CREATE] == ["new"]
    counts = counted(found, users, people)
    assert (counts.held, counts.created, counts.disabled, counts.unchanged) == (30, 1, 0, 10)
    assert adds_up(counts)


def test_G1_a_person_whose_address_clashes_and_who_would_be_marked_counts_too_and_is_held_whole():
    users, people = team(30, off=range(10))
    users[0] = replace(users[0], email="taken@x.example", city="Delft")
    people.append(person("9", "taken@x.example"))
    found = planned(users, people, **HOLD)
    assert {a.object_id for a in found.assignments if a.is_held} == {f"u{n:02}" for n in range(10)}
    clash = next(a for a in found.assignments if a.object_id == "u00")
    assert (clash.is_held, clash.is_clash, clash.reason) == (True, True, Reason.EMAIL_CLASH)
    counts = counted(found, users, people)
    assert (counts.held, counts.conflicts) == (10, 0) and adds_up(counts)


def test_G1_dismissed_people_are_not_held_again_until_they_change():
    before = disables(30)
    keys = frozenset(map(hold_key, before))
    assert guarded(before, dismissed=keys).held == frozenset()
    gone = disables(30, kind=Kind.ABSENT, reason=Reason.ACCOUNT_GONE)
    assert guarded(gone, dismissed=keys).held
    clashing = disables(30, reason=Reason.EMAIL_CLASH, is_clash=True, email_key="new@x.example")
    assert not guarded(clashing, dismissed=keys).held, "a clash comes and goes: the mark is the same"


def test_G1_a_creation_with_another_address_is_asked_about_again():
    keys = frozenset(map(hold_key, creates(30)))
    assert not guarded(creates(30), dismissed=keys).held
    assert guarded(
        [replace(one, email_key=f"other-{one.email_key}") for one in creates(30)], dismissed=keys
    ).held


def test_G1_dismissed_creations_count_as_skipped():
    users = [remote(f"n{n:02}", f"n{n:02}@x.example") for n in range(30)]
    keys = frozenset(hold_key(a) for a in planned(users, []).assignments)
    found = planned(users, [], dismissed=keys, **HOLD)
    counts = counted(found, users, [])
    assert (counts.skipped, counts.created, found.held) == (30, 0, frozenset()) and adds_up(counts)


def test_G1_what_was_dismissed_is_told_as_what_it_comes_to():
    users, people = team(2, off=[0])
    users.append(remote("v", "v@x.example"))
    keys = frozenset(hold_key(a) for a in planned(users, people).assignments if a.object_id in {"u00", "v"})
    found = planned(users, people, dismissed=keys | {"of somebody who changed"}, **HOLD)
    told = decided(found, users, people)
    assert [(told[i].action, told[i].reason) for i in ("u00", "v")] == [
        (Action.LEAVE, Reason.DISMISSED),
        (Action.SKIP, Reason.DISMISSED),
    ]
    assert all(a.is_waived for a in found.assignments if a.object_id in {"u00", "v"})
    assert found.over == {"of somebody who changed"}
    assert told["u00"].columns.keys() <= {"applied_hash"}


def test_G1_a_dismissed_mark_leaves_the_details_to_go_on():
    users, people = team(30, off=range(30))
    keys = frozenset(hold_key(a) for a in planned(users, people).assignments)
    users[3] = replace(users[3], email="b@x.example")
    found = planned(users, people, dismissed=keys, **HOLD)
    update = decided(found, users, people)["u03"]
    assert (update.action, d1(update), marks(update)) == (Action.UPDATE, {"email": "b@x.example"}, None)
    counts = counted(found, users, people)
    assert (found.held, counts.updated, counts.unchanged) == (frozenset(), 1, 29) and adds_up(counts)


def test_G1_a_dismissed_mark_of_somebody_whose_address_clashes_leaves_the_conflict():
    users, people = team(1, off=[0])
    users[0] = replace(users[0], email="taken@x.example")
    people.append(person("9", "taken@x.example"))
    keys = frozenset(hold_key(a) for a in planned(users, people).assignments)
    found = decided(planned(users, people, dismissed=keys), users, people)["u00"]
    assert (found.action, found.reason, marks(found)) == (Action.CONFLICT, Reason.EMAIL_CLASH, None)


def test_G1_a_dismissed_mark_of_somebody_who_leaves_the_filters_or_is_gone_is_no_more_than_that():
    users, people = team(2, off=[0])
    users[1] = replace(users[1], presence=GONE)
    filters = only(department=["IT"])
    keys = frozenset(hold_key(a) for a in planned(users, people, filters=filters).assignments)
    told = decided(planned(users, people, filters=filters, dismissed=keys), users, people)
    assert (told["u00"].action, told["u00"].reason) == (Action.UPDATE, Reason.NO_LONGER_IN_SCOPE)
    assert (told["u01"].action, told["u01"].reason, told["u01"].columns) == (
        Action.LEAVE,
        Reason.DISMISSED,
        {},
    )


def test_G1_W4_who_is_held_keeps_the_address_and_whoever_wants_it_clashes():
    """A newcomer and a colleague are to get what two held people leave; a third chain has nothing to do with it."""
    users, people = team(40, off=range(30))
    users[3] = replace(users[3], email="moved@x.example")
    users[4] = replace(users[4], email="gone@x.example")
    users[35] = replace(users[35], email="u03@x.example", city="Delft")
    users[36] = replace(users[36], email="u35@x.example")
    users.append(remote("new", "u04@x.example"))
    free = planned(users, people)
    assert {a.object_id: a.kind for a in free.assignments}["new"] is Kind.CREATE
    found = planned(users, people, **HOLD)
    told = decided(found, users, people)
    assert {a.object_id for a in found.assignments if a.is_held} == {f"u{n:02}" for n in range(30)}
    assert d1(told["u03"]) == {"email": "moved@x.example"}, (
        "told as what is applied once an administrator agrees"
    )
    assert (told["u35"].action, told["u35"].reason, told["u35"].other_end_user_id) == (
        Action.CONFLICT,
        Reason.EMAIL_CLASH,
        "e03",
    )
    assert d1(told["u35"]) == {"city": "Delft"}
    assert told["u36"].reason is Reason.EMAIL_CLASH, "and who was to follow"
    new = told["new"]
    assert (new.action, new.reason, new.end_user_id, new.other_object_id) == (
        Action.CONFLICT,
        Reason.EMAIL_LINKED_TO_OTHER,
        "e04",
        "u04",
    )
    assert adds_up(counted(found, users, people))


def test_G1_W4_who_waits_too_clashes_with_nobody():
    users, people = team(40, off=range(30))
    users[3] = replace(users[3], email="moved@x.example")
    users += [remote(f"v{n:02}", "u03@x.example" if n == 0 else f"v{n:02}@x.example") for n in range(30)]
    found = planned(users, people, **HOLD)
    assert found.held == {HoldKind.DISABLE, HoldKind.CREATE}
    assert all(a.is_held for a in found.assignments if a.kind is Kind.CREATE)
    assert counted(found, users, people).held == 60


def test_G1_W4_a_part_of_a_plan_is_one_in_which_the_others_stay():
    """Of three who pass addresses on the first alone is to be written: the second's address is not free."""
    users, people = team(4)
    users[:3] = [
        replace(users[n], email=f"u{n + 1:02}@x.example" if n < 2 else "free@x.example") for n in range(3)
    ]
    users.append(remote("new", "u02@x.example"))
    found = decided(planned(users, people, staying={"u02"}), users, people)
    assert [found[i].reason for i in ("u00", "u01", "new")] == [
        Reason.EMAIL_CLASH,
        Reason.EMAIL_CLASH,
        Reason.DUPLICATE_REMOTE_EMAIL,
    ]
    assert d1(found["u02"]) == {}
    found = decided(planned(users, people, staying={"u00"}), users, people)
    assert d1(found["u01"]) == {"email": "u02@x.example"}


def test_G8_people_who_are_gone_stand_outside_the_sums():
    users, people = team(3)
    users = [replace(user, presence=GONE) for user in users]
    counts = counted(planned(users, people), users, people)
    assert (counts.gone, counts.read, counts.disabled) == (3, 0, 0)
    held = planned(users, people, rule=HoldRule(percent=1, minimum=1))
    assert counted(held, users, people).gone == 0


def test_G8_out_of_scope_marks_count_as_out_of_scope():
    users, people = team(2, off=[0, 1])
    counts = counted(planned(users, people, filters=only(department=["IT"])), users, people)
    assert (counts.out_of_scope, counts.disabled, counts.read) == (2, 0, 2)


def test_G9_a_plan_says_how_many_stop_matching_the_filters():
    users, people = team(5, department="Sales & Marketing")
    people[4] = same(users[4], "e04", is_in_scope=False)
    found = planned(users, people, filters=only(department=["Sales"]))
    assert (found.leaving, found.linked) == (4, 5)
