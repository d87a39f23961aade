"""Customers of an installation: connected, mapped and enabled, and compared with what Microsoft has."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from simulator.server import SimulatorServer
from tests.distributed.installation import Installation
from tests.system.conftest import request, wait_until

NOBODY_HELD = {"percent": 100, "minimum": 1000}


@dataclass
class Customer:
    """One Microsoft tenant and its Organization. ``truth``: user id → (title, enabled), for everybody who has an address."""

    directory_id: str
    tenant_id: str
    organization_id: str = ""
    truth: dict[str, tuple[str, bool]] = field(default_factory=dict)


def connect(one: Installation, simulator: SimulatorServer, number: int) -> list[Customer]:
    """Connect ``number`` tenants and wait for their first reads, then give each an Organization and enable its sync."""
    api = one.api
    found = [Customer(i, api.connect(i)["id"]) for i in simulator.tenant_ids[:number]]
    runs = []
    for customer in found:
        path = f"/microsoft-tenants/{customer.tenant_id}"
        wait_until(lambda path=path: api.get(path)["last_synced_at"], "the first read", 180)
        customer.organization_id = api.organization(api.get(path)["name"], customer.tenant_id)
        # Who is disabled before the first sync that sees them is to be there too: all can be compared with all.
        body = request(hold=NOBODY_HELD, add_disabled_accounts=True)
        runs.append(api.put(f"/organizations/{customer.organization_id}/user-sync", body)["last_run"]["id"])
    for run in runs:
        assert finished(one, run)["status"] == "succeeded"
    for customer in found:
        people = api.everything(
            f"/organizations/{customer.organization_id}/end-users?microsoft_status=active"
        )
        customer.truth = {p["microsoft"]["object_id"]: (p["job_title"], True) for p in people}
        customer.truth |= {
            p["microsoft"]["object_id"]: (p["job_title"], False)
            for p in api.everything(
                f"/organizations/{customer.organization_id}/end-users?microsoft_status=disabled"
            )
        }
        assert len(customer.truth) > 5
    return found


def finished(one: Installation, run: str, seconds: float = 180) -> dict[str, Any]:
    """Follow a run to its end."""
    path = f"/sync-runs/{run}"
    wait_until(
        lambda: one.api.get(path)["status"] not in {"queued", "running"}, f"the end of run {run}", seconds
    )
    return one.api.get(path)  # type: ignore[no-any-return]


def press(one: Installation, customer: Customer) -> str:
    """Sync Now."""
    return str(one.api.post(f"/organizations/{customer.organization_id}/user-sync/runs", status=202)["id"])


def change(simulator: SimulatorServer, customer: Customer, title: str, *, leavers: int = 1) -> None:
    """Everybody gets a title; the first few are disabled, the others enabled."""
    for number, user in enumerate(sorted(customer.truth)):
        is_enabled = number >= leavers
        simulator.control.patch_user(customer.directory_id, user, jobTitle=title, accountEnabled=is_enabled)
        customer.truth[user] = (title, is_enabled)


def add(simulator: SimulatorServer, customer: Customer, name: str) -> None:
    """Somebody new."""
    domain = next(
        u["mail"] for u in simulator.control.users(customer.directory_id) if u.get("mail")
    ).partition("@")[2]
    user = simulator.control.create_user(
        customer.directory_id,
        displayName=name,
        userPrincipalName=f"{name}@{domain}",
        mail=f"{name}@{domain}",
        accountEnabled=True,
        jobTitle="New",
    )
    customer.truth[user] = ("New", True)


def differences(one: Installation, customer: Customer) -> list[str]:
    """What the portal has otherwise than Microsoft: lost, doubled, mismarked, stale. Empty when all is well."""
    people = one.api.everything(f"/organizations/{customer.organization_id}/end-users?source=sync")
    found: list[str] = []
    seen: set[str] = set()
    for person in people:
        link = person["microsoft"]
        if link is None:
            found.append(f"unlinked {person['email']}")
            continue
        user = link["object_id"]
        if user in seen:
            found.append(f"doubled {user}")
        seen.add(user)
        if user not in customer.truth:
            found.append(f"foreign {user}")
            continue
        title, is_enabled = customer.truth[user]
        if link["status"] != ("active" if is_enabled else "disabled"):
            found.append(f"mismarked {user}: {link['status']}")
        if person["job_title"] != title:
            found.append(f"stale {user}: {person['job_title']} instead of {title}")
    mirrored = "SELECT presence, version FROM directory_users WHERE object_id = %s"
    lost = customer.truth.keys() - seen
    return found + [f"lost {user}, in the mirror as {one.sql(mirrored, user)}" for user in sorted(lost)]
