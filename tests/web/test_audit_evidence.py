"""The audit log as evidence: exports are recorded and carry the chain, old events go without breaking it."""

import json
import re
from datetime import timedelta

import pytest

from portal import audit, create_app
from portal.api import tokens
from portal.clock import utcnow
from portal.config import Settings
from portal.evidence import retention
from portal.evidence.check import verify_database
from portal.evidence.export import verify_file
from portal.extensions import db, mark_write
from portal.http.listing import Listing
from portal.models import AuditEvent, Base, EndUser
from portal.settings import audit_log
from tests.web import customers


def events(app, action):
    with app.app_context():
        return [
            (row.actor, row.object_type, row.object_id, row.detail)
            for row in db.session.query(AuditEvent).filter_by(action=action).order_by(AuditEvent.number)
        ]


def record(app, *names):
    with app.app_context():
        mark_write(db.session())
        for name in names:
            audit.record(db.session(), "tenant_created", object_type="tenant", object_id="1", name=name)
        db.session.commit()


@pytest.fixture
def organization(app):
    with app.app_context():
        mark_write(db.session())
        row = customers.organization("Fabrikam")
        for name in ("Ada", "Bo, of\r\nline two"):
            db.session.add(
                EndUser(
                    organization_id=row.id,
                    display_name=name,
                    source="manual",
                    created_at=utcnow(),
                    updated_at=utcnow(),
                )
            )
        db.session.commit()
        return row.id


def test_exports_of_people_and_assets_are_recorded_with_their_size(app, client_as, organization):
    reader = client_as("read-only")
    people = reader.get(f"/organizations/{organization}/end-users.csv")
    checked = reader.send(f"/organizations/{organization}/end-users.csv", {"all_filtered": "1"})
    assets = reader.get(f"/organizations/{organization}/assets.csv")
    assert [answer.status_code for answer in (people, checked, assets)] == [200, 200, 200]
    assert events(app, "exported") == [
        (
            "read-only@rollcall.example",
            "organization",
            organization,
            {"what": what, "rows": rows, "bytes": len(answer.data)},
        )
        for what, rows, answer in (("end_users", 2, people), ("end_users", 2, checked), ("assets", 0, assets))
    ]
    page = " ".join(re.sub("<[^>]+>", " ", client_as("administrator").get("/settings/audit").text).split())
    assert f"Exported End Users Rows: 2 Size: {len(people.data)} bytes" in page


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_exports_of_the_log_carry_the_chain_and_are_recorded(app, client_as, tmp_path, kind):
    record(app, "Fabrikam", "=Tailspin")
    reader = client_as("read-only")
    for query, is_complete, rows in (
        ("", True, None),
        ("?action=tenant_created", False, 2),
        ("?q=nothing+like+it", False, 0),
    ):
        answer = reader.get(f"/settings/audit.{kind}{query}")
        path = tmp_path / f"x.{kind}"
        path.write_bytes(answer.data)
        found = verify_file(path)
        assert (found.problem, found.is_complete) == (None, is_complete)
        assert rows in (None, found.events)
        assert events(app, "exported")[-1][3] == {
            "what": "audit_log",
            "rows": found.events,
            "bytes": len(answer.data),
        }
        assert "audit-log-" in answer.headers["Content-Disposition"]
    assert len(events(app, "exported")) == 3


def test_the_api_carries_the_chain_too(app, client_as, tmp_path):
    from portal.api import tokens

    record(app, "Fabrikam")
    with app.app_context():
        mark_write(db.session())
        token = tokens.create("reader", "read-only")
        db.session.commit()
    api = app.test_client()
    head = {"Authorization": f"Bearer {token}"}
    listed = api.get("/api/v1/audit-events?sort=at", headers=head).json
    first, second = listed["items"]
    assert first["number"] == 1 and second["previous_hash"] == first["hash"]
    assert listed["chain"] == {
        "anchor": {"number": 0, "hash": "0" * 64},
        "head": {"number": 2, "hash": second["hash"]},
    }
    for kind in ("csv", "json"):
        answer = api.get(f"/api/v1/audit-events.{kind}", headers=head)
        path = tmp_path / f"x.{kind}"
        path.write_bytes(answer.data)
        assert verify_file(path).problem is None
        assert api.get(f"/api/v1/audit-events.{kind}?color=red", headers=head).status_code == 422
    assert [actor for actor, *_ in events(app, "exported")] == ["token reader"] * 2


def test_events_are_kept_for_good_until_an_administrator_says_otherwise(app, client_as):
    record(app, *"abc")
    owner = client_as("administrator")
    assert '<option selected value="0">For good</option>' in owner.get("/settings/audit").text
    with app.app_context():
        assert retention.forget_old(db.session(), utcnow() + timedelta(days=9999)) == 0
    assert owner.send("/settings/audit/retention", {"days": "1"}).status_code == 422
    assert client_as("technician").send("/settings/audit/retention", {"days": "365"}).status_code == 403
    assert owner.send("/settings/audit/retention", {"days": "365"}).status_code == 303
    assert events(app, "settings_changed")[0][3] == {"changes": "keep audit events: 1 year (was: for good)"}
    assert '<option selected value="365">1 year</option>' in owner.get("/settings/audit").text


def test_what_is_too_old_goes_and_the_rest_can_still_be_verified(app, client_as, monkeypatch, tmp_path):
    monkeypatch.setattr(retention, "BATCH", 3)
    monkeypatch.setattr("portal.audit.utcnow", lambda: utcnow() - timedelta(days=400))
    record(app, *"abcde")
    monkeypatch.setattr("portal.audit.utcnow", utcnow)
    record(app, "kept")
    owner = client_as("administrator")
    owner.send("/settings/audit/retention", {"days": "365"})
    numbers = []
    with app.app_context():
        for _ in range(3):
            mark_write(db.session())
            numbers.append(retention.forget_old(db.session(), utcnow()))
            db.session.commit()
        found = verify_database(db.engine)
        assert (found.problem, found.anchor.number) == (None, 5)
    assert numbers == [3, 2, 0]
    assert [told[3] for told in events(app, "audit_log_pruned")] == [
        {"count": 3, "through": 3},
        {"count": 2, "through": 5},
    ]
    page = owner.get("/settings/audit").text
    assert "Events up to 5 were deleted" in page
    path = tmp_path / "x.json"
    path.write_bytes(owner.get("/settings/audit.json").data)
    assert verify_file(path).problem is None
    assert json.loads(path.read_bytes())["anchor"]["number"] == 5
    with app.app_context():  # an event more than retention took is a cut all the same
        db.session.execute(db.text("DELETE FROM audit_events WHERE number = 6"))
        db.session.commit()
        problem = verify_database(db.engine).problem
    assert (problem.kind, problem.number) == ("cut", 6)


@pytest.mark.postgres
def test_an_export_is_of_one_moment_while_events_come_and_go(postgres_url, tmp_path):
    app = create_app(
        Settings(data_dir=tmp_path, secret_key="k" * 40, scheduler="off", database_url=postgres_url)
    )
    with app.app_context():
        Base.metadata.create_all(db.engine)
    record(app, *"abcde")
    with app.app_context():
        found = audit_log.export(Listing())
        with app.app_context():
            retention.set_keep_days(db.session(), 90, now=utcnow())
            assert retention.forget_old(db.session(), utcnow() + timedelta(days=100)) == 5
            db.session.commit()
        path = tmp_path / "x.csv"
        path.write_text("".join(found.csv()), encoding="utf-8", newline="")
        db.session.remove()
        assert (verify_file(path).problem, verify_file(path).events) == (None, 5)
        assert verify_database(db.engine).problem is None
        db.engine.dispose()


def test_the_file_of_the_page_is_for_excel_and_that_of_the_api_when_asked(client_as, app):
    browser = client_as()
    mark = "\ufeff".encode()
    page = browser.get("/settings/audit.csv")
    assert page.data.startswith(mark + b"number,") and page.data.count(mark) == 1
    with app.app_context():
        head = {"Authorization": f"Bearer {tokens.create('bom', 'administrator')}"}
        db.session.commit()
    api = app.test_client()
    assert api.get("/api/v1/audit-events.csv", headers=head).data.startswith(b"number,")
    assert api.get("/api/v1/audit-events.csv?bom=true", headers=head).data.startswith(mark + b"number,")
    assert api.get("/api/v1/audit-events.csv?bom=1", headers=head).status_code == 422
