"""Rules where Microsoft's behaviour matters, through the simulator over HTTPS (docs/rules.md)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.models import MicrosoftTenant
from simulator.server import SimulatorServer
from tests.system.conftest import Api, wait_until
from tests.system.test_main_job import DEPARTMENT, staff


@pytest.fixture
def home(simulator: SimulatorServer) -> Any:
    return simulator.world.tenants[simulator.tenant_ids[0]]


@pytest.fixture
def reef(api: Api, simulator: SimulatorServer, home: Any) -> str:
    """An Organization with everybody of the tenant, synced; the mirror was read page by page."""
    organization = api.organization("Reef", api.connected(home.id)["id"])
    assert api.enabled(organization)["status"] == "succeeded"
    return organization


def statuses(api: Api, organization: str) -> dict[str, str]:
    return {email: row["microsoft"]["status"] for email, row in api.people(organization).items()}


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("status", {"status": 503, "retry_after": 1}),
        ("garbage", {"shape": "no_value"}),
        ("foreign_link", {"host": "graph.example"}),
        ("loop_link", {}),
    ],
)
def test_L2_a_page_that_cannot_be_read_marks_nobody(
    api: Api, simulator: SimulatorServer, home: Any, reef: str, fault: str, options: dict[str, Any]
) -> None:
    before = statuses(api, reef)
    simulator.control.expire_delta_tokens(home.id)  # a full read and a comparison follow
    simulator.control.fault(fault, path="^/users/delta", page=2, times=None, **options)
    run = api.synced(reef)
    assert run["status"] in {"failed", "partial"}
    assert run["error"]
    assert statuses(api, reef) == before
    simulator.control.clear_faults()
    assert api.synced(reef)["status"] == "succeeded"
    assert statuses(api, reef) == before


@pytest.mark.parametrize("fault", ["cut", "truncated_json", "duplicate", "empty_page", "move"])
def test_L2_a_page_that_comes_at_the_second_try_or_oddly_changes_nothing(
    api: Api, simulator: SimulatorServer, home: Any, reef: str, fault: str
) -> None:
    before = statuses(api, reef)
    simulator.control.expire_delta_tokens(home.id)
    simulator.control.fault(fault, path="^/users/delta", page=2, times=1)
    run = api.synced(reef)
    assert (run["status"], run["counts"]["gone"]) == ("succeeded", 0)
    assert statuses(api, reef) == before


def test_L2_people_that_a_full_read_leaves_out_are_not_marked_until_the_numbers_agree(
    api: Api, simulator: SimulatorServer, home: Any, reef: str
) -> None:
    before = statuses(api, reef)
    simulator.control.expire_delta_tokens(home.id)
    simulator.control.fault("missing", path="^/users/delta", page=1, times=None, count=20)
    run = api.synced(reef)
    assert run["status"] == "partial"
    assert any("listed" in text for text in run["warnings"])
    assert statuses(api, reef) == before


def test_G3_a_stale_token_means_a_full_read_that_finds_who_is_gone(
    api: Api, simulator: SimulatorServer, home: Any, reef: str
) -> None:
    victim = next(u for u in simulator.control.users(home.id) if u.get("mail"))
    simulator.control.delete_user(home.id, victim["id"])
    simulator.control.purge_user(home.id, victim["id"])
    simulator.control.expire_delta_tokens(home.id)
    run = api.synced(reef)
    assert (run["status"], run["counts"]["gone"]) == ("succeeded", 1)
    assert statuses(api, reef)[victim["mail"].lower()] == "disabled"


def test_G5_throttling_is_waited_for_and_counted(
    api: Api, simulator: SimulatorServer, home: Any, reef: str
) -> None:
    simulator.control.fault("throttle", path="^/users/delta", times=2, retry_after=1)
    run = api.synced(reef)
    assert run["status"] == "succeeded"
    assert run["throttled_seconds"] >= 2


def test_G6_a_foreign_next_link_gets_no_request(
    api: Api, simulator: SimulatorServer, home: Any, reef: str
) -> None:
    simulator.control.expire_delta_tokens(home.id)
    simulator.control.fault("foreign_link", path="^/users/delta", page=1, times=None, host="127.0.0.1:9")
    run = api.synced(reef)
    assert run["status"] == "failed"
    assert "points to another server" in run["error"]


def test_G8_malformed_records_are_listed_and_the_counts_add_up(
    api: Api, simulator: SimulatorServer, home: Any
) -> None:
    simulator.control.fault("bad_records", path="^/users/delta", page=1, times=1)
    organization = api.organization("Reef", api.connected(home.id)["id"])
    run = api.enabled(organization)
    counts = run["counts"]
    assert counts["created"] > 0
    assert counts["read"] == counts["in_scope"] + counts["out_of_scope"] + counts["skipped"]


def test_G8_duplicates_and_replays_double_nobody(api: Api, simulator: SimulatorServer, home: Any) -> None:
    simulator.control.fault("duplicate", path="^/users/delta", page=2, times=None, count=5)
    simulator.control.fault("replay", path="^/users/delta", page=3, times=None)
    organization = api.organization("Reef", api.connected(home.id)["id"])
    run = api.enabled(organization)
    assert run["status"] == "succeeded"
    assert run["counts"]["read"] == len(simulator.control.users(home.id))


def test_T3_T4_a_group_filter_takes_nested_members_and_later_ones_with_the_next_run(
    api: Api, simulator: SimulatorServer, home: Any
) -> None:
    ann, bo, cy = (staff(simulator, name, home.default_domain) for name in ("Ann", "Bo", "Cy"))
    inner = simulator.control.create_group(home.id, "Divers", [bo])
    outer = simulator.control.create_group(home.id, "At sea", [ann, inner])
    simulator.control.add_member(home.id, inner, outer)  # a cycle
    organization = api.organization("Reef", api.connected(home.id)["id"])
    run = api.enabled(organization, group=[outer])
    assert (run["status"], run["lane"]) == ("succeeded", "delayed")
    assert {p["display_name"] for p in api.people(organization).values()} == {"Ann Reef", "Bo Reef"}
    simulator.control.add_member(home.id, inner, cy)
    later = api.synced(organization)
    assert (later["lane"], later["counts"]["created"]) == ("hourly", 1)
    simulator.control.delete_group(home.id, outer)  # S6: accepts nobody, raises attention, deletes nobody
    run = api.synced(organization)
    assert (run["counts"]["in_scope"], run["counts"]["gone"], len(api.people(organization))) == (0, 0, 3)
    assert api.get(f"/organizations/{organization}/user-sync")["status"] == "needs_attention"


def test_S6_members_are_read_again_only_when_a_group_changed(
    api: Api, simulator: SimulatorServer, home: Any
) -> None:
    ann, bo = (staff(simulator, name, home.default_domain) for name in ("Ann", "Bo"))
    group = simulator.control.create_group(home.id, "Divers", [ann])
    organization = api.organization("Reef", api.connected(home.id)["id"])
    api.enabled(organization, group=[group])
    simulator.control.clear_log()
    assert api.synced(organization)["counts"]["in_scope"] == 1
    assert [r["status"] for r in simulator.control.log(path="/groups/delta")] == [200]
    assert simulator.control.log(path="transitiveMembers") == []
    simulator.control.add_member(home.id, group, bo)
    assert api.synced(organization)["counts"]["created"] == 1


def test_T1_an_hour_in_which_nothing_changed_asks_microsoft_once(
    api: Api, simulator: SimulatorServer, home: Any
) -> None:
    organization = api.organization("Reef", api.connected(home.id)["id"])
    api.enabled(organization)
    simulator.control.clear_log()
    run = api.synced(organization)
    assert (run["status"], run["graph_requests"]) == ("succeeded", 1)
    paths = {(r["path"], r["is_batched"]) for r in simulator.control.log() if "/v1.0/" in r["path"]}
    parts = (
        "organization",
        "users/microsoft.graph.agentUser",
        "subscribedSkus",
        "users/delta",
        "groups/delta",
    )
    assert paths >= {(f"/v1.0/{part}", True) for part in parts} | {("/v1.0/$batch", False)}


def test_W4_a_changed_address_updates_the_linked_person(
    api: Api, simulator: SimulatorServer, home: Any
) -> None:
    ann = staff(simulator, "Ann", home.default_domain)
    organization = api.organization("Reef", api.connected(home.id)["id"])
    api.enabled(organization, department=[DEPARTMENT])
    (before,) = api.people(organization).values()
    simulator.control.patch_user(home.id, ann, mail=f"ann.married@{home.default_domain}", surname="Married")
    run = api.synced(organization)
    (after,) = api.people(organization).values()
    assert (after["id"], after["email"]) == (before["id"], f"ann.married@{home.default_domain}")
    (change,) = api.everything(f"/sync-runs/{run['id']}/changes")
    assert {f["field"] for f in change["fields"]} == {"email", "last_name"}


def test_S7_a_value_that_is_gone_from_microsoft_stays_in_the_filter(
    api: Api, simulator: SimulatorServer, home: Any
) -> None:
    ann = staff(simulator, "Ann", home.default_domain)
    organization = api.organization("Reef", api.connected(home.id)["id"])
    api.enabled(organization, department=[DEPARTMENT])
    simulator.control.patch_user(home.id, ann, department="Dry Dock")
    api.synced(organization)
    path = f"/organizations/{organization}/user-sync"
    assert api.get(path)["filters"]["department"]["values"] == [DEPARTMENT]
    (row,) = [o for o in api.get(f"{path}/options")["department"] if o["value"] == DEPARTMENT]
    assert row["count"] == 0


def test_T6_the_portal_answers_and_writes_while_microsoft_is_slow(
    api: Api, simulator: SimulatorServer, home: Any, reef: str
) -> None:
    simulator.control.fault("slow", path="^/users/delta", times=1, seconds=3)
    run = api.post(f"/organizations/{reef}/user-sync/runs", status=202)
    path = f"/sync-runs/{run['id']}"
    wait_until(lambda: api.get(path)["status"] == "running", "the run to begin")
    api.post("/organizations", {"name": "Meanwhile"})
    assert api.get(path)["status"] == "running", "the write did not wait for the run"
    assert api.post(f"/organizations/{reef}/user-sync/runs", status=202)["id"] == run["id"]  # T5
    assert api.finished(run["id"])["status"] == "succeeded"


def test_T7_the_second_pass_asks_only_for_what_changed_since(
    api: Api, simulator: SimulatorServer, home: Any, reef: str
) -> None:
    user = next(u for u in simulator.control.users(home.id) if u.get("mail") and u["accountEnabled"])
    tenant = api.get("/microsoft-tenants")["items"][0]["id"]

    def last_sign_in() -> Any:
        return api.people(reef)[user["mail"].casefold()]["microsoft"]["last_sign_in_at"]

    def pass_again() -> None:
        wait_until(lambda: stored().slow_lease_owner is None, "the end of the last pass")
        with api.application.app_context():
            row = mark_write(db.session()).get_one(MicrosoftTenant, tenant)
            # Last sign-ins come with a pass only when they are old enough for the limit that all tenants share.
            age = row.sign_ins_at = row.sign_ins_at - timedelta(hours=13)
            row.slow_due_at = utcnow()
            db.session.commit()
        wait_until(lambda: stored().sign_ins_at != age, "the next slow pass")

    def stored() -> MicrosoftTenant:
        with api.application.app_context():
            return db.session.get_one(MicrosoftTenant, tenant)

    wait_until(lambda: stored().sign_ins_at, "the first slow pass")
    full = stored().sign_ins_full_at
    assert full == stored().sign_ins_at
    simulator.control.set_sign_in(home.id, user["id"], {"lastSignInDateTime": "2020-05-01T10:00:00Z"})
    before = last_sign_in()
    pass_again()
    assert last_sign_in() == before, "long ago: not asked for"
    now = utcnow().strftime("%Y-%m-%dT%H:%M:%SZ")
    simulator.control.set_sign_in(home.id, user["id"], {"lastSignInDateTime": now})
    pass_again()
    assert last_sign_in() == now
    assert stored().sign_ins_full_at == full
