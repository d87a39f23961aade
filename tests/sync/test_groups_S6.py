"""Group filters: members direct and nested, groups that are gone, hidden or cannot be read."""

import pytest
from sqlalchemy import select

from portal.engine.bulk import insert_rows
from portal.engine.mirror import groups
from portal.errors import SourcePermissionMissing, SourceTransient, Stopped
from portal.models import DirectoryGroup, GroupMembership, SyncRun
from tests.sync.steps import staff
from tests.unit.engine.builders import only


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
