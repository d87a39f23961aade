"""A customer whose sync is on: one linked person, and what a run recorded about that person."""

import pytest

from portal.clock import utcnow
from portal.extensions import db, mark_write
from portal.models import Asset, AssetMac, Change, SyncRun, UserSync
from portal.user_sync import documents
from tests.web import customers


@pytest.fixture
def ids(app):
    """Ids of the customer, the person, the run and the Microsoft user.

    Over 50 lines: rows and nothing else, one of each kind that the pages show.
    """
    now = utcnow()
    with app.app_context():
        mark_write(db.session())
        microsoft = customers.microsoft_tenant()
        organization = customers.organization(microsoft=microsoft)
        remote = customers.directory_user(microsoft, "Ada Lovelace", "ada@harborview.example")
        remote.mobile_phone = "+27 82 555 0177"
        person = customers.end_user(organization, "Ada Lovelace", "ada@harborview.example", linked_to=remote)
        db.session.add(
            UserSync(
                organization_id=organization.id,
                enabled=True,
                filters=documents.default_request()["filters"],
                enabled_at=now,
                initial_done_at=now,
                updated_at=now,
            )
        )
        run = SyncRun(
            organization_id=organization.id,
            microsoft_tenant_id=microsoft.id,
            trigger="initial",
            status="succeeded",
            started_by="ada@rollcall.example",
            created_at=now,
            started_at=now,
            finished_at=now,
        )
        asset = Asset(
            organization_id=organization.id,
            name="HVD-LT-0142",
            end_user_id=person.id,
            assigned_by="sync",
            created_at=now,
            updated_at=now,
            macs=[AssetMac(mac="3C52829A017F")],
        )
        db.session.add_all([run, asset])
        db.session.flush()
        db.session.add(
            Change(
                run_id=run.id,
                organization_id=organization.id,
                end_user_id=person.id,
                object_id=remote.object_id,
                decision="update",
                reason="fields_differ",
                fields=[{"field": "job_title", "old": "Receptionist", "new": "Practice Manager"}],
                at=now,
            )
        )
        db.session.commit()
        return {
            "organization": organization.id,
            "person": person.id,
            "run": run.id,
            "object": remote.object_id,
            "microsoft_tenant": microsoft.id,
        }
