"""P8: sync activity and one run."""

from datetime import timedelta

import pytest

from portal.clock import utcnow
from portal.extensions import db
from portal.models import Change, Conflict, Role, SyncRun, UserSync
from tests.web import customers


def run_of(organization, microsoft, **values):
    now = utcnow()
    row = SyncRun(
        organization_id=organization.id,
        microsoft_tenant_id=microsoft.id,
        **{"trigger": "hourly", "status": "succeeded", "created_at": now, "started_at": now, "started_by": "schedule", **values},
    )
    db.session.add(row)
    db.session.flush()
    return row


def change_of(run, name, decision="update", **values):
    row = Change(
        run_id=run.id,
        organization_id=run.organization_id,
        object_id=name.casefold(),
        display_name=name,
        decision=decision,
        **{"reason": "fields_differ", "at": utcnow(), **values},
    )
    db.session.add(row)
    return row


@pytest.fixture
def customer(app):
    """A held run of an enabled sync with one update, one skip, one conflict, and a hold of two."""
    with app.app_context():
        microsoft = customers.microsoft_tenant()
        row = customers.organization("Harborview Imaging", microsoft)
        ada = customers.directory_user(microsoft, "Ada Obi", "ada@harborview.example")
        person = customers.end_user(row, "Ada Obi", "ada@harborview.example", linked_to=ada)
        run = run_of(
            row,
            microsoft,
            status="held",
            finished_at=utcnow() + timedelta(seconds=47),
            held={"kind": "disable", "count": 2, "state": "waiting"},
            counts={"read": 10, "in_scope": 4, "out_of_scope": 5, "skipped": 1, "created": 0, "linked": 0, "updated": 1,
                    "unchanged": 0, "disabled": 0, "enabled": 0, "conflicts": 1, "held": 2, "gone": 0},
        )
        change_of(run, "Ada Obi", end_user_id=person.id, fields=[{"field": "job_title", "old": "<b>Clerk</b>", "new": "Lead"}])
        change_of(run, "Scanner", "skip", reason="no_email")
        change_of(run, "Twin", "conflict", reason="duplicate_remote_email")
        change_of(run, "Held One", "mark_disabled", reason="account_disabled", state="held", hold_key="1", payload={})
        change_of(run, "=Held(Two)", "mark_disabled", reason="account_disabled", state="held", hold_key="2", payload={})
        db.session.add(
            UserSync(organization_id=row.id, enabled=True, filters={}, updated_at=utcnow(), hold_run_id=run.id)
        )
        conflict = Conflict(
            organization_id=row.id, key="k", kind="duplicate_remote_email", reason="Two have it.", object_id="twin",
            display_name="Twin", email="ada@harborview.example", run_id=run.id, created_at=utcnow(),
        )
        db.session.add(conflict)
        db.session.commit()
        return {"organization": row.id, "run": run.id, "conflict": conflict.id, "person": person.id}


def test_P8_the_list_shows_what_waits_for_a_decision_first(client_as, customer):
    text = client_as(Role.READ_ONLY).get("/sync-runs").get_data(as_text=True)
    assert text.index("Review") < text.index("runs_table")
    assert "2 people held back" in text


def test_P8_a_run_shows_old_and_new_reasons_and_sums(client_as, customer):
    page = client_as(Role.READ_ONLY).get(f"/sync-runs/{customer['run']}")
    text = page.get_data(as_text=True)
    assert page.status_code == 200
    assert "&lt;b&gt;Clerk&lt;/b&gt;" in text and "<b>Clerk" not in text
    assert "Skipped: no email address" in text
    assert "Mark 2 people disabled" not in text and "Ask an administrator" in text
