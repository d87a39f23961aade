import pytest

from portal.engine.devices import AssetOutcome, AssetState, DeviceState, assign, normalize_mac

MAC, OTHER = "A87EEABC6AC9", "A87EEABC6ACA"


@pytest.mark.parametrize(
    ("text", "mac"),
    [
        ("a8:7e:ea:bc:6a:c9", MAC),
        ("A8-7E-EA-BC-6A-C9", MAC),
        ("a87e.eabc.6ac9", MAC),
        (" A87EEABC6AC9 ", MAC),
        ("000000000000", ""),
        ("FF:FF:FF:FF:FF:FF", ""),
        ("020000000000", ""),
        ("01005E000001", ""),
        ("A87EEABC6AC", ""),
        ("A87EEABC6AC99", ""),
        ("G87EEABC6AC9", ""),
        ("", ""),
        (None, ""),
    ],
)
def test_W5_macs_are_normalised_and_what_is_no_device_is_dropped(text, mac):
    assert normalize_mac(text) == mac


def outcome(asset, devices, owners):
    found = assign([asset], devices, owners)
    return (found[0].outcome, found[0].end_user_id) if found else None


def test_D2_W5_an_asset_goes_to_the_linked_user_of_its_device():
    assert outcome(AssetState("1", (MAC,)), [DeviceState("d", "u", (MAC,))], {"u": "e"}) == (
        AssetOutcome.ASSIGN,
        "e",
    )
    assert outcome(AssetState("1", (MAC,)), [DeviceState("d", "u", (MAC,))], {}) is None
    assert outcome(AssetState("1", (MAC,)), [DeviceState("d", "", (MAC,))], {"": "e"}) is None


def test_W5_a_manual_assignment_is_reported_and_not_overwritten():
    asset = AssetState("1", (MAC,), end_user_id="other", assigned_by="manual")
    assert outcome(asset, [DeviceState("d", "u", (MAC,))], {"u": "e"}) == (AssetOutcome.MANUAL, "e")
    assert (
        outcome(AssetState("1", (MAC,), "e", "manual"), [DeviceState("d", "u", (MAC,))], {"u": "e"}) is None
    )


def test_W5_an_assignment_by_the_sync_follows_the_device():
    asset = AssetState("1", (MAC,), end_user_id="old", assigned_by="sync")
    assert outcome(asset, [DeviceState("d", "u", (MAC,))], {"u": "e"}) == (AssetOutcome.ASSIGN, "e")


def test_W5_a_mac_of_several_users_devices_assigns_nothing_and_is_reported():
    devices = [DeviceState("d1", "u", (MAC,)), DeviceState("d2", "v", (MAC,))]
    assert outcome(AssetState("1", (MAC,)), devices, {"u": "e", "v": "f"})[0] is AssetOutcome.AMBIGUOUS
    devices = [DeviceState("d1", "u", (MAC,)), DeviceState("d2", "v", (OTHER,))]
    assert outcome(AssetState("1", (MAC, OTHER)), devices, {"u": "e", "v": "f"})[0] is AssetOutcome.AMBIGUOUS


def test_W5_a_dock_s_mac_is_reported_and_the_assets_own_macs_still_decide():
    devices = [DeviceState("d1", "u", (MAC, OTHER)), DeviceState("d2", "v", (OTHER,))]
    found = assign([AssetState("1", (MAC, OTHER))], devices, {"u": "e", "v": "f"})
    assert [(one.outcome, one.mac, one.end_user_id) for one in found] == [
        (AssetOutcome.SHARED, OTHER, None),
        (AssetOutcome.ASSIGN, MAC, "e"),
    ]
    again = assign([AssetState("1", (MAC, OTHER), "e", "sync")], devices, {"u": "e", "v": "f"})
    assert [one.outcome for one in again] == [AssetOutcome.SHARED]


def test_W5_own_macs_of_two_people_are_reported_beside_a_dock_s():
    third = "A87EEABC6ACB"
    devices = [DeviceState("d1", "u", (MAC, third)), DeviceState("d2", "v", (OTHER, third))]
    found = assign([AssetState("1", (MAC, OTHER, third))], devices, {"u": "e", "v": "f"})
    assert [(one.outcome, one.mac) for one in found] == [
        (AssetOutcome.AMBIGUOUS, third),
        (AssetOutcome.AMBIGUOUS, MAC),
    ]


def test_W5_an_asset_whose_device_is_gone_keeps_its_person():
    assert outcome(AssetState("1", (MAC,), "e", "sync"), [], {"u": "e"}) is None
