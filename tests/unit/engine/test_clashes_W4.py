"""Two who want one address: swaps, chains, owners that stay, and who keeps what."""

from dataclasses import replace

from portal.engine.records import Action, Reason
from tests.unit.engine.builders import GONE, NEW, OLD, d1, decisions, linked, person, remote, said, same


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


def test_W4_a_chain_that_cannot_move_stops_where_it_must():
    users = [remote("a", "b@x.example"), remote("b", "held@x.example")]
    people = [
        person("1", "a@x.example", link=linked("a"), display_name="A"),
        person("2", "b@x.example", link=linked("b"), display_name="B"),
        person("3", "held@x.example"),
    ]
    assert {d.reason for d in decisions(users, people).values()} == {Reason.EMAIL_CLASH}


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
