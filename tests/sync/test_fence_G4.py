"""G4: a worker that was stopped for longer than its lease, at any commit, and goes on after another took over, writes nothing."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from portal.errors import LeaseLost
from portal.models import Base, DirectoryUser, MicrosoftTenant, SyncRun
from portal.worker import leases
from portal.worker.slow_pass import SlowPass
from portal.worker.tenant_worker import TenantWorker
from tests.sync import scenario
from tests.sync.steps import staff

KINDS = ("initial", "delayed", "hourly")


def told(world):
    with world.sessions() as session:
        runs = [
            (run.status, run.counts) for run in session.scalars(select(SyncRun).order_by(SyncRun.created_at))
        ]
        return world.end_state(), runs


def boundaries(world):
    """How many commits one undisturbed turn has."""
    seen = []
    world.watch(seen.append)
    assert world.work()
    world.unwatch()
    return len(world.commits)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("part", range(4))
def test_G4_who_is_stopped_past_the_lease_at_any_commit_writes_nothing_more(sessions, kind, part):
    """The other worker comes to the end; the first, going on with what it knew, changes nothing of it."""
    undisturbed = scenario.prepare(sessions, kind)
    number = boundaries(undisturbed)
    expected = told(undisturbed)
    clear(sessions)
    for boundary in range(part, number, 4):
        world = scenario.prepare(sessions, kind)
        passed = []

        def take_over(world=world, passed=passed, boundary=boundary):
            passed.append(1)
            if len(passed) != boundary + 1:
                return
            world.now += leases.TTL + timedelta(seconds=1)
            other = TenantWorker(world.sessions, lambda _lease: world.directory, lambda: world.now)
            assert other.run_tenant(world.tenant_id, "other")
            passed.append("over")
            world.after = told(world)

        world.watch_commits(take_over)
        world.worker().run_tenant(world.tenant_id, "first")
        world.unwatch()
        if "over" in passed:
            assert told(world) == world.after, f"{kind}, stopped at commit {boundary}: wrote after the other"
        assert told(world) == expected, f"{kind}, stopped at commit {boundary}"
        clear(sessions)


def clear(sessions):
    with sessions() as session:
        for table in reversed(Base.metadata.sorted_tables):
            session.execute(table.delete())
        session.commit()


def test_G4_old_pages_never_overwrite_a_newer_mirror(world):
    """Found in the field: a reader that was stopped went on and enabled leavers again, behind a newer delta link."""
    world.directory.put(*staff(20))
    world.enable()
    world.sync("initial")
    for n in range(20):
        world.directory.change(f"u{n:02}", jobTitle="Old")
    world.queue()
    stopped = []
    pages = world.directory.users_delta

    def stop_between_pages(link):
        for number, page in enumerate(pages(link)):
            yield page
            if number == 0 and not stopped:
                stopped.append(link)
                for n in range(20):
                    world.directory.change(f"u{n:02}", jobTitle="New", accountEnabled=False)
                world.now += leases.TTL + timedelta(seconds=1)
                world.directory.users_delta = pages
                assert TenantWorker(
                    world.sessions, lambda _lease: world.directory, lambda: world.now
                ).run_tenant(world.tenant_id, "other")

    world.directory.users_delta = stop_between_pages
    world.worker().run_tenant(world.tenant_id, "first")
    with world.sessions() as session:
        titles = session.execute(
            select(DirectoryUser.job_title, DirectoryUser.account_enabled).distinct()
        ).all()
    assert stopped and [tuple(row) for row in titles] == [("New", False)]


def test_G4_a_stopped_slow_pass_writes_nothing_after_another(world):
    world.directory.put(*staff(3))
    world.enable()
    world.sync("initial")
    world.directory.sign_in_dates = {"u00": "2026-11-20T08:00:00Z"}

    def slow(owner):
        return SlowPass(world.sessions, lambda _lease: world.directory, lambda: world.now).run(
            world.tenant_id, owner
        )

    original = world.directory.registration_details

    def stop():
        world.directory.registration_details = original
        world.now += leases.SLOW_TTL + timedelta(seconds=1)
        world.directory.registrations = [
            {"id": "u00", "isMfaRegistered": True, "methodsRegistered": ["fido2"]}
        ]
        assert slow("other")
        yield [{"id": "u00", "isMfaRegistered": False, "methodsRegistered": []}]

    world.directory.registration_details = stop
    assert slow("first")
    assert world.links()["u00"].mfa_registered is True


def test_G4_each_taking_of_a_lease_has_a_higher_fence(world):
    first = leases.acquire(world.sessions, world.tenant_id, "me", lambda: world.now)
    again = leases.acquire(world.sessions, world.tenant_id, "me", lambda: world.now)
    assert again.fence == first.fence + 1
    with pytest.raises(LeaseLost):
        first.renew()
    again.renew()
    first.release()
    with world.sessions() as session:
        assert session.get_one(MicrosoftTenant, world.tenant_id).lease_owner == "me", (
            "the older one frees nothing"
        )
