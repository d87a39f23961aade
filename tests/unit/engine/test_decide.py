"""What is decided about one person: creation, fields, pins, marks, scope."""

from dataclasses import replace

from portal.engine.plan import Fingerprint
from portal.engine.records import Action, FieldChange, FilterSpec, NeverSync, Reason
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
    said,
    same,
)


def test_D1_a_new_person_is_created_with_every_field():
    found = decisions([remote("a", "a@x.example", city="Utrecht")])["a"]
    assert said(found) == (Action.CREATE, Reason.NEW_IN_SCOPE)
    assert {(c.field, c.old, c.new) for c in found.changes} >= {
        ("city", "", "Utrecht"),
        ("email", "", "a@x.example"),
    }


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
