"""Twenty at once: people, Assets, Organizations, settings and alerts."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from portal.alerts import announcements, delivery, targets
from portal.clock import utcnow
from portal.extensions import db
from portal.models import Asset, EndUser, Organization, Tenant
from tests.races.conftest import TIMES, Crowd
from tests.races.crowds import number_of, recorded
from tests.web import customers


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
