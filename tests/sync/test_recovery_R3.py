"""R3, R5: 200 wrong people over 50 who were here before end with exactly the 50 as they were, byte for byte."""

from datetime import timedelta

import pytest

from portal.engine import pace
from portal.engine.restore import apply_restore, plan_restore
from portal.errors import Invalid, Refused, Stopped
from portal.models import Asset, EndUser, Organization, new_id
from portal.recovery import service
from tests.sync.directory import account
from tests.sync.world import write_session

TABLES = ("end_users", "assets")


@pytest.fixture
def wrong(world):
    """50 known people, then a first sync that links 50 and creates 150, and a later one that changes some of each."""
    for n in range(50):
        world.person(
            f"Known {n}", f"U{n:03}@X.example", notes=f"note {n}", department="Ours", phone=f"+31 {n}"
        )
    with world.sessions() as session:
        asset = Asset(
            id=new_id(),
            organization_id=world.organization_id,
            name="KC-1",
            created_at=world.now,
            updated_at=world.now,
        )
        session.add(asset)
        session.commit()
    before = world.dump(*TABLES)
    world.directory.put(*[account(f"u{n:03}", jobTitle="Theirs") for n in range(200)])
    world.enable()
    run = world.sync("initial")
    assert (run.counts["linked"], run.counts["created"]) == (50, 150)
    world.directory.change("u003", displayName="Renamed again", mail="u900@x.example")
    world.directory.change("u004", mail="u003@x.example")
    world.directory.change("u007", accountEnabled=False, jobTitle="Gone soon")
    later = world.sync()
    assert (later.counts["updated"], later.counts["disabled"]) == (2, 1)
    with world.sessions() as session:  # what the device pass would have done (W5)
        row = session.query(Asset).one()
        row.end_user_id, row.assigned_by = (
            session.query(EndUser.id).filter_by(email_key="u005@x.example").scalar(),
            "sync",
        )
        session.commit()
    return world, before, (run, later)


def clean_up(world, *, delete=None, unlink=True):
    with write_session(world.sessions) as session:
        organization = session.get_one(Organization, world.organization_id)
        found = service.candidates(session, organization, world.tenant_id)
        ids = [one.end_user.id for one in found.created] if delete is None else delete
        done = service.clean_up(session, organization, world.tenant_id, delete_ids=ids, unlink=unlink)
        session.commit()
        return done


def test_R3_the_guided_page_ends_with_exactly_those_who_were_here(wrong):
    world, before, _ = wrong
    with world.sessions() as session, pytest.raises(Refused):
        service.clean_up(
            session,
            session.get_one(Organization, world.organization_id),
            world.tenant_id,
            delete_ids=[],
            unlink=True,
        )
    world.disable()
    done = clean_up(world)
    assert (done.deleted, done.unlinked, done.restored) == (150, 50, 50)
    assert world.dump(*TABLES) == before


def test_R5_undoing_the_runs_newest_first_ends_with_exactly_those_who_were_here(wrong):
    world, before, (run, later) = wrong
    world.disable()
    for one in (later, run):
        world.queue("manual", kind="undo", undoes_run_id=one.id)
        world.work()
    assert world.dump(*TABLES) == before


def test_R3_what_was_edited_since_stays_and_is_told(wrong):
    world, _, _ = wrong
    world.edit("u001@x.example", department="Edited by hand", edited_at=world.now + timedelta(minutes=1))
    world.disable()
    with world.sessions() as session:
        found = service.candidates(
            session, session.get_one(Organization, world.organization_id), world.tenant_id
        )
        assert [(plan.end_user.email_key, plan.spared) for plan in found.spared] == [
            ("u001@x.example", ("department",))
        ]
    clean_up(world)
    people = world.people()
    assert people["U001@X.example"][:2] == ("Known 1", "Edited by hand")
    assert people["U002@X.example"][:2] == ("Known 2", "Ours")


def test_R3_an_address_that_somebody_has_by_now_stays_theirs(wrong):
    world, _, _ = wrong
    world.person("Newcomer", "temporary@x.example")
    world.disable()
    world.edit("u003@x.example", email="elsewhere@x.example")  # linked to u004, whose address it became
    world.edit("temporary@x.example", email="u003@x.example")
    clean_up(world)
    with world.sessions() as session:
        assert (
            session.query(EndUser.display_name).filter_by(email_key="u003@x.example").scalar() == "Newcomer"
        )
        assert session.query(EndUser).count() == 51


def test_R3_only_the_syncs_of_the_tenant_in_question_are_taken_back(wrong):
    world, _, _ = wrong
    world.disable()
    with world.sessions() as session:
        organization = session.get_one(Organization, world.organization_id)
        other = service.candidates(session, organization, "another tenant")
        assert (other.created, other.linked, other.untouched) == ([], [], 200)
        someone = session.query(EndUser.id).filter_by(email_key="u005@x.example").scalar()
    with pytest.raises(Invalid):
        clean_up(world, delete=[someone])
    assert world.count() == 200


def test_R3_R5_D2_an_asset_that_the_former_link_gave_stays_where_the_link_goes_back(world):
    """Of two Assets the earlier account gave one, the later account the other; taking the later one back keeps the first."""
    world.directory.put(account("u01"))
    world.enable()
    world.sync("initial")
    who = next(iter(world.people()))
    world.edit(who, source="manual", created_by_run_id=None)

    def give(name):
        with world.sessions() as session:
            owner = session.query(EndUser).one().id
            session.add(
                Asset(
                    organization_id=world.organization_id,
                    name=name,
                    end_user_id=owner,
                    assigned_by="sync",
                    created_at=world.now,
                    updated_at=world.now,
                )
            )
            session.commit()

    def owned():
        with world.sessions() as session:
            return sorted(row.name for row in session.query(Asset) if row.end_user_id)

    give("first")
    world.directory.drop("u01", reason="deleted")
    world.directory.put(account("u02", mail="u01@x.example"))
    moved = world.sync()
    assert moved.counts["linked"] == 1
    give("second")
    assert owned() == ["first", "second"]
    with world.sessions() as session:
        (plan,) = plan_restore(session, world.organization_id, world.tenant_id, session.query(EndUser).all())
        apply_restore(session, [plan])
        session.expire_all()
        assert (
            plan.former_link["object_id"],
            [row.name for row in session.query(Asset) if row.end_user_id],
        ) == ("u01", ["first"])
        session.rollback()
    world.sync("manual", kind="undo", undoes_run_id=moved.id)
    assert (owned(), world.people()[who][3]) == (["first"], "u01")


def test_R5_an_undo_writes_in_short_transactions_and_goes_on_after_a_stop(wrong, monkeypatch):
    world, before, (run, later) = wrong
    monkeypatch.setattr(pace, "FIRST_ROWS", 7)
    monkeypatch.setattr(pace, "next_size", lambda size, *_told: size)
    monkeypatch.setattr(pace, "PAUSE_SECONDS", 0)
    world.disable()
    world.queue("manual", kind="undo", undoes_run_id=later.id)
    world.work()
    undo_id = world.queue("manual", kind="undo", undoes_run_id=run.id)
    seen = []

    def stop_now_and_then(shown):
        seen.append(shown)
        world.stop = shown in {"Undoing 49", "Undoing 168"}

    world.watch(stop_now_and_then)
    for _ in range(2):
        with pytest.raises(Stopped):
            world.work()
        assert world.run(undo_id).status == "running" and world.dump(*TABLES) != before
        world.stop = False
    world.work()
    assert world.dump(*TABLES) == before
    done = world.run(undo_id)
    assert (done.status, done.done, done.counts["updated"], done.warnings) == ("succeeded", 200, 200, [])
    assert len([shown for shown in seen if shown.startswith("Undoing")]) >= 200 / 8


def test_R3_recovery_in_parts_ends_as_in_one(wrong):
    world, before, _ = wrong
    world.disable()
    with world.sessions() as session:
        organization = session.get_one(Organization, world.organization_id)
        found = service.candidates(session, organization, world.tenant_id)
        ids, groups = [one.end_user.id for one in found.created], service.unlinking_parts(found, ())
    assert sorted(map(len, groups))[-2:] == [1, 2], (
        "two people get each other's address back, the others stand alone"
    )
    size = 0
    while ids:  # one, two, three and so on, until nobody is left
        size += 1
        clean_up(world, delete=ids[:size], unlink=False)
        del ids[:size]
    for part in groups:
        with write_session(world.sessions) as session:
            organization = session.get_one(Organization, world.organization_id)
            service.clean_up(session, organization, world.tenant_id, delete_ids=[], unlink=True, only=part)
            session.commit()
    assert world.dump(*TABLES) == before
