"""R2, P1: a Microsoft tenant that is not mapped can be removed at any moment, also while it is being read."""

from __future__ import annotations

import logging
from types import GeneratorType

import pytest

from portal.clock import utcnow
from portal.engine import pace, undo
from portal.extensions import db
from portal.models import Base, Change, EndUser, MicrosoftTenant, SyncRun
from portal.runtime import runtime
from portal.worker import leases, queue
from portal.worker.slow_pass import SlowPass
from portal.worker.tenant_worker import TenantWorker
from tests.sync.directory import TENANT, Directory, account
from tests.web import customers


class Interrupted:
    """A Directory that does something before the step number ``at``: a call of it, or a page that it gives."""

    def __init__(self, directory, at, do):
        self._directory, self._at, self._do, self.steps = directory, at, do, 0

    def __getattr__(self, name):
        found = getattr(self._directory, name)
        if not callable(found):
            return found

        def call(*args, **values):
            self._step()
            answer = found(*args, **values)
            return self._pages(answer) if isinstance(answer, GeneratorType) else answer

        return call

    def _pages(self, pages):
        for page in pages:
            self._step()
            yield page

    def _step(self):
        self.steps += 1
        if self.steps == self._at:
            self._do()


def directory():
    found = Directory(devices=[{"id": "d1", "userId": "u1"}], skus=[{"skuId": "s", "skuPartNumber": "X"}])
    found.put(*[account(f"u{n}") for n in range(20)])
    found.group("g", "u1", "u2")
    found.registrations = [{"id": "u1", "isMfaRegistered": True}]
    found.sign_in_dates = {"u1": "2026-11-01T08:00:00Z"}
    return found


def added():
    row = customers.microsoft_tenant("Fabrikam", is_read=False)
    row.directory_id, row.read_requested_at = TENANT, utcnow()
    db.session.commit()
    return row.id


def everything_of(tenant_id):
    tables = [table for table in Base.metadata.sorted_tables if "microsoft_tenant_id" in table.c]
    return {
        table.name
        for table in tables
        if table.name != "sync_runs"
        and db.session.execute(table.select().where(table.c.microsoft_tenant_id == tenant_id)).first()
    }


@pytest.mark.parametrize(
    ("part", "at"), [*(("run", n) for n in range(1, 9)), *(("slow", n) for n in range(1, 8))]
)
def test_it_goes_while_it_is_read_and_nothing_of_it_is_written_again(app, client_as, caplog, part, at):
    browser = client_as()
    with app.app_context():
        tenant_id = added()
        sessions = runtime().sessions
        if part == "slow":
            TenantWorker(sessions, lambda _lease: directory(), utcnow).run_tenant(tenant_id, "me")

    def remove():
        answer = browser.send(f"/microsoft-tenants/{tenant_id}/remove", {"name": "Fabrikam"})
        assert answer.status_code == 303, answer.text

    source = Interrupted(directory(), at, remove)
    with caplog.at_level(logging.INFO):
        if part == "run":
            assert TenantWorker(sessions, lambda _lease: source, utcnow).run_tenant(tenant_id, "me")
        else:
            assert SlowPass(sessions, lambda _id: source, utcnow).run(tenant_id, "me")
    assert source.steps >= at, "it was over before"
    with app.app_context():
        assert db.session.get_one(MicrosoftTenant, tenant_id).is_removed
        assert everything_of(tenant_id) == set()
    assert "action=tenant_removed" in caplog.text and "lease_lost" not in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def test_a_run_that_was_going_on_is_over(app, client_as):
    with app.app_context():
        tenant_id, organization = added(), customers.organization("Kestrel")
        run = SyncRun(
            organization_id=organization.id,
            microsoft_tenant_id=tenant_id,
            trigger="manual",
            status="running",
            created_at=utcnow(),
        )
        db.session.add(run)
        db.session.commit()
        run_id = run.id
        assert leases.acquire(runtime().sessions, tenant_id, "somebody", lambda: utcnow())
    answer = client_as().send(f"/microsoft-tenants/{tenant_id}/remove", {"name": "Fabrikam"})
    assert answer.status_code == 303
    with app.app_context():
        assert db.session.get(SyncRun, run_id).status == "cancelled"


def run_that_created(people, tenant_id):
    """A run of that tenant, committed, which created so many people of Kestrel: its id."""
    organization = customers.organization("Kestrel")
    run = SyncRun(
        organization_id=organization.id,
        microsoft_tenant_id=tenant_id,
        trigger="manual",
        status="succeeded",
        created_at=utcnow(),
    )
    db.session.add(run)
    db.session.flush()
    for n in range(people):
        person = customers.end_user(organization, f"P{n}", f"p{n}@x.example", source="sync")
        db.session.add(
            Change(
                run_id=run.id,
                organization_id=organization.id,
                end_user_id=person.id,
                object_id=f"u{n}",
                decision="create",
                reason="new",
                undo={"created": True},
                state="applied",
                at=utcnow(),
            )
        )
    db.session.commit()
    return run.id


def test_R5_a_run_of_a_removed_tenant_is_undone_by_its_worker_in_short_transactions(
    app, client_as, monkeypatch
):
    with app.app_context():
        tenant_id = added()
        run_id, sessions = run_that_created(7, tenant_id), runtime().sessions
    browser = client_as()
    assert browser.send(f"/microsoft-tenants/{tenant_id}/remove", {"name": "Fabrikam"}).status_code == 303
    assert browser.send(f"/sync-runs/{run_id}/undo").status_code == 303
    sizes = []
    apply = undo.apply_undo
    monkeypatch.setattr(undo, "apply_undo", lambda *given: (sizes.append(len(given[-1])), apply(*given))[1])
    monkeypatch.setattr(pace, "FIRST_ROWS", 3)
    monkeypatch.setattr(pace, "next_size", lambda size, *_told: size)
    with app.app_context():
        assert db.session.query(SyncRun).filter_by(kind="undo").one().status == "queued", (
            "the request only queues it (T6)"
        )
        assert [work.microsoft_tenant_id for work in queue.waiting(db.session(), utcnow())] == [tenant_id]
    assert TenantWorker(sessions, lambda _lease: pytest.fail("nothing is read"), utcnow).run_tenant(
        tenant_id, "me"
    )
    with app.app_context():
        assert (sizes, db.session.query(EndUser).count()) == ([3, 3, 1], 0)
        done = db.session.query(SyncRun).filter_by(kind="undo").one()
        assert (done.status, done.done) == ("succeeded", 7)
    again = browser.send(f"/sync-runs/{run_id}/undo")
    assert again.status_code == 409 and "already been undone" in again.text
