from datetime import UTC, datetime, timedelta

import pytest

from portal.errors import SourceLicenseMissing, SourceThrottled, SourceTransient, Stopped
from portal.models import Asset, AssetMac, AssetReport, EndUser, MicrosoftTenant
from portal.worker.slow_pass import SlowPass, last_activity
from tests.sync.directory import account

MAC, DOCK, ETHER = "A87EEABC6AC9", "A87EEABC6ACA", "A87EEABC6ACB"


@pytest.fixture
def synced(world):
    world.directory.put(*[account(f"u{n}") for n in range(4)])
    world.enable()
    world.sync("initial")
    return world


def slow(world, **values):
    world.now += timedelta(minutes=1)
    return SlowPass(world.sessions, lambda _id: world.directory, lambda: world.now, **values).run(
        world.tenant_id, "me"
    )


def test_T7_last_sign_in_is_the_latest_date_and_absence_is_unknown():
    activity = {
        "lastSignInDateTime": "2026-01-01T00:00:00Z",
        "lastNonInteractiveSignInDateTime": "2026-03-01T00:00:00Z",
    }
    assert last_activity({"signInActivity": activity}) == datetime(2026, 3, 1, tzinfo=UTC)
    assert last_activity({}) is None and last_activity({"signInActivity": {}}) is None


def test_T7_each_part_is_stored_with_its_age_and_copied_to_the_links(synced):
    synced.directory.sign_in_dates["u0"] = "2026-11-01T08:00:00Z"
    synced.directory.registrations = [
        {"id": "u1", "isMfaRegistered": True, "methodsRegistered": ["fido2"]},
        {"id": "u2", "isMfaRegistered": False},
    ]
    assert slow(synced)
    found = synced.links()
    assert (
        found["u0"].last_sign_in_at == datetime(2026, 11, 1, 8, tzinfo=UTC)
        and found["u1"].last_sign_in_at is None
    )
    assert (
        found["u1"].mfa_registered,
        found["u1"].mfa_methods,
        found["u2"].mfa_registered,
        found["u3"].mfa_registered,
    ) == (True, ["fido2"], False, None)
    tenant = synced.tenant()
    assert tenant.sign_ins_at == tenant.mfa_at == tenant.devices_at == synced.now
    assert tenant.slow_due_at > synced.now and tenant.slow_problems == []
    before = synced.dump("directory_users", "end_users")
    slow(synced)
    assert synced.dump("directory_users", "end_users") == before


def sign_in_reads(world):
    found = [read for read in world.directory.reads if read.startswith("sign-ins")]
    world.directory.reads.clear()
    return found


def test_T7_after_a_full_pass_only_what_changed_since_is_read_and_everybody_again_weekly(synced):
    synced.directory.sign_in_dates.update(u0="2026-11-01T08:00:00Z", u1="2026-11-24T08:00:00Z")
    slow(synced)
    assert sign_in_reads(synced) == ["sign-ins"]
    first = synced.now
    synced.now += timedelta(hours=12)
    synced.directory.sign_in_dates["u2"] = "2026-11-24T20:00:00Z"
    slow(synced)
    assert sign_in_reads(synced) == [f"sign-ins since {first - timedelta(days=1):%d %b %H:%M}"]
    assert [synced.links()[u].last_sign_in_at is not None for u in ("u0", "u1", "u2", "u3")] == [
        True,
        True,
        True,
        False,
    ]
    assert (synced.tenant().sign_ins_at, synced.tenant().sign_ins_full_at) == (synced.now, first)
    second = synced.now
    synced.now += timedelta(days=3)  # passes that did not finish count for nothing
    slow(synced)
    assert sign_in_reads(synced) == [f"sign-ins since {second - timedelta(days=1):%d %b %H:%M}"]
    synced.now = first + timedelta(days=7)
    slow(synced)
    assert sign_in_reads(synced) == ["sign-ins"] and synced.tenant().sign_ins_full_at == synced.now


def test_T7_a_pass_that_broke_off_is_begun_again_for_everybody(synced, monkeypatch):
    read = synced.directory.sign_ins

    def broken(since):
        yield from read(since)
        raise SourceTransient("Microsoft Graph cannot be reached.")

    monkeypatch.setattr(synced.directory, "sign_ins", broken)
    slow(synced)
    assert synced.tenant().sign_ins_at is None and sign_in_reads(synced) == ["sign-ins"]
    monkeypatch.setattr(synced.directory, "sign_ins", read)
    slow(synced)
    assert synced.tenant().sign_ins_full_at == synced.now and sign_in_reads(synced) == ["sign-ins"]


def test_T7_a_tenant_that_refuses_the_filter_is_read_in_full(synced):
    slow(synced)
    sign_in_reads(synced)
    synced.directory.refuses_sign_in_filter = True
    synced.directory.sign_in_dates["u0"] = "2026-11-01T08:00:00Z"
    synced.now += timedelta(hours=12)
    slow(synced)
    assert [read[:14] for read in sign_in_reads(synced)] == ["sign-ins since", "sign-ins"]
    assert synced.links()["u0"].last_sign_in_at is not None
    assert synced.tenant().slow_problems == [] and synced.tenant().sign_ins_full_at == synced.now


def test_T7_a_link_that_the_pass_could_not_see_yet_gets_its_figures(synced):
    """As on PostgreSQL, when the pass stored a page while the run's transaction with the Link was still open.

    The run itself looks again at those it linked; the next pass at everybody.
    """
    synced.directory.sign_in_dates["u0"] = "2026-11-24T08:00:00Z"
    synced.directory.registrations = [{"id": "u0", "isMfaRegistered": True, "methodsRegistered": ["fido2"]}]
    slow(synced)
    with synced.sessions() as session:
        session.query(EndUser).update({"last_sign_in_at": None, "mfa_registered": None, "mfa_methods": []})
        session.commit()
    synced.directory.registrations = []
    synced.now += timedelta(days=3)
    slow(synced)
    found = synced.links()["u0"]
    assert (found.last_sign_in_at is not None, found.mfa_registered, found.mfa_methods) == (
        True,
        True,
        ["fido2"],
    )


def test_D3_a_missing_license_is_remembered_and_old_values_stay(synced, monkeypatch):
    synced.directory.sign_in_dates["u0"] = "2026-11-01T08:00:00Z"
    slow(synced)
    first = synced.now

    def refuse(_since):
        raise SourceLicenseMissing("This tenant has no Entra ID P1.")
        yield

    monkeypatch.setattr(synced.directory, "sign_ins", refuse)
    slow(synced)
    tenant = synced.tenant()
    assert tenant.slow_problems == [
        {"part": "sign_ins", "state": "missing_license", "detail": "This tenant has no Entra ID P1."}
    ]
    assert (tenant.sign_ins_at, tenant.mfa_at) == (first, synced.now)
    assert synced.links()["u0"].last_sign_in_at is not None
    assert synced.sync().status == "succeeded"


def test_T7_throttling_postpones_the_pass_and_spares_the_other_parts(synced, monkeypatch):
    until = synced.now + timedelta(hours=3)

    def throttle(_since):
        raise SourceThrottled("Microsoft asks the portal to slow down.", retry_at=until)
        yield

    monkeypatch.setattr(synced.directory, "sign_ins", throttle)
    slow(synced)
    assert synced.tenant().slow_due_at == until and synced.tenant().mfa_at == synced.now


def test_T7_stopping_gives_the_lease_back(synced):
    with pytest.raises(Stopped):
        slow(synced, should_stop=lambda: True)
    assert synced.tenant().slow_lease_owner is None
    assert slow(synced)


def test_D2_W5_assets_follow_their_devices_and_reports_say_why_not(synced):
    with synced.sessions() as session:
        people = {e.email_key: e.id for e in session.query(EndUser)}
        for name, mac, owner in (
            ("Laptop", MAC, None),
            ("Wired", ETHER, None),
            ("Dock", DOCK, None),
            ("Mine", MAC, "u3@x.example"),
        ):
            asset = Asset(
                organization_id=synced.organization_id,
                name=name,
                created_at=synced.now,
                updated_at=synced.now,
            )
            asset.macs = [AssetMac(mac=mac)]
            if owner:
                asset.end_user_id, asset.assigned_by = people[owner], "manual"
            session.add(asset)
        session.commit()
    synced.directory.devices = [
        {"id": "d1", "userId": "u0", "wiFiMacAddress": MAC, "deviceName": "L"},
        {"id": "d2", "userId": "u1", "wiFiMacAddress": DOCK, "ethernet": ETHER},
        {"id": "d3", "userId": "u2", "wiFiMacAddress": DOCK},
        {"id": "d4", "userId": "", "wiFiMacAddress": "000000000000"},
    ]
    slow(synced)
    with synced.sessions() as session:
        owners = {a.name: (a.end_user_id, a.assigned_by) for a in session.query(Asset)}
        reasons = sorted(r.reason[:18] for r in session.query(AssetReport))
    assert owners == {
        "Laptop": (people["u0@x.example"], "sync"),
        "Wired": (people["u1@x.example"], "sync"),
        "Dock": (None, None),
        "Mine": (people["u3@x.example"], "manual"),
    }
    assert reasons == ["Devices of several", "Microsoft lists th"]
    assert synced.tenant().assets_assigned == 2


def test_D2_W5_a_first_sync_assigns_the_devices_known_already_and_the_next_run_writes_nothing(world):
    """The slow pass follows connecting; whoever is created later has their Asset at once, not with the next pass."""
    world.directory.put(account("u0"), account("u1"))
    world.directory.devices = [
        {"id": "d1", "userId": "u0", "wiFiMacAddress": MAC},
        {"id": "d2", "userId": "u1", "wiFiMacAddress": DOCK},
        {"id": "d3", "userId": "u0", "wiFiMacAddress": DOCK},
    ]
    slow(world)
    with world.sessions() as session:
        for name, mac in (("Laptop", MAC), ("Dock", DOCK)):
            asset = Asset(
                organization_id=world.organization_id, name=name, created_at=world.now, updated_at=world.now
            )
            asset.macs = [AssetMac(mac=mac)]
            session.add(asset)
        session.commit()
    world.enable()
    world.sync("initial")
    with world.sessions() as session:
        owners = {
            a.name: (a.end_user.email if a.end_user else None, a.assigned_by) for a in session.query(Asset)
        }
    assert owners == {"Laptop": ("u0@x.example", "sync"), "Dock": (None, None)}
    assert world.tenant().assets_assigned == 1
    before = world.dump("assets", "asset_reports")
    assert len(before["asset_reports"]) == 1
    world.now += timedelta(hours=1)
    world.sync()
    assert world.dump("assets", "asset_reports") == before


def test_T7_a_pass_that_waited_long_for_its_turn_keeps_its_lease_and_a_lost_one_ends_it(synced, monkeypatch):
    """Another process must not begin the same pass beside it, or both would use turns up."""
    seen = []

    def patient(_since):
        synced.now += timedelta(minutes=4)
        seen.append(slow_by("other"))
        yield [{"id": "u0"}]
        with synced.sessions() as session:
            session.get_one(MicrosoftTenant, synced.tenant_id).slow_lease_owner = "other"
            session.commit()
        yield [{"id": "u1"}]
        seen.append("went on")

    def slow_by(owner):
        return SlowPass(synced.sessions, lambda _id: synced.directory, lambda: synced.now).run(
            synced.tenant_id, owner
        )

    monkeypatch.setattr(synced.directory, "sign_ins", patient)
    slow(synced)
    assert seen == [False]
    assert synced.tenant().slow_lease_owner == "other" and synced.tenant().sign_ins_at is None
