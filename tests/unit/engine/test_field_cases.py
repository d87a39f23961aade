"""What went wrong in the field, one test for each case."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from portal.engine.plan import Fingerprint, applied_key, conflict_key, decide
from portal.engine.plan.scope import KeyScope
from portal.engine.records import (
    D1_FIELDS,
    Action,
    Assignment,
    FieldChange,
    FilterSpec,
    HoldRule,
    Kind,
    MatchedBy,
    NeverSync,
    Reason,
    SectionFilter,
)
from tests.unit.engine.builders import (
    GONE,
    SOFT,
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
    same,
    snapshot,
)

OLD, NEW = datetime(2020, 1, 1, tzinfo=UTC), datetime(2024, 1, 1, tzinfo=UTC)


def said(decision):
    return decision.action, decision.reason


# -- M2: other addresses ---------------------------------------------------------------------------------------------


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


# -- M6: who competes ------------------------------------------------------------------------------------------------


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


# -- M7: settled in one step -----------------------------------------------------------------------------------------


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


# -- W3: everything counts -------------------------------------------------------------------------------------------


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


# -- applied_hash: who need not be looked at again -------------------------------------------------------------------


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


# -- W6: never-sync --------------------------------------------------------------------------------------------------


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


# -- S8, S1 to S6 ----------------------------------------------------------------------------------------------------


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


# -- what is told and what only counted ------------------------------------------------------------------------------


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
