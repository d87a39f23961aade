"""What went wrong in the field, one test for each case: what is written, told and counted."""

from dataclasses import replace

import pytest

from portal.engine.plan import Fingerprint, applied_key, decide
from portal.engine.plan.scope import KeyScope
from portal.engine.records import (
    D1_FIELDS,
    Action,
    Assignment,
    FieldChange,
    FilterSpec,
    HoldRule,
    Kind,
    NeverSync,
    Reason,
    SectionFilter,
)
from tests.unit.engine.builders import (
    GONE,
    applied,
    counted,
    d1,
    decisions,
    hashed,
    linked,
    marks,
    only,
    person,
    person_keys,
    planned,
    remote,
    said,
    same,
    snapshot,
)


@pytest.mark.parametrize(
    ("new", "change"),
    [
        ({"user_principal_name": "new@x.example"}, FieldChange("user_principal_name", "", "new@x.example")),
        ({"license_sku_ids": ("a", "b")}, FieldChange("licenses", "", "a b")),
    ],
)
def test_W3_a_changed_sign_in_name_or_license_alone_is_an_update_with_its_record(new, change):
    user = remote("a", "a@x.example")
    found = decisions([replace(user, **new)], [same(user, "1")])["a"]
    assert (said(found), found.changes) == ((Action.UPDATE, Reason.FIELDS_DIFFER), (change,))
    assert "written" not in found.columns


def test_W3_a_license_that_was_removed_leaves_its_record():
    user = remote("a", "a@x.example", license_sku_ids=("sku",))
    found = decisions([replace(user, license_sku_ids=())], [same(user, "1")])["a"]
    assert found.changes == (FieldChange("licenses", "sku", ""),)
    assert (found.columns["license_sku_ids"], found.columns["is_licensed"]) == ([], False)


def test_W3_what_nobody_is_told_of_is_kept_all_the_same():
    user = remote("a", "a@x.example")
    found = decisions([replace(user, immutable_id="im")], [same(user, "1")])["a"]
    assert (said(found), found.changes) == ((Action.LEAVE, Reason.UP_TO_DATE), ())
    assert found.columns.keys() == {"immutable_id", "applied_hash"}


def test_W7_a_creation_and_a_link_say_everything_of_the_end_user():
    user = remote(
        "a", "a@x.example", user_principal_name="a@x.example", license_sku_ids=("sku",), account_enabled=False
    )
    made = decisions([user], filters=FilterSpec(add_disabled_accounts=True))["a"]
    link = {
        "object_id",
        "user_principal_name",
        "immutable_id",
        "microsoft_status",
        "in_scope",
        "license_sku_ids",
        "is_licensed",
        "written",
        "applied_hash",
    }
    assert made.makes_link and made.columns.keys() == {*D1_FIELDS, *link}
    assert made.columns["written"] == {"display_name": "A", "email": "a@x.example"}
    assert [c for c in made.changes if c.field not in D1_FIELDS] == [
        FieldChange("user_principal_name", "", "a@x.example"),
        FieldChange("licenses", "", "sku"),
        FieldChange("microsoft_status", "none", "disabled"),
        FieldChange("in_scope", "", "true"),
    ]
    linked_now = decisions([user], [person("1", "a@x.example")])["a"]
    assert linked_now.makes_link and linked_now.columns.keys() == {"display_name", *link}


def test_M5_a_link_that_moves_keeps_what_the_sync_wrote():
    gone = remote("a", "a@x.example", city="Delft", presence=GONE)
    found = decisions([gone, remote("b", "a@x.example")], [same(gone, "1")])["b"]
    assert d1(found) == {"city": "", "display_name": "B"}
    assert found.columns["written"] == {"city": "", "display_name": "B", "email": "a@x.example"}


def test_W3_who_was_applied_is_looked_at_again_when_the_record_or_the_pins_change():
    user = remote("a", "a@x.example", city="Delft")
    assert planned([user], [same(user, "1")], always=()).unchanged == 1
    assert planned([user], [same(user, "1", pinned=["city"])], always=()).unchanged == 1
    unpinned = replace(same(user, "1", pinned=["city"]), pinned=frozenset())
    (told,) = planned([user], [unpinned], always=()).assignments
    assert told.is_changed
    assert (
        applied_key("h", ["b", "a"])
        == applied_key("h", ("a", "b"))
        != applied_key("h", ("a",))
        != applied_key("h", ())
        == "h"
    )


def test_W4_who_did_not_get_the_address_is_looked_at_again():
    user = remote("a", "taken@x.example", display_name="A")
    people = [person("1", "a@x.example", link=linked("a"), display_name="A"), person("2", "taken@x.example")]
    assert decisions([user], people)["a"].columns == {}
    free = applied(planned([user], people), [user], people)[:1]
    assert d1(decisions([user], free)["a"]) == {"email": "taken@x.example"}


def test_W6_who_loses_every_address_keeps_the_old_one_and_is_settled_with_it():
    user = remote("a", "a@x.example")
    lost = replace(user, email="")
    found = decisions([lost], [same(user, "1")])["a"]
    assert (found.action, d1(found)) == (Action.LEAVE, {})
    assert found.columns == {"applied_hash": hashed(lost).content_hash}
    after = applied(planned([lost], [same(user, "1")]), [lost], [same(user, "1")])
    assert planned([lost], after, always=()).unchanged == 1


def test_W6_a_pinned_address_is_settled_too():
    user = remote("a", "new@x.example")
    people = [same(remote("a", "old@x.example"), "1", pinned=["email"])]
    after = applied(planned([user], people), [user], people)
    assert after[0].fields["email"] == "old@x.example"
    assert planned([user], after, always=()).unchanged == 1


def test_S8_agents_are_skipped_unless_they_are_wanted():
    bot = remote("bot", "bot@x.example", is_agent=True)
    assert said(decisions([bot])["bot"]) == (Action.SKIP, Reason.AGENT)
    assert decisions([bot], filters=FilterSpec(include_agents=True))["bot"].action is Action.CREATE
    known = decisions([bot], [same(bot, "1")])["bot"]
    assert (said(known), known.end_user_id, known.columns) == ((Action.SKIP, Reason.AGENT), "1", {})
    assert said(decisions([replace(bot, problem="broken")])["bot"]) == (Action.SKIP, Reason.BAD_RECORD)


def test_S8_an_agent_out_of_scope_is_an_agent():
    bot = remote("bot", "bot@x.example", is_agent=True)
    assert decisions([bot], filters=only(department=["IT"]))["bot"].reason is Reason.AGENT


@pytest.mark.parametrize(
    ("values", "spec", "accepted"),
    [
        ({}, FilterSpec(), True),
        ({"user_type": "Guest"}, only(user_type=["guest"]), True),
        ({}, only(user_type=["Guest"]), False),
        ({}, only(domain=["X.example"]), True),
        ({}, only(office_location=[""]), True),
        ({"department": "sales"}, only(department=["SALES "], office_location=["Hal"]), False),
        ({}, only(group=["g"]), False),
        ({}, only(group=[""]), True),
        ({"object_id": "member"}, only(group=["g"], user_type=["Member"]), True),
        ({"object_id": "member"}, only(group=[""]), False),
        ({}, FilterSpec(department=SectionFilter(all=False)), False),
    ],
)
def test_S1_S3_S6_keys_tell_who_is_in_scope(values, spec, accepted):
    user = replace(remote("a", "a@x.example"), **values)
    scope = KeyScope(snapshot([user], filters=spec, groups_of={"member": frozenset({"g"})}))
    assert (scope.accepts_all or scope.accepts(person_keys(user))) is accepted


def test_S6_a_deleted_group_accepts_nobody():
    shot = snapshot(
        filters=only(group=["g"]), groups_of={"a": frozenset({"g"})}, deleted_groups=frozenset({"g"})
    )
    assert not KeyScope(shot).accepts(person_keys(remote("a")))


def test_G8_who_is_only_counted_can_be_asked_about():
    users = [
        remote("a", "a@x.example"),
        remote("b", "b@x.example", department="Else"),
        remote("c", department="Else"),
    ]
    users.append(remote("d", "d@x.example", presence=GONE))
    marked = same(users[3], "4", is_disabled=True)
    people = [same(users[0], "1"), same(users[1], "2", is_in_scope=False), marked]
    filters = only(department=[""])
    brief = planned(users, people, filters=filters, always=())
    assert (brief.assignments, brief.unchanged, brief.out_of_scope) == ((), 1, 2)
    found = decisions(users, people, filters=filters)
    assert {i: said(d) for i, d in found.items()} == {
        "a": (Action.LEAVE, Reason.UP_TO_DATE),
        "b": (Action.LEAVE, Reason.NO_LONGER_IN_SCOPE),
        "c": (Action.LEAVE, Reason.OUT_OF_SCOPE),
        "d": (Action.LEAVE, Reason.ALREADY_DISABLED),
    }


@pytest.mark.parametrize(
    ("now", "link"),
    [
        ({"account_enabled": False}, {}),
        ({}, {"is_disabled": True}),
        ({}, {"is_in_scope": False}),
        ({"city": "Delft"}, {}),
        ({"email": "b@x.example"}, {}),
        ({"presence": GONE}, {}),
        ({"department": "Elsewhere"}, {}),
        ({"problem": "broken"}, {}),
        ({"is_agent": True}, {}),
        ({"object_id": "never"}, {}),
        ({"immutable_id": "never"}, {}),
    ],
)
def test_G8_who_has_anything_new_is_not_only_counted(now, link):
    user = replace(remote("a", "a@x.example"), **{n: v for n, v in now.items() if n.endswith("_id")})
    never = NeverSync(frozenset({"never"}), frozenset({"never"}))
    (told,) = planned(
        [replace(user, **now)],
        [same(user, "1", **link)],
        always=(),
        filters=only(department=[""]),
        never_sync=never,
    ).assignments
    assert (told.object_id, told.end_user_id) == (user.object_id, "1")


def test_L1_who_is_gone_is_told_by_the_name_known_here():
    user = remote("a", "a@x.example", user_principal_name="a@x.example", display_name="Ann")
    people = [person("1", "here@x.example", display_name="Ann of ours", link=linked("a"))]
    for known in ([], [replace(user, presence=GONE)]):
        found = decisions(known, people)["a"]
        assert (found.display_name, found.email) == ("Ann of ours", "here@x.example")
    there = decisions([replace(user, department="Else")], people, filters=only(department=["IT"]))["a"]
    assert (there.display_name, there.email) == ("Ann", "a@x.example")


def test_G8_held_people_are_counted_as_such():
    users = [remote("a", "a@x.example"), remote("b", "b@x.example")]
    found = planned(users, rule=HoldRule(0, 1, 2))
    assert all(a.is_held for a in found.assignments)
    counts = counted(found, users, [])
    assert (counts.held, counts.in_scope, counts.created) == (2, 2, 0)


def test_L1_who_is_enabled_again_outside_the_filters_is_told():
    user = remote("a", "a@x.example")
    found = decisions(
        [user], [same(user, "1", is_disabled=True, is_in_scope=False)], filters=only(department=["IT"])
    )["a"]
    assert (said(found), marks(found), found.is_in_scope) == (
        (Action.MARK_ENABLED, Reason.ACCOUNT_ENABLED),
        ("disabled", "active"),
        False,
    )


def test_a_decision_needs_the_records_that_it_is_about():
    link = Assignment("a", Kind.LINKED, Reason.UP_TO_DATE, end_user_id="1")
    user = remote("a", "a@x.example")
    with pytest.raises(ValueError, match="missing for a"):
        decide(link, None, same(user, "1"))
    with pytest.raises(ValueError, match="not linked any more"):
        decide(link, user, person("1", "a@x.example"))
    with pytest.raises(ValueError, match="not linked any more"):
        decide(replace(link, kind=Kind.ABSENT), None, person("1", "a@x.example"))
    skip = replace(link, kind=Kind.SKIP, reason=Reason.BAD_RECORD)
    assert decide(skip, None, None).note == ""


def test_W4_M7_the_other_microsoft_user_of_a_clash_is_named_where_it_has_the_address_in_question():
    owner, user = remote("a", "x@x.example"), remote("b", "x@x.example")
    mine = same(remote("b", "b@x.example"), "2")
    for pins, other in (((), "a"), (("email",), None)):
        found = decisions([owner, user], [same(owner, "1", pinned=pins), mine])["b"]
        assert (found.reason, found.other_end_user_id, found.other_object_id) == (
            Reason.EMAIL_CLASH,
            "1",
            other,
        )


def test_U12_a_link_to_another_end_user_is_another_plan():
    def approved(end_user_id):
        digest = Fingerprint()
        for decision in decisions(
            [remote("a", "a@x.example")], [person(end_user_id, "a@x.example")]
        ).values():
            digest.add(decision)
        return digest.hexdigest()

    assert approved("1") == approved("1") != approved("2")
