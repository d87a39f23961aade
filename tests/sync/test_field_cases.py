"""What went wrong in the field, through the real reader and writer, on both databases."""

from datetime import timedelta

import pytest
from sqlalchemy import event, select

from portal.engine.preview import preview
from portal.engine.records import FilterSpec, HoldRule, Phase
from portal.models import DirectoryUser, EndUser, Organization, SyncException
from tests.sync.directory import account
from tests.sync.steps import staff, started
from tests.unit.engine.builders import only

E3 = "05e9a617-0261-4cee-bb44-138d3ef5d965"


def fields(world, run, object_id):
    return {entry["field"]: (entry["old"], entry["new"]) for entry in world.changes(run.id)[object_id].fields}


def test_W3_a_change_of_the_sign_in_name_alone_is_an_update_with_a_record(world):
    started(world, 2)
    world.directory.change("u01", userPrincipalName="renamed@x.example")
    run = world.sync()
    assert (run.counts["updated"], run.counts["unchanged"]) == (1, 1)
    assert fields(world, run, "u01") == {"user_principal_name": ("u01@x.example", "renamed@x.example")}


def test_W3_a_license_that_goes_is_an_update_with_a_record(world):
    world.directory.put(account("u00", assignedLicenses=[{"skuId": E3}]))
    world.enable()
    world.sync("initial")
    world.directory.change("u00", assignedLicenses=[])
    run = world.sync()
    assert (run.counts["updated"], fields(world, run, "u00")) == (1, {"licenses": (E3, "")})
    assert not world.links()["u00"].is_licensed


def test_W3_leaving_and_matching_the_filters_again_is_told(world):
    world.directory.put(*staff(3))
    world.enable(only(department=["IT"]))
    world.sync("initial")
    world.directory.change("u01", department="Sales")
    left = world.sync()
    assert fields(world, left, "u01") == {"in_scope": ("true", "false")} and left.counts["out_of_scope"] == 1
    world.directory.change("u01", department="IT", jobTitle="Chief")
    back = world.sync()
    assert fields(world, back, "u01")["in_scope"] == ("false", "true") and back.counts["updated"] == 1


def test_S8_agents_are_no_people_unless_the_sync_says_so(world):
    world.directory.put(*staff(3), account("bot"))
    world.directory.agent_ids = {"bot"}
    world.enable()
    run = world.sync("initial")
    assert (run.counts["created"], run.counts["skipped"]) == (3, 1)
    assert world.changes(run.id)["bot"].reason == "agent"
    world.directory.agent_ids = {"bot", "u02"}
    assert world.sync().counts["skipped"] == 2, "known as one later"
    world.enable(FilterSpec(include_agents=True), include_agents=True, initial_done_at=world.now)
    assert world.sync().counts["created"] == 1


def test_S8_where_microsoft_does_not_tell_those_known_stay_agents(world):
    world.directory.put(*staff(2), account("bot"))
    world.directory.agent_ids = {"bot"}
    world.enable()
    world.sync("initial")
    world.directory.tells_agents = False
    run = world.sync(anew=True)
    assert (run.counts["skipped"], world.tenant().agents_known) == (1, False)


def test_G9_a_renamed_department_that_empties_a_filter_is_told_once(world):
    world.directory.put(*staff(40))
    world.enable(only(department=["IT"]))
    world.sync("initial")
    for n in range(38):
        world.directory.change(f"u{n:02}", department="IT & Networks")
    world.directory.change("u38", department="Sales")
    world.directory.change("u39", department="")
    run = world.sync()
    assert run.status == "succeeded"
    told = world.user_sync().attention
    assert (
        "40 of 40" in told
        and "“IT”" in told
        and "38 of those who left have “IT & Networks”" in told
        and told in run.warnings
    )
    again = world.sync()
    assert (again.warnings, world.user_sync().attention) == ([], told), (
        "told once, shown until somebody looks"
    )


def test_G9_whoever_narrows_the_filters_is_not_told_what_they_did(world):
    world.directory.put(*[account(f"u{n:02}", department="IT" if n < 10 else "Sales") for n in range(40)])
    world.enable(only(department=["IT", "Sales"]))
    world.sync("initial")
    world.enable(only(department=["IT"]), initial_done_at=world.now, edited_at=world.now)
    run = world.sync()
    assert (run.counts["out_of_scope"], world.user_sync().attention) == (30, None)


def test_S6_somebody_who_is_restored_is_in_their_groups_again_though_no_group_changed(world):
    world.directory.put(*staff(4))
    world.directory.group("g1", "u00", "u01")
    world.enable(only(group=["g1"]), hold_minimum=99)
    world.sync("initial", lane="delayed")
    world.directory.drop("u01")
    world.directory.members["g1"] = {"u00"}
    world.directory.group_log.append({"id": "g1"})
    world.sync()
    assert world.people()["u01@x.example"][2] == "disabled"
    world.directory.put(account("u01"))
    world.directory.members["g1"] = {"u00", "u01"}  # and no group delta says so
    run = world.sync()
    assert run.counts["enabled"] == 1 and world.people()["u01@x.example"][4] is True


def test_W6_who_is_never_synced_stays_so_when_deleted_and_made_again(world):
    world.directory.put(
        account("u00", onPremisesImmutableId="im"),
        account("u01"),
        account("boss", onPremisesImmutableId="im2"),
    )
    world.enable()
    with world.writing() as session:
        for object_id, immutable_id in (("boss", "im2"), ("u01", "")):
            session.add(
                SyncException(
                    organization_id=world.organization_id, kind="never_sync", object_id=object_id, immutable_id=immutable_id,
                    email_key=f"{object_id}@x.example", reason="", author="ada", created_at=world.now,
                )
            )  # fmt: skip
        session.commit()
    assert world.sync("initial").counts["created"] == 1
    world.directory.drop("boss", "deleted")
    world.directory.drop("u01", "deleted")
    world.directory.put(
        account("boss2", mail="other@x.example", onPremisesImmutableId="im2"),
        account("u01b", mail="u01@x.example"),
    )
    run = world.sync()
    assert (run.counts["created"], run.counts["skipped"], world.count()) == (0, 2, 1)


def test_M2_a_leavers_address_handed_to_the_successor_does_not_hand_over_the_leaver(world):
    """The worst fault found: the successor took over the leaver's record, notes and Assets."""
    world.directory.put(account("leaver"))
    world.enable()
    world.sync("initial")
    world.directory.drop("leaver", "deleted")
    world.directory.put(
        account("successor", proxyAddresses=["SMTP:successor@x.example", "smtp:leaver@x.example"])
    )
    run = world.sync()
    assert (run.counts["created"], run.counts["linked"], run.counts["gone"]) == (1, 0, 1)
    assert world.people()["leaver@x.example"][2:4] == ("disabled", "leaver")


def test_T1_an_hour_in_which_nothing_changed_reads_and_writes_no_row_of_people(world):
    started(world, 12)
    world.sync()
    touched = []
    engine = world.sessions.kw["bind"]

    def note(_connection, _cursor, statement, *_rest):
        if (
            "end_users" in statement
            or "FROM directory_users" in statement
            and "is_agent IS" not in statement
            or "INTO directory_users" in statement
        ):
            touched.append(statement)

    event.listen(engine, "before_cursor_execute", note)
    try:
        run = world.sync()
    finally:
        event.remove(engine, "before_cursor_execute", note)
    assert (run.status, run.counts["unchanged"], touched) == ("succeeded", 12, [])


def test_T1_an_hour_in_which_nothing_changed_is_a_few_statements(world):
    """They are most of what it costs (docs/performance.md)."""
    started(world, 12)
    world.sync()
    world.queue()
    asked, commits = [], []
    engine = world.sessions.kw["bind"]

    def note(_connection, _cursor, statement, *_rest):
        if statement.startswith(("SELECT", "UPDATE", "INSERT", "DELETE")):
            asked.append(statement)

    def committed(_connection):
        commits.append(len(asked))

    listeners = {"before_cursor_execute": note, "commit": committed}
    for name, listener in listeners.items():
        event.listen(engine, name, listener)
    try:
        world.work()
    finally:
        for name, listener in listeners.items():
            event.remove(engine, name, listener)
    assert len(commits) <= 4, "taken, read, ended, given back"
    assert len(asked) <= 25, asked


@pytest.mark.parametrize(("trigger", "shown"), [("manual", True), ("hourly", False)])
def test_T1_only_a_read_that_somebody_waits_for_says_each_half_second_how_far_it_is(
    world, monkeypatch, trigger, shown
):
    started(world, 3)
    world.sync()
    read, phases = world.directory.groups_delta, []

    def slowly(link):
        world.now += timedelta(seconds=1)
        return read(link)

    monkeypatch.setattr(world.directory, "groups_delta", slowly)
    world.watch(phases.append)
    world.sync(trigger)
    world.unwatch()
    assert any(label.startswith(Phase.READING_LICENSES) for label in phases) == shown


def test_T1_whatever_is_decided_on_makes_the_next_run_decide(world):
    started(world, 3)
    world.sync()

    def decides():
        before = world.user_sync().settled_state
        world.sync()
        return world.user_sync().settled_state != before

    assert not decides()
    world.edit("u01@x.example", notes="by hand")  # through a Session: counted
    with world.writing() as session:
        session.get_one(Organization, world.organization_id).people_version += 1
        session.commit()
    assert decides() and not decides()
    with world.writing() as session:
        row = session.scalars(select(EndUser).where(EndUser.email_key == "u01@x.example")).one()
        session.add(
            SyncException(
                organization_id=world.organization_id,
                kind="pin",
                end_user_id=row.id,
                field="city",
                reason="",
                author="ada",
                created_at=world.now,
            )
        )
        session.commit()
    assert decides() and not decides()
    world.directory.change("u02", jobTitle="Chief")
    assert decides() and not decides()


def test_U12_a_sync_that_an_approved_plan_was_to_enable_stays_off_when_it_no_longer_fits(world):
    world.directory.put(*staff(4))
    world.enable()
    with world.writing() as session:
        world.tenant_of(session).read_requested_at = world.now
        session.commit()
    world.work()
    with world.sessions() as session:
        approved = preview(session, world.organization_id, FilterSpec(), HoldRule(), world.now).fingerprint
    world.directory.change("u01", jobTitle="Chief")
    run = world.sync("initial", plan_fingerprint=approved)
    assert (run.status, run.error_code, world.count(), world.user_sync().enabled) == (
        "cancelled",
        "plan_moved",
        0,
        False,
    )


def test_L7_a_link_whose_object_no_mirror_row_names_counts_as_gone_once_a_read_is_complete(world):
    started(world, 12)
    with world.writing() as session:
        session.query(DirectoryUser).delete()
        session.commit()
    with world.writing() as session:
        tenant = world.tenant_of(session)
        tenant.last_full_read_at, tenant.users_count = None, 0
        tenant.mirror_version += 1
        session.commit()
    world.directory.users.pop("u05")
    run = world.sync()
    assert (run.counts["gone"], world.count(), run.counts["created"]) == (1, 12, 0)
