"""Twenty at once: conflicts, exceptions and recovery are decided once."""

from __future__ import annotations

from sqlalchemy import select

from portal.clock import utcnow
from portal.extensions import db
from portal.models import AuditEvent, Conflict, EndUser, SyncException, SyncRun
from tests.races.conftest import TIMES, Crowd
from tests.races.crowds import number_of, recorded
from tests.web import customers


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
