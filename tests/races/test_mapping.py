"""Mapping, connecting, consent, conflicts, exceptions and recovery, twenty times at once."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.exc import IntegrityError

from portal.alerts import announcements, delivery, targets
from portal.clock import utcnow
from portal.crypto import hash_token
from portal.errors import PortalError, Refused
from portal.extensions import db
from portal.microsoft import consent, service
from portal.microsoft.gateway import Proof
from portal.models import (
    Asset,
    AuditEvent,
    Conflict,
    ConsentRequest,
    EndUser,
    MicrosoftTenant,
    Organization,
    SyncException,
    SyncRun,
    Tenant,
)
from tests.races.conftest import TIMES, Crowd
from tests.races.test_sync_switch import choice
from tests.web import customers

DIRECTORY = "11111111-2222-4333-8444-555555555555"


def number_of(crowd: Crowd, model: Any, *conditions: Any) -> int:
    return int(
        crowd.ask(lambda: db.session.scalar(select(func.count()).select_from(model).where(*conditions)))
    )


def recorded(crowd: Crowd, *actions: str) -> int:
    return number_of(crowd, AuditEvent, AuditEvent.action.in_(actions))


def outcomes(crowd: Crowd, call: Any) -> Counter[str]:
    """Run ``call`` in twenty sessions; counts what became of each: done, or the class of the refusal."""

    def once(number: int) -> str:
        try:
            crowd.build(lambda: call(number))
        except PortalError as error:
            return type(error).__name__
        return "done"

    return Counter(crowd.answers(once))


# -- consent and connecting ------------------------------------------------------------------------------------------


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
    assert {advice.partition(", since")[0] for advice in told} == {"Harborview Health is connected already"}


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


# -- mapping ---------------------------------------------------------------------------------------------------------


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


# -- what runs leave to be decided -----------------------------------------------------------------------------------


def conflict(crowd: Crowd) -> str:
    def make() -> str:
        home = customers.microsoft_tenant()
        organization = customers.organization(microsoft=home)
        person = customers.end_user(organization, "Nora Lind", "nora@harborview.example")
        row = Conflict(
            organization_id=organization.id,
            key="key",
            kind="same_email",
            reason="Two of one address",
            object_id="object",
            email="nora@harborview.example",
            end_user_id=person.id,
            created_at=utcnow(),
        )
        db.session.add(row)
        db.session.flush()
        return row.id

    return str(crowd.build(make))


def test_M7_a_conflict_is_settled_once(crowd: Crowd) -> None:
    row_id = conflict(crowd)
    person_id = crowd.ask(lambda: db.session.get_one(Conflict, row_id).end_user_id)
    bodies = ({"action": "ignore"}, {"action": "link", "end_user_id": person_id})
    answers = crowd.api("POST", f"/conflicts/{row_id}/resolve", lambda number: bodies[number % 2])
    assert answers == {200: 1, 409: TIMES - 1}
    assert recorded(crowd, "conflict_resolved") == 1


def test_M7_a_conflict_is_reopened_once(crowd: Crowd) -> None:
    row_id = conflict(crowd)
    crowd.api("POST", f"/conflicts/{row_id}/resolve", {"action": "ignore"}, times=1)
    assert crowd.page(f"/conflicts/{row_id}/reopen") == {303: 1, 409: TIMES - 1}
    assert recorded(crowd, "conflict_reopened") == 1


def test_P14_a_person_is_put_on_the_never_sync_list_once_and_taken_off_once(crowd: Crowd) -> None:
    def make() -> tuple[str, str]:
        home = customers.microsoft_tenant()
        user = customers.directory_user(home, "Nora Lind", "nora@harborview.example")
        return customers.organization(microsoft=home).id, user.object_id

    organization_id, object_id = crowd.build(make)
    body = {"kind": "never_sync", "object_id": object_id, "reason": "A shared mailbox"}
    added = crowd.api("POST", f"/organizations/{organization_id}/exceptions", body)
    assert added == {201: 1, 422: TIMES - 1}
    row_id = crowd.ask(lambda: db.session.scalars(select(SyncException)).one().id)
    assert crowd.api("DELETE", f"/exceptions/{row_id}") == {204: 1, 404: TIMES - 1}
    assert recorded(crowd, "exception_removed") == 1


def test_P14_a_field_is_pinned_once(crowd: Crowd) -> None:
    def make() -> tuple[str, str]:
        organization = customers.organization(microsoft=customers.microsoft_tenant())
        return organization.id, customers.end_user(organization, "Nora Lind").id

    organization_id, person_id = crowd.build(make)
    body = {"kind": "pin", "end_user_id": person_id, "field": "city", "reason": "Ours is right"}
    added = crowd.api("POST", f"/organizations/{organization_id}/exceptions", body)
    assert added == {201: 1, 422: TIMES - 1}


def test_R3_recovery_deletes_once(crowd: Crowd) -> None:
    def deleted() -> list[int]:
        done = select(AuditEvent).where(AuditEvent.action == "recovery_done").order_by(AuditEvent.number)
        return [event.detail["deleted"] for event in db.session.scalars(done)]

    def make() -> tuple[str, str]:
        home = customers.microsoft_tenant()
        organization = customers.organization(microsoft=home)
        now = utcnow()
        run = SyncRun(
            organization_id=organization.id,
            microsoft_tenant_id=home.id,
            trigger="initial",
            status="succeeded",
            created_at=now,
            started_at=now,
        )
        db.session.add(run)
        db.session.flush()
        user = customers.directory_user(home, "Nora Lind", "nora@harborview.example")
        person = customers.end_user(
            organization, "Nora Lind", user.email, source="sync", linked_to=user, run_id=run.id
        )
        return organization.id, person.id

    organization_id, person_id = crowd.build(make)
    form = {"id": person_id, "unlink": "1", "confirmed": "1"}
    assert crowd.page(f"/organizations/{organization_id}/recovery", form) == {303: 1, 422: TIMES - 1}
    assert number_of(crowd, EndUser) == 0
    assert crowd.ask(deleted) == [1, 0], "and then the others were unlinked, of whom there are none"


# -- people, Assets, Organizations -----------------------------------------------------------------------------------


def test_M4_an_address_is_given_once(crowd: Crowd) -> None:
    organization_id = crowd.build(lambda: customers.organization().id)
    body = {"display_name": "Nora Lind", "email": "nora@harborview.example"}
    added = crowd.api("POST", f"/organizations/{organization_id}/end-users", body)
    assert added == {201: 1, 422: TIMES - 1}


def test_M4_an_address_is_taken_over_once(crowd: Crowd) -> None:
    def make() -> list[str]:
        organization = customers.organization()
        return [customers.end_user(organization, f"Person {number}").id for number in range(TIMES)]

    ids = crowd.build(make)
    answers = crowd.statuses(
        lambda number: crowd.call(
            number, "PATCH", f"/end-users/{ids[number]}", {"email": "nora@harborview.example"}
        )
    )
    assert answers == {200: 1, 422: TIMES - 1}


def test_P6_of_two_browsers_that_changed_the_same_field_one_is_told(crowd: Crowd) -> None:
    person_id = crowd.build(lambda: customers.end_user(customers.organization(), "Nora Lind").id)

    def opened() -> tuple[str, dict[str, str]]:
        from portal.end_users import service as end_users

        row = db.session.get_one(EndUser, person_id)
        return end_users.fingerprints(row), {name: getattr(row, name) for name in end_users.EDITABLE}

    opened_on, shown = crowd.ask(opened)
    answers = crowd.page(
        f"/end-users/{person_id}", lambda number: {**shown, "city": f"City {number}", "opened_on": opened_on}
    )
    assert answers == {303: 1, 422: TIMES - 1}


def test_P6_somebody_is_deleted_and_unlinked_once(crowd: Crowd) -> None:
    def make() -> str:
        home = customers.microsoft_tenant()
        user = customers.directory_user(home, "Nora Lind", "nora@harborview.example")
        person = customers.end_user(customers.organization(microsoft=home), "Nora", linked_to=user)
        return person.id

    person_id = crowd.build(make)
    assert crowd.page(f"/end-users/{person_id}/unlink") == {303: 1, 409: TIMES - 1}
    assert crowd.api("DELETE", f"/end-users/{person_id}") == {204: 1, 404: TIMES - 1}
    assert recorded(crowd, "end_user_unlinked", "end_user_deleted") == 2


def test_W5_an_asset_is_deleted_once(crowd: Crowd) -> None:
    def make() -> str:
        organization = customers.organization()
        row = Asset(
            organization_id=organization.id, name="LAPTOP-7", created_at=utcnow(), updated_at=utcnow()
        )
        db.session.add(row)
        db.session.flush()
        return row.id

    asset_id = crowd.build(make)
    assert crowd.api("DELETE", f"/assets/{asset_id}") == {204: 1, 404: TIMES - 1}
    assert recorded(crowd, "asset_deleted") == 1


def test_P3_an_organization_is_created_moved_and_deleted_once(crowd: Crowd) -> None:
    assert crowd.api("POST", "/organizations", {"name": "Harborview"}) == {201: 1, 422: TIMES - 1}
    row = crowd.ask(lambda: db.session.scalars(select(Organization)).one().id)

    def make() -> str:
        tenant = Tenant(name="Other", created_at=utcnow())
        db.session.add(tenant)
        db.session.flush()
        return tenant.id

    other = crowd.build(make)
    assert crowd.api("PATCH", f"/organizations/{row}", {"tenant_id": other}) == {200: TIMES}
    assert recorded(crowd, "organization_moved") == 1
    assert crowd.api("DELETE", f"/organizations/{row}") == {204: 1, 404: TIMES - 1}
    assert recorded(crowd, "organization_deleted") == 1


def test_P3_a_form_sent_twice_makes_one_organization(crowd: Crowd) -> None:
    """A double click: both get to the one that was made."""
    answers = crowd.answers(lambda _: crowd.send(0, "/organizations/new", {"name": "Harborview"}))
    assert {answer.status_code for answer in answers} == {303}
    assert len({answer.location for answer in answers}) == 1
    assert number_of(crowd, Organization) == 1


def test_P10_a_setting_is_saved_by_all_at_once(crowd: Crowd) -> None:
    """Nobody has saved it before: each of the twenty would make its row."""
    statuses = crowd.page(
        "/settings/notifications/add/webhook", {"url": "https://hooks.example/rollcall", "events": "hold"}
    )
    assert statuses == {303: TIMES}


def test_O2_an_alert_is_sent_once(crowd: Crowd) -> None:
    """Several processes look at the same time; nobody listens at the target, which is none of this test's business."""
    runtime = crowd.app.extensions["rollcall"]

    def make() -> None:
        home = customers.microsoft_tenant()
        home.state, home.problem, home.problem_since = "needs_attention", "Refused.", utcnow()
        target = targets.parse("json://127.0.0.1:1/", is_local=True)
        delivery.add_target(db.session(), runtime.box, target, now=utcnow(), by="Ada")

    crowd.build(make)

    def announce(_: int) -> int:
        try:
            return announcements.announce(runtime)
        except IntegrityError:  # the scheduler looks again in a moment
            return 0

    assert sum(crowd.answers(announce)) == 1
