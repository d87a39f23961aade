from dataclasses import replace
from datetime import UTC, datetime

import pytest

from portal.engine.plan import Fingerprint
from portal.engine.records import Action, FieldChange, FilterSpec, MatchedBy, NeverSync, Reason
from tests.unit.engine.builders import (
    GONE,
    SOFT,
    adds_up,
    counted,
    d1,
    decisions,
    linked,
    marks,
    only,
    person,
    planned,
    remote,
    same,
)

OLD, NEW = datetime(2020, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)


def said(decision):
    return decision.action, decision.reason


def test_D1_a_new_person_is_created_with_every_field():
    found = decisions([remote("a", "a@x.example", city="Utrecht")])["a"]
    assert said(found) == (Action.CREATE, Reason.NEW_IN_SCOPE)
    assert {(c.field, c.old, c.new) for c in found.changes} >= {
        ("city", "", "Utrecht"),
        ("email", "", "a@x.example"),
    }


def test_M1_nobody_without_an_email_is_created():
    assert said(decisions([remote("a")])["a"]) == (Action.SKIP, Reason.NO_EMAIL)


def test_M2_the_link_comes_first_even_when_the_email_is_another_persons():
    user = remote("a", "new@x.example")
    found = decisions([user], [person("1", "old@x.example", link=linked("a"))])["a"]
    assert (found.end_user_id, found.match, found.action) == ("1", MatchedBy.LINK, Action.UPDATE)


def test_M2_then_the_email():
    found = decisions([remote("a", "A@x.example")], [person("1", "a@X.example")])["a"]
    assert (said(found), found.end_user_id, found.match) == (
        (Action.LINK, Reason.MATCHED_BY_EMAIL),
        "1",
        MatchedBy.EMAIL,
    )


def test_M2_then_an_alias_if_exactly_one_person_has_it():
    user = remote("a", "new@x.example", aliases=("old@x.example", "older@x.example"))
    found = decisions([user], [person("1", "old@x.example")])["a"]
    assert (said(found), found.end_user_id) == ((Action.LINK, Reason.MATCHED_BY_ALIAS), "1")
    assert (
        decisions([user], [person("1", "old@x.example"), person("2", "older@x.example")])["a"].action
        is Action.CREATE
    )


def test_M2_an_alias_that_is_another_microsoft_users_address_matches_nobody():
    users = [remote("a", "new@x.example", aliases=("old@x.example",)), remote("b", "old@x.example")]
    found = decisions(users, [person("1", "old@x.example")])
    assert (found["a"].action, found["b"].end_user_id) == (Action.CREATE, "1")


def test_M2_the_same_immutable_id_moves_the_link_of_a_gone_object():
    users = [
        remote("new", "changed@x.example", immutable_id="im"),
        remote("old", "a@x.example", immutable_id="im", presence=GONE),
    ]
    found = decisions(users, [person("1", "a@x.example", link=linked("old", immutable_id="im"))])
    assert said(found["new"]) == (Action.LINK, Reason.MATCHED_BY_IMMUTABLE_ID)
    assert (found["new"].end_user_id, found["new"].moves_link_from) == ("1", "old")
    assert "old" not in found


def test_M2_M6_who_is_the_person_of_a_link_wins_over_a_stranger_with_the_address():
    users = [
        remote("back", "a@x.example", immutable_id="im", account_enabled=False),
        remote("old", "a@x.example", immutable_id="im", presence=GONE),
        remote("other", "a@x.example"),
    ]
    found = decisions(users, [person("1", "a@x.example", link=linked("old", immutable_id="im"))])
    assert (said(found["back"]), found["back"].end_user_id) == (
        (Action.LINK, Reason.MATCHED_BY_IMMUTABLE_ID),
        "1",
    )
    assert said(found["other"]) == (Action.CONFLICT, Reason.DUPLICATE_REMOTE_EMAIL)


def test_M2_M5_an_alias_finds_nobody_for_a_user_whose_own_address_stays_somebody_elses():
    """Ann's address was to become free, but Bo's, which she takes, is pinned."""
    users = [
        remote("ann", "b@x.example"),
        remote("bo", "c@x.example"),
        remote("new", "a@x.example", aliases=("here@x.example",)),
        remote("old", "gone@x.example", presence=GONE),
    ]
    here = person("3", "here@x.example", link=linked("old"))
    people = [
        person("1", "a@x.example", link=linked("ann")),
        person("2", "b@x.example", link=linked("bo"), pinned=["email"]),
        here,
    ]
    found = decisions(users, people)
    assert said(found["ann"]) == (Action.CONFLICT, Reason.EMAIL_CLASH)
    assert said(found["new"]) == (Action.CONFLICT, Reason.EMAIL_LINKED_TO_OTHER)
    assert (found["new"].end_user_id, found["new"].changes, found["new"].moves_link_from) == ("1", (), None)
    assert said(found["old"]) == (Action.MARK_DISABLED, Reason.ACCOUNT_GONE), "its mark is not forgotten"


def test_M2_an_immutable_id_of_a_living_object_moves_nothing():
    users = [remote("new", "n@x.example", immutable_id="im"), remote("old", "a@x.example", immutable_id="im")]
    found = decisions(users, [person("1", "a@x.example", link=linked("old", immutable_id="im"))])
    assert found["new"].action is Action.CREATE


def test_M3_people_of_other_organizations_are_not_in_the_snapshot_and_never_named():
    found = decisions([remote("a", "a@x.example")], [])
    assert found["a"].end_user_id is None


def test_M2_M4_an_address_that_two_users_carry_finds_nobody_for_either():
    users = [
        remote("a", "one@x.example", aliases=("p@x.example",)),
        remote("b", "two@x.example", aliases=("p@x.example",)),
    ]
    found = decisions(users, [person("1", "p@x.example")])
    assert [d.action for d in found.values()] == [Action.CREATE, Action.CREATE]


def test_M4_two_new_users_with_one_address_never_become_two_end_users():
    found = decisions([remote("a", "x@x.example"), remote("b", "X@x.example"), remote("c", "x@X.example")])
    assert sorted(d.action for d in found.values()) == [Action.CONFLICT, Action.CONFLICT, Action.CREATE]
    pair = decisions([remote("a", "x@x.example"), remote("b", "X@x.example")])
    assert sorted(d.action for d in pair.values()) == [Action.CONFLICT, Action.CREATE]


def test_M5_an_email_linked_to_a_living_object_is_a_conflict():
    users = [remote("a", "a@x.example"), remote("b", "a@x.example")]
    found = decisions(users, [same(users[0], "1")])
    assert (found["b"].action, found["b"].other_object_id, found["b"].end_user_id) == (
        Action.CONFLICT,
        "a",
        "1",
    )
    assert found["a"].action is Action.LEAVE


def test_M5_the_link_moves_when_the_old_object_is_gone():
    users = [remote("a", "a@x.example", presence=GONE), remote("b", "a@x.example")]
    found = decisions(users, [same(users[0], "1")])
    assert (said(found["b"]), found["b"].moves_link_from) == ((Action.LINK, Reason.LINK_MOVED), "a")
    assert "a" not in found, "the moved Link is not marked disabled as well"


def test_M5_R4_the_link_moves_from_another_microsoft_tenant():
    found = decisions(
        [remote("b", "a@x.example")], [person("1", "a@x.example", link=linked("x", is_foreign=True))]
    )
    assert (said(found["b"]), found["b"].end_user_id) == ((Action.LINK, Reason.LINK_MOVED), "1")


def test_M5_out_of_scope_but_living_objects_keep_their_link():
    owner = remote("a", "a@x.example", department="Other")
    found = decisions(
        [owner, remote("b", "a@x.example", department="IT")],
        [same(owner, "1")],
        filters=only(department=["IT"]),
    )
    assert said(found["b"]) == (Action.CONFLICT, Reason.EMAIL_LINKED_TO_OTHER)


@pytest.mark.parametrize(
    ("first", "second", "winner"),
    [
        ({"account_enabled": False}, {"account_enabled": True}, "b"),
        ({"account_enabled": False, "created_at": OLD}, {"account_enabled": True, "created_at": NEW}, "b"),
        ({"created_at": NEW}, {"created_at": OLD}, "b"),
        ({"created_at": OLD}, {"created_at": NEW}, "a"),
        ({"created_at": None}, {"created_at": NEW}, "b"),
    ],
)
def test_M6_the_enabled_else_the_older_wins_and_the_other_is_a_conflict(first, second, winner):
    filters = FilterSpec(add_disabled_accounts=True)
    found = decisions(
        [remote("a", "x@x.example", **first), remote("b", "X@x.example", **second)], filters=filters
    )
    loser = found[{"a": "b", "b": "a"}[winner]]
    assert found[winner].action is Action.CREATE
    assert (said(loser), loser.other_object_id) == ((Action.CONFLICT, Reason.DUPLICATE_REMOTE_EMAIL), winner)


def test_M6_the_linked_one_wins_over_an_enabled_one():
    owner = remote("z", "x@x.example", account_enabled=False)
    found = decisions([remote("a", "x@x.example"), owner], [same(owner, "1", is_disabled=True)])
    assert found["a"].action is Action.CONFLICT and found["z"].action is Action.LEAVE


def test_M7_an_ignored_conflict_is_left_until_a_side_changes():
    users = [remote("a", "x@x.example"), remote("b", "x@x.example")]
    key = decisions(users)["b"].conflict_key
    ignored = frozenset({key})
    assert said(decisions(users, ignored_conflicts=ignored)["b"]) == (Action.LEAVE, Reason.CONFLICT_IGNORED)
    moved = [remote("a", "y@x.example"), remote("c", "y@x.example")]
    assert decisions(moved, ignored_conflicts=ignored)["c"].action is Action.CONFLICT


def test_M7_a_settled_conflict_links_the_end_user_that_was_chosen():
    users = [remote("a", "x@x.example"), remote("b", "x@x.example")]
    found = decisions(users, [person("1", "other@x.example")], settled_links={"b": "1"})
    assert (found["b"].action, found["b"].end_user_id) == (Action.LINK, "1")


def test_M5_the_address_that_a_settled_one_keeps_is_nobody_elses():
    """A person linked b to 1, which keeps its address as a has the other: c may neither have that one nor begin anew."""
    users = [remote("a", "x@x.example"), remote("b", "x@x.example")]
    people = [same(users[0], "0"), person("1", "kept@x.example"), person("2", "alias@x.example")]
    for aliases in ((), ("alias@x.example",)):
        newcomer = remote("c", "kept@x.example", aliases=aliases)
        found = decisions([*users, newcomer], people, settled_links={"b": "1"})["c"]
        assert (said(found), found.end_user_id, found.changes) == (
            (Action.CONFLICT, Reason.EMAIL_LINKED_TO_OTHER),
            "1",
            (),
        )


def test_M8_a_disabled_account_with_a_known_email_is_linked_whatever_the_rules():
    found = decisions(
        [remote("a", "a@x.example", account_enabled=False)],
        [person("1", "a@x.example")],
        filters=FilterSpec(only_licensed=True),
    )
    assert (found["a"].action, marks(found["a"])) == (Action.LINK, ("none", "disabled"))


def test_U9_add_rules_decide_creation_only():
    off = remote("a", "a@x.example", account_enabled=False)
    plain = remote("b", "b@x.example")
    assert said(decisions([off])["a"]) == (Action.SKIP, Reason.DISABLED_NOT_ADDED)
    assert decisions([off], filters=FilterSpec(add_disabled_accounts=True))["a"].action is Action.CREATE
    assert said(decisions([plain], filters=FilterSpec(only_licensed=True))["b"]) == (
        Action.SKIP,
        Reason.UNLICENSED_NOT_ADDED,
    )
    assert (
        decisions([plain], [same(plain, "1")], filters=FilterSpec(only_licensed=True))["b"].action
        is Action.LEAVE
    )


def test_W1_a_blank_erases_only_what_the_sync_wrote():
    user = remote("a", "a@x.example")
    people = [
        person(
            "1",
            "a@x.example",
            link=linked("a", written={"city": "Utrecht"}),
            city="Utrecht",
            phone="+31 1",
            display_name="A",
        )
    ]
    assert d1(decisions([user], people)["a"]) == {"city": ""}
    edited = [
        person(
            "1", "a@x.example", link=linked("a", written={"city": "Utrecht"}), city="Delft", display_name="A"
        )
    ]
    assert decisions([user], edited)["a"].changes == ()


def test_W1_a_lost_email_is_never_erased_and_the_rest_goes_on():
    user = remote("a", "", city="Delft")
    people = [
        person("1", "a@x.example", link=linked("a", written={"email": "a@x.example"}), display_name="A")
    ]
    assert set(d1(decisions([user], people)["a"])) == {"city"}


def test_W3_only_fields_that_differ_are_written():
    user = remote("a", "a@x.example", city="Delft", country="NL")
    people = [person("1", "a@x.example", link=linked("a"), city="Utrecht", country="NL", display_name="A")]
    assert [(c.field, c.old, c.new) for c in decisions([user], people)["a"].changes] == [
        ("city", "Utrecht", "Delft")
    ]


def test_W4_two_people_who_swap_addresses_are_no_conflict():
    users = [remote("a", "b@x.example"), remote("b", "a@x.example")]
    people = [
        person("1", "a@x.example", link=linked("a"), display_name="A"),
        person("2", "b@x.example", link=linked("b"), display_name="B"),
    ]
    assert {d.action for d in decisions(users, people).values()} == {Action.UPDATE}


def test_W4_somebody_new_may_take_an_address_that_becomes_free():
    users = [remote("a", "moved@x.example"), remote("b", "a@x.example")]
    found = decisions(users, [person("1", "a@x.example", link=linked("a"), display_name="A")])
    assert (found["a"].action, found["b"].action) == (Action.UPDATE, Action.CREATE)


def test_W4_a_clash_with_somebody_who_stays_keeps_the_address_and_updates_the_rest():
    user = remote("a", "taken@x.example", city="Delft")
    people = [person("1", "a@x.example", link=linked("a"), display_name="A"), person("2", "taken@x.example")]
    found = decisions([user], people)["a"]
    assert (said(found), found.other_end_user_id) == ((Action.CONFLICT, Reason.EMAIL_CLASH), "2")
    assert set(d1(found)) == {"city"}


def test_W4_two_linked_people_who_both_get_one_address():
    first, second = remote("a", "x@x.example", job_title="New"), remote("b", "x@x.example", job_title="New")
    people = [same(remote("a", "a@x.example"), "1"), same(remote("b", "b@x.example"), "2")]
    found = decisions([first, second], people)
    assert (found["a"].action, set(d1(found["a"]))) == (Action.UPDATE, {"email", "job_title"})
    assert said(found["b"]) == (Action.CONFLICT, Reason.EMAIL_CLASH)
    assert (set(d1(found["b"])), found["b"].other_object_id) == ({"job_title"}, "a")
    ignored = decisions([first, second], people, ignored_conflicts=frozenset({found["b"].conflict_key}))
    assert (said(ignored["b"]), len(ignored["b"].changes)) == ((Action.UPDATE, Reason.CONFLICT_IGNORED), 1)


def test_M7_L1_an_ignored_clash_of_addresses_keeps_nobody_from_being_marked_or_recognized():
    def told(user, *links):
        people = [
            person(str(n), f"{n}@x.example", link=link, display_name="A") for n, link in enumerate(links, 1)
        ]
        people.append(person("9", "taken@x.example"))
        (key,) = {d.conflict_key for d in decisions([user], people).values() if d.action is Action.CONFLICT}
        return decisions([user], people, ignored_conflicts=frozenset({key}))["a"]

    there, off = (
        remote("a", "taken@x.example", display_name="A"),
        remote("a", "taken@x.example", display_name="A", account_enabled=False),
    )
    assert said(told(there, linked("a"))) == (Action.LEAVE, Reason.CONFLICT_IGNORED)
    assert said(told(off, linked("a"))) == (Action.MARK_DISABLED, Reason.ACCOUNT_DISABLED)
    assert said(told(there, linked("a", is_disabled=True))) == (Action.MARK_ENABLED, Reason.ACCOUNT_ENABLED)
    back = told(replace(there, immutable_id="im"), linked("gone", immutable_id="im"))
    assert (said(back), back.moves_link_from) == ((Action.LINK, Reason.MATCHED_BY_IMMUTABLE_ID), "gone")


def test_W4_a_chain_that_cannot_move_stops_where_it_must():
    users = [remote("a", "b@x.example"), remote("b", "held@x.example")]
    people = [
        person("1", "a@x.example", link=linked("a"), display_name="A"),
        person("2", "b@x.example", link=linked("b"), display_name="B"),
        person("3", "held@x.example"),
    ]
    assert {d.reason for d in decisions(users, people).values()} == {Reason.EMAIL_CLASH}


def test_W6_a_pinned_field_keeps_our_value_and_never_sync_is_skipped():
    user = remote("a", "new@x.example", city="Delft")
    people = [
        person("1", "a@x.example", link=linked("a"), pinned={"city", "email"}, city="Ours", display_name="A")
    ]
    assert decisions([user], people)["a"].changes == ()
    assert said(decisions([user], never_sync=NeverSync(frozenset({"a"})))["a"]) == (
        Action.SKIP,
        Reason.NEVER_SYNC,
    )


def test_L1_disabled_soft_deleted_and_gone_are_marked_and_enabled_unmarked():
    off = remote("a", "a@x.example", account_enabled=False)
    assert said(decisions([off], [same(off, "1")])["a"]) == (Action.MARK_DISABLED, Reason.ACCOUNT_DISABLED)
    for presence, reason in ((SOFT, Reason.ACCOUNT_SOFT_DELETED), (GONE, Reason.ACCOUNT_GONE)):
        user = remote("a", "a@x.example", presence=presence)
        found = decisions([user], [same(user, "1")])["a"]
        assert (said(found), found.is_absent) == ((Action.MARK_DISABLED, reason), True)
    on = remote("a", "a@x.example")
    assert said(decisions([on], [same(on, "1", is_disabled=True)])["a"]) == (
        Action.MARK_ENABLED,
        Reason.ACCOUNT_ENABLED,
    )
    assert said(decisions([off], [same(off, "1", is_disabled=True)])["a"])[0] is Action.LEAVE


def test_L1_unknown_is_not_disabled():
    user = remote("a", "a@x.example", account_enabled=None)
    assert decisions([user], [same(user, "1")])["a"].action is Action.LEAVE
    assert decisions([user], [same(user, "1", is_disabled=True)])["a"].action is Action.LEAVE


def test_L2_absence_from_an_incomplete_read_concludes_nothing():
    people = [same(remote("a", "a@x.example"), "1")]
    assert said(decisions([], people, is_complete=False)["a"]) == (
        Action.LEAVE,
        Reason.ABSENT_BUT_READ_INCOMPLETE,
    )
    assert decisions([], people, is_complete=True)["a"].action is Action.MARK_DISABLED


def test_L2_an_incomplete_read_marks_nobody_but_updates():
    user = remote("a", "a@x.example", account_enabled=False)
    outside = only(department=["Elsewhere"])
    behind = [person("1", "a@x.example", link=linked("a"))]
    assert said(decisions([user], [same(user, "1")], is_complete=False)["a"]) == (
        Action.LEAVE,
        Reason.DISABLED_BUT_READ_INCOMPLETE,
    )
    left = decisions([user], [same(user, "1")], is_complete=False, filters=outside)["a"]
    assert (said(left), marks(left)) == ((Action.UPDATE, Reason.NO_LONGER_IN_SCOPE), None)
    found = decisions([replace(user, city="Delft")], behind, is_complete=False)["a"]
    assert (found.action, marks(found)) == (Action.UPDATE, None)
    assert marks(decisions([user], [same(user, "1", is_disabled=True)], is_complete=False)["a"]) is None
    gone = replace(user, presence=GONE)
    assert said(decisions([gone], [same(user, "1")], is_complete=False)["a"]) == (
        Action.LEAVE,
        Reason.ABSENT_BUT_READ_INCOMPLETE,
    )


def test_L2_after_an_incomplete_read_nobodys_link_moves_to_another_object():
    owner = remote("a", "a@x.example", immutable_id="im")
    newcomer = remote("b", "a@x.example", immutable_id="im")
    found = decisions([newcomer], [same(owner, "1")], is_complete=False)
    assert found["b"].action is Action.CONFLICT
    assert decisions([newcomer], [same(owner, "1")], is_complete=True)["b"].action is Action.LINK


def test_L3_outside_the_filters_nothing_is_updated_but_marks_are_facts():
    user = remote("a", "a@x.example", department="Other", city="Delft")
    people = [person("1", "a@x.example", link=linked("a"))]
    found = decisions([user], people, filters=only(department=["IT"]))["a"]
    assert said(found) == (Action.UPDATE, Reason.NO_LONGER_IN_SCOPE)
    assert (found.changes, dict(found.columns)) == (
        (FieldChange("in_scope", "true", "false"),),
        {"in_scope": False},
    )
    behind = [person("1", "a@x.example", link=linked("a", is_in_scope=False))]
    found = decisions([user], behind, filters=only(department=["IT"]))["a"]
    assert (said(found), found.columns) == ((Action.LEAVE, Reason.NO_LONGER_IN_SCOPE), {})
    off = remote("a", "a@x.example", department="Other", account_enabled=False)
    found = decisions([off], people, filters=only(department=["IT"]))["a"]
    assert (found.action, found.is_in_scope) == (Action.MARK_DISABLED, False)


def test_L3_back_in_scope_updates_resume():
    user = remote("a", "a@x.example")
    found = decisions([user], [same(user, "1", is_in_scope=False)])["a"]
    assert (said(found), dict(found.columns)) == ((Action.UPDATE, Reason.BACK_IN_SCOPE), {"in_scope": True})
    found = decisions([replace(user, city="Delft")], [same(user, "1", is_in_scope=False)])["a"]
    assert (said(found), d1(found)) == ((Action.UPDATE, Reason.FIELDS_DIFFER), {"city": "Delft"})


def test_L4_somebody_deleted_here_is_created_again():
    assert decisions([remote("a", "a@x.example")], [])["a"].action is Action.CREATE


def test_L6_links_from_an_earlier_time_are_taken_up():
    user = remote("a", "a@x.example")
    assert decisions([user], [same(user, "1")])["a"].action is Action.LEAVE


def test_S6_members_only_and_nobody_for_a_deleted_group():
    users = [remote("a", "a@x.example"), remote("b", "b@x.example")]
    found = decisions(users, filters=only(group=["g"]), groups_of={"a": frozenset({"g"})})
    assert (found["a"].action, said(found["b"])) == (Action.CREATE, (Action.LEAVE, Reason.OUT_OF_SCOPE))
    found = decisions(
        users, filters=only(group=["g"]), groups_of={"a": frozenset({"g"})}, deleted_groups=frozenset({"g"})
    )
    assert {d.action for d in found.values()} == {Action.LEAVE}


def test_G8_one_bad_record_is_skipped_and_the_counts_add_up():
    users = [
        remote("a", "a@x.example"),
        remote("b", problem="displayName is not a text"),
        remote("c"),
        remote("d", "d@x.example", department="x"),
    ]
    filters = only(department=[""])
    found = decisions(users, filters=filters)
    counts = counted(planned(users, filters=filters, always=()), users, [])
    assert adds_up(counts)
    assert (counts.read, counts.in_scope, counts.out_of_scope, counts.skipped, counts.created) == (
        4,
        1,
        1,
        2,
        1,
    )
    assert found["b"].note == "displayName is not a text"


def test_L2_S6_a_plan_says_what_holds_it_back_so_that_preview_and_run_say_the_same():
    found = planned([remote("a", "a@x.example")])
    assert (found.is_complete, found.has_deleted_groups) == (True, False)
    assert not planned([], is_complete=False).is_complete
    assert planned([], deleted_groups=frozenset({"g"}), filters=only(group=["g"])).has_deleted_groups


def test_M2_the_email_goes_before_an_alias():
    user = remote("a", "new@x.example", aliases=("old@x.example",))
    found = decisions([user], [person("1", "new@x.example"), person("2", "old@x.example")])["a"]
    assert (found.end_user_id, found.match) == ("1", MatchedBy.EMAIL)


def fingerprint(users, people, applied=(), **values):
    digest = Fingerprint()
    for decision in {**decisions(users, people, **values), **dict(applied)}.values():
        digest.add(decision)
    return digest.hexdigest()


def test_U12_a_fingerprint_tells_what_a_plan_does_also_when_part_of_it_is_done():
    users = [remote("a", "a@x.example", city="Delft"), remote("b", "b@x.example")]
    people = [person("1", "b@x.example", display_name="B")]
    approved = fingerprint(users, people)
    assert approved == fingerprint(users[::-1], people)
    assert approved != fingerprint([replace(users[0], city="Breda"), users[1]], people)
    assert approved != fingerprint([replace(users[0], license_sku_ids=("sku",)), users[1]], people)
    created = decisions(users, people)["a"]
    rest = [same(users[0], "9"), *people]
    assert fingerprint(users, rest) != approved
    assert fingerprint(users, rest, {"a": created}) == approved
    assert fingerprint([], [same(users[0], "9")], is_complete=False) == fingerprint([], []), (
        "nobody is touched"
    )


def test_W1_R4_a_blank_never_erases_what_the_sync_with_another_tenant_wrote():
    link = {"written": {"phone": "+31 1"}}
    user = remote("a", "a@x.example", display_name="A")
    ours = person("1", "a@x.example", display_name="A", phone="+31 1", link=linked("a", **link))
    assert [c.field for c in decisions([user], [ours])["a"].changes] == ["phone"]
    theirs = person(
        "1", "a@x.example", display_name="A", phone="+31 1", link=linked("z", is_foreign=True, **link)
    )
    found = decisions([user], [theirs])["a"]
    assert (found.action, found.changes) == (Action.LINK, ())


def test_M2_M6_who_came_back_as_a_new_object_goes_before_a_twin():
    """The same person is the linked one, whoever else is older and has the address."""
    gone = remote("old", "a@x.example", immutable_id="im", presence=GONE)
    users = [
        gone,
        remote("back", "a@x.example", immutable_id="im", created_at=NEW),
        remote("twin", "a@x.example", created_at=OLD),
    ]
    found = decisions(users, [same(gone, "1")])
    assert (said(found["back"]), found["back"].end_user_id) == (
        (Action.LINK, Reason.MATCHED_BY_IMMUTABLE_ID),
        "1",
    )
    assert (said(found["twin"]), found["twin"].other_object_id) == (
        (Action.CONFLICT, Reason.DUPLICATE_REMOTE_EMAIL),
        "back",
    )


def test_W4_M2_who_came_back_while_somebody_else_has_the_new_address_is_linked_without_it():
    gone = remote("old", "a@x.example", immutable_id="im", presence=GONE)
    back = remote("back", "taken@x.example", immutable_id="im", city="Delft")
    found = decisions([gone, back], [same(gone, "1"), person("2", "taken@x.example")])
    assert (said(found["back"]), found["back"].moves_link_from) == (
        (Action.CONFLICT, Reason.EMAIL_CLASH),
        "old",
    )
    assert "email" not in set(d1(found["back"])) and "old" not in found


def test_W6_M6_a_pinned_address_is_not_in_question():
    first, second = remote("a", "x@x.example", created_at=OLD), remote("b", "x@x.example", created_at=NEW)
    for pinned, others in (("2", "1"), ("1", "2")):
        people = [
            replace(
                same(remote(o, f"{o}@x.example", display_name=o.title()), i),
                pinned=frozenset({"email"} if i == pinned else ()),
            )
            for o, i in (("a", "1"), ("b", "2"))
        ]
        found = {d.end_user_id: d for d in decisions([first, second], people).values()}
        assert found[pinned].action is Action.LEAVE
        assert [c.new for c in found[others].changes] == ["x@x.example"]
    held = [same(first, "1"), replace(same(remote("b", "b@x.example"), "2"), pinned=frozenset({"email"}))]
    assert decisions([first, second], held)["b"].action is Action.LEAVE


def test_W4_M5_an_address_that_its_owner_cannot_leave_is_not_free():
    """Judged on the state after the run: who holds it wants one that somebody else keeps."""
    owner = remote("b", "held@x.example", display_name="B")
    people = [
        person("1", "b@x.example", link=linked("b"), display_name="B"),
        person("2", "held@x.example"),
        person("3", "alias@x.example"),
    ]
    newcomer = remote("a", "b@x.example", aliases=("alias@x.example",))
    found = decisions([newcomer, owner], people)
    assert (said(found["a"]), found["a"].end_user_id, found["a"].changes) == (
        (Action.CONFLICT, Reason.EMAIL_LINKED_TO_OTHER),
        "1",
        (),
    )
    off = replace(newcomer, account_enabled=False, aliases=())
    assert said(decisions([off, owner], people)["a"]) == (Action.CONFLICT, Reason.EMAIL_LINKED_TO_OTHER), (
        "M8: no question of adding"
    )


def test_M7_what_a_person_linked_stays_settled_while_somebody_else_has_the_address():
    owner = remote("a", "x@x.example", department="Other")
    twin = remote("b", "x@x.example", department="IT")
    filters, chosen = only(department=["IT"]), {"b": "2"}
    people = [same(owner, "1"), person("2", "other@x.example", display_name="B")]
    found = decisions([owner, twin], people, filters=filters, settled_links=chosen)["b"]
    assert (found.action, found.end_user_id, set(d1(found))) == (Action.LINK, "2", {"department"})
    for present in (filters, FilterSpec()):
        after = [
            same(owner, "1"),
            person("2", "other@x.example", display_name="B", department="IT", link=linked("b")),
        ]
        assert said(decisions([owner, twin], after, filters=present, settled_links=chosen)["b"]) == (
            Action.LEAVE,
            Reason.UP_TO_DATE,
        )
        assert said(decisions([owner, twin], after, filters=filters)["b"]) == (
            Action.CONFLICT,
            Reason.EMAIL_CLASH,
        )
