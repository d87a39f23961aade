"""The User Sync's switch, Sync Now, undo and holds, twenty times at once: one does it, the others are told."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from sqlalchemy import func, select

from portal.clock import utcnow
from portal.extensions import db
from portal.models import AuditEvent, Change, EndUser, MicrosoftTenant, Organization, SyncRun, UserSync
from portal.user_sync import edits
from tests.races.conftest import TIMES, Crowd
from tests.races.crowds import SECTIONS, choice
from tests.web import customers, holds


@pytest.fixture
def customer(crowd: Crowd) -> str:
    """An Organization whose Tenant is mapped to a Microsoft tenant that was read."""

    def make() -> str:
        home = customers.microsoft_tenant()
        for number in range(3):
            customers.directory_user(home, f"Person {number}", f"person{number}@harborview.example")
        return str(customers.organization(microsoft=home).id)

    return str(crowd.build(make))


def number_of(crowd: Crowd, model: Any, *conditions: Any) -> int:
    return int(
        crowd.ask(lambda: db.session.scalar(select(func.count()).select_from(model).where(*conditions)))
    )


def recorded(crowd: Crowd, action: str) -> int:
    return number_of(crowd, AuditEvent, AuditEvent.action == action)


def sync_of(crowd: Crowd, organization_id: str) -> UserSync:
    found = crowd.ask(
        lambda: db.session.scalar(select(UserSync).where(UserSync.organization_id == organization_id))
    )
    assert isinstance(found, UserSync)
    return found


def test_L5_a_sync_is_enabled_once(crowd: Crowd, customer: str) -> None:
    answers = crowd.api("PUT", f"/organizations/{customer}/user-sync", choice())
    assert answers == {200: TIMES}
    assert recorded(crowd, "user_sync_enabled") == 1
    assert number_of(crowd, SyncRun) == 1
    assert sync_of(crowd, customer).generation == 1


def test_U7_of_two_browsers_that_saved_other_filters_one_is_told(crowd: Crowd, customer: str) -> None:
    crowd.api("PUT", f"/organizations/{customer}/user-sync", choice(), times=1)
    opened_on = crowd.ask(lambda: _standing(customer))

    def form(number: int) -> dict[str, Any]:
        alls = {f"{name}_all": "1" for name in SECTIONS if name != "department"}
        return {**alls, "department": f"Department {number}", "opened_on": opened_on}

    assert crowd.page(f"/organizations/{customer}/user-sync", form) == {303: 1, 422: TIMES - 1}
    assert recorded(crowd, "user_sync_edited") == 1


def _standing(organization_id: str) -> str:
    from portal.models import Organization

    return edits.edit_version(db.session.get_one(Organization, organization_id))


def test_L5_a_sync_is_disabled_once(crowd: Crowd, customer: str) -> None:
    crowd.api("PUT", f"/organizations/{customer}/user-sync", choice(), times=1)
    assert crowd.api("DELETE", f"/organizations/{customer}/user-sync") == {204: 1, 404: TIMES - 1}
    assert sync_of(crowd, customer).generation == 2
    assert recorded(crowd, "user_sync_disabled") == 1


def test_L5_every_enable_and_disable_counts(crowd: Crowd, customer: str) -> None:
    """The generation is what stops a run that was started under another: none may be skipped or given twice."""

    def flip(number: int) -> Any:
        method = "PUT" if number % 2 else "DELETE"
        body = choice() if number % 2 else None
        return crowd.call(number, method, f"/organizations/{customer}/user-sync", body)

    crowd.statuses(flip)
    changes = recorded(crowd, "user_sync_enabled") + recorded(crowd, "user_sync_disabled")
    assert sync_of(crowd, customer).generation == changes


def test_T5_sync_now_starts_one_run_and_shows_it_to_all(crowd: Crowd, customer: str) -> None:
    enabled(crowd, customer)
    path = f"/organizations/{customer}/user-sync/runs"
    answers = crowd.answers(lambda number: crowd.call(number, "POST", path, {}))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.get_json()["id"] for answer in answers}) == 1
    assert number_of(crowd, SyncRun, SyncRun.trigger == "manual") == 1


def test_T5_sync_now_by_page_of_the_whole_tenant_starts_one_run(crowd: Crowd, customer: str) -> None:
    enabled(crowd, customer)
    tenant_id = crowd.ask(lambda: _tenant_of(customer))
    assert crowd.page(f"/tenants/{tenant_id}/sync") == {303: TIMES}
    assert number_of(crowd, SyncRun, SyncRun.trigger == "manual") == 1


def test_T1_the_schedule_and_a_person_do_not_queue_two(crowd: Crowd, customer: str) -> None:
    from portal.worker import queue

    enabled(crowd, customer)
    now = utcnow()

    def due() -> None:
        from portal.models import MicrosoftTenant

        db.session.scalars(select(MicrosoftTenant)).one().next_run_at = now

    crowd.build(due)

    def call(number: int) -> Any:
        if number % 2:
            return crowd.call(number, "POST", f"/organizations/{customer}/user-sync/runs", {})
        return crowd.build(lambda: queue.queue_due(db.session(), now, 60))

    crowd.answers(call)
    assert number_of(crowd, SyncRun, SyncRun.trigger != "initial") == 1


def _tenant_of(organization_id: str) -> str:
    return db.session.get_one(Organization, organization_id).tenant_id


def enabled(crowd: Crowd, organization_id: str) -> None:
    """A sync whose initial run is over."""
    crowd.api("PUT", f"/organizations/{organization_id}/user-sync", choice(), times=1)

    def end() -> None:
        sync = db.session.scalars(select(UserSync)).one()
        sync.initial_done_at = utcnow()
        for run in db.session.scalars(select(SyncRun)):
            run.status, run.started_at, run.finished_at = "succeeded", utcnow(), utcnow()

    crowd.build(end)


def run_with_changes(crowd: Crowd, organization_id: str, *, is_removed: bool = False) -> str:
    """A finished run that created somebody."""

    def make() -> str:
        run = SyncRun(
            organization_id=organization_id,
            microsoft_tenant_id="removed" if is_removed else _microsoft_tenant_id(),
            trigger="hourly",
            status="succeeded",
            created_at=utcnow(),
            started_at=utcnow(),
            finished_at=utcnow(),
        )
        db.session.add(run)
        db.session.flush()
        person = EndUser(
            organization_id=organization_id,
            display_name="Made By It",
            email="made@harborview.example",
            email_key="made@harborview.example",
            source="sync",
            created_by_run_id=run.id,
            created_at=utcnow(),
            updated_at=utcnow(),
        )
        db.session.add(person)
        db.session.flush()
        db.session.add(
            Change(
                run_id=run.id,
                organization_id=organization_id,
                end_user_id=person.id,
                object_id="made",
                display_name="Made By It",
                decision="create",
                reason="new",
                undo={"created": True},
                at=utcnow(),
            )
        )
        return str(run.id)

    return str(crowd.build(make))


def _microsoft_tenant_id() -> str:
    from portal.models import MicrosoftTenant

    return db.session.scalars(select(MicrosoftTenant)).one().id


def test_R5_an_undo_is_queued_once(crowd: Crowd, customer: str) -> None:
    run_id = run_with_changes(crowd, customer)
    assert crowd.api("POST", f"/sync-runs/{run_id}/undo", {}) == {202: TIMES}
    assert number_of(crowd, SyncRun, SyncRun.kind == "undo") == 1
    assert recorded(crowd, "run_undone") == 1


def test_R5_an_undo_that_is_done_at_once_is_done_once(crowd: Crowd, customer: str) -> None:
    """Of a tenant that is not in the database: nothing waits in a queue, so the request does it (R5)."""
    run_id = run_with_changes(crowd, customer, is_removed=True)
    assert crowd.api("POST", f"/sync-runs/{run_id}/undo", {}) == {202: 1, 409: TIMES - 1}
    assert number_of(crowd, SyncRun, SyncRun.kind == "undo") == 1
    assert number_of(crowd, EndUser) == 0


def held_run(crowd: Crowd, organization_id: str) -> str:
    """A run that holds back three creations."""
    enabled(crowd, organization_id)

    def make() -> str:
        organization = db.session.get_one(Organization, organization_id)
        microsoft = db.session.get_one(MicrosoftTenant, _microsoft_tenant_id())
        return str(holds.held_run(organization, microsoft).id)

    return str(crowd.build(make))


@pytest.mark.parametrize("verb", ["apply", "dismiss"])
def test_G1_a_hold_is_decided_once(crowd: Crowd, customer: str, verb: str) -> None:
    run_id = held_run(crowd, customer)
    assert crowd.api("POST", f"/sync-runs/{run_id}/held/{verb}") == {200: 1, 409: TIMES - 1}
    assert number_of(crowd, EndUser) == (3 if verb == "apply" else 0)
    assert recorded(crowd, "hold_applied" if verb == "apply" else "hold_dismissed") == 1


def test_G1_of_apply_and_dismiss_at_once_one_counts(crowd: Crowd, customer: str) -> None:
    run_id = held_run(crowd, customer)

    def call(number: int) -> Any:
        verb = "apply" if number % 2 else "dismiss"
        return crowd.send(number, f"/sync-runs/{run_id}/held/{verb}", {"everybody": "1", "count": "3"})

    assert crowd.statuses(call) == {303: 1, 409: TIMES - 1}
    decided = Counter(applied=recorded(crowd, "hold_applied"), dismissed=recorded(crowd, "hold_dismissed"))
    assert decided.total() == 1
    assert number_of(crowd, EndUser) == (3 if decided["applied"] else 0)


def test_P6_one_person_is_synced_once(crowd: Crowd, customer: str) -> None:
    enabled(crowd, customer)

    def make() -> str:
        organization = db.session.get_one(Organization, customer)
        return str(customers.end_user(organization, "Person 1", "person1@harborview.example").id)

    person_id = crowd.build(make)
    answers = crowd.answers(
        lambda number: crowd.call(
            number, "POST", f"/organizations/{customer}/user-sync/runs", {"end_user_id": person_id}
        )
    )
    assert {answer.status_code for answer in answers} == {202}
    assert number_of(crowd, SyncRun, SyncRun.only_object_id.is_not(None)) == 1
