"""What a read of Microsoft may conclude: nothing from one that broke off, everything from one that came to its end."""

from datetime import timedelta

import pytest
from sqlalchemy import event

from portal.engine.preview import explain, preview
from portal.engine.records import FilterSpec, HoldRule
from portal.errors import SourcePermissionMissing, SourceRejected, SourceTransient
from portal.models import DeltaCursor, DirectoryUser
from tests.sync.directory import account
from tests.sync.steps import staff, started
from tests.unit.engine.builders import only


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
    assert run.status == "failed" and "no people" in run.error
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
