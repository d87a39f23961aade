"""Looking at what would be done waits for no lock."""

from __future__ import annotations

import io

import pytest
import sqlalchemy as sa

from portal.clock import utcnow
from portal.engine.apply.chunks import Stale
from portal.engine.records import Counts
from portal.extensions import db, mark_write
from portal.holds import service as holds
from portal.locks import CHANGED
from portal.models import Change, EndUser, MicrosoftTenant, SyncRun, UserSync
from tests.api.conftest import held


def test_looking_at_what_would_be_done_waits_for_no_lock(app, api, person, impatient):
    reef = api.made("/organizations", {"name": "Reef"})
    path = f"/organizations/{reef['id']}/end-users"
    sheet = {"data": b"email,display_name\nann@x.example,Ann\n", "content_type": "text/csv"}
    done = api("POST", f"{path}/import", **sheet)[1]
    with app.app_context():
        mark_write(db.session())
        run = SyncRun(
            organization_id=reef["id"],
            trigger="manual",
            status="succeeded",
            started_by="ada",
            created_at=utcnow(),
        )
        db.session.add(run)
        db.session.commit()
        run_id, person_id = run.id, db.session.scalar(sa.select(EndUser.id))
    bad = {"data": {"file": (io.BytesIO(b"nothing\n"), "x.csv")}, "content_type": "multipart/form-data"}
    with held(app):
        answers = {
            "import": api.raw("POST", f"{path}/import?dry_run=true", **sheet),
            "undo": api.raw("POST", f"/imports/{done['import_id']}/undo", json={"dry_run": True}),
            "run": api.raw("POST", f"/sync-runs/{run_id}/undo", json={"dry_run": True}),
            "delete": person.post(f"{path}/delete", data={"id": person_id}),
            "file": person.post(f"{path}/import", **bad),
        }
        deeds = [
            api.raw("POST", f"/sync-runs/{run_id}/undo", json={}).status_code,
            person.post(f"{path}/delete", data={"id": person_id, "confirmed": "1"}).status_code,
        ]
    assert {name: answer.status_code for name, answer in answers.items()} == {
        **dict.fromkeys(("import", "undo", "run", "delete"), 200),
        "file": 422,
    }
    assert "Ann" in answers["delete"].text
    assert deeds == [503, 503], "what is done waits"
    assert api("POST", f"/sync-runs/{run_id}/undo", {})[0] == 202
    assert person.post(f"{path}/delete", data={"id": person_id, "confirmed": "1"}).status_code == 303
    assert api("GET", path)[1]["total"] == 0


def test_G1_what_is_held_is_decided_anew_before_the_lock_is_taken(app, api, enabled, impatient, monkeypatch):
    run_id = held_run(app, enabled)
    prepare, seen = holds.holds.prepare_held, []

    def preparing(session, *arguments):
        found = prepare(session, *arguments)
        seen.append(found)
        return found

    monkeypatch.setattr(holds.holds, "prepare_held", preparing)
    with held(app):
        assert api("POST", f"/sync-runs/{run_id}/held/apply", {})[0] == 503
    assert len(seen) == 1, "only what writes has waited"
    assert api("POST", f"/sync-runs/{run_id}/held/apply", {})[0] == 200


@pytest.mark.parametrize(("times", "status"), [(1, 200), (2, 409)])
def test_G1_a_hold_whose_people_change_meanwhile_is_decided_once_more(
    app, api, enabled, monkeypatch, times, status
):
    run_id = held_run(app, enabled)
    apply, stale = holds.holds.apply_held, [Stale()] * times

    def applying(*arguments):
        number = apply(*arguments)
        if stale:
            raise stale.pop()
        return number

    monkeypatch.setattr(holds.holds, "apply_held", applying)
    found, document = api("POST", f"/sync-runs/{run_id}/held/apply", {})
    assert found == status and document.get("detail", CHANGED) == CHANGED
    with app.app_context():
        run = db.session.get(SyncRun, run_id)
        state, left = ("dismissed", 1) if status == 200 else ("waiting", None)
        assert (run.held["state"], run.held.get("left_out")) == (state, left)


def held_run(app, organization):
    """The id of a run that holds one person back, who changed since."""
    with app.app_context():
        mark_write(db.session())
        sync = db.session.scalars(sa.select(UserSync)).one()
        tenant_id = db.session.scalar(sa.select(MicrosoftTenant.id))
        run = SyncRun(
            organization_id=organization["id"],
            microsoft_tenant_id=tenant_id,
            trigger="hourly",
            status="held",
            started_by="schedule",
            created_at=utcnow(),
            counts=dict.fromkeys(Counts.__dataclass_fields__, 1),
            held={"kind": "disable", "count": 1, "state": "waiting"},
        )
        db.session.add(run)
        db.session.flush()
        facts = {"decision": "disable", "reason": "disabled_in_microsoft", "state": "held", "hold_key": "1"}
        change = Change(
            run_id=run.id,
            organization_id=run.organization_id,
            object_id="one",
            display_name="One",
            at=utcnow(),
            **facts,
        )
        db.session.add(change)
        sync.hold_run_id = run.id
        db.session.commit()
        return run.id
