"""What went wrong in the field, one test for each case: who is who, who competes, and who is never synced."""

from dataclasses import replace

import pytest

from portal.engine.plan import conflict_key
from portal.engine.records import Action, FilterSpec, MatchedBy, NeverSync, Reason
from tests.unit.engine.builders import (
    GONE,
    NEW,
    OLD,
    SOFT,
    applied,
    d1,
    decisions,
    linked,
    only,
    person,
    planned,
    remote,
    said,
    same,
)


@pytest.mark.parametrize("presence", [GONE, SOFT])
def test_M2_a_successor_who_gets_a_leavers_address_as_an_alias_is_another_person(presence):
    """The leaver's notes and Assets stay the leaver's."""
    leaver = remote("leaver", "info@x.example", presence=presence)
    successor = remote("new", "sam@x.example", aliases=("info@x.example",))
    found = decisions([leaver, successor], [same(leaver, "1")])
    assert said(found["new"]) == (Action.CREATE, Reason.NEW_IN_SCOPE)
    assert (found["leaver"].action, found["leaver"].end_user_id) == (Action.MARK_DISABLED, "1")


def test_M2_an_alias_on_two_people_finds_nobody_whoever_they_are():
    stranger = {"b": remote("b", "b@x.example", aliases=("p@x.example",), department="Elsewhere")}
    for other in (
        stranger["b"],
        replace(stranger["b"], problem="broken"),
        replace(stranger["b"], account_enabled=False),
    ):
        users = [remote("a", "a@x.example", aliases=("p@x.example",), department="IT"), other]
        assert (
            decisions(users, [person("1", "p@x.example")], filters=only(department=["IT"]))["a"].action
            is Action.CREATE
        )
    users[1] = replace(users[1], presence=GONE)
    assert (
        decisions(users, [person("1", "p@x.example")], filters=only(department=["IT"]))["a"].end_user_id
        == "1"
    )


def test_M2_a_linked_colleague_with_the_same_alias_is_known_to_be_somebody_else():
    users = [
        remote("a", "a@x.example", aliases=("p@x.example",)),
        remote("b", "b@x.example", aliases=("p@x.example",)),
    ]
    assert decisions(users, [same(users[1], "2"), person("1", "p@x.example")])["a"].match is MatchedBy.ALIAS


def test_M2_an_alias_that_is_the_address_of_somebody_outside_the_filters_finds_nobody():
    users = [
        remote("a", "a@x.example", aliases=("p@x.example",), department="IT"),
        remote("b", "p@x.example"),
    ]
    assert (
        decisions(users, [person("1", "p@x.example")], filters=only(department=["IT"]))["a"].action
        is Action.CREATE
    )


def test_M2_R4_an_alias_finds_who_is_linked_to_another_tenant():
    foreign = person(
        "1", "p@x.example", link=linked("x", is_foreign=True, written={"city": "Utrecht"}), city="Utrecht"
    )
    found = decisions([remote("a", "a@x.example", aliases=("p@x.example",))], [foreign])["a"]
    assert (said(found), found.match, found.moves_link_from) == (
        (Action.LINK, Reason.LINK_MOVED),
        MatchedBy.ALIAS,
        "x",
    )
    assert found.columns["written"] == d1(found), "what another tenant's sync wrote is not this one's"
    assert "city" not in found.columns


@pytest.mark.parametrize(
    ("twin", "filters", "reason"),
    [
        ({"account_enabled": False}, FilterSpec(), Reason.DISABLED_NOT_ADDED),
        ({"license_sku_ids": ()}, FilterSpec(only_licensed=True), Reason.UNLICENSED_NOT_ADDED),
        ({"department": "Else"}, only(department=["IT"]), Reason.OUT_OF_SCOPE),
        ({"is_agent": True}, FilterSpec(), Reason.AGENT),
        ({"problem": "broken"}, FilterSpec(), Reason.BAD_RECORD),
    ],
)
def test_M6_who_would_be_skipped_anyhow_does_not_compete_for_an_address(twin, filters, reason):
    mine = remote("b", "x@x.example", department="IT", license_sku_ids=("sku",), created_at=NEW)
    other = replace(mine, object_id="a", created_at=OLD, **twin)
    found = decisions([mine, other], filters=filters)
    assert (found["b"].action, found["a"].reason) == (Action.CREATE, reason)


def test_M6_two_who_would_both_not_be_added_are_no_conflict():
    users = [remote(i, "x@x.example", account_enabled=False) for i in "ab"]
    assert {said(d) for d in decisions(users).values()} == {(Action.SKIP, Reason.DISABLED_NOT_ADDED)}


def test_M6_M8_who_is_found_by_email_competes_also_when_disabled():
    users = [remote("a", "x@x.example", account_enabled=False), remote("b", "x@x.example")]
    found = decisions(users, [person("1", "x@x.example")])
    assert (found["b"].action, said(found["a"])) == (
        Action.LINK,
        (Action.CONFLICT, Reason.DUPLICATE_REMOTE_EMAIL),
    )


def test_M6_M8_who_is_found_by_alias_competes_also_when_disabled():
    users = [
        remote("a", "x@x.example", account_enabled=False, aliases=("p@x.example",)),
        remote("b", "x@x.example", account_enabled=False),
    ]
    found = decisions(users, [person("1", "p@x.example")])
    assert (said(found["a"]), said(found["b"])) == (
        (Action.LINK, Reason.MATCHED_BY_ALIAS),
        (Action.SKIP, Reason.DISABLED_NOT_ADDED),
    )


def test_M6_an_address_that_becomes_free_finds_nobody():
    """Ann leaves x; two disabled accounts have it, and neither would be added."""
    ann = remote("ann", "new@x.example")
    users = [ann, *(remote(i, "x@x.example", account_enabled=False) for i in "bc")]
    found = decisions(users, [person("1", "x@x.example", link=linked("ann"))])
    assert {said(found[i]) for i in "bc"} == {(Action.SKIP, Reason.DISABLED_NOT_ADDED)}


def test_M7_link_gives_the_end_user_also_when_another_holds_it_who_is_settled_with_it():
    users = [remote("a", "x@x.example"), remote("b", "x@x.example")]
    people = [same(users[0], "1")]
    assert said(decisions(users, people)["b"]) == (Action.CONFLICT, Reason.DUPLICATE_REMOTE_EMAIL)
    found = decisions(users, people, settled_links={"b": "1"})
    assert (said(found["b"]), found["b"].moves_link_from) == ((Action.LINK, Reason.LINK_MOVED), "a")
    assert said(found["a"]) == (Action.LEAVE, Reason.CONFLICT_IGNORED)
    key = conflict_key(Reason.DUPLICATE_REMOTE_EMAIL, "a", "x@x.example", "1", "b")
    assert found["a"].conflict_key == key, "to be remembered as ignored"
    after = applied(planned(users, people, settled_links={"b": "1"}), users, people)
    settled = {"settled_links": {"b": "1"}, "ignored_conflicts": frozenset({key})}
    assert {d.action for d in decisions(users, after, **settled).values()} == {Action.LEAVE}


def test_M7_a_conflict_with_a_third_who_has_the_address_is_not_settled_with_it():
    """Ann lost her End User to b by a choice. Another newcomer, recognized as somebody else, has her address."""
    ann, b = remote("ann", "x@x.example"), remote("b", "b@x.example")
    gone = remote("gone", "old@x.example", presence=GONE, immutable_id="im")
    back = remote("back", "x@x.example", immutable_id="im")
    found = decisions([ann, b, gone, back], [same(ann, "1"), same(gone, "2")], settled_links={"b": "1"})
    assert (found["b"].end_user_id, found["back"].end_user_id) == ("1", "2")
    assert said(found["ann"]) == (Action.CONFLICT, Reason.DUPLICATE_REMOTE_EMAIL)
    assert found["ann"].other_object_id == "back"


def test_M7_nor_is_one_with_somebody_who_was_given_another_end_user():
    users = [remote("a", "x@x.example"), remote("b", "b@x.example"), remote("c", "x@x.example")]
    people = [same(users[0], "1"), person("2", "c@x.example")]
    found = decisions(users, people, settled_links={"b": "1", "c": "2"})
    assert (found["b"].end_user_id, found["c"].end_user_id) == ("1", "2")
    assert said(found["a"]) == (Action.CONFLICT, Reason.DUPLICATE_REMOTE_EMAIL)


def test_M7_taken_back_the_conflict_is_open_again():
    users = [remote("a", "x@x.example"), remote("b", "x@x.example")]
    assert decisions(users, [same(users[1], "1")])["a"].action is Action.CONFLICT


def test_M7_who_lost_the_end_user_and_has_another_address_begins_anew():
    users = [remote("a", "a@x.example"), remote("b", "x@x.example")]
    found = decisions(users, [same(users[0], "1")], settled_links={"b": "1"})
    assert (found["b"].end_user_id, found["a"].action) == ("1", Action.CREATE)
    skipped = decisions(
        [replace(users[0], email=""), users[1]], [same(users[0], "1")], settled_links={"b": "1"}
    )
    assert said(skipped["a"]) == (Action.SKIP, Reason.NO_EMAIL)


def test_M7_choices_pass_end_users_on_in_a_chain():
    users = [remote(i, f"{i}@x.example") for i in "abc"]
    people = [same(users[0], "1"), same(users[1], "2")]
    found = decisions(users, people, settled_links={"c": "2", "b": "1"})
    assert {i: d.end_user_id for i, d in found.items()} == {"a": None, "b": "1", "c": "2"}


def test_M7_of_two_who_were_given_one_end_user_the_first_has_it():
    users = [remote(i, f"{i}@x.example") for i in "abc"]
    found = decisions(users, [same(users[2], "1"), person("2")], settled_links={"a": "1", "b": "1"})
    assert {i: d.end_user_id for i, d in found.items()} == {"a": "1", "b": None, "c": None}


def test_M7_a_choice_that_cannot_be_carried_out_is_none():
    users = [remote("a", "x@x.example"), remote("b", "x@x.example"), remote("c", "c@x.example")]
    gone = decisions(users, settled_links={"b": "deleted since"})
    assert [d.action for d in gone.values()] == [Action.CREATE, Action.CONFLICT, Action.CREATE], (
        "not two with one address"
    )
    both = decisions(users, [same(users[0], "1")], settled_links={"a": "1", "c": "1"})
    assert (both["a"].action, both["c"].action) == (Action.LEAVE, Action.CREATE)
    outside = replace(users[1], department="Elsewhere")
    kept = decisions(
        [users[0], outside], [same(users[0], "1")], settled_links={"b": "1"}, filters=only(department=[""])
    )
    assert (kept["a"].end_user_id, kept["a"].action) == ("1", Action.LEAVE)
    two = decisions(users[1:], [person("1", "p@x.example")], settled_links={"b": "1", "c": "1"})
    assert (two["b"].end_user_id, two["c"].action) == ("1", Action.CREATE)


def test_M2_M7_who_was_chosen_once_is_still_recognized_as_a_new_object():
    gone = remote("b", "old@x.example", presence=GONE, immutable_id="im")
    back = remote("back", "new@x.example", immutable_id="im")
    found = decisions([gone, back], [same(gone, "1")], settled_links={"b": "1"})
    assert (said(found["back"]), found["back"].end_user_id) == (
        (Action.LINK, Reason.MATCHED_BY_IMMUTABLE_ID),
        "1",
    )


def test_M2_a_choice_goes_before_an_immutable_id():
    gone = remote("g", "old@x.example", presence=GONE, immutable_id="im")
    users = [gone, remote("back", "new@x.example", immutable_id="im"), remote("c", "c@x.example")]
    found = decisions(users, [same(gone, "1")], settled_links={"c": "1"})
    assert (found["c"].end_user_id, found["back"].action) == ("1", Action.CREATE)
    own = decisions(users, [same(gone, "1"), person("2", "p@x.example")], settled_links={"back": "2"})
    assert (own["back"].end_user_id, said(own["g"])) == ("2", (Action.MARK_DISABLED, Reason.ACCOUNT_GONE))


def test_W6_a_never_sync_person_who_is_made_again_stays_out():
    never = NeverSync(frozenset({"old"}), frozenset({"im"}), frozenset({"a@x.example"}))
    for again in (remote("new", "b@x.example", immutable_id="im"), remote("new", "a@x.example")):
        assert said(decisions([again], never_sync=never)["new"]) == (Action.SKIP, Reason.NEVER_SYNC)
    assert (
        decisions([remote("new", "b@x.example", immutable_id="other")], never_sync=never)["new"].action
        is Action.CREATE
    )


def test_W6_a_colleague_who_takes_over_the_address_of_a_never_sync_person_goes_on():
    never = NeverSync(frozenset({"old"}), frozenset({"im"}), frozenset({"a@x.example"}))
    ann = remote("ann", "ann@x.example")
    assert d1(decisions([replace(ann, email="a@x.example")], [same(ann, "1")], never_sync=never)["ann"]) == {
        "email": "a@x.example"
    }
    same_person = replace(ann, immutable_id="im")
    assert said(decisions([same_person], [same(same_person, "1")], never_sync=never)["ann"]) == (
        Action.SKIP,
        Reason.NEVER_SYNC,
    )
