"""Who is who, M1 to M8: Links, addresses, aliases, immutable ids, and conflicts as they were settled."""

import pytest

from portal.engine.records import Action, FilterSpec, MatchedBy, Reason
from tests.unit.engine.builders import (
    GONE,
    NEW,
    OLD,
    d1,
    decisions,
    linked,
    marks,
    only,
    person,
    remote,
    said,
    same,
)


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


def test_M2_the_email_goes_before_an_alias():
    user = remote("a", "new@x.example", aliases=("old@x.example",))
    found = decisions([user], [person("1", "new@x.example"), person("2", "old@x.example")])["a"]
    assert (found.end_user_id, found.match) == ("1", MatchedBy.EMAIL)


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
