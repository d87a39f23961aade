from datetime import timedelta
from random import Random

import pytest
from sqlalchemy import event, select

from portal.alerts import announcements
from portal.engine import execution
from portal.engine.apply import chunks
from portal.engine.apply.chunks import CHUNK
from portal.engine.bulk import insert_rows
from portal.engine.explain import spared_words
from portal.engine.holds import apply_held as apply_ready
from portal.engine.holds import dismiss_held, prepare_held
from portal.engine.mirror import groups
from portal.engine.organization_context import spec_of
from portal.engine.preview import explain, preview
from portal.engine.records import Action, Counts, FilterSpec, HoldRule
from portal.engine.undo import apply_undo, plan_undo, put_link_back
from portal.errors import (
    Invalid,
    NotFound,
    Refused,
    SourceAuthError,
    SourcePermissionMissing,
    SourceRejected,
    SourceTransient,
    Stopped,
)
from portal.models import (
    Conflict,
    DeltaCursor,
    DirectoryGroup,
    DirectoryUser,
    EndUser,
    GroupMembership,
    MicrosoftTenant,
    Organization,
    SyncRun,
)
from portal.models.customers import refresh_search
from portal.transactions import WRITES
from portal.worker import leases
from tests.sync.directory import account
from tests.sync.world import write_session
from tests.unit.engine.builders import only


def apply_held(session, run, actor, now, object_ids=None):
    return apply_ready(session, run, prepare_held(session, run, now, object_ids), actor, now)


def check_sums(counts):
    """G8: the counts add up."""
    decided = counts.created + counts.linked + counts.updated + counts.unchanged + counts.disabled
    decided += counts.enabled + counts.conflicts + counts.held
    return (
        counts.read == counts.in_scope + counts.out_of_scope + counts.skipped and counts.in_scope == decided
    )


def staff(number, **values):
    return [account(f"u{n:02}", **values) for n in range(number)]


def started(world, number=12, spec=FilterSpec()):
    world.directory.put(*staff(number))
    world.enable(spec)
    run = world.sync("initial")
    assert run.status == "succeeded", run.error
    return run


def test_W3_a_second_run_writes_nothing(world):
    world.person("Ann", "U01@x.example", notes="ours")
    run = started(world)
    assert (run.counts["created"], run.counts["linked"], world.count()) == (11, 1, 12)
    before = world.dump("end_users", "conflicts", "directory_users")
    again = world.sync(anew=True)
    assert world.dump("end_users", "conflicts", "directory_users") == before
    assert again.counts["unchanged"] == 12
    assert world.directory.reads == ["full", "delta"]


@pytest.mark.parametrize("seed", range(4))
def test_W3_G8_whatever_happens_in_between_a_second_run_writes_nothing_and_the_counts_add_up(world, seed):
    """The property of the pure engine, through the real reader and writer."""
    random = Random(seed)
    addresses = [f"p{n}@x.example" for n in range(14)]
    for n in range(5):
        world.person(f"Here {n}", addresses[n], phone="+31 1")
    world.enable(only(department=["IT", "Sales"]), hold_minimum=99)
    for step in range(5):
        for name in random.sample([f"u{n}" for n in range(12)], 6):
            if name in world.directory.users and random.random() < 0.3:
                world.directory.drop(name, random.choice(["changed", "deleted"]))
            else:
                world.directory.put(
                    account(
                        name, mail=random.choice([*addresses, None]), department=random.choice(["IT", "sales ", "Hall", None]),
                        accountEnabled=random.random() < 0.8, onPremisesImmutableId=random.choice([None, "i1", "i2"]),
                        proxyAddresses=[f"smtp:{random.choice(addresses)}"], jobTitle=random.choice(["", "Chief", 7 if step == 3 else "Cook"]),
                    )
                )  # fmt: skip
        run = world.sync("initial" if step == 0 else "hourly")
        assert run.status in {"succeeded", "held"}, run.error
        assert check_sums(Counts(**run.counts))
        before = world.dump("end_users", "conflicts")
        again = world.sync(anew=True)
        assert world.dump("end_users", "conflicts") == before
        assert {
            word: again.counts[word] for word in ("created", "linked", "updated", "disabled", "enabled")
        } == dict.fromkeys(("created", "linked", "updated", "disabled", "enabled"), 0)
    with world.sessions() as session:
        keys = [key for (key,) in session.query(EndUser.email_key) if key]
    assert len(keys) == len(set(keys))


def test_W2_W1_other_fields_and_values_that_the_sync_did_not_write_stay(world):
    world.person("Ann", "u01@x.example", notes="ours", city="Delft", department="Old")
    started(world)
    with world.sessions() as session:
        row = session.query(EndUser).filter_by(email_key="u01@x.example").one()
        assert (row.notes, row.city, row.department, row.display_name, row.source) == (
            "ours",
            "Delft",
            "IT",
            "U01",
            "manual",
        )


def test_L1_marks_come_and_go_with_microsoft(world):
    started(world)
    world.directory.change("u01", accountEnabled=False)
    world.directory.drop("u02")
    world.directory.drop("u03", reason="deleted")
    run = world.sync()
    assert (run.counts["disabled"], run.counts["gone"]) == (1, 2)
    assert {world.people()[f"u0{n}@x.example"][2] for n in (1, 2, 3)} == {"disabled"} and world.count() == 12
    world.directory.change("u01", accountEnabled=True)
    world.directory.put(account("u02"))
    assert world.sync().counts["enabled"] == 2
    assert world.people()["u02@x.example"][2] == "active"


@pytest.mark.parametrize("page", [1, 2])
def test_L2_a_failed_page_concludes_nothing_and_changes_nothing(world, page):
    started(world, 20)
    before = world.dump("end_users")
    world.now += timedelta(days=7)  # a full read is due
    world.directory.users.pop("u05")
    world.directory.fail_page = page
    run = world.sync()
    assert (run.status, bool(run.error)) == ("failed", True)
    assert world.dump("end_users") == before


def test_L2_numbers_that_disagree_only_add_and_update_and_say_so(world):
    world.directory.counted = 500
    world.directory.put(*staff(12))
    world.enable()
    run = world.sync("initial")
    assert (run.status, run.counts["created"]) == ("partial", 12)
    world.directory.users.pop("u05")
    world.directory.change("u01", department="Sales")
    world.directory.change("u02", accountEnabled=False)
    run = world.sync()
    assert run.status == "partial" and any("500" in w for w in run.warnings)
    assert (run.counts["updated"], run.counts["disabled"], run.counts["gone"]) == (1, 0, 0)
    assert {people[2] for people in world.people().values()} == {"active"}
    with world.sessions() as session:
        assert {row.presence for row in session.query(DirectoryUser)} == {"present"}
        (warning,) = preview(session, world.organization_id, FilterSpec(), HoldRule(), world.now).warnings
        why = explain(session, world.organization_id, "u02@x.example", world.now)
    assert warning in run.warnings and "nobody is marked disabled" in warning, (
        "the preview says what the run said"
    )
    assert (why["decision"], "not complete" in why["reason"]) == ("leave", True)
    world.directory.counted = None
    run = world.sync()
    assert (run.counts["disabled"], run.counts["gone"]) == (1, 1)


def test_L2_an_empty_answer_is_no_answer(world):
    started(world)
    world.now += timedelta(days=7)
    world.directory.users.clear()
    run = world.sync()
    assert run.status == "failed" and "nobody" in run.error
    assert {p[2] for p in world.people().values()} == {"active"}


def test_G3_the_token_is_stored_with_the_rows_it_covers(world):
    world.directory.put(*staff(20))
    world.directory.fail_page = 3
    world.enable()
    assert world.sync("initial").status == "failed"
    assert (world.count(DirectoryUser), world.count(DeltaCursor), world.count()) == (14, 0, 0)
    world.directory.fail_page = None
    assert world.sync().counts["created"] == 20
    assert world.count(DeltaCursor) >= 1


def test_G3_no_commit_has_the_last_rows_without_the_token_or_the_token_without_them(world):
    world.directory.put(*staff(20))
    found = []

    def at_commit(connection):
        rows = connection.exec_driver_sql(
            "SELECT (SELECT count(*) FROM directory_users), (SELECT count(*) FROM delta_cursors WHERE resource = 'users')"
        )
        found.append(tuple(rows.one()))

    event.listen(world.sessions.kw["bind"], "commit", at_commit)
    started(world, 20)
    assert {cursors for rows, cursors in found if rows == 20} == {1}
    assert {cursors for rows, cursors in found if rows < 20} == {0}


def test_G3_a_refused_token_means_a_full_read_and_a_comparison(world):
    started(world)
    world.directory.tokens_expired = True
    world.directory.users.pop("u05")
    run = world.sync()
    assert world.directory.reads[-2:] == ["delta", "full"]
    assert (run.status, run.counts["gone"]) == ("succeeded", 1)


def test_G3_a_token_refused_with_a_plain_400_means_a_full_read_too(world, monkeypatch):
    started(world, 4)
    world.directory.drop("u01", reason="deleted")
    read = world.directory.users_delta

    def refuse(link):
        if link is not None:
            raise SourceRejected("Badly formed token.", status=400)
        yield from read(link)

    monkeypatch.setattr(world.directory, "users_delta", refuse)
    run = world.sync()
    assert (run.status, run.counts["gone"]) == ("succeeded", 1)


@pytest.mark.parametrize("status", [400, 404, 501])
def test_tenants_that_refuse_delta_or_do_not_offer_it_are_listed_in_full(world, status):
    world.directory.refuses_delta = status
    started(world)
    world.directory.users.pop("u05")
    assert world.sync().counts["gone"] == 1


def test_G8_a_bad_record_is_skipped_listed_and_counted(world):
    world.directory.put(account("bad", displayName=5), *staff(3))
    world.enable()
    run = world.sync("initial")
    assert (run.counts["read"], run.counts["skipped"], run.counts["created"]) == (4, 1, 3)
    change = world.changes(run.id)["bad"]
    assert (change.decision, change.reason, "displayName" in change.note) == ("skip", "bad_record", True)


def test_another_tenants_answer_is_refused(world):
    world.directory.directory_id = "00000000-0000-4000-8000-000000000000"
    world.directory.put(*staff(3))
    world.enable()
    run = world.sync("initial")
    assert run.status == "failed" and world.count(DirectoryUser) == 0
    assert world.tenant().state == "needs_attention"


def test_W4_two_people_swap_addresses_through_the_unique_key(world):
    started(world, 3)
    world.directory.change("u00", mail="u01@x.example")
    world.directory.change("u01", mail="u00@x.example")
    run = world.sync()
    assert (run.counts["updated"], run.counts["conflicts"]) == (2, 0)
    people = world.people()
    assert (people["u00@x.example"][3], people["u01@x.example"][3]) == ("u01", "u00")


def test_W4_somebody_new_takes_over_an_address(world):
    started(world, 2)
    world.directory.change("u00", mail="moved@x.example")
    world.directory.put(account("new", mail="u00@x.example"))
    run = world.sync()
    assert (run.counts["updated"], run.counts["created"], run.counts["conflicts"]) == (1, 1, 0)


def test_M2_W4_who_comes_back_with_an_address_that_is_taken_is_linked_and_only_the_address_is_a_conflict(
    world,
):
    world.directory.put(account("u00", onPremisesImmutableId="im"), account("u01"))
    world.enable()
    world.sync("initial")
    world.directory.drop("u00", "deleted")
    world.directory.put(
        account(
            "back", mail="u01@x.example", onPremisesImmutableId="im", department="Sales", accountEnabled=False
        )
    )
    run = world.sync()
    assert (run.counts["conflicts"], run.counts["in_scope"]) == (1, 2)
    assert world.people()["u00@x.example"] == ("Back", "Sales", "disabled", "back", True)
    assert [(c.kind, c.object_id) for c in world.conflicts()] == [("email_clash", "back")]
    assert {f["field"] for f in world.changes(run.id)["back"].fields} == {
        "display_name",
        "department",
        "user_principal_name",
        "microsoft_status",
    }
    before = world.dump("end_users")
    again = world.sync(anew=True)
    assert world.dump("end_users") == before and world.changes(again.id)["back"].fields == []
    world.sync("manual", kind="undo", undoes_run_id=run.id)
    assert world.people()["u00@x.example"][:4] == ("U00", "IT", "active", "u00")


def test_M3_two_organizations_under_one_tenant_each_have_their_own_link(world):
    with world.sessions() as session:
        first = session.get_one(Organization, world.organization_id)
        other = Organization(
            name="Lagoon", name_key="lagoon", tenant_id=first.tenant_id, created_at=world.now
        )
        session.add(other)
        session.flush()
        row = EndUser(
            organization_id=other.id,
            display_name="Ours",
            email="u01@x.example",
            source="manual",
            created_at=world.now,
            updated_at=world.now,
        )
        refresh_search(row)
        session.add(row)
        session.commit()
        other_id = row.id
    run = started(world, 3)
    assert (run.counts["created"], run.counts["linked"]) == (3, 0)
    with world.sessions() as session:
        row = session.get_one(EndUser, other_id)
        assert (row.display_name, row.object_id) == ("Ours", None), (
            "nobody outside the Organization is touched"
        )


def test_M5_M7_a_conflict_changes_nothing_is_listed_and_goes_away_by_itself(world):
    started(world, 2)
    world.directory.put(account("twin", mail="u00@x.example"))
    run = world.sync()
    (conflict,) = world.conflicts()
    assert (run.counts["conflicts"], conflict.object_id, conflict.other_object_id) == (1, "twin", "u00")
    assert world.sync().counts["conflicts"] == 1 and len(world.conflicts()) == 1
    world.directory.change("twin", mail="twin@x.example")
    assert world.sync().counts["created"] == 1
    assert world.conflicts() == []


def test_M6_who_won_an_address_keeps_it_whatever_the_order_would_say_later(world):
    world.directory.put(
        account("u1", mail="two@x.example", createdDateTime="2024-01-01T00:00:00Z"),
        account("u2", mail="two@x.example", createdDateTime="2020-01-01T00:00:00Z"),
    )
    world.enable()
    world.sync("initial")
    assert world.people()["two@x.example"][3] == "u2"
    world.directory.change("u2", accountEnabled=False)
    world.directory.put(account("u0", mail="TWO@x.example", createdDateTime="2010-01-01T00:00:00Z"))
    for _ in range(3):
        run = world.sync()
        assert (world.people()["two@x.example"][3], run.counts["conflicts"]) == ("u2", 2)
    assert world.count() == 1


def test_M7_what_was_ignored_after_the_first_run_is_not_raised_by_the_second(world):
    world.directory.put(account("twin", mail="u00@x.example", createdDateTime="2021-01-01T00:00:00Z"))
    started(world, 2)
    (row,) = world.conflicts()
    assert row.end_user_id is not None, "the winner became an End User by this very run"
    assert world.sync(anew=True).counts["conflicts"] == 1
    (again,) = world.conflicts()
    assert (again.id, again.end_user_id) == (row.id, row.end_user_id)
    with world.sessions() as session:
        found = session.get_one(Conflict, row.id)
        found.resolution, found.resolved_at = "ignore", world.now
        session.commit()
    run = world.sync()
    assert (run.counts["conflicts"], world.conflicts()) == (0, [])


def test_M7_ignore_and_link_settle_a_conflict(world):
    started(world, 2)
    other = world.person("Other", "other@x.example")
    world.directory.put(account("twin", mail="u00@x.example"))
    world.sync()
    with world.sessions() as session:
        row = session.query(Conflict).one()
        row.resolution, row.resolved_at = "ignore", world.now
        session.commit()
    assert world.sync().counts["conflicts"] == 0
    with world.sessions() as session:
        row = session.query(Conflict).one()
        row.resolution = row.resolved_at = None  # opened again
        session.commit()
    assert world.sync().counts["conflicts"] == 1 and len(world.conflicts()) == 1
    with world.sessions() as session:
        row = session.query(Conflict).one()
        row.resolution, row.resolved_end_user_id = "link", other
        session.commit()
    assert world.sync().counts["linked"] == 1


@pytest.mark.parametrize("is_held", [True, False], ids=["still linked", "let go at once"])
def test_M7_who_lost_the_address_by_a_settlement_is_settled_with_it(world, is_held):
    """Settling unlinks the other side at once (``settlement.give``), so that the next run meets somebody new."""
    started(world, 2)
    world.directory.put(account("twin", mail="u00@x.example"))
    world.sync()
    with world.sessions() as session:
        row = session.query(Conflict).one()
        row.resolution, row.resolved_at = "link", world.now
        row.resolved_end_user_id = row.end_user_id
        if not is_held:
            put_link_back(session.get_one(EndUser, row.end_user_id), None)
        session.commit()
    run = world.sync()
    assert (run.counts["linked"], run.counts["conflicts"]) == (1, 0)
    assert (world.people()["u00@x.example"][3], world.conflicts()) == ("twin", [])
    assert (world.sync().counts["conflicts"], world.conflicts()) == (0, [])
    world.directory.put(account("third", mail="u00@x.example"))
    assert (world.sync().counts["conflicts"], [row.object_id for row in world.conflicts()]) == (1, ["third"])


def test_M7_L1_who_has_an_ignored_clash_of_addresses_still_gets_marks_and_licenses(world):
    started(world, 2)
    world.person("Kim", "taken@x.example")
    world.directory.change("u00", mail="taken@x.example")
    assert world.sync().counts["conflicts"] == 1
    with world.sessions() as session:
        session.query(Conflict).update({"resolution": "ignore", "resolved_at": world.now})
        session.commit()
    world.directory.change("u00", assignedLicenses=[{"skuId": "05e9a617-0261-4cee-bb44-138d3ef5d965"}])
    assert world.sync().counts["conflicts"] == 0
    with world.sessions() as session:
        assert session.query(EndUser).filter_by(object_id="u00").one().is_licensed
    world.directory.change("u00", accountEnabled=False)
    assert (world.sync().counts["disabled"], world.people()["u00@x.example"][2]) == (1, "disabled")
    assert world.sync().counts["unchanged"] == 2


def test_W4_M2_who_came_back_with_an_address_that_somebody_else_has_is_linked_and_updated(world):
    """The Link moves, the other fields follow, the address is the conflict; nothing is said that is not so."""
    world.directory.put(account("old", onPremisesImmutableId="im"))
    world.enable()
    world.sync("initial")
    world.person("Kim", "taken@x.example")
    world.directory.drop("old", reason="deleted")
    world.directory.put(
        account("back", onPremisesImmutableId="im", mail="taken@x.example", department="Sales")
    )
    world.directory.put(account("taken"))
    run = world.sync()
    assert (run.counts["conflicts"], run.counts["gone"]) == (2, 0)
    assert world.people()["old@x.example"] == ("Back", "Sales", "active", "back", True)
    before = world.dump("end_users", "conflicts")
    assert world.sync().counts["conflicts"] == 2 and world.dump("end_users", "conflicts") == before
    undo_id = world.queue("manual", kind="undo", undoes_run_id=run.id)
    world.work()
    assert world.run(undo_id).status == "succeeded"
    assert world.people()["old@x.example"] == ("Old", "IT", "active", "old", True)


def test_M7_a_settled_link_holds_against_somebody_outside_the_filters_who_has_the_address(world):
    started(world, 2, only(department=["IT"]))
    other = world.person("Other", "other@x.example")
    world.directory.change("u00", department="Sales")
    world.directory.put(account("twin", mail="u00@x.example"))
    assert world.sync().counts["conflicts"] == 1
    with world.sessions() as session:
        row = session.query(Conflict).one()
        row.resolution, row.resolved_end_user_id, row.resolved_at = "link", other, world.now
        session.commit()
    assert world.sync().counts["linked"] == 1
    assert world.people()["other@x.example"][3] == "twin"
    assert world.sync().counts["conflicts"] == 0 and world.conflicts() == []


def test_M5_R4_links_of_another_microsoft_tenant_are_taken_over(world):
    started(world, 3)
    with world.sessions() as session:
        for link in session.query(EndUser):
            link.object_id = f"old-{link.object_id}"
        session.commit()
    run = world.sync()
    assert (run.counts["linked"], world.count(), len(world.links())) == (3, 3, 3)


def test_L3_leaving_the_filters_stops_updates_and_coming_back_resumes_them(world):
    started(world, 3, only(department=["IT"]))
    world.directory.change("u01", department="Sales", displayName="Changed")
    run = world.sync()
    assert run.counts["out_of_scope"] == 1
    assert world.people()["u01@x.example"] == ("U01", "IT", "active", "u01", False)
    world.directory.change("u01", department="IT")
    assert world.sync().counts["updated"] == 1
    assert world.people()["u01@x.example"] == ("Changed", "IT", "active", "u01", True)


def test_L4_somebody_deleted_here_comes_back_and_L6_enabling_again_duplicates_nobody(world):
    started(world, 3)
    with world.sessions() as session:
        session.delete(session.query(EndUser).filter_by(email_key="u01@x.example").one())
        session.commit()
    assert world.sync().counts["created"] == 1
    world.disable()
    world.enable()
    run = world.sync("initial")
    assert (run.counts["unchanged"], world.count()) == (3, 3)


def test_L5_a_run_in_progress_stops_at_its_next_chunk(world, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 4)
    world.directory.put(*staff(12))
    world.enable()
    world.watch(lambda label: world.disable() if label == "Applying 4" else None)
    run = world.sync("initial")
    assert (run.status, world.count()) == ("cancelled", 4)


def test_S6_T4_group_members_direct_and_nested_and_a_deleted_group_raises_attention(world):
    world.directory.put(*staff(6))
    world.directory.group("g1", "u01", "u02")
    world.enable(only(group=["g1"]))
    run = world.sync("initial", lane="delayed")
    assert (run.counts["created"], run.counts["out_of_scope"]) == (2, 4)
    world.directory.group("g1", "u01", "u02", "u03")
    assert world.sync().counts["created"] == 1  # T4
    reads = len(world.directory.reads)
    world.sync()
    assert not any(r.startswith("members") for r in world.directory.reads[reads:]), (
        "nothing changed, nothing is read again"
    )
    del world.directory.groups_["g1"], world.directory.members["g1"]
    world.directory.group_log.append({"id": "g1", "@removed": {"reason": "deleted"}})
    run = world.sync()
    assert (run.counts["out_of_scope"], run.counts["gone"], world.count()) == (6, 0, 3)
    assert "group" in world.user_sync().attention


def test_S6_members_of_a_group_that_is_filtered_by_again_are_not_those_of_long_ago(world):
    world.directory.put(*staff(6))
    world.directory.group("g1", "u01", "u02")
    world.directory.group("g2", "u04")
    world.enable(only(group=["g1"]))
    world.sync("initial", lane="delayed")
    world.enable(only(group=["g2"]), initial_done_at=world.now)
    world.sync()
    world.directory.group("g1", "u03")
    world.sync()
    world.enable(only(group=["g1"]), initial_done_at=world.now)
    run = world.sync()
    assert (run.counts["created"], run.counts["in_scope"]) == (1, 1)
    assert world.people()["u03@x.example"][4] and not world.people()["u01@x.example"][4]


def test_S6_a_huge_group_whose_members_were_written_in_part_counts_as_not_read(world, monkeypatch):
    world.directory.put(*staff(30))
    world.directory.group("g1", "u01", "u02")
    world.enable(only(group=["g1"]))
    world.sync("initial", lane="delayed")
    world.directory.group("g1", *[f"u{n:02}" for n in range(2, 30)])
    monkeypatch.setattr(groups, "MOST_ROWS", 20)
    written = iter([insert_rows])

    def stopped_in_the_second(*given):
        try:
            next(written)(*given)
        except StopIteration:
            raise Stopped from None

    with monkeypatch.context() as broken:
        broken.setattr(groups, "insert_rows", stopped_in_the_second)
        run_id = world.queue()
        with pytest.raises(Stopped):
            world.work()
    with world.sessions() as session:
        [stale] = session.scalars(select(DirectoryGroup.members_stale))
        assert stale and session.query(GroupMembership).count() not in {2, 28}
    assert world.work()
    assert world.count(GroupMembership) == 28
    with world.sessions() as session:
        assert session.get_one(SyncRun, run_id).counts["in_scope"] == 28


def test_S6_members_that_cannot_be_read_change_nothing(world):
    world.directory.put(*staff(6))
    world.directory.group("g1", "u01", "u02")
    world.enable(only(group=["g1"]))
    world.sync("initial", lane="delayed")
    world.directory.group("g1")
    world.directory.member_error = SourceTransient("Microsoft Graph keeps answering with an error (503).")
    before = world.dump("end_users")
    assert world.sync().status == "failed"
    assert world.dump("end_users") == before


def test_S6_a_group_that_cannot_be_read_stops_only_who_names_it(world):
    world.directory.put(*staff(6))
    world.directory.group("g1", "u01")
    world.directory.group("g2", "u02")
    world.directory.group_errors["g2"] = SourcePermissionMissing("An application permission is missing.")
    with world.sessions() as session:
        session.add(
            DirectoryGroup(microsoft_tenant_id=world.tenant_id, object_id="g2", members_wanted_at=world.now)
        )  # by the pop-up
        session.commit()
    world.enable(only(group=["g1"]))
    assert world.sync("initial", lane="delayed").counts["created"] == 1
    world.enable(only(group=["g1", "g2"]), initial_done_at=world.now)
    run = world.sync()
    assert (run.status, run.error) == ("failed", "An application permission is missing.")
    del world.directory.group_errors["g2"]
    assert world.sync().counts["created"] == 1, "read as soon as it can be"


def test_S6_a_group_that_hides_its_members_does_not_look_like_nobody(world):
    world.directory.put(*staff(4))
    world.directory.group("g1", "u01", "u02")
    world.directory.groups_["g1"]["visibility"] = "HiddenMembership"
    world.enable(only(group=["g1"]))
    assert world.sync("initial", lane="delayed").counts["created"] == 2, (
        "with the permission it is a group like others"
    )
    world.directory.members["g1"] = set()
    world.directory.group_log.append({"id": "g1"})
    before = world.dump("end_users")
    run = world.sync()
    assert run.status == "failed" and "Member.Read.Hidden" in run.error
    assert world.dump("end_users") == before
    world.directory.groups_["g1"]["visibility"] = "Private"
    assert world.sync().counts["out_of_scope"] == 4


def test_D3_groups_or_licenses_that_cannot_be_read_stop_only_who_needs_them(world, monkeypatch):
    def broken():
        raise SourceTransient("Microsoft Graph keeps answering with an error (503).")

    monkeypatch.setattr(world.directory, "groups", broken)
    monkeypatch.setattr(world.directory, "subscribed_skus", broken)
    run = started(world, 3)
    assert run.counts["created"] == 3 and any("Licenses could not be read" in w for w in run.warnings)
    world.enable(only(group=["g1"]))
    assert world.sync().status == "failed"
    assert {p[2] for p in world.people().values()} == {"active"}


def test_D3_licenses_that_a_tenant_does_not_give_are_remembered_and_no_warning_of_each_run(
    world, monkeypatch
):
    def refused():
        raise SourcePermissionMissing("Organization.Read.All is missing.", permission="Organization.Read.All")

    monkeypatch.setattr(world.directory, "subscribed_skus", refused)
    run = started(world, 3)
    assert (run.status, run.warnings) == ("succeeded", [])
    assert world.tenant().capabilities["licenses"]["state"] == "missing_permission"


def test_G2_people_that_may_not_be_read_are_a_lost_connection_of_the_tenant(world, monkeypatch):
    """C4: shown once, as one cause, and put right by the next read that works."""
    started(world, 3)
    refusal = SourcePermissionMissing(
        "User.Read.All is missing.", permission="User.Read.All", code="Authorization_RequestDenied"
    )
    with monkeypatch.context() as patch:
        patch.setattr(world.directory, "users_delta", lambda link: (_ for _ in ()).throw(refusal))
        assert world.sync().status == "failed"
    assert (world.tenant().state, world.tenant().problem) == ("needs_attention", refusal.advice)
    world.sync()
    assert (world.tenant().state, world.tenant().problem) == ("connected", None)


def test_T6_who_waits_for_the_first_read_is_told_why_it_fails(world):
    world.directory.put(*staff(3))
    world.directory.fail_page = 1
    world.enable()
    world.sync("initial")
    assert (world.tenant().state, "500" in world.tenant().problem) == ("connected", True)
    world.directory.fail_page = None
    world.sync()
    assert world.tenant().problem is None


def test_T2_without_a_group_filter_people_appear_chunk_by_chunk(world, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 5)
    seen = []
    world.watch(lambda label: seen.append(world.count()) if label.startswith("Applying ") else None)
    started(world, 12)
    assert seen == [5, 10, 12]
    assert CHUNK <= 1000, "small enough to be seen, and to let others write"


def test_T3_with_a_group_filter_all_appear_at_once(world, monkeypatch):
    monkeypatch.setattr(chunks, "CHUNK", 4)
    world.directory.put(*staff(12))
    world.directory.group("g1", *[f"u{n:02}" for n in range(10)])
    world.person("Ann", "u01@x.example")
    world.enable(only(group=["g1"]))
    seen = []
    world.watch(lambda _label: seen.append(world.count()))
    run = world.sync("initial", lane="delayed")
    assert set(seen) == {1, 10}, "a reader never sees part of it"
    assert (run.status, run.counts["created"], run.counts["linked"], world.count()) == ("succeeded", 9, 1, 10)


def test_T3_hourly_runs_pass_a_delayed_one_and_it_goes_on_where_it_was(world):
    world.directory.put(*staff(12))
    world.directory.group("g1", *[f"u{n:02}" for n in range(12)])
    world.enable(only(group=["g1"]))
    run_id = world.queue("initial", "delayed")
    world.watch(lambda label: world.queue("manual", "hourly") if label == "Deciding 0" else None)
    world.work(("delayed",))
    assert (world.run(run_id).status, world.count()) == ("running", 0)
    world.unwatch()
    with world.sessions() as session:
        session.query(SyncRun).filter_by(lane="hourly").delete()
        session.commit()
    world.work(("delayed",))
    assert (world.run(run_id).status, world.count()) == ("succeeded", 12)


def test_L5_T3_disabling_before_the_publish_publishes_nothing(world):
    world.directory.put(*staff(6))
    world.directory.group("g1", "u01", "u02")
    world.enable(only(group=["g1"]))
    world.watch(lambda label: world.disable() if label == "Publishing 0" else None)
    run = world.sync("initial", lane="delayed")
    assert (run.status, world.count(), world.changes(run.id)) == ("cancelled", 0, {})


def test_T1_one_run_at_a_time_per_microsoft_tenant(world):
    world.directory.put(*staff(3))
    world.enable()
    world.queue("initial")
    assert leases.acquire(world.sessions, world.tenant_id, "other", lambda: world.now + timedelta(minutes=5))
    assert world.work() is False and world.count() == 0
    world.now += leases.TTL
    assert world.work() is True and world.count() == 3


def test_T1_the_next_turn_is_set_and_within_the_hour(world):
    started(world)
    assert world.now < world.tenant().next_run_at <= world.now + timedelta(hours=1)


def test_G1_a_mass_disable_waits_and_is_applied_or_dismissed(world):
    started(world, 40)
    for n in range(20):
        world.directory.change(f"u{n:02}", accountEnabled=False)
    world.directory.change("u39", department="Sales")
    run = world.sync()
    assert (run.status, run.held, run.counts["held"], run.counts["updated"]) == (
        "held",
        {"kind": "disable", "count": 20, "state": "waiting"},
        20,
        1,
    )
    assert world.user_sync().hold_run_id == run.id
    assert {p[2] for p in world.people().values()} == {"active"}
    with write_session(world.sessions) as session:
        apply_held(session, session.get_one(SyncRun, run.id), "ada", world.now)
        session.commit()
    run = world.run(run.id)
    assert (run.status, run.held["state"], run.counts["disabled"], run.counts["held"]) == (
        "succeeded",
        "applied",
        20,
        0,
    )
    assert world.user_sync().hold_run_id is None
    assert sum(1 for p in world.people().values() if p[2] == "disabled") == 20
    with world.sessions() as session, pytest.raises(Refused):
        apply_held(session, session.get_one(SyncRun, run.id), "ada", world.now)


def test_G1_who_is_held_is_decided_on_before_the_lock_is_taken(world, monkeypatch):
    started(world, 40)
    for n in range(20):
        world.directory.change(f"u{n:02}", accountEnabled=False)
    inside, decide_all = [], execution.decide_all

    def deciding(session, *given):
        inside.append(bool(session.connection().get_execution_options().get(WRITES)))
        return decide_all(session, *given)

    monkeypatch.setattr(execution, "decide_all", deciding)
    run = world.sync()
    assert (run.status, run.counts["held"], inside) == ("held", 20, [False])


def test_G1_W4_who_is_held_is_held_whole_and_keeps_the_address(world):
    """Who is to get it clashes meanwhile; each later run takes the hold over, without applying or losing anything of it."""
    started(world, 40)
    for n in range(20):
        world.directory.change(f"u{n:02}", accountEnabled=False)
    world.directory.change("u00", mail="old@x.example", department="Sales")
    world.directory.change("u39", mail="u00@x.example", jobTitle="Chief")
    world.directory.put(account("new", mail="u39@x.example"))
    first = world.sync()
    assert (first.status, first.counts["held"], first.counts["conflicts"], first.counts["created"]) == (
        "held",
        20,
        2,
        0,
    )
    people = world.people()
    assert people["u00@x.example"][1:4] == ("IT", "active", "u00") and people["u39@x.example"][3] == "u39"
    with world.sessions() as session:
        assert session.query(EndUser).filter_by(object_id="u39").one().job_title == "Chief"
        told = announcements.needs(session)
    assert "Reef: 20 people held back" in [need.notice.title for need in told.values()]
    second = world.sync()
    with world.sessions() as session:
        assert announcements.needs(session).keys() == told.keys(), (
            "no news, so nobody is told again every hour"
        )
    assert (second.status, second.counts["held"], world.run(first.id).held["state"]) == (
        "held",
        20,
        "dismissed",
    )
    assert world.run(first.id).held["replaced_by"] == second.id
    assert (world.user_sync().hold_run_id, world.user_sync().dismissed) == (second.id, [])
    with world.writing() as session:
        apply_held(session, session.get_one(SyncRun, second.id), "ada", world.now)
        session.commit()
    assert check_sums(Counts(**world.run(second.id).counts))
    assert sorted(p[3] for p in world.people().values() if p[2] == "disabled") == [
        f"u{n:02}" for n in range(20)
    ]
    assert world.people()["old@x.example"][1:4] == ("Sales", "disabled", "u00")
    after = world.sync().counts
    assert (after["updated"], after["created"], after["held"], after["conflicts"]) == (1, 1, 0, 0)
    people = world.people()
    assert (people["u00@x.example"][3], people["u39@x.example"][3]) == ("u39", "new")
    after = world.sync().counts
    assert sum(after[word] for word in ("held", "updated", "disabled", "created", "conflicts")) == 0


def test_G1_some_are_applied_and_others_dismissed_by_name(world):
    started(world, 40)
    for n in range(20):
        world.directory.change(f"u{n:02}", accountEnabled=False)
    run = world.sync()
    with world.writing() as session:
        apply_held(session, session.get_one(SyncRun, run.id), "ada", world.now, ["u00", "u01"])
        session.commit()
    waiting = world.run(run.id)
    assert (waiting.status, waiting.held["state"], waiting.held["count"], waiting.counts["disabled"]) == (
        "held",
        "waiting",
        18,
        2,
    )
    assert world.user_sync().hold_run_id == run.id and check_sums(Counts(**waiting.counts))
    with world.writing() as session:
        with pytest.raises(Invalid):
            dismiss_held(session, session.get_one(SyncRun, run.id), "ada", world.now, ["u00"])
        dismiss_held(session, session.get_one(SyncRun, run.id), "ada", world.now, ["u02"])
        session.commit()
    assert sorted(p[3] for p in world.people().values() if p[2] == "disabled") == ["u00", "u01"]
    with world.writing() as session:
        apply_held(session, session.get_one(SyncRun, run.id), "ada", world.now)
        session.commit()
    over = world.run(run.id)
    assert (over.status, over.held["state"], over.counts["disabled"], over.counts["held"]) == (
        "succeeded",
        "applied",
        19,
        0,
    )
    assert check_sums(Counts(**over.counts)) and len(world.user_sync().dismissed) == 1
    assert world.people()["u02@x.example"][2] == "active" and world.sync().status == "succeeded"


def test_G1_G8_who_is_gone_or_left_the_filters_is_in_no_sum_whatever_the_order_they_are_decided_in(world):
    started(world, 40)
    for n in range(12):
        world.directory.change(f"u{n:02}", accountEnabled=False)
    for n in range(12, 20):
        world.directory.drop(f"u{n:02}")
    run = world.sync()
    assert (run.held["count"], run.counts["held"]) == (20, 12) and check_sums(Counts(**run.counts))
    steps = [
        (dismiss_held, ["u12", "u13"], 12),
        (apply_held, ["u14", "u00"], 11),
        (dismiss_held, ["u01", "u02"], 9),
        (apply_held, None, 0),
    ]
    for decide, ids, held in steps:
        with world.writing() as session:
            decide(session, session.get_one(SyncRun, run.id), "ada", world.now, ids)
            session.commit()
        counts = world.run(run.id).counts
        assert counts["held"] == held and min(counts.values()) >= 0 and check_sums(Counts(**counts))
    assert (counts["disabled"], counts["unchanged"], counts["gone"], counts["in_scope"]) == (10, 22, 6, 32)
    assert world.run(run.id).held["dismissed"] == 4 and world.user_sync().hold_run_id is None


def test_G1_applying_checks_again_what_microsoft_says_by_then(world):
    started(world, 40)
    for n in range(20):
        world.directory.change(f"u{n:02}", accountEnabled=False)
    run = world.sync()
    world.directory.change("u00", accountEnabled=True)
    with write_session(world.sessions) as session:
        session.get_one(MicrosoftTenant, world.tenant_id).read_requested_at = world.now
        session.commit()
    world.work()
    with write_session(world.sessions) as session:
        apply_held(session, session.get_one(SyncRun, run.id), "ada", world.now)
        session.commit()
    assert sorted(p[3] for p in world.people().values() if p[2] == "disabled") == [
        f"u{n:02}" for n in range(1, 20)
    ]
    assert (world.changes(run.id)["u00"].state, "changed since" in world.changes(run.id)["u00"].note) == (
        "dismissed",
        True,
    )
    assert check_sums(Counts(**world.run(run.id).counts))


def test_G1_dismissed_people_are_not_held_again_until_they_change(world):
    started(world, 40)
    for n in range(20):
        world.directory.change(f"u{n:02}", accountEnabled=False)
    run = world.sync()
    with write_session(world.sessions) as session:
        dismiss_held(session, session.get_one(SyncRun, run.id), "ada", world.now)
        session.commit()
    assert world.run(run.id).held["state"] == "dismissed" and len(world.user_sync().dismissed) == 20
    again = world.sync()
    assert (again.status, again.counts["disabled"]) == ("succeeded", 0)
    assert {c.state for c in world.changes(run.id).values() if c.decision == "mark_disabled"} == {"dismissed"}


def dismissed(world, run):
    with write_session(world.sessions) as session:
        dismiss_held(session, session.get_one(SyncRun, run.id), "ada", world.now)
        session.commit()


def test_G1_L1_who_was_enabled_after_a_dismissal_is_marked_when_disabled_again(world):
    started(world, 40)
    for n in range(20):
        world.directory.change(f"u{n:02}", accountEnabled=False)
    dismissed(world, world.sync())
    world.directory.change("u00", accountEnabled=True)
    world.sync()
    assert len(world.user_sync().dismissed) == 19
    world.directory.change("u00", accountEnabled=False)
    assert world.sync().counts["disabled"] == 1
    assert [p[3] for p in world.people().values() if p[2] == "disabled"] == ["u00"]


def test_G1_L2_a_read_that_is_not_complete_forgets_no_dismissal(world):
    started(world, 40)
    for n in range(20):
        world.directory.change(f"u{n:02}", accountEnabled=False)
    dismissed(world, world.sync())
    world.directory.tokens_expired, world.directory.counted = True, 60
    assert world.sync().status == "partial"
    assert len(world.user_sync().dismissed) == 20


def test_G1_G8_a_dismissed_creation_is_listed_as_skipped_and_why_says_so(world):
    started(world, 10)
    world.directory.put(*[account(f"new{n}") for n in range(30)])
    dismissed(world, world.sync())
    run = world.sync()
    skips = {
        c.object_id for c in world.changes(run.id).values() if (c.decision, c.reason) == ("skip", "dismissed")
    }
    assert (run.counts["skipped"], len(skips), world.count()) == (30, 30, 10)
    with world.sessions() as session:
        told = explain(session, world.organization_id, "new3", world.now)
        listed = preview(
            session, world.organization_id, spec_of(world.user_sync()), HoldRule(), world.now
        ).decisions
    assert (told["decision"], "dismissed" in told["reason"]) == ("skip", True)
    assert {d.action for d in listed} == {Action.SKIP}


def test_G1_many_creations_wait_after_the_initial_sync(world):
    started(world, 10)
    world.directory.put(*[account(f"new{n}") for n in range(30)])
    run = world.sync()
    assert (run.status, run.held["kind"], run.held["count"], world.count()) == ("held", "create", 30, 10)


def test_G2_the_third_failure_needs_attention_and_a_good_read_heals_it(world):
    started(world)
    world.directory.fail_page = 1
    waits = []
    for _ in range(5):
        world.sync()
        waits.append(world.tenant().next_run_at - world.now)
    assert world.user_sync().failures_in_row == 5 and world.user_sync().attention
    assert waits[0] <= timedelta(hours=1) < waits[3] < waits[4]
    world.directory.fail_page = None
    assert world.sync().status == "succeeded"
    assert (
        world.user_sync().attention,
        world.user_sync().failures_in_row,
        world.tenant().failures_in_row,
    ) == (None, 0, 0)


def test_G2_a_refused_connection_is_told_once_per_tenant(world, monkeypatch):
    started(world)

    def refuse():
        raise SourceAuthError("The portal's client secret has expired.", code="AADSTS7000222")

    monkeypatch.setattr(world.directory, "organization", refuse)
    run = world.sync()
    assert (run.status, run.error_code) == ("failed", "AADSTS7000222")
    assert (world.tenant().state, world.tenant().problem_code) == ("needs_attention", "AADSTS7000222")


def test_G5_a_throttled_tenant_waits_until_the_time_named(world, monkeypatch):
    started(world)
    until = world.now + timedelta(hours=2)

    def throttle():
        raise SourceTransient("Microsoft asks the portal to slow down.", retry_at=until)

    monkeypatch.setattr(world.directory, "organization", throttle)
    world.sync()
    assert world.tenant().throttled_until == until


def test_U5_the_preview_equals_the_next_run_and_writes_nothing(world):
    started(world, 6, only(department=["IT"]))
    world.directory.put(account("new"))
    world.sync()
    world.edit("u01@x.example", city="Elsewhere", department="Other")
    before = world.dump()
    with world.sessions() as session:
        found = preview(session, world.organization_id, only(department=["IT"]), HoldRule(), world.now)
        why = explain(session, world.organization_id, "U01@x.example", world.now)
        with pytest.raises(NotFound):
            explain(session, world.organization_id, "nobody", world.now)
        session.rollback()
    assert world.dump() == before
    run = world.sync()
    assert found.counts_document() == run.counts
    assert {d.object_id: d.action for d in found.decisions} == {
        o: c.decision for o, c in world.changes(run.id).items()
    }
    assert (why["decision"], why["match"]["by"], why["sections"]["department"]["value"]) == (
        "update",
        "link",
        "IT",
    )


def test_U10_U11_the_tenant_guard_and_who_enters_and_leaves(world):
    world.person("A", "a@x.example")
    world.person("B", "b@elsewhere.example")
    world.directory.put(account("u1"), account("u2", department="Sales"))
    world.enable(only(department=["IT"]))
    world.sync("initial")
    with world.sessions() as session:
        found = preview(session, world.organization_id, only(department=["Sales"]), HoldRule(), world.now)
    assert found.domain_overlap == {"known": 3, "matching": 2}
    assert [p["object_id"] for p in found.scope_change["enters"]] == ["u2"]
    assert ([p["object_id"] for p in found.scope_change["leaves"]], found.scope_change["stays"]) == (
        ["u1"],
        0,
    )
    with world.sessions() as session:
        both = preview(session, world.organization_id, FilterSpec(), HoldRule(), world.now).scope_change
    assert ([p["object_id"] for p in both["enters"]], both["leaves"], both["stays"]) == (["u2"], [], 1)


def test_U12_an_approved_plan_is_applied_exactly_or_not_at_all(world):
    started(world, 3)
    world.directory.put(account("new"))
    world.queue("manual")
    world.work()
    with world.sessions() as session:
        approved = preview(session, world.organization_id, FilterSpec(), HoldRule(), world.now).fingerprint
    world.directory.put(account("later"))
    run = world.sync("manual", plan_fingerprint=approved)
    assert (run.status, "changed since" in run.error, world.count()) == ("cancelled", True, 4)


def test_U12_an_approved_plan_that_something_crosses_stops_and_one_that_was_interrupted_goes_on(
    world, monkeypatch
):
    monkeypatch.setattr(chunks, "CHUNK", 4)
    world.person("Kim", "u11@x.example", department="Before")
    world.directory.put(*staff(12))
    world.enable()
    with write_session(world.sessions) as session:
        session.get_one(MicrosoftTenant, world.tenant_id).read_requested_at = world.now
        session.commit()
    world.work()
    with world.sessions() as session:
        approved = preview(session, world.organization_id, FilterSpec(), HoldRule(), world.now).fingerprint
    run_id = world.queue("initial", plan_fingerprint=approved)

    def stop(label):
        world.stop = label == "Applying 4"

    world.watch(stop)
    with pytest.raises(Stopped):
        world.work()
    assert (world.count(), world.run(run_id).status) == (5, "running")
    world.stop = False
    world.watch(
        lambda _label: (
            world.edit("u11@x.example", department="By hand")
            if world.count() == 9 and world.people()["u11@x.example"][1] != "By hand"
            else None
        )
    )
    world.work()
    world.unwatch()
    run = world.run(run_id)
    assert (run.status, "The rest of it was not" in run.error) == ("cancelled", True)
    assert world.count() == 9 and world.people()["u11@x.example"][1] == "By hand", (
        "went on where it was, then stopped"
    )


def test_W7_undoing_a_run_takes_its_marks_away_and_puts_them_back(world):
    started(world, 3)
    world.directory.change("u01", accountEnabled=False)
    marked = world.sync()
    world.directory.change("u01", accountEnabled=True)
    unmarked = world.sync()
    for run, status in ((unmarked, "disabled"), (marked, "active")):
        world.queue("manual", kind="undo", undoes_run_id=run.id)
        world.worker().run_tenant(world.tenant_id, "me")
        assert world.people()["u01@x.example"][2] == status


def test_R5_W7_undo_restores_what_a_run_changed_and_spares_what_was_edited_since(world):
    for n in range(4):
        world.person(f"Old {n}", f"u{n:02}@x.example", department="Before", notes="ours")
    before = world.dump("end_users")
    run = started(world, 8)
    assert run.counts["linked"] == 4 and world.count() == 8
    with world.sessions() as session:
        plan = plan_undo(session, run.id)
        assert (len(plan.restored), plan.spared) == (8, ())
    undo_id = world.queue("manual", kind="undo", undoes_run_id=run.id)
    world.disable()
    world.work()
    assert (world.run(undo_id).status, world.count(), len(world.links())) == ("succeeded", 4, 0)
    assert world.dump("end_users") == before, "to the byte"
    with write_session(world.sessions) as session:
        assert apply_undo(session, undo_id, run.id, world.organization_id, world.now).restored == ()


def test_R5_a_former_address_or_account_that_somebody_else_has_by_now_is_spared(world):
    """M4, M5: what was free when the run wrote it may be taken when the run is undone."""
    run = started(world, 4)
    world.directory.change("u00", mail="new0@x.example", userPrincipalName="new0@x.example")
    world.directory.change("u01", mail="new1@x.example", userPrincipalName="new1@x.example")
    world.directory.drop("u02", reason="deleted")
    world.directory.put(account("v02", mail="u02@x.example"))
    run = world.sync()
    assert (run.counts["updated"], run.counts["linked"]) == (2, 1)
    world.person("Newcomer", "u00@x.example")
    with world.sessions() as session:
        other = session.query(EndUser).filter_by(object_id="u03").one()
        other.object_id = "u02"
        session.commit()
    undo_id = world.queue("manual", kind="undo", undoes_run_id=run.id)
    world.disable()
    world.work()
    undone = world.run(undo_id)
    assert undone.status == "succeeded", undone.error
    assert {"u00@x.example", "new0@x.example", "u01@x.example"} <= set(world.people())
    assert world.people()["u02@x.example"][3] == "v02", (
        "linked as it is: the former account is somebody else's"
    )
    assert any("email" in w for w in undone.warnings) and any(
        "Microsoft account" in w for w in undone.warnings
    )


def test_R5_an_undo_names_what_it_spared_as_the_pages_do(world):
    started(world, 3)
    world.directory.change("u00", jobTitle="First")
    run = world.sync()
    world.directory.change("u00", jobTitle="Second")
    world.sync()
    undo_id = world.queue("manual", kind="undo", undoes_run_id=run.id)
    world.work()
    assert world.run(undo_id).warnings == ["U00 was spared: Job Title was edited since."]


def test_R5_an_edited_person_is_spared_and_listed(world):
    run = started(world, 3)
    world.edit("u01@x.example", edited_at=world.now + timedelta(minutes=1), notes="keep")
    with world.sessions() as session:
        plan = plan_undo(session, run.id)
    assert len(plan.restored) == 2 and {spared_words(s.reason) for s in plan.spared} == {
        "edited since",
        "has notes",
    }
