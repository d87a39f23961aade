"""An Organization's people_version grows with every write to its End Users, through whatever door, but the sync's own."""

import pytest
import sqlalchemy as sa

from portal import audit
from portal.clock import utcnow
from portal.conflicts import service as conflicts
from portal.end_users import service
from portal.engine import account_activity
from portal.engine.people_version import touch, watch
from portal.engine.undo import apply_undo
from portal.extensions import db
from portal.imports.end_users import EndUserImporter
from portal.imports.sheet import Row
from portal.models import Change, Conflict, EndUser, Organization, SyncRun
from portal.recovery.service import clean_up
from tests.web import customers

MAIL = "ada@harborview.example"


@pytest.fixture
def here(app):
    """The session, within the application, with one linked person of one of two Organizations."""
    with app.app_context():
        audit.set_actor(audit.Actor("somebody", "cli", ""))
        tenant = customers.microsoft_tenant()
        row = customers.organization("Harborview", tenant)
        customers.organization("Other")
        user = customers.directory_user(tenant, "Ada Obi", MAIL)
        customers.end_user(row, "Ada Obi", MAIL, linked_to=user, source="sync")
        db.session.commit()
        yield row


def versions():
    return dict(db.session.execute(sa.select(Organization.name, Organization.people_version)).all())


def ada():
    return db.session.scalar(sa.select(EndUser).where(EndUser.email_key == MAIL))


def undone(here):
    run = SyncRun(
        organization_id=here.id,
        microsoft_tenant_id=here.tenant.microsoft_tenant_id,
        trigger="hourly",
        status="succeeded",
        created_at=utcnow(),
    )
    own = SyncRun(
        organization_id=here.id, kind="undo", trigger="manual", status="running", created_at=utcnow()
    )
    db.session.add_all([run, own])
    db.session.flush()
    fields = [{"field": "job_title", "old": "Clerk", "new": ""}]
    db.session.add(
        Change(
            run_id=run.id,
            organization_id=here.id,
            end_user_id=ada().id,
            object_id=ada().object_id,
            decision="update",
            reason="fields_differ",
            fields=fields,
            at=utcnow(),
        )
    )
    db.session.flush()
    assert len(apply_undo(db.session(), own.id, run.id, here.id, utcnow()).restored) == 1


def settled(here):
    user = customers.directory_user(
        db.session.get(customers.MicrosoftTenant, here.tenant.microsoft_tenant_id), "Twin", MAIL
    )
    row = Conflict(
        organization_id=here.id,
        key="k",
        kind="duplicate_remote_email",
        reason="",
        object_id=user.object_id,
        email=MAIL,
        created_at=utcnow(),
    )
    db.session.add(row)
    db.session.flush()
    conflicts.resolve(row, "link", ada().id)


def imported(here, **cells):
    importer, session = EndUserImporter(), db.session()
    planned = importer.plan(session, here.id, importer.match(session, here.id, [Row(2, cells)]))
    importer.write(session, here.id, planned, utcnow())


DOORS = {
    "create": lambda here: service.create(here.id, {"display_name": "New"}),
    "edit": lambda here: service.change(ada(), {"notes": "seen"}),
    "delete": lambda here: service.remove(ada()),
    "bulk delete": lambda here: service.remove_many(here, [ada().id]),
    "import, new": lambda here: imported(here, email="new@harborview.example", display_name="New"),
    "import, known": lambda here: imported(here, email=MAIL, notes="seen"),
    "unlink": lambda here: service.unlink(ada()),
    "undo": undone,
    "recovery, delete": lambda here: clean_up(
        db.session(), here, here.tenant.microsoft_tenant_id, delete_ids=[ada().id], unlink=False
    ),
    "recovery, unlink": lambda here: clean_up(
        db.session(), here, here.tenant.microsoft_tenant_id, delete_ids=[], unlink=True
    ),
    "conflict": settled,
    "bulk statement": lambda here: touch(db.session(), [here.id]),
}


@pytest.mark.parametrize("door", DOORS)
def test_every_door_that_writes_end_users_counts(here, door):
    before = versions()
    DOORS[door](here)
    db.session.commit()
    after = versions()
    assert after["Harborview"] > before["Harborview"], door
    assert after["Other"] == before["Other"]


def test_what_changes_nothing_does_not_count(here):
    before = versions()
    row = ada()
    row.job_title = row.job_title
    service.change(row, {"notes": ""})
    here.name = "Harborview"
    db.session.commit()
    assert versions() == before


def test_the_sync_s_own_statements_do_not_count(here):
    before = versions()
    account_activity.store(
        db.session(), here.tenant.microsoft_tenant_id, {ada().object_id: {"mfa_registered": True}}
    )
    db.session.commit()
    db.session.expire_all()
    assert ada().mfa_registered and versions() == before


def test_watching_twice_counts_once(here):
    watch()
    before = versions()["Harborview"]
    service.change(ada(), {"notes": "seen"})
    db.session.commit()
    assert versions()["Harborview"] == before + 1
