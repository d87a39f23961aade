"""Twenty at once: consent, connecting and mapping happen once."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from portal.clock import utcnow
from portal.crypto import hash_token
from portal.errors import Refused
from portal.extensions import db
from portal.microsoft import consent, service
from portal.microsoft.gateway import Proof
from portal.models import ConsentRequest, MicrosoftTenant, Organization, Tenant
from tests.races.conftest import TIMES, Crowd
from tests.races.crowds import choice, number_of, outcomes, recorded
from tests.web import customers

DIRECTORY = "11111111-2222-4333-8444-555555555555"


def test_C2_a_consent_is_taken_once(crowd: Crowd) -> None:
    def make() -> None:
        db.session.add(
            ConsentRequest(
                state_hash=hash_token("the-state"),
                session_id="the-browser",
                account_id="ada",
                created_at=utcnow(),
                expires_at=utcnow() + timedelta(minutes=15),
            )
        )

    crowd.build(make)
    answer = {"state": "the-state", "tenant": DIRECTORY, "admin_consent": "True"}
    found = outcomes(crowd, lambda _: consent.finish(answer, browser="the-browser"))
    assert found == {"done": 1, "Refused": TIMES - 1}


def test_C2_the_same_directory_is_connected_once(crowd: Crowd) -> None:
    """Microsoft has answered all twenty; the last step is what counts."""
    proof = Proof(DIRECTORY, "Harborview Health", ())
    assert outcomes(crowd, lambda _: service.add(proof, "global")) == {"done": 1, "Refused": TIMES - 1}
    assert number_of(crowd, MicrosoftTenant) == 1
    assert recorded(crowd, "microsoft_tenant_connected") == 1


def test_C2_who_comes_second_is_told_which_tenant_it_is(crowd: Crowd) -> None:
    proof = Proof(DIRECTORY, "Harborview Health", ())
    told = []

    def once(_: int) -> None:
        try:
            crowd.build(lambda: service.add(proof, "global"))
        except Refused as error:
            told.append(error.advice)

    crowd.answers(once)
    assert {advice.partition(", since")[0] for advice in told} == {"Harborview Health is already connected"}


def test_C2_a_proof_that_two_pages_wait_for_connects_once(crowd: Crowd) -> None:
    """The page that waits tries by itself, in every tab in which it is open."""
    proof = Proof(DIRECTORY, "Harborview Health", ())
    assert outcomes(crowd, lambda _: consent.save(proof, "global")) == {"done": TIMES}
    assert number_of(crowd, MicrosoftTenant) == 1
    assert recorded(crowd, "microsoft_tenant_connected") == 1


def test_C2_a_tenant_is_removed_once(crowd: Crowd) -> None:
    tenant_id = crowd.build(lambda: customers.microsoft_tenant().id)
    assert crowd.api("DELETE", f"/microsoft-tenants/{tenant_id}") == {204: 1, 404: TIMES - 1}
    assert recorded(crowd, "microsoft_tenant_removed") == 1


def test_C6_a_microsoft_tenant_is_mapped_to_one_tenant(crowd: Crowd) -> None:
    def make() -> tuple[str, list[str]]:
        home = customers.microsoft_tenant()
        rows = [Tenant(name=f"Tenant {number}", created_at=utcnow()) for number in range(TIMES)]
        db.session.add_all(rows)
        db.session.flush()
        return home.id, [row.id for row in rows]

    home_id, ids = crowd.build(make)

    def call(number: int) -> Any:
        return crowd.call(
            number, "PUT", f"/tenants/{ids[number]}/microsoft-tenant", {"microsoft_tenant_id": home_id}
        )

    assert crowd.statuses(call) == {200: 1, 409: TIMES - 1}
    assert recorded(crowd, "tenant_mapped") == 1


def test_C6_a_tenant_is_mapped_to_one_microsoft_tenant(crowd: Crowd) -> None:
    def make() -> tuple[str, list[str]]:
        rows = [customers.microsoft_tenant(f"Health {number}") for number in range(TIMES)]
        tenant = Tenant(name="Harborview", created_at=utcnow())
        db.session.add(tenant)
        db.session.flush()
        return tenant.id, [row.id for row in rows]

    tenant_id, ids = crowd.build(make)
    answers = crowd.api(
        "PUT", f"/tenants/{tenant_id}/microsoft-tenant", lambda number: {"microsoft_tenant_id": ids[number]}
    )
    assert answers == {200: 1, 409: TIMES - 1}
    assert recorded(crowd, "tenant_mapped") == 1


def test_C6_a_tenant_is_unmapped_once(crowd: Crowd) -> None:
    organization_id = crowd.build(lambda: customers.organization(microsoft=customers.microsoft_tenant()).id)
    tenant_id = crowd.ask(lambda: db.session.get_one(Organization, organization_id).tenant_id)
    assert crowd.api("DELETE", f"/tenants/{tenant_id}/microsoft-tenant") == {204: 1, 409: TIMES - 1}
    assert recorded(crowd, "tenant_unmapped") == 1


def test_R2_a_sync_is_not_enabled_under_a_mapping_that_goes(crowd: Crowd) -> None:
    """Either the sync is enabled and the mapping stays, or the mapping goes and nothing is enabled."""
    organization_id = crowd.build(lambda: customers.organization(microsoft=customers.microsoft_tenant()).id)
    tenant_id = crowd.ask(lambda: db.session.get_one(Organization, organization_id).tenant_id)

    def call(number: int) -> Any:
        if number % 2:
            return crowd.call(number, "DELETE", f"/tenants/{tenant_id}/microsoft-tenant")
        return crowd.call(number, "PUT", f"/organizations/{organization_id}/user-sync", choice())

    crowd.statuses(call)
    is_mapped = crowd.ask(lambda: db.session.get_one(Tenant, tenant_id).microsoft_tenant_id is not None)
    assert bool(recorded(crowd, "user_sync_enabled")) is is_mapped
